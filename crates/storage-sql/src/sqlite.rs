//! Everything in one SQLite file.
//!
//! One thread writes ([`writer`]), a few read ([`readers`]), one moves the write-ahead log into the file
//! ([`checkpoint`]). The async methods only hand over and wait.

mod apply;
mod backup;
mod cache;
mod check;
mod checkpoint;
mod configuration;
mod file;
mod inbox;
mod lists;
mod read;
mod readers;
mod wal;
mod writer;

pub use backup::{accept, backup};
pub use check::{Checked, check};
pub use file::OpenError;

use crate::encoding::entity_hash;
use crate::prepared::PreparedCommit;
use async_trait::async_trait;
use bytes::Bytes;
use checkpoint::Checkpoints;
use file::{FileLock, Found};
use inbox::{Change, Inbox, Request};
use readers::{Probe, Readers, closed};
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use steadfast_machine::decision::Batch;
use steadfast_machine::{EntityKey, Kind, Message, QueueKey, RunKey, TaskKey, Time};
use steadfast_query::Filter;
use steadfast_storage::{
    BacklogPage, BranchPart, Commit, NamespaceRecord, Outcome, PageKey, Store, StoreError, StoreWork,
    StoredRun, VisibilityPage,
};
use tokio::sync::oneshot;
use uuid::Uuid;
use writer::Writer;

/// Where the database is and how a new one is made.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub path: PathBuf,
    /// For a new database: how many shards it has, for good.
    pub shards: u32,
    /// For a new database: its id.
    pub cluster_id: Uuid,
    /// For a new database: bytes of a page, a power of two from 512 to 65,536.
    pub page_size: u32,
    /// Threads that read, each with a connection of its own.
    pub readers: usize,
    /// The file does not grow beyond this; commits that want more end as NotWritten. None: until the disk is full.
    pub max_bytes: Option<u64>,
}

impl SqliteOptions {
    pub fn new(path: impl Into<PathBuf>, cluster_id: Uuid) -> SqliteOptions {
        SqliteOptions {
            path: path.into(),
            shards: 64,
            cluster_id,
            page_size: 4096,
            readers: 3,
            max_bytes: None,
        }
    }
}

/// See the module. Dropping it closes it, and waits for that.
pub struct SqliteStore {
    shards: u32,
    cluster_id: Uuid,
    inbox: Arc<Inbox>,
    checkpoints: Arc<Checkpoints>,
    readers: Readers,
    probe: Probe,
    #[cfg(test)]
    faults: Arc<writer::tests::SyncFaults>,
    open: Mutex<Option<Open>>,
}

/// What lasts until the store is closed. The lock goes last.
struct Open {
    writer: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
    lock: FileLock,
}

impl SqliteStore {
    /// Opens a database, or makes it when there is none. Blocks for some milliseconds.
    ///
    /// # Errors
    /// Another process has it, or the file is not one that this program may write to.
    pub fn open(options: &SqliteOptions) -> Result<SqliteStore, OpenError> {
        let path = &options.path;
        // Looked at before the lock is taken, so that nothing appears beside a foreign file; and again under the lock.
        file::inspect(path)?;
        let lock = FileLock::take(path)?;
        let version = match file::inspect(path)? {
            Found::Database { version } => version,
            Found::Nothing => {
                file::check_no_wal_is_there(path)?;
                file::create(path, options.shards, options.cluster_id, options.page_size)?;
                file::SCHEMA_VERSION
            }
        };
        file::check_wal_is_there(path)?;
        file::check_whose_wal_it_is(path)?;
        file::check_wal(path)?;
        Self::start(options, version, lock)
    }

