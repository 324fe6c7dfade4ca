//! Reads: a few threads with as many connections as they need at once, so that a long list does not hold up the loading
//! of a run: lists and counts never have all of the threads, and end when nobody waits for them. The connection that was
//! used last is used next: one that nobody needs is not opened, and takes no memory.

use super::{file, store_error};
use rusqlite::{Connection, ErrorCode};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use steadfast_storage::StoreError;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Connection) -> Afterwards + Send>;
type GiveUp = Box<dyn FnMut() -> bool + Send>;

/// Whether a connection may be used on after a job.
#[derive(PartialEq, Eq)]
pub enum Afterwards {
    Keep,
    Reopen,
}

/// Why a read failed.
#[derive(Debug)]
pub enum ReadError {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> ReadError {
        ReadError::Sql(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(error)
    }
}

/// A list or count that takes longer is given up, whoever waits for it.
const LONGEST_SEARCH: Duration = Duration::from_secs(60);
/// After so many steps of SQLite's machine a search looks whether somebody still waits for it: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    /// Searches end early.
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    /// By when they came.
    reads: VecDeque<(u64, Job)>,
    searches: VecDeque<(u64, Job)>,
    came: u64,
    /// Searches that threads are at, and how many may be.
    searching: usize,
    most_searching: usize,
    /// Connections that no thread uses now.
    idle: Vec<Connection>,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when closed.
    fn push(&self, kind: JobKind, job: Job) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        state.came += 1;
        let came = state.came;
        match kind {
            JobKind::Read => state.reads.push_back((came, job)),
            JobKind::Search => state.searches.push_back((came, job)),
        }
        drop(state);
        self.wake.notify_one();
        true
    }

    fn next(&self) -> Option<(JobKind, Job)> {
        let mut state = self.state();
        loop {
            if let Some(next) = state.take() {
                return Some(next);
            }
            if state.closed {
                state.idle.clear();
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn search_ended(&self) {
        self.state().searching -= 1;
        // One that waits for its turn may begin.
        self.wake.notify_one();
    }
}

impl State {
    /// What came first; of searches only while others leave a thread for reads.
    fn take(&mut self) -> Option<(JobKind, Job)> {
        let read = self.reads.front().map(|(came, _)| *came);
        let search = self.searches.front().map(|(came, _)| *came);
        let search = search.filter(|_| self.searching < self.most_searching || self.closed);
        if search.is_some_and(|search| read.is_none_or(|read| search < read)) {
            self.searching += 1;
            return self.searches.pop_front().map(|(_, job)| (JobKind::Search, job));
        }
        self.reads.pop_front().map(|(_, job)| (JobKind::Read, job))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum JobKind {
    Read,
    Search,
}

pub struct Readers {
    queue: Arc<Queue>,
}

impl Readers {
    pub fn start(path: &Path, count: usize) -> std::io::Result<(Readers, Vec<JoinHandle<()>>)> {
        let queue = Arc::new(Queue::default());
        queue.state().most_searching = count.saturating_sub(1).max(1);
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let (queue, path) = (queue.clone(), path.to_owned());
            let thread = std::thread::Builder::new().name(format!("sqlite-read-{number}"));
            threads.push(thread.spawn(move || read(&queue, path))?);
        }
        Ok((Readers { queue }, threads))
    }

    /// Runs a read of what has a key, on one snapshot of the database.
    pub async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        self.run(None, read).await
    }

    /// The same for one that may look at any number of rows.
    pub async fn search<T, R>(&self, search: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let wanted = Arc::new(());
        let (still_wanted, queue) = (Arc::downgrade(&wanted), self.queue.clone());
        let mut until = None;
        let give_up = move || {
            let until = *until.get_or_insert_with(|| Instant::now() + LONGEST_SEARCH);
            still_wanted.strong_count() == 0
                || queue.closing.load(Ordering::Relaxed)
                || Instant::now() > until
        };
        let found = self.run(Some(Box::new(give_up)), search).await;
        drop(wanted);
        match found {
            Err(StoreError::GivenUp(_)) if self.queue.closing.load(Ordering::Relaxed) => Err(closed()),
            found => found,
        }
    }

    /// One that may be given up is a search.
    async fn run<T, R>(&self, give_up: Option<GiveUp>, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let kind = if give_up.is_some() { JobKind::Search } else { JobKind::Read };
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            if answer.is_closed() {
                // Whoever asked is gone.
                return Afterwards::Keep;
            }
            let searches = give_up.is_some();
            let prepared = match give_up {
                Some(give_up) => connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(give_up)),
                None => Ok(()),
            };
            let snapshot = prepared.and_then(|()| connection.unchecked_transaction());
            let mut result = snapshot.map_err(ReadError::Sql).and_then(|snapshot| {
                let value = read(&snapshot)?;
                snapshot.finish()?;
                Ok(value)
            });
            if searches && let Err(error) = connection.progress_handler(0, None::<GiveUp>) {
                result = Err(ReadError::Sql(error));
            }
            let (result, afterwards) = match result {
                Ok(value) => (Ok(value), Afterwards::Keep),
                Err(ReadError::Store(error)) => (Err(error), Afterwards::Keep),
                Err(ReadError::Sql(error))
                    if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
                {
                    (Err(given_up()), Afterwards::Keep)
                }
                Err(ReadError::Sql(error)) => (Err(store_error(&error)), Afterwards::Reopen),
            };
            let _ = answer.send(result);
            afterwards
        });
        if !self.queue.push(kind, job) {
            return Err(closed());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the database cannot be opened".into())))
    }

    /// Finishes the reads that wait, gives searches up, and ends the threads.
    pub fn close(&self) {
        self.queue.closing.store(true, Ordering::Relaxed);
        self.queue.state().closed = true;
        self.queue.wake.notify_all();
    }
}

