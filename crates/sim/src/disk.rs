//! The database that survives crashes, and one process's way to it: slow at random, cut when the process dies.

use crate::audit::Audit;
use crate::board::Board;
use crate::random::Random;
use crate::simulation::FENCED_FOR_ITS_EPOCH;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_machine::batch;
use steadfast_machine::decision::Batch;
use steadfast_machine::workflow::state::Run;
use steadfast_machine::{EntityKey, Kind, Message, QueueKey, RowTable, RunKey, TaskKey, Time};
use steadfast_query::Filter;
use steadfast_storage::*;
use tokio::sync::Notify;
use uuid::Uuid;

/// More calls than any simulation needs: something goes round in circles.
const MOST_CALLS: u64 = 300_000;

/// Runs a future of the in-memory store, which never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the in-memory store answers at once"),
    }
}

/// How slow the disk is: in a hundred calls so many take up to so many milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Slowness {
    pub often: u64,
    pub rarely: u64,
    pub longest: u64,
}

/// Rates per million of what goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub not_written: u32,
    pub unknown_written: u32,
    pub unknown_not_written: u32,
    pub fenced: u32,
    pub unavailable: u32,
}

pub struct Disk {
    faulty: FaultyStore<MemoryStore>,
    board: Arc<Board>,
    random: Mutex<Random>,
    slowness: Mutex<Slowness>,
    /// What was decided about the commit that is being written.
    fault: Arc<Mutex<Option<CommitFault>>>,
    audit: Mutex<Audit>,
    /// Somebody took a shard away: the process has to start anew.
    fenced: AtomicBool,
    calls: AtomicU64,
}

/// Draws faults, and lets the disk know what was drawn.
struct Told {
    faults: SeededFaults,
    told: Arc<Mutex<Option<CommitFault>>>,
    board: Arc<Board>,
}

impl Faults for Told {
    fn commit(&mut self, commit: &Commit) -> Option<CommitFault> {
        let fault = self.faults.commit(commit);
        *self.told.lock().expect("nothing panics while it holds this") = fault;
        fault
    }

    fn unavailable(&mut self, operation: &'static str) -> bool {
        let fails = self.faults.unavailable(operation);
        if fails {
            self.board.saw("a read fails");
        }
        fails
    }
}

impl Disk {
    pub fn new(shards: u32, board: Arc<Board>, mut random: Random, slowness: Slowness) -> Disk {
        let fault = Arc::new(Mutex::new(None));
        let faults =
            Told { faults: SeededFaults::new(random.next()), told: fault.clone(), board: board.clone() };
        Disk {
            faulty: FaultyStore::new(MemoryStore::new(shards, Uuid::from_u128(1)), faults),
            board,
            random: Mutex::new(random),
            slowness: Mutex::new(slowness),
            fault,
            audit: Mutex::default(),
            fenced: AtomicBool::new(false),
            calls: AtomicU64::new(0),
        }
    }

    pub fn set_rates(&self, rates: Rates) {
        let seed = self.random.lock().expect("nothing panics while it holds this").next();
        let mut faults = SeededFaults::new(seed);
        faults.not_written = rates.not_written;
        faults.unknown_written = rates.unknown_written;
        faults.unknown_not_written = rates.unknown_not_written;
        faults.fenced = rates.fenced;
        faults.unavailable = rates.unavailable;
        self.faulty.set_faults(Told { faults, told: self.fault.clone(), board: self.board.clone() });
    }

    pub fn set_slowness(&self, slowness: Slowness) {
        *self.slowness.lock().expect("nothing panics while it holds this") = slowness;
    }

    /// Whether a shard was taken away since this was last asked.
    pub fn take_fenced(&self) -> bool {
        self.fenced.swap(false, Ordering::Relaxed)
    }

