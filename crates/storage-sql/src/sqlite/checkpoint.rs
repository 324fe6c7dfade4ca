//! Moving the write-ahead log into the file, beside the writer.
//!
//! A thread with a connection of its own moves what it can while commits go on. It never catches the last frames of a
//! busy writer, and only a log that was moved whole begins anew: so when little is left, the writer moves the rest itself,
//! between two groups. When nothing happens the log is cut, and a file with much free space in it gives some back.

use super::file;
use super::inbox::{Inbox, Request};
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steadfast_storage::StoreWork;
use tokio::sync::oneshot;

/// The checkpointer is asked once so many pages of the log wait.
const PAGES_TO_ASK: i32 = 2_000;
/// From so many pages on the log is to begin anew. Pages that are written again and again reach the file once a round,
/// so a longer round costs less.
const PAGES_TO_RESTART: i32 = 8_000;
/// The writer moves so many pages itself at most, unless the log is beyond all bounds.
const PAGES_FOR_WRITER: i32 = 600;
const PAGES_BEYOND_BOUNDS: i32 = 64_000;
/// Times that the checkpointer goes over the log before it rests.
const MOST_PASSES: u32 = 5;
/// How long nothing must have happened before a log is cut.
const IDLE: Duration = Duration::from_secs(2);
/// A file with more free pages than this, and than an eighth of it, gives some back.
const FREE_PAGES: i64 = 1024;
/// So many at a time: a commit may come meanwhile.
const PAGES_TO_GIVE_BACK: i64 = 4096;

/// What the writer and the checkpointer tell each other.
#[derive(Default)]
pub struct Checkpoints {
    state: Mutex<State>,
    wake: Condvar,
    commits: AtomicU64,
    commit_syncs: AtomicU64,
    checkpoint_syncs: AtomicU64,
}

#[derive(Default)]
struct State {
    asked: bool,
    closed: bool,
    /// Rises when the log begins anew: what was learned of an older one is void.
    round: u64,
    /// Pages of this round's log, and those of them that are in the file.
    pages: i32,
    moved: i32,
    /// Groups that were written; tells whether anything happened.
    groups: u64,
    /// Whether the log holds anything.
    dirty: bool,
}

impl Checkpoints {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn work(&self) -> StoreWork {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreWork {
            commits: count(&self.commits),
            commit_syncs: count(&self.commit_syncs),
            checkpoint_syncs: count(&self.checkpoint_syncs),
        }
    }

    /// To move the log, first the log is synced and then the file.
    fn moved_some(&self) {
        self.checkpoint_syncs.fetch_add(2, Ordering::Relaxed);
    }

