//! What the writer remembers of rows that it wrote or found, so that it need not look them up again.

use ahash::HashMap;
use std::borrow::Borrow;
use std::hash::Hash;
use steadfast_machine::QueueKey;
use uuid::Uuid;

/// Entries of one generation. A generation that is full becomes the old one; what is used of the old one comes back.
const GENERATION: usize = 16 * 1024;

#[derive(Default)]
pub struct Cache {
    pub runs: Recent<Uuid, CachedRun>,
    pub branches: Recent<Uuid, i64>,
    pub queues: Recent<QueueKey, i64>,
    pub namespaces: Recent<Uuid, i64>,
}

#[derive(Clone, Copy)]
pub struct CachedRun {
    pub number: i64,
    /// None: not known. Some(None): not listed. Else the status that the run is counted under, if it is.
    pub listed: Option<Option<Option<i32>>>,
    /// Of the search attributes, where known; 0 for none.
    pub indexed_hash: Option<u64>,
    /// Of the place in the lists, where known; see `PreparedVisibility::place`.
    pub place: Option<u64>,
}

impl CachedRun {
    /// One that was just added.
    pub fn new(number: i64) -> CachedRun {
        CachedRun { number, listed: Some(None), indexed_hash: Some(0), place: None }
    }

    pub fn unknown() -> CachedRun {
        CachedRun { number: 0, listed: None, indexed_hash: None, place: None }
    }
}

/// A map that holds what was used last: at least one generation, at most two.
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Recent<K, V> {
        Recent { young: HashMap::default(), old: HashMap::default() }
    }
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get(key)
    }

    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays() {
        let mut recent: Recent<usize, usize> = Recent::default();
        for number in 0..10 * GENERATION {
            recent.insert(number, number);
            assert_eq!(recent.get(&0), Some(&0));
        }
        assert_eq!(recent.get(&1), None);
        assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION);
        recent.remove(&0);
        assert_eq!(recent.get(&0), None);
    }
}
