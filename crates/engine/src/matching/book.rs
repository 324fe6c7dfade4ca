//! One queue: who waits, what waits. Plain functions; the lock is the caller's.

use super::fairness::Fairness;
use super::limit::{Bucket, Limit, fairness_key, weight};
use super::pollers::{MEMORY, PollerInfo, Pollers, Ticket, Waiter};
use super::stats::Counts;
use super::{Handed, Handing, Hint, Reserved};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::taskqueue::TaskQueueConfig;
use steadfast_machine::decision::QueryTask;
use steadfast_machine::planted::{Planted, is_planted};
use steadfast_machine::{CallerId, Task, TaskKey, Time};
use tokio::time::Instant;

/// Tasks that are held in memory of one queue.
const WINDOW: usize = 1_000;

/// With fewer than this in memory more is read, before those who poll have to wait for it.
const LOW: usize = 250;

/// Nothing is held of a queue that nobody polled for so long: its tasks are read when somebody does. Long enough that
/// no task that a poller took is still on its way.
const HELD: Duration = Duration::from_secs(60);

/// A poll that waited for so long was one too many.
const IDLE_POLL: Duration = Duration::from_secs(1);

/// A backlog that is older wants more polls, in nanoseconds.
const OLD_BACKLOG: i64 = 200_000_000;

/// So do tasks that come so many times as fast as they go.
const GROWING: f32 = 1.2;

/// Suggestions a second to each poller of a queue.
const SUGGESTIONS: f64 = 10.0;

#[derive(Default)]
pub struct Book {
    pollers: Pollers,
    /// The head of the backlog. If `unread`, more is in storage behind it.
    window: BTreeMap<TaskKey, Task>,
    unread: bool,
    /// The last task that was read or held: what is unread comes after it.
    read_to: Option<TaskKey>,
    /// Somebody reads. There is one reader at a time, so that none takes an older view for the newest.
    reading: bool,
    /// The first of the tasks that were left to be read since the reader began: its page may lack them, and is good only up to
    /// there.
    left: Option<TaskKey>,
    /// `read_to` went back since the reader began: its page is not what comes next.
    went_back: bool,
    /// Tasks that were finished since the reader began: its page may still have them.
    gone: BTreeSet<TaskKey>,
    counts: Counts,
    /// Tasks without a row that were offered: they are not counted.
    without_row: BTreeSet<TaskKey>,
    queries: VecDeque<QueryTask>,
    config: Option<Arc<TaskQueueConfig>>,
    limit: Option<Box<Limit>>,
    /// By priority; empty until a task has a fairness key.
    fair: BTreeMap<u8, Fairness>,
    suggestions: Option<Bucket>,
    last_handed: Option<Instant>,
}

pub enum Found {
    Task(Box<Task>, Hint),
    Query(QueryTask),
    Nothing,
}

impl Book {
    pub fn restore(&mut self, count: u64) {
        self.counts.restore(count);
        if count > 0 {
            self.unread = true;
            // They may be older than what was read last.
            if !is_planted(Planted::BacklogPassedOver) {
                self.go_back(None);
            }
        }
    }

    pub fn configure(&mut self, config: Option<Arc<TaskQueueConfig>>) {
        let limit = self.limit.get_or_insert_default();
        limit.configure(config.as_deref(), Instant::now());
        if limit.is_void() {
            self.limit = None;
        }
        self.config = config;
        self.serve();
    }

    /// The next thing for a poller, if something waits.
    pub fn take(&mut self, info: &Arc<PollerInfo>) -> Found {
        let now = Instant::now();
        self.pollers.remember(info, now);
        self.set_worker_rate(info.rate, now);
        if let Some(query) = self.queries.pop_front() {
            return Found::Query(query);
        }
        match self.pop(now) {
            Some((_, task)) => {
                let hint = self.hint(now, Duration::ZERO, Some(&task));
                Found::Task(Box::new(task), hint)
            }
            None => Found::Nothing,
        }
    }

    /// The last poll wins, also one that limits nothing.
    fn set_worker_rate(&mut self, rate: Option<f64>, now: Instant) {
        if rate.is_none() && self.limit.is_none() {
            return;
        }
        let limit = self.limit.get_or_insert_default();
        limit.set_worker(rate, now);
        if limit.is_void() {
            self.limit = None;
        }
    }