    pub fn audit(&self) -> MutexGuard<'_, Audit> {
        self.audit.lock().expect("nothing panics while it holds this")
    }

    /// What is stored, past every fault: for checkers.
    pub fn stored(&self) -> &MemoryStore {
        self.faulty.inner()
    }

    /// A batch operation as it is stored.
    pub fn batch(&self, key: &RunKey) -> Option<batch::Run> {
        let stored = now(self.faulty.inner().load_run(key)).ok().flatten()?;
        match batch::Run::decode(stored.run, &stored.core, &stored.rows) {
            Ok(run) => Some(run),
            Err(bad) => {
                self.board.violation(format!("{key}: what is stored does not decode: {}", bad.0));
                None
            }
        }
    }

    /// A workflow's run as it is stored.
    pub fn run(&self, key: &RunKey) -> Option<Run> {
        let stored = now(self.faulty.inner().load_run(key)).ok().flatten()?;
        match Run::decode(stored.run, &stored.core, &stored.rows) {
            Ok(run) => Some(run),
            Err(bad) => {
                self.board.violation(format!("{key}: what is stored does not decode: {}", bad.0));
                None
            }
        }
    }

    pub fn latest(&self, entity: &EntityKey) -> Option<Run> {
        let runs = now(self.faulty.inner().run_ids(entity)).ok()?;
        self.run(&entity.run(*runs.last()?))
    }

    pub fn runs_of(&self, entity: &EntityKey) -> Vec<Run> {
        let runs = now(self.faulty.inner().run_ids(entity)).unwrap_or_default();
        runs.into_iter().filter_map(|run| self.run(&entity.run(run))).collect()
    }

    /// The whole stored history of a run.
    pub fn history(&self, run: &Run) -> Vec<HistoryEvent> {
        use prost::Message as _;
        let parts = run.history_parts();
        let parts: Vec<BranchPart> =
            parts.iter().map(|(branch, last)| BranchPart { branch: *branch, last_event_id: *last }).collect();
        let batches = now(self.faulty.inner().read_history(&parts, 1, i64::MAX, usize::MAX, false));
        let batches = batches.unwrap_or_default();
        batches
            .into_iter()
            .filter_map(|batch| History::decode(batch.encoded).ok())
            .flat_map(|h| h.events)
            .collect()
    }

    /// Alarms that were due at this moment and still are set.
    pub fn overdue(&self, moment: Time) -> Vec<(Time, RunKey)> {
        let mut due = now(self.faulty.inner().alarms(moment, usize::MAX)).unwrap_or_default();
        // The alarm of a closed run stays due while somebody is called, who may take his time to answer.
        // That of a batch stays due until the page is there that it asked for.
        due.retain(|(_, key)| {
            key.entity.kind == Kind::Workflow && self.run(key).is_some_and(|run| run.is_open())
        });
        due
    }

    fn delay(&self) -> Duration {
        let slowness = *self.slowness.lock().expect("nothing panics while it holds this");
        let mut random = self.random.lock().expect("nothing panics while it holds this");
        let draw = random.below(100);
        if draw < slowness.rarely {
            random.millis(1, slowness.longest)
        } else if draw < slowness.rarely + slowness.often {
            random.millis(1, 4)
        } else {
            Duration::ZERO
        }
    }

    async fn commit(&self, commit: Commit) -> Outcome {
        let copy = commit.clone();
        // The in-memory store writes before it is first waited for: nobody comes between this and what follows.
        let outcome = self.faulty.commit(commit).await;
        let fault = self.fault.lock().expect("nothing panics while it holds this").take();
        if fault == Some(CommitFault::Fenced) {
            *self.audit().epochs.entry(copy.shard).or_insert(0) += 1;
        }
        if outcome == Outcome::Fenced {
            self.fenced.store(true, Ordering::Relaxed);
        }
        self.write_down(&copy, fault, &outcome);
        match (fault, &outcome) {
            (None, Outcome::Fenced) => self.board.saw(FENCED_FOR_ITS_EPOCH),
            (None, _) => {}
            (Some(CommitFault::UnknownWritten), _) => self.board.saw("a commit is written and nobody knows"),
            (Some(CommitFault::UnknownNotWritten), _) => {
                self.board.saw("a commit is not written and nobody knows");
            }
            (Some(CommitFault::NotWritten), _) => self.board.saw("a commit is not written"),
            (Some(CommitFault::Fenced), _) => self.board.saw("a shard is taken away"),
        }
        let written = match fault {
            None => outcome == Outcome::Done,
            Some(CommitFault::UnknownWritten) => matches!(outcome, Outcome::Unknown(_)),
            Some(_) => false,
        };
        if written {
            let stored: BTreeMap<Uuid, Option<Run>> =
                workflows(&copy).map(|key| (key.run, self.run(key))).collect();
            let batches = copy.runs.iter().filter(|write| write.key.entity.kind == Kind::Batch);
            let batches: Vec<_> = batches.map(|write| (write.key.clone(), self.batch(&write.key))).collect();
            for (key, run) in batches {
                self.audit().batches.insert(key, run.is_some_and(|run| run.is_open()));
            }
            let wrong = self.audit().applied(&copy, &stored);
            for what in wrong {
                self.board.violation(what);
            }
        }
        outcome
    }

    fn write_down(&self, commit: &Commit, fault: Option<CommitFault>, outcome: &Outcome) {
        let mut trace = self.board.trace();
        for write in &commit.runs {
            if let RunState::Put { core, .. } = &write.state {
                trace.eat(core);
            }
            // Search attributes are maps that encode in any order.
            for (key, value) in write.rows.iter().filter(|(key, _)| key.table != RowTable::Attributes) {
                trace.eat(&key.key);
                trace.eat(value.as_deref().unwrap_or_default());
            }
            for batch in write.history.iter().flat_map(|chunk| &chunk.batches) {
                trace.eat(&batch.encoded);
            }
        }
        let runs: Vec<&str> = commit.runs.iter().map(|write| &*write.key.entity.id).collect();
        let events: i64 = commit
            .runs
            .iter()
            .flat_map(|write| &write.history)
            .flat_map(|h| &h.batches)
            .map(|b| b.events)
            .sum();
        let count = |add: bool| {
            commit.tasks.iter().filter(|change| matches!(change, TaskChange::Add(_)) == add).count()
        };
        trace.record(
            self.board.clock.millis(),
            format_args!(
                "  commit {runs:?} shard {} epoch {}: {events} events, tasks +{} -{}, messages +{} -{}: {} {}",
                commit.shard,
                commit.epoch,
                count(true),
                count(false),
                commit.messages.len(),
                commit.messages_done.len(),
                match outcome {
                    Outcome::Done => "done",
                    Outcome::NotWritten(_) => "not written",
                    Outcome::Fenced => "fenced",
                    Outcome::Unknown(_) => "unknown",
                },
                match fault {
                    Some(CommitFault::UnknownWritten) => "(written)",
                    _ => "",
                },
            ),
        );
    }
}