    fn start(options: &SqliteOptions, version: i32, mut lock: FileLock) -> Result<SqliteStore, OpenError> {
        let path: &Path = &options.path;
        let failed = |reason: String| OpenError::Failed { path: path.to_owned(), reason };
        let unusable = |error: rusqlite::Error| match store_error(&error) {
            StoreError::Corrupt(reason) => OpenError::Damaged { path: path.to_owned(), reason },
            _ => failed(error.to_string()),
        };
        let connection = file::open_writer(path, options.max_bytes).map_err(unusable)?;
        // What else is in it, an index that an operator made, does no harm.
        let difference = file::schema_difference(&connection, version).map_err(unusable)?;
        if let Some(lacks) = difference.lacks.first() {
            let reason = format!("its schema lacks: {lacks}");
            return Err(OpenError::Damaged { path: path.to_owned(), reason });
        }
        let opening = writer::new_opening(&connection).map_err(unusable)?;
        let before = file::opening(&connection).map_err(unusable)?;
        // First the note: until the database says the same, the log is of the opening before.
        let noted = lock.log_is_of(before.into_iter().chain([opening.clone()]).collect());
        noted.map_err(|error| failed(format!("its lock file: {error}")))?;
        let connection = writer::prepare_file(connection, version, &opening).map_err(unusable)?;
        let identity = connection.query_row(
            "SELECT (SELECT count(*) FROM shard), (SELECT value FROM meta WHERE key='cluster_id')",
            [],
            |row| Ok((row.get::<_, u32>(0)?, row.get::<_, [u8; 16]>(1)?)),
        );
        let (shards, cluster_id) = identity.map_err(|error| failed(error.to_string()))?;
        let inbox = Arc::new(Inbox::default());
        let checkpoints = Arc::new(Checkpoints::default());
        #[cfg(test)]
        let faults = Arc::<writer::tests::SyncFaults>::default();
        let writer = Writer {
            path: path.to_owned(),
            max_bytes: options.max_bytes,
            inbox: inbox.clone(),
            checkpoints: checkpoints.clone(),
            #[cfg(test)]
            faults: faults.clone(),
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .map_err(|error| failed(error.to_string()))
        };
        let writer = spawn("sqlite-write", Box::new(move || writer.run(connection)))?;
        let (path_of_log, checkpointer, inbox_of_log) = (path.to_owned(), checkpoints.clone(), inbox.clone());
        let checkpointer =
            spawn("sqlite-log", Box::new(move || checkpointer.run(&path_of_log, &inbox_of_log)))?;
        let (readers, mut others) =
            Readers::start(path, options.readers).map_err(|error| failed(error.to_string()))?;
        others.push(checkpointer);
        let probe = Probe::open(path).map_err(|error| failed(error.to_string()))?;
        let open = Mutex::new(Some(Open { writer, others, lock }));
        Ok(SqliteStore {
            shards,
            cluster_id: Uuid::from_bytes(cluster_id),
            inbox,
            checkpoints,
            readers,
            probe,
            #[cfg(test)]
            faults,
            open,
        })
    }