    /// The first task that may go now.
    fn pop(&mut self, now: Instant) -> Option<(TaskKey, Task)> {
        let (key, task) = match &mut self.limit {
            None => self.window.pop_first()?,
            Some(limit) => {
                if self.window.is_empty() || !limit.is_open(now) {
                    return None;
                }
                let config = self.config.as_deref();
                let free = |(_, task): &(&TaskKey, &Task)| {
                    let priority = task.priority.as_ref();
                    limit.take(fairness_key(priority), weight(config, priority), now)
                };
                let key = self.window.iter().find(free)?.0.clone();
                self.window.remove_entry(&key)?
            }
        };
        self.dispatched(&key, now);
        Some((key, task))
    }

    fn dispatched(&mut self, key: &TaskKey, now: Instant) {
        self.counts.level(key.priority).dispatched.count(now);
        self.last_handed = Some(now);
        if let Some(fair) = self.fair.get_mut(&key.priority) {
            fair.passed(key.order);
        }
    }

    /// A task that was popped is not handed out after all.
    fn unpop(&mut self, key: TaskKey, task: Task) {
        self.counts.level(key.priority).dispatched.uncount();
        if let Some(limit) = &mut self.limit {
            limit.give_back(fairness_key(task.priority.as_ref()));
        }
        self.window.insert(key, task);
    }

    /// What goes to the worker with a task. `waited`: how long its poll did. `task`: one of the backlog.
    fn hint(&mut self, now: Instant, waited: Duration, task: Option<&Task>) -> Hint {
        let backlog = self.counts.total();
        // The task that goes with this is counted until it has started.
        let others = backlog.saturating_sub(u64::from(task.is_some()));
        let hint = Hint { backlog: i64::try_from(others).unwrap_or(i64::MAX), more_polls: 0 };
        if waited >= IDLE_POLL && task.is_none() {
            return Hint { more_polls: -1, ..hint };
        }
        let bucket = self.suggestions.get_or_insert_with(|| Bucket::with_burst(SUGGESTIONS, 1.0, now));
        if !bucket.take_part(1.0 / self.pollers.count().max(1) as f64, now) {
            return hint;
        }
        if self.limit.as_ref().is_some_and(|limit| limit.was_active(now)) {
            return hint;
        }
        let oldest = task.or_else(|| self.window.values().next()).map(|task| task.created);
        let old = oldest.zip(self.pollers.wall(now)).is_some_and(|(made, now)| now.since(made) > OLD_BACKLOG);
        let (added, dispatched) = self.counts.rates(now);
        let growing = dispatched > 0.0 && added / dispatched > GROWING;
        Hint { more_polls: i32::from((backlog > 0 && old) || growing), ..hint }
    }

    pub fn wait(&mut self, info: &Arc<PollerInfo>) -> Ticket {
        self.pollers.wait(info, Instant::now())
    }

    pub fn leave(&mut self, number: u64, at: Time) {
        self.pollers.leave(number, at);
    }

    /// A poller for a task that has no row yet; never past an older task, nor past a limit.
    pub fn reserve(&mut self, task: &Task) -> Option<Reserved> {
        let older = self.window.first_key_value().is_some_and(|(key, _)| *key < task.key);
        if older || self.unread {
            return None;
        }
        let waiter = self.pollers.next()?;
        let now = Instant::now();
        if let Some(limit) = &mut self.limit {
            let priority = task.priority.as_ref();
            if !limit.take(fairness_key(priority), weight(self.config.as_deref(), priority), now) {
                self.pollers.put_back(waiter);
                return None;
            }
        }
        self.counts.level(task.key.priority).added.count(now);
        self.dispatched(&task.key, now);
        let hint = self.hint(now, now.duration_since(waiter.since), None);
        let (priority, key) = (task.key.priority, fairness_key(task.priority.as_ref()).to_owned());
        Some(Reserved { waiter, hint, priority, fairness_key: key })
    }

    pub fn release(&mut self, reserved: Reserved) {
        let level = self.counts.level(reserved.priority);
        level.added.uncount();
        level.dispatched.uncount();
        if let Some(limit) = &mut self.limit {
            limit.give_back(&reserved.fairness_key);
        }
        self.pollers.put_back(reserved.waiter);
        // What came while it was reserved found nobody, and nobody else would hand it over.
        self.serve();
    }

