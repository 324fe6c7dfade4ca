//! A store that goes wrong on purpose, for the simulator and for tests of the engine.
//!
//! It does to a good store what disks, networks and competitors do: a write that fails, one that took effect although
//! its answer was lost, a shard that somebody else took. What goes wrong is decided by [`Faults`]: seeded, or scripted by
//! a test. Delays are not its business.

use crate::commit::{Commit, Outcome};
use crate::rows::{BacklogPage, BranchPart, NamespaceRecord, PageKey, StoredRun, VisibilityPage};
use crate::store::{Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::{Mutex, PoisonError};
use steadfast_machine::decision::Batch;
use steadfast_machine::{EntityKey, Kind, Message, QueueKey, RunKey, TaskKey, Time};
use steadfast_query::Filter;
use uuid::Uuid;

/// What goes wrong with one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// The caller hears NotWritten, and nothing is written.
    NotWritten,
    /// The caller hears Unknown, and the commit is written.
    UnknownWritten,
    /// The caller hears Unknown, and nothing is written.
    UnknownNotWritten,
    /// Another process takes the shard first: nothing is written, and the caller's epoch is void for good.
    Fenced,
}

/// Decides what goes wrong. Called once for each operation, in the order in which they are polled first.
pub trait Faults: Send + 'static {
    fn commit(&mut self, commit: &Commit) -> Option<CommitFault>;

    /// Whether a read, or a change of configuration, named as the trait's method, ends as Unavailable.
    fn unavailable(&mut self, operation: &'static str) -> bool;
}

/// Faults at random moments: the same ones for the same seed and the same calls. Rates are per million.
#[derive(Clone, Debug, Default)]
pub struct SeededFaults {
    state: u64,
    pub not_written: u32,
    pub unknown_written: u32,
    pub unknown_not_written: u32,
    pub fenced: u32,
    pub unavailable: u32,
}

impl SeededFaults {
    /// No faults until rates are set.
    pub fn new(seed: u64) -> SeededFaults {
        SeededFaults { state: seed, ..SeededFaults::default() }
    }

    /// A number below a million (SplitMix64).
    pub(crate) fn draw(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % 1_000_000) as u32
    }
}

impl Faults for SeededFaults {
    fn commit(&mut self, _: &Commit) -> Option<CommitFault> {
        let mut draw = self.draw();
        let rates = [
            (self.not_written, CommitFault::NotWritten),
            (self.unknown_written, CommitFault::UnknownWritten),
            (self.unknown_not_written, CommitFault::UnknownNotWritten),
            (self.fenced, CommitFault::Fenced),
        ];
        for (rate, fault) in rates {
            if draw < rate {
                return Some(fault);
            }
            draw -= rate;
        }
        None
    }

    fn unavailable(&mut self, _: &'static str) -> bool {
        self.draw() < self.unavailable
    }
}

/// See the module.
pub struct FaultyStore<S> {
    inner: S,
    faults: Mutex<Box<dyn Faults>>,
}

impl<S: Store> FaultyStore<S> {
    pub fn new(inner: S, faults: impl Faults) -> FaultyStore<S> {
        FaultyStore { inner, faults: Mutex::new(Box::new(faults)) }
    }

    /// The store below, which never fails: checkers look at it.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Other faults from now on; no faults, for instance, to see whether everything recovers.
    pub fn set_faults(&self, faults: impl Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(faults);
    }

