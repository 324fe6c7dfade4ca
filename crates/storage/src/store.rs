//! The trait that every store implements, and what it promises. `conformance.rs` holds every store to it.

use crate::commit::{Commit, Outcome};
use crate::rows::{BacklogPage, BranchPart, NamespaceRecord, PageKey, StoredRun, VisibilityPage};
use async_trait::async_trait;
use bytes::Bytes;
use steadfast_machine::decision::Batch;
use steadfast_machine::{EntityKey, Kind, Message, QueueKey, RunKey, TaskKey, Time};
use steadfast_query::Filter;
use uuid::Uuid;

/// Why a read, or a change of configuration, did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// May succeed when it is tried again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// What is stored cannot be what was written: a checksum or an encoding is wrong.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// A namespace of that name exists already, or the version stated is not the current one.
    #[error("conflict: {0}")]
    Conflict(String),
    /// It took longer than a search may take. Tried again it takes as long.
    #[error("{0}")]
    GivenUp(String),
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreWork {
    pub commits: u64,
    /// Times that the disk was asked to keep what was written, for commits.
    pub commit_syncs: u64,
    /// The same, to move the write-ahead log into the file.
    pub checkpoint_syncs: u64,
}

#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The number of shards, fixed when the database was created.
    fn shards(&self) -> u32;

    /// What kind of store it is, as GetClusterInfo names it: "sqlite", "memory", "postgres".
    fn name(&self) -> &'static str;

    /// An id of this database, made when it was created.
    fn cluster_id(&self) -> Uuid;

    /// What it has done since it was opened; zeros where nothing is counted.
    fn work(&self) -> StoreWork {
        StoreWork::default()
    }

    /// Takes a shard over: raises its epoch, durably, and returns the new one. From then on every commit that states an
    /// older epoch ends as [`Outcome::Fenced`].
    async fn acquire(&self, shard: u32) -> Result<u64, StoreError>;

    /// Writes all of the commit or nothing of it. A commit whose history begins at an event that its branch has already
    /// comes from a caller that knows an old state: it ends as [`Outcome::NotWritten`]. Commits that are handed over one after the other by one caller for
    /// one run are applied in that order; commits that wait at the same time share one sync. When this returns
    /// [`Outcome::Done`] the commit survives a crash of the process and of the machine.
    async fn commit(&self, commit: Commit) -> Outcome;

    /// The run of this entity with the highest run id, with its rows.
    async fn load_latest(&self, entity: &EntityKey) -> Result<Option<StoredRun>, StoreError>;

    /// One run with its rows.
    async fn load_run(&self, key: &RunKey) -> Result<Option<StoredRun>, StoreError>;

    /// All run ids of an entity, oldest first.
    async fn run_ids(&self, entity: &EntityKey) -> Result<Vec<Uuid>, StoreError>;

    /// The core rows of all runs of an entity, oldest run first.
    async fn cores(&self, entity: &EntityKey) -> Result<Vec<(Uuid, Bytes)>, StoreError>;

    /// Batches of a history that contain events in `from..to`, whole, in order (newest first if `reverse`), at most
    /// `limit` of them. A batch in which `from` falls into the middle is included, and so is one that goes on after the
    /// last event of its part.
    async fn read_history(
        &self,
        parts: &[BranchPart],
        from: i64,
        to: i64,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Batch>, StoreError>;

    /// Tasks of a queue in their order, strictly after `after`. A page with fewer than `limit` tasks is the last.
    async fn read_backlog(
        &self,
        queue: &QueueKey,
        after: Option<&TaskKey>,
        limit: usize,
    ) -> Result<BacklogPage, StoreError>;

    /// How many tasks each queue with a backlog has. Read once at start; the engine counts from then on.
    async fn backlogs(&self) -> Result<Vec<(QueueKey, u64)>, StoreError>;

    /// Runs whose alarm is at or before `until`, earliest first.
    async fn alarms(&self, until: Time, limit: usize) -> Result<Vec<(Time, RunKey)>, StoreError>;

    /// Undelivered messages in the order of (sending run's id, sequence), strictly after `after`: so those of one run
    /// come in their order, and those of older runs first.
    async fn messages(&self, after: Option<&(RunKey, i64)>, limit: usize)
    -> Result<Vec<Message>, StoreError>;

    /// Closed runs of a namespace whose close time is before `closed_before`, oldest first.
    async fn expired(
        &self,
        namespace: Uuid,
        closed_before: Time,
        limit: usize,
    ) -> Result<Vec<RunKey>, StoreError>;

    /// A page of the runs that match, in the reference's order. It may hold fewer than `limit` although more follow, if the
    /// rows are large ([`crate::rows::PAGE_BYTES`]).
    async fn list(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<VisibilityPage, StoreError>;

    /// How many runs match.
    async fn count(&self, namespace: Uuid, kind: Kind, filter: &Filter) -> Result<u64, StoreError>;

    /// How many runs match, by status number, for statuses that have any. With an empty filter this reads counters, not
    /// rows.
    async fn count_by_status(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
    ) -> Result<Vec<(i32, u64)>, StoreError>;

    /// All namespaces.
    async fn namespaces(&self) -> Result<Vec<NamespaceRecord>, StoreError>;

    /// Writes a namespace whose stored version is `record.version - 1` (0: it must not exist). Fails with
    /// [`StoreError::Conflict`] when that is not so, or the name is taken by another id.
    async fn put_namespace(&self, record: NamespaceRecord) -> Result<(), StoreError>;

    /// Removes a namespace's record. Its runs are removed one by one, before.
    async fn delete_namespace(&self, id: Uuid) -> Result<(), StoreError>;

    /// Wipes the values of a custom search attribute: no query finds them any more. The encoded attributes of the rows
    /// stay as they are; whoever returns them leaves out names that the namespace does not have.
    async fn delete_search_attribute(&self, namespace: Uuid, name: &str) -> Result<(), StoreError>;

    /// Other versioned configuration, by kind and key ("nexus_endpoint", "task_queue", …): (key, version, value).
    async fn configs(&self, kind: &str) -> Result<Vec<(String, u64, Bytes)>, StoreError>;

    /// Writes (or with `None` removes) configuration whose stored version is `expected` (0: it must not exist).
    async fn put_config(
        &self,
        kind: &str,
        key: &str,
        expected: u64,
        value: Option<Bytes>,
    ) -> Result<(), StoreError>;

    /// Stops taking commits, finishes those that were taken, and closes files. What is called later ends as
    /// [`Outcome::NotWritten`] or [`StoreError::Unavailable`].
    async fn close(&self);
}
