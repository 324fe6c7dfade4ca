//! The order of tasks of one priority when some of them have fairness keys.
//!
//! A task's place in its queue is a number that is chosen when it is made. Without keys that number is the time. With
//! keys it is a *virtual* time in which each task of a key comes one stride after the key's last one, a stride being
//! shorter the more the key weighs; a key that was silent begins where the queue stands. So the places of the keys
//! interleave, in storage as in memory, and a page of the backlog read in its order is a fair one.

use std::collections::BTreeMap;

/// From one task of a key of weight 1 to its next, in nanoseconds of the virtual time. The heaviest key's stride is a
/// thousandth of it, and still longer than what makes places unique.
const STRIDE: f64 = (1u64 << 30) as f64;

/// The low bits of a place tell tasks apart that have the same virtual time.
const UNIQUE: i64 = (1 << 20) - 1;

/// Keys that a priority remembers. The keys beyond share places by their hash: they are treated as one each.
const KEYS: usize = 10_000;

/// Fairness of one priority of a queue. Exists from the first task with a key on.
pub struct Fairness {
    /// How far the queue has come.
    now: i64,
    /// Where each key's last task is.
    last: BTreeMap<u64, i64>,
}

impl Fairness {
    /// For a queue whose first and last tasks, of no key, are there.
    pub fn new(backlog: Option<(i64, i64)>, fresh: i64) -> Fairness {
        let (first, last) = backlog.unwrap_or((fresh, fresh));
        let mut fairness = Fairness { now: first, last: BTreeMap::new() };
        if backlog.is_some() {
            fairness.last.insert(hash(""), last);
        }
        fairness
    }

    /// The place of a new task. `fresh` is a number that no other task has, and follows the time.
    pub fn place(&mut self, key: &str, weight: f64, fresh: i64) -> i64 {
        let mut slot = hash(key);
        if self.last.len() >= KEYS && !self.last.contains_key(&slot) {
            let now = self.now;
            self.last.retain(|_, last| *last > now);
            if self.last.len() >= KEYS {
                slot %= KEYS as u64;
            }
        }
        let stride = (STRIDE / weight) as i64;
        let next = self.last.get(&slot).map_or(self.now, |last| last.saturating_add(stride));
        let at = next.max(self.now);
        self.last.insert(slot, at);
        (at & !UNIQUE) | (fresh & UNIQUE)
    }

    /// A task was handed out.
    pub fn passed(&mut self, place: i64) {
        self.now = self.now.max(place);
    }

    /// A task that was read from storage.
    pub fn seen(&mut self, key: &str, place: i64) {
        if self.last.len() < KEYS {
            let last = self.last.entry(hash(key)).or_insert(place);
            *last = (*last).max(place);
        }
    }

    /// The queue is empty: nobody has had more than others.
    pub fn reset(&mut self, fresh: i64) {
        self.now = self.now.max(fresh);
        self.last.clear();
    }
}

/// FNV-1a: the same in every process, because places are stored.
fn hash(key: &str) -> u64 {
    key.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts the tasks in, and says which keys come out in which order.
    fn order(fairness: &mut Fairness, tasks: &[(&'static str, f64)]) -> String {
        let mut placed: Vec<(i64, &str)> = tasks
            .iter()
            .enumerate()
            .map(|(number, (key, weight))| (fairness.place(key, *weight, 1_000_000 + number as i64), *key))
            .collect();
        let mut places: Vec<i64> = placed.iter().map(|(place, _)| *place).collect();
        placed.sort_unstable();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), tasks.len(), "places are unique");
        placed.into_iter().map(|(_, key)| key).collect()
    }

    fn tasks(spec: &[(&'static str, usize, f64)]) -> Vec<(&'static str, f64)> {
        spec.iter().flat_map(|(key, count, weight)| std::iter::repeat_n((*key, *weight), *count)).collect()
    }

    #[test]
    fn a_key_with_many_tasks_does_not_hold_up_the_others() {
        let mut fairness = Fairness::new(None, 0);
        let order = order(&mut fairness, &tasks(&[("a", 6, 1.0), ("b", 2, 1.0), ("c", 1, 1.0)]));
        assert_eq!(order, "abcabaaaa");
    }

    #[test]
    fn a_heavier_key_gets_more() {
        let mut fairness = Fairness::new(None, 0);
        let order = order(&mut fairness, &tasks(&[("a", 4, 1.0), ("b", 8, 2.0)]));
        assert_eq!(order.matches('b').count(), 8);
        let half: String = order.chars().take(6).collect();
        assert_eq!(half.matches('b').count(), 4, "{order}");
    }

    #[test]
    fn who_comes_later_begins_where_the_queue_stands() {
        let mut fairness = Fairness::new(None, 0);
        let first = order(&mut fairness, &tasks(&[("a", 4, 1.0)]));
        assert_eq!(first, "aaaa");
        fairness.passed(2 * (STRIDE as i64));
        // The third of a's is being worked on; the fourth waits.
        let late = fairness.place("b", 1.0, 7);
        assert!(late >= 2 * (STRIDE as i64) && late < 3 * (STRIDE as i64));
        fairness.reset(5);
        assert!(fairness.place("a", 1.0, 8) < 3 * (STRIDE as i64));
    }

    #[test]
    fn what_has_no_key_keeps_its_order() {
        let mut fairness = Fairness::new(Some((100 << 20, 900 << 20)), 1000 << 20);
        let keyed = fairness.place("a", 1.0, 1);
        let plain = fairness.place("", 1.0, 2);
        assert!(keyed < 101 << 20);
        assert!(plain > 900 << 20);
    }

    #[test]
    fn many_keys_are_bounded() {
        let mut fairness = Fairness::new(None, 0);
        for number in 0..3 * KEYS {
            fairness.place(&format!("key {number}"), 1.0, number as i64);
            fairness.place(&format!("key {number}"), 1.0, number as i64);
        }
        assert!(fairness.last.len() <= 2 * KEYS);
    }
}
