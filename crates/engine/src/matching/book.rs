//! One queue: who waits, what waits. Plain functions; the lock is the caller's.

use super::{Handed, PollerView, QueueView, Reserved};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use steadfast_machine::decision::QueryTask;
use steadfast_machine::{CallerId, Task, TaskKey, Time};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Tasks that are held in memory of one queue.
const WINDOW: usize = 1_000;

/// Identities that are remembered of one queue, and for how long.
const POLLERS: usize = 1_000;
const POLLER_MEMORY: Duration = Duration::from_secs(300);

/// Rates are counted over so many buckets of so many seconds.
const BUCKETS: usize = 6;
const BUCKET: Duration = Duration::from_secs(5);

/// Who polls.
#[derive(Clone, Debug, Default)]
pub struct PollerInfo {
    pub identity: String,
    pub build_id: String,
    pub deployment_name: String,
    /// The queue is a sticky one.
    pub sticky: bool,
    /// Tasks a second that this worker allows the queue.
    pub rate: Option<f64>,
    /// Wall time of the poll.
    pub at: Time,
}

/// A poller's place in the line.
pub struct Ticket {
    pub number: u64,
    pub receiver: oneshot::Receiver<Handed>,
}

struct Waiter {
    number: u64,
    info: PollerInfo,
    sender: oneshot::Sender<Handed>,
}

#[derive(Default)]
pub struct Book {
    waiters: VecDeque<Waiter>,
    next_number: u64,
    /// The head of the backlog. If `unread`, more is in storage behind it.
    window: BTreeMap<TaskKey, Task>,
    unread: bool,
    /// The last task that was read or held: what is unread comes after it.
    read_to: Option<TaskKey>,
    /// Somebody reads. There is one reader at a time, so that none takes an older view for the newest.
    reading: bool,
    /// A task was left to be read since the reader began: its page may not have it.
    left_unread: bool,
    /// Tasks that are rows, wherever they are.
    count: u64,
    queries: VecDeque<QueryTask>,
    pollers: BTreeMap<String, (Instant, PollerInfo)>,
    last_poll: Option<Instant>,
    added: Rate,
    dispatched: Rate,
}

pub enum Found {
    Task(Box<Task>),
    Query(QueryTask),
    /// Nothing in memory; tasks are in storage, and the caller has to see to it that they are read.
    Unread,
    Nothing,
}

impl Book {
    pub fn restore(&mut self, count: u64) {
        self.count += count;
        if count > 0 {
            self.unread = true;
            // They may be older than what was read last.
            self.read_to = None;
        }
    }

    /// The next thing for a poller, if something waits.
    pub fn take(&mut self, info: &PollerInfo) -> Found {
        self.remember(info);
        if let Some(query) = self.queries.pop_front() {
            return Found::Query(query);
        }
        if let Some((_, task)) = self.window.pop_first() {
            self.dispatched.count();
            return Found::Task(Box::new(task));
        }
        if self.unread && !self.reading {
            self.reading = true;
            return Found::Unread;
        }
        Found::Nothing
    }

    fn remember(&mut self, info: &PollerInfo) {
        let now = Instant::now();
        self.last_poll = Some(now);
        if info.identity.is_empty() {
            return;
        }
        if self.pollers.len() >= POLLERS && !self.pollers.contains_key(&info.identity) {
            self.pollers.retain(|_, (at, _)| now.duration_since(*at) < POLLER_MEMORY);
            if self.pollers.len() >= POLLERS {
                self.pollers.pop_first();
            }
        }
        self.pollers.insert(info.identity.clone(), (now, info.clone()));
    }

    pub fn wait(&mut self, info: PollerInfo) -> Ticket {
        let (sender, receiver) = oneshot::channel();
        let number = self.next_number;
        self.next_number += 1;
        self.waiters.push_back(Waiter { number, info, sender });
        Ticket { number, receiver }
    }

    pub fn leave(&mut self, number: u64) {
        self.waiters.retain(|waiter| waiter.number != number);
    }

    fn next_waiter(&mut self) -> Option<Waiter> {
        while let Some(waiter) = self.waiters.pop_front() {
            if !waiter.sender.is_closed() {
                return Some(waiter);
            }
        }
        None
    }

    /// A poller for a task that has no row yet; never past an older task.
    pub fn reserve(&mut self, task: &Task) -> Option<Reserved> {
        let older = self.window.first_key_value().is_some_and(|(key, _)| *key < task.key);
        if older || self.unread {
            return None;
        }
        let waiter = self.next_waiter()?;
        Some(Reserved { info: waiter.info, sender: waiter.sender })
    }

    pub fn release(&mut self, reserved: Reserved) {
        let number = self.next_number;
        self.next_number += 1;
        self.waiters.push_front(Waiter { number, info: reserved.info, sender: reserved.sender });
        // What came while it was reserved found nobody, and nobody else would hand it over.
        self.serve();
    }

    /// Hands the tasks of the window to those who wait, as long as there are both.
    fn serve(&mut self) {
        while !self.window.is_empty() {
            let Some(waiter) = self.next_waiter() else { break };
            let Some((key, task)) = self.window.pop_first() else { break };
            if let Err(Handed::Task(task)) = waiter.sender.send(Handed::Task(Box::new(task))) {
                self.window.insert(key, *task);
            } else {
                self.dispatched.count();
            }
        }
    }

    pub fn paired(&mut self) {
        self.added.count();
        self.dispatched.count();
    }