    /// Hands the tasks of the window to those who wait, as long as there are both.
    pub fn serve(&mut self) {
        while !self.window.is_empty() {
            let Some(waiter) = self.pollers.next() else { break };
            let now = Instant::now();
            let Some((key, task)) = self.pop(now) else {
                self.pollers.put_back(waiter);
                break;
            };
            let hint = self.hint(now, now.duration_since(waiter.since), Some(&task));
            let Waiter { sender, .. } = waiter;
            if let Err((Handed::Task(task), _)) = sender.send((Handed::Task(Box::new(task)), hint)) {
                self.unpop(key, *task);
            }
        }
    }

    /// A new task that waits.
    pub fn offer(&mut self, task: Task) {
        let level = self.counts.level(task.key.priority);
        level.added.count(Instant::now());
        if task.stored {
            level.count += 1;
            level.first = if level.count == 1 { task.key.order } else { level.first };
            level.last = level.last.max(task.key.order);
        } else {
            self.without_row.insert(task.key.clone());
        }
        self.place(task);
    }

    /// A task that a poller took and did not start.
    pub fn put_back(&mut self, task: Task) {
        if let Some(limit) = &mut self.limit {
            limit.give_back(fairness_key(task.priority.as_ref()));
        }
        self.place(task);
    }

    fn place(&mut self, task: Task) {
        if task.stored && !self.pollers.polled_within(HELD) {
            self.let_go();
            return self.leave_unread(task.key);
        }
        let behind = self.read_to.as_ref().is_some_and(|last| task.key > *last);
        if self.unread && (behind || self.read_to.is_none()) && task.stored {
            return self.leave_unread(task.key);
        }
        self.window.insert(task.key.clone(), task);
        self.serve();
        if self.window.len() > WINDOW {
            self.shorten();
        } else if !self.unread
            && let Some((key, _)) = self.window.last_key_value()
        {
            self.read_to = Some(key.clone());
        }
    }

