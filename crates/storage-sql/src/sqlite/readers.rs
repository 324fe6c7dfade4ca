//! Reads: a few threads with as many connections as they need at once, so that a long list does not hold up the loading
//! of a run. The connection that was used last is used next: one that nobody needs is not opened, and takes no memory.

use super::{file, store_error};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use steadfast_storage::StoreError;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&Connection) -> Afterwards + Send>;

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

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
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
    fn push(&self, job: Job) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        state.jobs.push_back(job);
        drop(state);
        self.wake.notify_one();
        true
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.idle.clear();
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub struct Readers {
    queue: Arc<Queue>,
}

impl Readers {
    pub fn start(path: &Path, count: usize) -> std::io::Result<(Readers, Vec<JoinHandle<()>>)> {
        let queue = Arc::new(Queue::default());
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let (queue, path) = (queue.clone(), path.to_owned());
            let thread = std::thread::Builder::new().name(format!("sqlite-read-{number}"));
            threads.push(thread.spawn(move || read(&queue, path))?);
        }
        Ok((Readers { queue }, threads))
    }

    /// Runs a read on one snapshot of the database.
    pub async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            if answer.is_closed() {
                // Whoever asked is gone.
                return Afterwards::Keep;
            }
            let result = connection.unchecked_transaction().map_err(ReadError::Sql).and_then(|snapshot| {
                let value = read(&snapshot)?;
                snapshot.finish()?;
                Ok(value)
            });
            let (result, afterwards) = match result {
                Ok(value) => (Ok(value), Afterwards::Keep),
                Err(ReadError::Store(error)) => (Err(error), Afterwards::Keep),
                Err(ReadError::Sql(error)) => (Err(store_error(&error)), Afterwards::Reopen),
            };
            let _ = answer.send(result);
            afterwards
        });
        if !self.queue.push(job) {
            return Err(closed());
        }
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the database cannot be opened".into())))
    }

    /// Finishes the reads that wait and ends the threads.
    pub fn close(&self) {
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
    while let Some(job) = queue.next() {
        let idle = queue.state().idle.pop();
        let connection = match idle.map_or_else(|| file::open_reader(&path), Ok) {
            Ok(connection) => connection,
            Err(error) => {
                // The job is dropped, and its caller hears so.
                tracing::warn!(%error, "the database cannot be opened for a read");
                continue;
            }
        };
        if job(&connection) == Afterwards::Keep {
            queue.state().idle.push(connection);
        }
    }
}

pub fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}