    /// A new task that waits.
    pub fn offer(&mut self, task: Task) {
        self.added.count();
        if task.stored {
            self.count += 1;
        }
        self.place(task);
    }

    /// A task that a poller took and did not start.
    pub fn put_back(&mut self, task: Task) {
        self.place(task);
    }

    fn place(&mut self, mut task: Task) {
        let first = self.window.is_empty() && !self.unread;
        while first && let Some(waiter) = self.next_waiter() {
            self.dispatched.count();
            match waiter.sender.send(Handed::Task(Box::new(task))) {
                Ok(()) => return,
                Err(Handed::Task(back)) => task = *back,
                Err(_) => return,
            }
        }
        let behind = self.read_to.as_ref().is_some_and(|last| task.key > *last);
        if self.unread && (behind || self.read_to.is_none()) && task.stored {
            self.left_unread = true;
            return;
        }
        self.window.insert(task.key.clone(), task);
        if self.window.len() > WINDOW {
            self.shorten();
        } else if !self.unread {
            self.read_to = self.window.last_key_value().map(|(key, _)| key.clone());
        }
    }

    /// Lets go of the window's end: it is read again when it is its turn.
    fn shorten(&mut self) {
        while self.window.len() > WINDOW / 2 {
            let Some((key, task)) = self.window.pop_last() else { break };
            if !task.stored {
                self.window.insert(key, task);
                break;
            }
        }
        self.unread = true;
        self.read_to = self.window.last_key_value().map(|(key, _)| key.clone());
    }

    /// Where the reader goes on.
    pub fn read_from(&mut self) -> Option<TaskKey> {
        self.left_unread = false;
        self.read_to.clone()
    }

    /// Tasks that were read from storage, after `read_from`. Whether the reader has to go on.
    pub fn fill(&mut self, tasks: Vec<Task>, more: bool) -> bool {
        self.unread = more || self.left_unread;
        for task in tasks {
            if self.read_to.as_ref().is_none_or(|last| task.key > *last) {
                self.read_to = Some(task.key.clone());
            }
            self.window.insert(task.key.clone(), task);
        }
        self.serve();
        let somebody_waits = self.waiters.iter().any(|waiter| !waiter.sender.is_closed());
        self.reading = self.unread && self.window.is_empty() && somebody_waits;
        self.reading
    }

    pub fn finished(&mut self, key: &TaskKey) {
        self.window.remove(key);
        self.count = self.count.saturating_sub(1);
    }

    pub fn offer_query(&mut self, mut query: QueryTask) {
        while let Some(waiter) = self.next_waiter() {
            match waiter.sender.send(Handed::Query(query)) {
                Ok(()) => return,
                Err(Handed::Query(back)) => query = back,
                Err(_) => return,
            }
        }
        self.queries.push_back(query);
    }

    pub fn take_query(&mut self, caller: CallerId) -> Option<QueryTask> {
        let place = self.queries.iter().position(|query| query.caller == caller)?;
        self.queries.remove(place)
    }

    pub fn is_polled(&self, span: Duration) -> bool {
        self.waiters.iter().any(|waiter| !waiter.sender.is_closed())
            || self.last_poll.is_some_and(|at| at.elapsed() < span)
    }

    /// Tasks that wait, in memory or in storage.
    pub fn waiting(&self) -> u64 {
        self.count
    }

    pub fn view(&mut self) -> QueueView {
        let now = Instant::now();
        self.pollers.retain(|_, (at, _)| now.duration_since(*at) < POLLER_MEMORY);
        let pollers = self.pollers.values().map(|(_, info)| PollerView {
            identity: info.identity.clone(),
            last_access: info.at,
            rate: info.rate,
        });
        QueueView {
            pollers: pollers.collect(),
            backlog: i64::try_from(self.count).unwrap_or(i64::MAX),
            oldest: self.window.values().map(|task| Time(task.key.order)).min(),
            add_rate: self.added.per_second(),
            dispatch_rate: self.dispatched.per_second(),
        }
    }

    /// Sends the pollers away; what they would have got has to go elsewhere.
    pub fn shut(&mut self) -> Vec<Task> {
        self.waiters.clear();
        self.last_poll = None;
        self.pollers.clear();
        self.window.values().cloned().collect()
    }

    pub fn is_idle(&self) -> bool {
        self.waiters.is_empty()
            && self.window.is_empty()
            && !self.unread
            && self.count == 0
            && self.queries.is_empty()
            && self.last_poll.is_none_or(|at| at.elapsed() > POLLER_MEMORY)
    }
}

/// Counts over a sliding window.
#[derive(Default)]
struct Rate {
    buckets: VecDeque<(Instant, u32)>,
}

impl Rate {
    fn count(&mut self) {
        let now = Instant::now();
        match self.buckets.back_mut() {
            Some((start, count)) if now.duration_since(*start) < BUCKET => *count += 1,
            _ => {
                self.buckets.push_back((now, 1));
                if self.buckets.len() > BUCKETS + 1 {
                    self.buckets.pop_front();
                }
            }
        }
    }

    fn per_second(&self) -> f32 {
        let span = BUCKET * BUCKETS as u32;
        let recent = self.buckets.iter().filter(|(start, _)| start.elapsed() < span);
        let count: u32 = recent.clone().map(|(_, count)| count).sum();
        let first = recent.map(|(start, _)| start.elapsed()).max();
        let seconds = first.map_or(1.0, |elapsed| elapsed.as_secs_f32().max(1.0));
        count as f32 / seconds
    }
}