/// Whether a process lives. Everything that it waits for ends with it.
#[derive(Default)]
pub struct Life {
    dead: AtomicBool,
    bell: Notify,
    /// By shard: the epoch under which a process has taken it.
    epochs: Mutex<BTreeMap<u32, u64>>,
}

impl Life {
    pub fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.bell.notify_waiters();
    }

    /// Whether all shards are still those of this process.
    pub fn owns_all(&self, disk: &Disk) -> bool {
        *self.epochs.lock().expect("nothing panics while it holds this") == disk.audit().epochs
    }

    pub fn is_over(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Returns when the process dies.
    pub async fn over(&self) {
        let mut rung = pin!(self.bell.notified());
        rung.as_mut().enable();
        if !self.is_over() {
            rung.await;
        }
    }
}

/// The store as one process sees it.
pub struct ProcessStore {
    pub disk: Arc<Disk>,
    pub life: Arc<Life>,
}

impl ProcessStore {
    /// A part of a call's time. A process that dies in it never comes back from it.
    async fn pass(&self) {
        self.pass_or(|| {}).await;
    }

    async fn pass_or(&self, died: impl FnOnce()) {
        if !self.life.is_over() {
            let calls = self.disk.calls.fetch_add(1, Ordering::Relaxed);
            if calls == MOST_CALLS {
                self.disk
                    .board
                    .violation(format!("{MOST_CALLS} calls of the store: something goes round in circles"));
            }
            if calls >= MOST_CALLS {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let delay = self.disk.delay();
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        }
        if self.life.is_over() {
            died();
            std::future::pending::<()>().await;
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.pass().await;
        let answer = call.await;
        self.pass().await;
        answer
    }
}

#[async_trait]
impl Store for ProcessStore {
    fn shards(&self) -> u32 {
        self.disk.faulty.shards()
    }

    fn name(&self) -> &'static str {
        self.disk.faulty.name()
    }

    fn cluster_id(&self) -> Uuid {
        self.disk.faulty.cluster_id()
    }

    async fn acquire(&self, shard: u32) -> Result<u64, StoreError> {
        self.around(async {
            let epoch = self.disk.faulty.acquire(shard).await?;
            self.disk.audit().epochs.insert(shard, epoch);
            self.life.epochs.lock().expect("nothing panics while it holds this").insert(shard, epoch);
            Ok(epoch)
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Outcome {
        self.pass().await;
        let outcome = self.disk.commit(commit).await;
        if !self.life.is_over() {
            self.pass_or(|| self.disk.board.saw("a process dies in a commit")).await;
        }
        outcome
    }

    async fn load_latest(&self, entity: &EntityKey) -> Result<Option<StoredRun>, StoreError> {
        self.around(self.disk.faulty.load_latest(entity)).await
    }

    async fn load_run(&self, key: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        self.around(self.disk.faulty.load_run(key)).await
    }

    async fn run_ids(&self, entity: &EntityKey) -> Result<Vec<Uuid>, StoreError> {
        self.around(self.disk.faulty.run_ids(entity)).await
    }

    async fn cores(&self, entity: &EntityKey) -> Result<Vec<(Uuid, Bytes)>, StoreError> {
        self.around(self.disk.faulty.cores(entity)).await
    }

    async fn read_history(
        &self,
        parts: &[BranchPart],
        from: i64,
        to: i64,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Batch>, StoreError> {
        self.around(self.disk.faulty.read_history(parts, from, to, limit, reverse)).await
    }

    async fn read_backlog(
        &self,
        queue: &QueueKey,
        after: Option<&TaskKey>,
        limit: usize,
    ) -> Result<BacklogPage, StoreError> {
        self.around(self.disk.faulty.read_backlog(queue, after, limit)).await
    }

    async fn backlogs(&self) -> Result<Vec<(QueueKey, u64)>, StoreError> {
        self.around(self.disk.faulty.backlogs()).await
    }

    async fn alarms(&self, until: Time, limit: usize) -> Result<Vec<(Time, RunKey)>, StoreError> {
        self.around(self.disk.faulty.alarms(until, limit)).await
    }

    async fn messages(
        &self,
        after: Option<&(RunKey, i64)>,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.around(self.disk.faulty.messages(after, limit)).await
    }

    async fn expired(&self, namespace: Uuid, before: Time, limit: usize) -> Result<Vec<RunKey>, StoreError> {
        self.around(self.disk.faulty.expired(namespace, before, limit)).await
    }

    async fn list(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<VisibilityPage, StoreError> {
        self.around(self.disk.faulty.list(namespace, kind, filter, after, limit)).await
    }

    async fn count(&self, namespace: Uuid, kind: Kind, filter: &Filter) -> Result<u64, StoreError> {
        self.around(self.disk.faulty.count(namespace, kind, filter)).await
    }

    async fn count_by_status(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
    ) -> Result<Vec<(i32, u64)>, StoreError> {
        self.around(self.disk.faulty.count_by_status(namespace, kind, filter)).await
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceRecord>, StoreError> {
        self.around(self.disk.faulty.namespaces()).await
    }

    async fn put_namespace(&self, record: NamespaceRecord) -> Result<(), StoreError> {
        self.around(self.disk.faulty.put_namespace(record)).await
    }

    async fn delete_namespace(&self, id: Uuid) -> Result<(), StoreError> {
        self.around(self.disk.faulty.delete_namespace(id)).await
    }

    async fn delete_search_attribute(&self, namespace: Uuid, name: &str) -> Result<(), StoreError> {
        self.around(self.disk.faulty.delete_search_attribute(namespace, name)).await
    }

    async fn configs(&self, kind: &str) -> Result<Vec<(String, u64, Bytes)>, StoreError> {
        self.around(self.disk.faulty.configs(kind)).await
    }

    async fn put_config(
        &self,
        kind: &str,
        key: &str,
        expected: u64,
        value: Option<Bytes>,
    ) -> Result<(), StoreError> {
        self.around(self.disk.faulty.put_config(kind, key, expected, value)).await
    }

    /// The disk stays: only the process goes.
    async fn close(&self) {}
}

/// The runs of workflows that a commit writes.
fn workflows(commit: &Commit) -> impl Iterator<Item = &RunKey> {
    commit.runs.iter().map(|write| &write.key).filter(|key| key.entity.kind == Kind::Workflow)
}