    fn available(&self, operation: &'static str) -> Result<&S, StoreError> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match faults.unavailable(operation) {
            true => Err(StoreError::Unavailable(format!("{operation}: an injected fault"))),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl<S: Store> Store for FaultyStore<S> {
    fn shards(&self) -> u32 {
        self.inner.shards()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn work(&self) -> crate::StoreWork {
        self.inner.work()
    }

    fn cluster_id(&self) -> Uuid {
        self.inner.cluster_id()
    }

    async fn acquire(&self, shard: u32) -> Result<u64, StoreError> {
        self.available("acquire")?.acquire(shard).await
    }

    async fn commit(&self, commit: Commit) -> Outcome {
        let fault = self.faults.lock().unwrap_or_else(PoisonError::into_inner).commit(&commit);
        match fault {
            None => self.inner.commit(commit).await,
            Some(CommitFault::NotWritten) => Outcome::NotWritten("an injected fault".into()),
            Some(CommitFault::UnknownNotWritten) => Outcome::Unknown("an injected fault".into()),
            Some(CommitFault::UnknownWritten) => match self.inner.commit(commit).await {
                Outcome::Done => Outcome::Unknown("an injected fault".into()),
                outcome => outcome,
            },
            Some(CommitFault::Fenced) => {
                let shard = commit.shard;
                // What the fault is about is that nobody holds the old epoch afterwards.
                match self.inner.acquire(shard).await {
                    Ok(_) => self.inner.commit(commit).await,
                    Err(error) => Outcome::NotWritten(error.to_string()),
                }
            }
        }
    }

    async fn load_latest(&self, entity: &EntityKey) -> Result<Option<StoredRun>, StoreError> {
        self.available("load_latest")?.load_latest(entity).await
    }

    async fn load_run(&self, key: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        self.available("load_run")?.load_run(key).await
    }

    async fn run_ids(&self, entity: &EntityKey) -> Result<Vec<Uuid>, StoreError> {
        self.available("run_ids")?.run_ids(entity).await
    }

    async fn cores(&self, entity: &EntityKey) -> Result<Vec<(Uuid, Bytes)>, StoreError> {
        self.available("cores")?.cores(entity).await
    }

    async fn read_history(
        &self,
        parts: &[BranchPart],
        from: i64,
        to: i64,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Batch>, StoreError> {
        self.available("read_history")?.read_history(parts, from, to, limit, reverse).await
    }

    async fn read_backlog(
        &self,
        queue: &QueueKey,
        after: Option<&TaskKey>,
        limit: usize,
    ) -> Result<BacklogPage, StoreError> {
        self.available("read_backlog")?.read_backlog(queue, after, limit).await
    }

    async fn backlogs(&self) -> Result<Vec<(QueueKey, u64)>, StoreError> {
        self.available("backlogs")?.backlogs().await
    }

    async fn alarms(&self, until: Time, limit: usize) -> Result<Vec<(Time, RunKey)>, StoreError> {
        self.available("alarms")?.alarms(until, limit).await
    }

    async fn messages(
        &self,
        after: Option<&(RunKey, i64)>,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.available("messages")?.messages(after, limit).await
    }

    async fn expired(
        &self,
        namespace: Uuid,
        closed_before: Time,
        limit: usize,
    ) -> Result<Vec<RunKey>, StoreError> {
        self.available("expired")?.expired(namespace, closed_before, limit).await
    }

    async fn list(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<VisibilityPage, StoreError> {
        self.available("list")?.list(namespace, kind, filter, after, limit).await
    }

    async fn count(&self, namespace: Uuid, kind: Kind, filter: &Filter) -> Result<u64, StoreError> {
        self.available("count")?.count(namespace, kind, filter).await
    }

    async fn count_by_status(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
    ) -> Result<Vec<(i32, u64)>, StoreError> {
        self.available("count_by_status")?.count_by_status(namespace, kind, filter).await
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceRecord>, StoreError> {
        self.available("namespaces")?.namespaces().await
    }

    async fn put_namespace(&self, record: NamespaceRecord) -> Result<(), StoreError> {
        self.available("put_namespace")?.put_namespace(record).await
    }

    async fn delete_namespace(&self, id: Uuid) -> Result<(), StoreError> {
        self.available("delete_namespace")?.delete_namespace(id).await
    }

    async fn delete_search_attribute(&self, namespace: Uuid, name: &str) -> Result<(), StoreError> {
        self.available("delete_search_attribute")?.delete_search_attribute(namespace, name).await
    }

    async fn configs(&self, kind: &str) -> Result<Vec<(String, u64, Bytes)>, StoreError> {
        self.available("configs")?.configs(kind).await
    }

    async fn put_config(
        &self,
        kind: &str,
        key: &str,
        expected: u64,
        value: Option<Bytes>,
    ) -> Result<(), StoreError> {
        self.available("put_config")?.put_config(kind, key, expected, value).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::world::*;
    use crate::memory::MemoryStore;

    /// One fault, once.
    struct Once(Option<CommitFault>);

    impl Faults for Once {
        fn commit(&mut self, _: &Commit) -> Option<CommitFault> {
            self.0.take()
        }

        fn unavailable(&mut self, operation: &'static str) -> bool {
            operation == "load_run"
        }
    }

    #[tokio::test]
    async fn each_fault_does_what_it_says() {
        for (fault, written) in [
            (CommitFault::NotWritten, false),
            (CommitFault::UnknownWritten, true),
            (CommitFault::UnknownNotWritten, false),
            (CommitFault::Fenced, false),
        ] {
            let store = FaultyStore::new(MemoryStore::new(1, Uuid::from_u128(1)), Once(Some(fault)));
            let epoch = store.acquire(0).await.expect("a shard");
            let commit = || Commit { epoch, runs: vec![put(&run("faulty", 1), "core")], ..Commit::default() };
            let outcome = store.commit(commit()).await;
            let expected = match fault {
                CommitFault::NotWritten => matches!(outcome, Outcome::NotWritten(_)),
                CommitFault::Fenced => outcome == Outcome::Fenced,
                _ => matches!(outcome, Outcome::Unknown(_)),
            };
            assert!(expected, "{fault:?}: {outcome:?}");
            let found = store.load_latest(&entity("faulty")).await.expect("this read is available");
            assert_eq!(found.is_some(), written, "{fault:?}");
            assert!(store.load_run(&run("faulty", 1)).await.is_err());
            let again = store.commit(commit()).await;
            let expected = if fault == CommitFault::Fenced { Outcome::Fenced } else { Outcome::Done };
            assert_eq!(again, expected, "one fault, once; but an epoch that is void stays so");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let draw = |seed| {
            let mut faults = SeededFaults::new(seed);
            (faults.not_written, faults.unknown_written, faults.fenced) = (100_000, 200_000, 50_000);
            (0..1_000).map(|_| faults.commit(&Commit::default())).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let count = |fault| draw(1).into_iter().filter(|drawn| *drawn == Some(fault)).count();
        assert!((70..130).contains(&count(CommitFault::NotWritten)));
        assert!((160..240).contains(&count(CommitFault::UnknownWritten)));
        assert_eq!(count(CommitFault::UnknownNotWritten), 0);
    }
}