    /// Hands a change over to the thread that writes.
    async fn change(&self, change: Change) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        if !self.inbox.push(Request::Change(change, answer)) {
            return Err(closed());
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Begins to close, and gives what remains to be waited for.
    fn begin_close(&self) -> Option<Open> {
        self.inbox.close();
        self.readers.close();
        self.checkpoints.close();
        self.probe.close();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Open {
    fn wait(self) {
        // The writer is the last that needs the file: with the other connections gone it can empty the log.
        for thread in self.others {
            // A thread that panicked has nothing left to close.
            let _ = thread.join();
        }
        let _ = self.writer.join();
        drop(self.lock);
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(open) = self.begin_close() {
            open.wait();
        }
    }
}

/// What a failure of SQLite means to whoever reads.
fn store_error(error: &rusqlite::Error) -> StoreError {
    let corrupt =
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            || matches!(
                error,
                rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::Utf8Error(..)
            );
    match corrupt {
        true => StoreError::Corrupt(error.to_string()),
        false => StoreError::Unavailable(error.to_string()),
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn shards(&self) -> u32 {
        self.shards
    }

    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn cluster_id(&self) -> Uuid {
        self.cluster_id
    }

    fn work(&self) -> StoreWork {
        self.checkpoints.work()
    }

    async fn acquire(&self, shard: u32) -> Result<u64, StoreError> {
        let (answer, answered) = oneshot::channel();
        if !self.inbox.push(Request::Acquire(shard, answer)) {
            return Err(closed());
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn commit(&self, commit: Commit) -> Outcome {
        let prepared = match PreparedCommit::new(commit) {
            Ok(prepared) => prepared,
            Err(reason) => return Outcome::NotWritten(reason),
        };
        let (answer, answered) = oneshot::channel();
        if !self.inbox.push(Request::Commit(prepared, answer)) {
            return Outcome::NotWritten(closed().to_string());
        }
        match answered.await {
            Ok((outcome, _others)) => outcome,
            // A thread that died before it answered may have written.
            Err(_) => Outcome::Unknown("the thread that writes has ended".into()),
        }
    }

    async fn load_latest(&self, entity: &EntityKey) -> Result<Option<StoredRun>, StoreError> {
        if self.probe.has_no_run(entity_hash(entity)) {
            return Ok(None);
        }
        let entity = entity.clone();
        self.readers.read(move |connection| read::load(connection, &entity, None)).await
    }

    async fn load_run(&self, key: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        let key = key.clone();
        self.readers.read(move |connection| read::load(connection, &key.entity, Some(key.run))).await
    }

    async fn run_ids(&self, entity: &EntityKey) -> Result<Vec<Uuid>, StoreError> {
        let entity = entity.clone();
        self.readers.read(move |connection| read::run_ids(connection, &entity)).await
    }

    async fn cores(&self, entity: &EntityKey) -> Result<Vec<(Uuid, Bytes)>, StoreError> {
        let entity = entity.clone();
        self.readers.read(move |connection| read::cores(connection, &entity)).await
    }

    async fn read_history(
        &self,
        parts: &[BranchPart],
        from: i64,
        to: i64,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Batch>, StoreError> {
        let parts = parts.to_vec();
        self.readers.read(move |connection| read::history(connection, &parts, from, to, limit, reverse)).await
    }

    async fn read_backlog(
        &self,
        queue: &QueueKey,
        after: Option<&TaskKey>,
        limit: usize,
    ) -> Result<BacklogPage, StoreError> {
        let (queue, after) = (queue.clone(), after.cloned());
        self.readers.read(move |connection| read::backlog(connection, &queue, after.as_ref(), limit)).await
    }

    async fn backlogs(&self) -> Result<Vec<(QueueKey, u64)>, StoreError> {
        self.readers.read(read::backlogs).await
    }

    async fn alarms(&self, until: Time, limit: usize) -> Result<Vec<(Time, RunKey)>, StoreError> {
        self.readers.read(move |connection| read::alarms(connection, until, limit)).await
    }

    async fn messages(
        &self,
        after: Option<&(RunKey, i64)>,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let after = after.map(|(from, sequence)| (from.run, *sequence));
        self.readers.read(move |connection| read::messages(connection, after, limit)).await
    }

    async fn expired(
        &self,
        namespace: Uuid,
        closed_before: Time,
        limit: usize,
    ) -> Result<Vec<RunKey>, StoreError> {
        self.readers.read(move |connection| lists::expired(connection, namespace, closed_before, limit)).await
    }

    async fn list(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<VisibilityPage, StoreError> {
        let filter = filter.clone();
        self.readers
            .search(move |connection| lists::list(connection, namespace, kind, &filter, after, limit))
            .await
    }

    async fn count(&self, namespace: Uuid, kind: Kind, filter: &Filter) -> Result<u64, StoreError> {
        let groups = self.count_by_status(namespace, kind, filter).await?;
        Ok(groups.into_iter().map(|(_, count)| count).sum())
    }

    async fn count_by_status(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
    ) -> Result<Vec<(i32, u64)>, StoreError> {
        let filter = filter.clone();
        self.readers
            .search(move |connection| lists::count_by_status(connection, namespace, kind, &filter))
            .await
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceRecord>, StoreError> {
        self.readers.read(read::namespaces).await
    }

    async fn put_namespace(&self, record: NamespaceRecord) -> Result<(), StoreError> {
        self.change(configuration::put_namespace(record)).await
    }

    async fn delete_namespace(&self, id: Uuid) -> Result<(), StoreError> {
        self.change(configuration::delete_namespace(id)).await
    }

    async fn delete_search_attribute(&self, namespace: Uuid, name: &str) -> Result<(), StoreError> {
        loop {
            let left = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let wipe = configuration::wipe_search_attribute(namespace, name.to_owned(), left.clone());
            self.change(wipe).await?;
            if !left.load(std::sync::atomic::Ordering::Acquire) {
                return Ok(());
            }
        }
    }

    async fn configs(&self, kind: &str) -> Result<Vec<(String, u64, Bytes)>, StoreError> {
        let kind = kind.to_owned();
        self.readers.read(move |connection| read::configs(connection, &kind)).await
    }

    async fn put_config(
        &self,
        kind: &str,
        key: &str,
        expected: u64,
        value: Option<Bytes>,
    ) -> Result<(), StoreError> {
        self.change(configuration::put_config(kind.to_owned(), key.to_owned(), expected, value)).await
    }

    async fn close(&self) {
        if let Some(open) = self.begin_close() {
            // A panic of the closing thread leaves nothing to do here.
            let _ = tokio::task::spawn_blocking(move || open.wait()).await;
        }
    }
}