/// Answers one question on the caller's own thread: whether an entity has no run at all, as nearly every start asks. A
/// look into one small index takes a fraction of what it costs to hand over to another thread and back. Whenever the
/// answer is not to be had at once, the question goes the long way.
pub struct Probe(Mutex<Option<Connection>>);

impl Probe {
    pub fn open(path: &Path) -> rusqlite::Result<Probe> {
        let connection = file::open_reader(path)?;
        connection.execute_batch("PRAGMA cache_size=-1024;")?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        Ok(Probe(Mutex::new(Some(connection))))
    }

    /// True only if no run has this entity's hash.
    pub fn has_no_run(&self, entity_hash: i64) -> bool {
        let Ok(probe) = self.0.try_lock() else { return false };
        let Some(connection) = probe.as_ref() else { return false };
        let found = connection
            .prepare_cached("SELECT 1 FROM run WHERE entity=?")
            .and_then(|mut runs| runs.exists([entity_hash]));
        matches!(found, Ok(false))
    }

    pub fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn read(queue: &Queue, path: PathBuf) {
    while let Some((kind, job)) = queue.next() {
        let _ended = (kind == JobKind::Search).then(|| Searching(queue));
        let idle = queue.state().idle.pop();
        let mut connection = match idle.map_or_else(|| file::open_reader(&path), Ok) {
            Ok(connection) => connection,
            Err(error) => {
                // The job is dropped, and its caller hears so.
                tracing::warn!(%error, "the database cannot be opened for a read");
                continue;
            }
        };
        if job(&mut connection) == Afterwards::Keep {
            queue.state().idle.push(connection);
        }
    }
}

/// A search that a thread is at.
struct Searching<'a>(&'a Queue);

impl Drop for Searching<'_> {
    fn drop(&mut self) {
        self.0.search_ended();
    }
}

fn given_up() -> StoreError {
    let longest = LONGEST_SEARCH.as_secs();
    StoreError::GivenUp(format!(
        "the search took longer than {longest} s and was given up: make its query narrower"
    ))
}

pub fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: &str =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n";

    fn endless(connection: &Connection) -> Result<i64, ReadError> {
        Ok(connection.query_row(ENDLESS, [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn searches_leave_a_thread_for_reads_and_end_when_nobody_waits_for_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("steadfast.db");
        file::create(&path, 1, uuid::Uuid::nil(), 4096).expect("it is made");
        let (readers, threads) = Readers::start(&path, 3).expect("threads start");
        let number =
            |connection: &Connection| Ok(connection.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?);
        let patience = Duration::from_secs(20);
        {
            let mut searches: Vec<_> = (0..5).map(|_| Box::pin(readers.search(endless))).collect();
            for search in &mut searches {
                // It is on its way.
                let ended = tokio::time::timeout(Duration::from_millis(1), search).await;
                assert!(ended.is_err(), "{ended:?}");
            }
            let read = tokio::time::timeout(patience, readers.read(number)).await;
            assert_eq!(read.expect("reads go on beside searches"), Ok(1));
        }
        let search = tokio::time::timeout(patience, readers.search(number)).await;
        assert_eq!(search.expect("the searches have ended"), Ok(1));
        // Nor does one keep the store from closing, for which somebody waits all the while.
        let mut last = Box::pin(readers.search(endless));
        assert!(tokio::time::timeout(Duration::from_millis(1), &mut last).await.is_err());
        readers.close();
        threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
        assert_eq!(last.await, Err(closed()));
    }
}