    /// Leaves a task to the reader.
    fn leave_unread(&mut self, key: TaskKey) {
        self.unread = true;
        if self.left.as_ref().is_none_or(|left| key < *left) {
            self.left = Some(key);
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
        self.go_back(self.window.last_key_value().map(|(key, _)| key.clone()));
    }

    fn go_back(&mut self, read_to: Option<TaskKey>) {
        self.read_to = read_to;
        self.went_back = true;
    }

    /// Holds nothing in memory that storage has.
    fn let_go(&mut self) {
        let before = self.window.len();
        self.window.retain(|_, task| !task.stored);
        self.unread |= self.window.len() < before;
        self.go_back(None);
    }

    /// Whether somebody has to read; who asks does.
    pub fn wants_reader(&mut self) -> bool {
        let wants = self.unread
            && !self.reading
            && self.window.len() < LOW
            && (self.pollers.somebody_waits() || !self.window.is_empty());
        self.reading |= wants;
        wants
    }

    /// When somebody has to wake the queue, because a limit holds it back; who asks does.
    pub fn wants_waking(&mut self) -> Option<Instant> {
        let limit = self.limit.as_mut()?;
        if self.window.is_empty() || !self.pollers.somebody_waits() {
            return None;
        }
        let at = limit.ready_at(Instant::now())?;
        if limit.woken_at.is_some_and(|woken| woken <= at) {
            return None;
        }
        limit.woken_at = Some(at);
        Some(at)
    }

    /// It was time.
    pub fn wake(&mut self, at: Instant) {
        if let Some(limit) = &mut self.limit
            && limit.woken_at == Some(at)
        {
            limit.woken_at = None;
        }
        self.serve();
    }

    /// Where the reader goes on.
    pub fn read_from(&mut self) -> Option<TaskKey> {
        self.left = None;
        self.went_back = false;
        self.gone.clear();
        self.read_to.clone()
    }

    /// Tasks that were read from storage, after `read_from`. Whether the reader has to go on.
    pub fn fill(&mut self, tasks: Vec<Task>, more: bool) -> bool {
        let left = self.left.take();
        self.unread = more || left.is_some() || self.went_back;
        let tasks = if self.went_back { Vec::new() } else { tasks };
        for task in tasks.into_iter().take_while(|task| left.as_ref().is_none_or(|left| task.key < *left)) {
            if self.read_to.as_ref().is_none_or(|last| task.key > *last) {
                self.read_to = Some(task.key.clone());
            }
            if let Some(fair) = self.fair.get_mut(&task.key.priority) {
                fair.seen(fairness_key(task.priority.as_ref()), task.key.order);
            }
            if !self.gone.contains(&task.key) {
                self.window.insert(task.key.clone(), task);
            }
        }
        self.gone.clear();
        self.serve();
        self.reading = self.unread && self.window.len() < LOW && self.pollers.somebody_waits();
        self.reading
    }

    /// The task's row is gone.
    pub fn finished(&mut self, key: &TaskKey) {
        self.window.remove(key);
        if self.reading {
            self.gone.insert(key.clone());
        }
        if !self.without_row.is_empty() && self.without_row.remove(key) {
            return;
        }
        self.counts.finished(key.priority);
    }

    /// A task that was taken turned out to be void: whoever made it so has counted it.
    pub fn void(&mut self, task: &Task) {
        self.without_row.remove(&task.key);
        if let Some(limit) = &mut self.limit {
            limit.give_back(fairness_key(task.priority.as_ref()));
        }
    }

    /// The place of a new task among those of its priority. `fresh` is where it would be if there were no keys.
    pub fn place_of(&mut self, level: u8, priority: Option<&Priority>, fresh: i64) -> i64 {
        let key = fairness_key(priority);
        if key.is_empty() && self.fair.is_empty() {
            return fresh;
        }
        let weight = weight(self.config.as_deref(), priority);
        let counted = self.counts.level(level);
        let backlog = (counted.count > 0).then_some((counted.first, counted.last));
        let idle = backlog.is_none() && self.last_handed.is_none_or(|at| at.elapsed() > IDLE_POLL);
        let fair = self.fair.entry(level).or_insert_with(|| {
            let first = self.window.keys().find(|key| key.priority == level).map(|key| key.order);
            Fairness::new(backlog.map(|(oldest, last)| (first.unwrap_or(oldest), last)), fresh)
        });
        if idle {
            fair.reset(fresh);
        }
        fair.place(key, weight, fresh)
    }

    pub fn offer_query(&mut self, mut query: QueryTask) {
        while let Some(waiter) = self.pollers.next() {
            let handing: Handing = (Handed::Query(query), Hint::default());
            match waiter.sender.send(handing) {
                Ok(()) => return,
                Err((Handed::Query(back), _)) => query = back,
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
        self.pollers.polled_within(span)
    }

    /// Tasks that wait, in memory or in storage.
    pub fn waiting(&self) -> u64 {
        self.counts.total()
    }

    pub fn view(&mut self) -> super::QueueView {
        let now = Instant::now();
        let mut levels = self.counts.views(now);
        for level in &mut levels {
            level.oldest = self.oldest_of(level.priority);
        }
        let (rate, source) =
            self.limit.as_ref().map_or_else(|| Limit::default().effective(), |limit| limit.effective());
        super::QueueView {
            pollers: self.pollers.recent(now),
            levels,
            rate,
            source,
            held_back: self.limit.as_ref().is_some_and(|limit| limit.was_active(now)),
            config: self.config.clone(),
        }
    }

    fn oldest_of(&self, priority: u8) -> Option<Time> {
        let of = self.window.values().filter(|task| task.key.priority == priority);
        of.map(|task| task.created).min()
    }

    /// Sends the pollers away; what they would have got has to go elsewhere.
    pub fn shut(&mut self) -> (Vec<Task>, Vec<QueryTask>) {
        self.pollers.shut();
        (self.window.values().cloned().collect(), self.queries.drain(..).collect())
    }

    /// Sends the polls of one worker away.
    pub fn dismiss(&mut self, instance_key: &str) {
        self.pollers.dismiss(instance_key);
    }

    /// Tasks that memory holds.
    pub fn held(&self) -> usize {
        self.window.len()
    }

    /// Puts things straight from time to time. Whether the queue can be forgotten.
    pub fn sweep(&mut self) -> bool {
        let polled = self.pollers.polled_within(HELD);
        if !polled {
            self.let_go();
        }
        let quiet = self.last_handed.is_none_or(|at| at.elapsed() > HELD);
        if quiet && !self.unread && self.window.is_empty() {
            // A count that is left over has lost its way.
            self.counts.clear();
            self.fair.clear();
            self.without_row.clear();
        }
        !polled
            && self.window.is_empty()
            && !self.unread
            && self.counts.total() == 0
            && self.queries.is_empty()
            && !self.pollers.polled_within(MEMORY)
    }
}
