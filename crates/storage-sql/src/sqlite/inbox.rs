//! What waits for the thread that writes.

use crate::prepared::PreparedCommit;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steadfast_storage::{Outcome, StoreError};
use tokio::sync::oneshot;

/// A change that is not a commit: it has a transaction of its own.
pub type Change = Box<dyn FnMut(&Connection) -> Result<(), ChangeError> + Send>;

/// Why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    Sql(rusqlite::Error),
    Refused(StoreError),
}

impl From<rusqlite::Error> for ChangeError {
    fn from(error: rusqlite::Error) -> ChangeError {
        ChangeError::Sql(error)
    }
}

/// Waits for the outcome of a commit.
pub type Answer = oneshot::Sender<(Outcome, Others)>;

/// The answers of the rest of a group. To wake a task from a foreign thread costs a system call, and the thread that
/// writes has better things to do: it wakes the first task of the group only, which wakes the others from inside the
/// runtime, when it drops this. They are also woken when the first is gone, for then nobody holds this any more.
#[derive(Default)]
pub struct Others(Vec<(Answer, Outcome)>);

impl Others {
    /// Answers all of a group.
    pub fn answer(mut group: Vec<(Answer, Outcome)>) {
        if let Some((answer, outcome)) = group.pop() {
            // A caller that is gone gives the others back, and they are dropped here.
            let _ = answer.send((outcome, Others(group)));
        }
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for (answer, outcome) in self.0.drain(..) {
            let _ = answer.send((outcome, Others::default()));
        }
    }
}

pub enum Request {
    Commit(PreparedCommit, Answer),
    Acquire(u32, oneshot::Sender<Result<u64, StoreError>>),
    Change(Change, oneshot::Sender<Result<(), StoreError>>),
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Request::Commit(commit, _) => commit.bytes,
            Request::Acquire(..) | Request::Change(..) => 0,
        }
    }
}

#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Whether the thread sleeps: only then must it be woken.
    asleep: bool,
    closed: bool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a request over. False when the store is closed: then the request is dropped.
    pub fn push(&self, request: Request) -> bool {
        let mut state = self.state();
        if state.closed {
            return false;
        }
        state.waiting.push_back(request);
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
        true
    }

    /// Moves what waits into `batch`, within limits, and waits for at least one request. False when the inbox is
    /// closed and empty.
    pub fn take(&self, batch: &mut Vec<Request>, max_requests: usize, max_bytes: usize) -> bool {
        let mut state = self.state();
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            state.asleep = true;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.waiting.len() < max_requests {
            // On a busy machine others that are about to ask come first and share the sync; on an idle one it costs nothing.
            drop(state);
            std::thread::yield_now();
            state = self.state();
        }
        let mut bytes = 0;
        while batch.len() < max_requests
            && let Some(request) = state.waiting.pop_front()
        {
            bytes += request.bytes();
            batch.push(request);
            if bytes >= max_bytes {
                break;
            }
        }
        true
    }

    /// Takes all that waits without waiting for it, after a pause that a close cuts short. False when closed.
    pub fn drain_after(&self, pause: Duration, batch: &mut Vec<Request>) -> bool {
        let state = self.state();
        let (mut state, _) = self
            .wake
            .wait_timeout_while(state, pause, |state| !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        batch.extend(state.waiting.drain(..));
        !state.closed
    }

    /// No request is taken from now on; those that wait still are done.
    pub fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }
}