    pub fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }

    /// The checkpointer's thread: until closed. What must be written it asks of the writer.
    pub fn run(&self, path: &Path, writer: &Inbox) {
        let mut connection: Option<Connection> = None;
        loop {
            let Some(work) = self.wait() else { return };
            let result = match &connection {
                Some(open) => self.checkpoint(open, work, writer),
                None => file::open_checkpointer(path).and_then(|opened| {
                    let result = self.checkpoint(&opened, work, writer);
                    connection = Some(opened);
                    result
                }),
            };
            if let Err(error) = result {
                failed(&error);
                connection = None;
            }
        }
    }

    /// Sleeps until there is something to do; None when closed.
    fn wait(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if std::mem::take(&mut state.asked) {
                return Some(Work::Move { round: state.round });
            }
            if !state.dirty {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let groups = state.groups;
            let (waited, timeout) =
                self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if timeout.timed_out() && state.groups == groups && !state.asked && !state.closed {
                return Some(Work::Cut);
            }
        }
    }

    fn checkpoint(&self, connection: &Connection, work: Work, writer: &Inbox) -> rusqlite::Result<()> {
        match work {
            Work::Move { round } => {
                // While it works the log grows; each time less, as there is less to do.
                for _ in 0..MOST_PASSES {
                    let moved = passive(connection)?;
                    self.moved_some();
                    let mut state = self.state();
                    if state.round != round || state.closed {
                        break;
                    }
                    state.moved = moved;
                    if state.pages < PAGES_TO_RESTART || state.pages - moved <= PAGES_FOR_WRITER / 2 {
                        break;
                    }
                }
            }
            Work::Cut => {
                // Cleared first: a commit meanwhile sets it again.
                self.state().dirty = false;
                // It does not wait for those who read or write, as it would keep a commit waiting meanwhile: busy is no
                // error, there is always another idle moment.
                let busy = connection
                    .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?;
                self.moved_some();
                if busy {
                    self.state().dirty = true;
                    return Ok(());
                }
                let number = |pragma| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
                let free = number("PRAGMA freelist_count")?;
                if free > FREE_PAGES && free > number("PRAGMA page_count")? / 8 {
                    // What comes of it is seen when nothing happens the next time.
                    writer.push(Request::Change(
                        Box::new(|connection| Ok(give_back(connection)?)),
                        oneshot::channel().0,
                    ));
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Work {
    Move { round: u64 },
    Cut,
}

/// Makes the file smaller by some of its free pages.
fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_TO_GIVE_BACK})"))?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}

/// A checkpoint can be made later, and the next group meets the same trouble and says so; but for a sync that failed: what
/// earlier checkpoints moved may be lost in the file with nobody told a second time, and is in the log alone, of which
/// SQLite takes it for moved. Whoever opens the file anew moves the whole log: so the process ends, as with a power cut.
fn failed(error: &rusqlite::Error) {
    tracing::debug!(%error, "a checkpoint failed");
    if let Some(failure) = error.sqlite_error()
        && failure.extended_code == rusqlite::ffi::SQLITE_IOERR_FSYNC
    {
        tracing::error!(%error, "the database cannot be synced: ending, so that the next start recovers from its log");
        std::process::exit(1);
    }
}

/// Moves what it can; how many pages of the log are in the file then.
fn passive(connection: &Connection) -> rusqlite::Result<i32> {
    let mut checkpoint = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
    checkpoint.query_row([], |row| row.get(2))
}

/// The writer's eye on the length of the log.
pub struct WalWatch {
    checkpoints: Arc<Checkpoints>,
    /// Pages of the log after the last commit, told by SQLite.
    pages: Arc<AtomicI32>,
    /// The length at which the checkpointer is asked next.
    ask_at: i32,
}

impl WalWatch {
    pub fn install(connection: &mut Connection, checkpoints: Arc<Checkpoints>) -> rusqlite::Result<WalWatch> {
        let pages = Arc::new(AtomicI32::new(0));
        let told = pages.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, length| {
            told.store(length, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(WalWatch { checkpoints, pages, ask_at: PAGES_TO_ASK })
    }

    /// A transaction with so many commits has ended, with one sync.
    pub fn count(&self, commits: usize) {
        self.checkpoints.commits.fetch_add(commits as u64, Ordering::Relaxed);
        self.checkpoints.commit_syncs.fetch_add(1, Ordering::Relaxed);
    }

    /// After each group: asks the checkpointer, or finishes its work.
    pub fn after_commit(&mut self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        let mut state = self.checkpoints.state();
        state.groups += 1;
        if pages < state.pages {
            state.round += 1;
            state.moved = 0;
            self.ask_at = PAGES_TO_ASK;
        }
        state.pages = pages;
        let left = pages - state.moved;
        let mut wake = !std::mem::replace(&mut state.dirty, true);
        if pages >= self.ask_at {
            self.ask_at = pages + PAGES_TO_ASK;
            state.asked = true;
            wake = true;
        }
        // The rest is small already, or asking once more makes it so.
        let finish = pages >= PAGES_BEYOND_BOUNDS || (pages >= PAGES_TO_RESTART && left <= PAGES_FOR_WRITER);
        drop(state);
        if wake {
            self.checkpoints.wake.notify_all();
        }
        if finish {
            match passive(connection) {
                Ok(_) => self.checkpoints.moved_some(),
                Err(error) => failed(&error),
            }
        }
    }
}
