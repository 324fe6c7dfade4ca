//! Brings tasks and pollers together. A queue's book is in memory; the tasks that wait are rows, of which it holds a
//! window at the head.

mod book;
mod config;
mod fairness;
mod limit;
mod pollers;
mod stats;
#[cfg(test)]
mod tests;

pub use config::{ConfigChange, RateChange};
pub use limit::LimitSource;
pub use pollers::PollerInfo;
pub use stats::LevelView;

use crate::delivery::Delivery;
use crate::workers::Departed;
use ahash::HashMap;
use book::{Book, Found};
use config::Configs;
use pollers::{Ticket, Waiter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::taskqueue::TaskQueueConfig;
use steadfast_machine::decision::QueryTask;
use steadfast_machine::{CallerId, QueueKey, Task, TaskKey, Time};
use steadfast_storage::{Store, StoreError};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a worker says of its version.
pub type DeploymentOptions = steadfast_api::v1::deployment::WorkerDeploymentOptions;

/// A sticky queue without a poller for so long is left alone.
const STICKY_FRESHNESS: Duration = Duration::from_secs(10);

/// Tasks that are read at once when the window is low.
const PAGE: usize = 500;

/// After the backlog could not be read.
const READ_AGAIN: Duration = Duration::from_millis(200);

const STRIPES: usize = 16;

/// The priority of a task that has none.
pub const TASKS_OF_NO_PRIORITY: u8 = 3;

/// What a poller gets.
pub enum Handed {
    /// A task from the backlog, which the poller has yet to start.
    Task(Box<Task>),
    /// A task that was started for this poller in the commit that made it.
    Started(Delivery),
    Query(QueryTask),
}

/// What a worker is told beside its task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// Tasks that wait in the queue.
    pub backlog: i64,
    /// How many more polls the worker should have open: 1, -1, or 0 for no opinion.
    pub more_polls: i32,
}

type Handing = (Handed, Hint);

/// What came of a poll.
pub struct Polled {
    pub handed: Handed,
    /// With a task from the backlog: the way back for it.
    pub taken: Option<Taken>,
    pub hint: Hint,
}

#[derive(Clone)]
pub struct Matching {
    stripes: Arc<Vec<Mutex<HashMap<QueueKey, Book>>>>,
    store: Arc<dyn Store>,
    configs: Arc<Configs>,
    departed: Arc<Departed>,
    /// Some task had a fairness key since the start: before that, places in queues need no look at them.
    fair: Arc<AtomicBool>,
}

/// A poller that was taken for a task whose commit is under way.
pub struct Reserved {
    waiter: Waiter,
    hint: Hint,
    priority: u8,
    fairness_key: String,
}

impl Reserved {
    pub fn info(&self) -> &PollerInfo {
        &self.waiter.info
    }

    /// Hands the task over. If the poller went away, dropping the delivery gives its task back.
    pub fn hand(self, delivery: Delivery) {
        let _ = self.waiter.sender.send((Handed::Started(delivery), self.hint));
    }
}

/// A task that a poller took from the backlog. Unless it is settled it goes back, also when the poll is dropped.
pub struct Taken {
    matching: Matching,
    task: Option<Box<Task>>,
}

impl Taken {
    pub fn task(&self) -> Option<&Task> {
        self.task.as_deref()
    }

    /// The task was started, or is void.
    pub fn settle(mut self) {
        self.task = None;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.matching.put_back(*task);
        }
    }
}

/// A queue, as callers see it.
#[derive(Clone, Debug)]
pub struct QueueView {
    /// Those who polled within the last minutes, the latest first.
    pub pollers: Vec<Arc<PollerInfo>>,
    /// By priority, in its order: those that were used, and the one of tasks that have none.
    pub levels: Vec<LevelView>,
    /// Tasks a second that the queue may hand out, and who says so.
    pub rate: f64,
    pub source: LimitSource,
    /// A limit held tasks back within the last half minute.
    pub held_back: bool,
    pub config: Option<Arc<TaskQueueConfig>>,
}

impl QueueView {
    /// All priorities together.
    pub fn total(&self) -> LevelView {
        let mut total = LevelView::default();
        for level in &self.levels {
            total.backlog += level.backlog;
            total.add_rate += level.add_rate;
            total.dispatch_rate += level.dispatch_rate;
            total.oldest = total.oldest.into_iter().chain(level.oldest).min();
        }
        total
    }
}

type Stripe = HashMap<QueueKey, Book>;

impl Matching {
    pub(crate) async fn load(store: Arc<dyn Store>, departed: Arc<Departed>) -> Result<Matching, StoreError> {
        let matching = Matching {
            stripes: Arc::new((0..STRIPES).map(|_| Mutex::default()).collect()),
            configs: Arc::new(Configs::load(&*store).await?),
            departed,
            fair: Arc::default(),
            store,
        };
        for (queue, count) in matching.store.backlogs().await? {
            matching.restore(&queue, count);
        }
        Ok(matching)
    }

    fn stripe(&self, queue: &QueueKey) -> MutexGuard<'_, Stripe> {
        let sum = queue
            .name
            .bytes()
            .fold(queue.kind as usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.stripes[sum % STRIPES].lock().expect("nothing panics while it holds this")
    }

    /// The book of a queue, made if there is none.
    fn book<'a>(&self, stripe: &'a mut Stripe, queue: &QueueKey) -> &'a mut Book {
        if !stripe.contains_key(queue) {
            let mut book = Book::default();
            if let Some(config) = self.configs.get(queue) {
                book.configure(Some(config));
            }
            stripe.insert(queue.clone(), book);
        }
        stripe.get_mut(queue).expect("it was put in if it was not there")
    }

    /// What a book asked for is done outside of its lock.
    fn follow(&self, queue: &QueueKey, book: &mut Book) {
        if book.wants_reader() {
            tokio::spawn(self.clone().read(queue.clone()));
        }
        if let Some(at) = book.wants_waking() {
            tokio::spawn(self.clone().wake(queue.clone(), at));
        }
    }

    async fn wake(self, queue: QueueKey, at: Instant) {
        tokio::time::sleep_until(at).await;
        if let Some(book) = self.stripe(&queue).get_mut(&queue) {
            book.wake(at);
            self.follow(&queue, book);
        }
    }

    /// A queue that has tasks in storage.
    pub fn restore(&self, queue: &QueueKey, count: u64) {
        let mut stripe = self.stripe(queue);
        let book = self.book(&mut stripe, queue);
        book.restore(count);
        self.follow(queue, book);
    }

    /// Waits for something to do until the deadline. `now`: the wall time, when the poll has ended.
    pub async fn poll(
        &self,
        queue: &QueueKey,
        info: &Arc<PollerInfo>,
        deadline: Instant,
        now: impl Fn() -> Time,
    ) -> Option<Polled> {
        let ticket = match self.look(queue, info) {
            Look::Found(handing) => return Some(self.hand(handing)),
            Look::Wait(ticket) => ticket,
            Look::Departed => return None,
        };
        let mut waiting = Waiting { matching: self, queue, ticket: Some(ticket), now };
        let received = tokio::time::timeout_at(deadline, waiting.receiver()).await;
        match received {
            Ok(Ok(handing)) => {
                waiting.ticket = None;
                Some(self.hand(handing))
            }
            // The queue was shut, or nothing came in time.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn hand(&self, (handed, hint): Handing) -> Polled {
        let taken = match &handed {
            Handed::Task(task) => Some(Taken { matching: self.clone(), task: Some(task.clone()) }),
            Handed::Started(_) | Handed::Query(_) => None,
        };
        Polled { handed, taken, hint }
    }

    fn look(&self, queue: &QueueKey, info: &Arc<PollerInfo>) -> Look {
        let mut stripe = self.stripe(queue);
        // Looked up under the lock under which a worker's polls are dismissed, so that none slips in behind.
        if self.departed.contains(queue.namespace, &info.instance_key) {
            return Look::Departed;
        }
        let book = self.book(&mut stripe, queue);
        let look = match book.take(info) {
            Found::Task(task, hint) => Look::Found((Handed::Task(task), hint)),
            Found::Query(query) => Look::Found((Handed::Query(query), Hint::default())),
            Found::Nothing => Look::Wait(book.wait(info)),
        };
        self.follow(queue, book);
        look
    }

    /// Reads the backlog until enough of it is in memory, or nothing is left.
    async fn read(self, queue: QueueKey) {
        loop {
            let after = match self.stripe(&queue).get_mut(&queue) {
                Some(book) => book.read_from(),
                None => return,
            };
            let page = match self.store.read_backlog(&queue, after.as_ref(), PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, queue = %queue.name, "the backlog cannot be read");
                    tokio::time::sleep(READ_AGAIN).await;
                    continue;
                }
            };
            let mut stripe = self.stripe(&queue);
            let Some(book) = stripe.get_mut(&queue) else { return };
            let on = book.fill(page.tasks, page.next.is_some());
            self.follow(&queue, book);
            if !on {
                return;
            }
        }
    }

    /// Takes a waiting poller for a task that is about to be committed, unless older tasks wait, or a limit is reached.
    pub fn reserve(&self, task: &Task) -> Option<Reserved> {
        self.stripe(&task.key.queue).get_mut(&task.key.queue)?.reserve(task)
    }

    /// The commit did not come about: the poller goes on waiting.
    pub fn release(&self, queue: &QueueKey, reserved: Reserved) {
        if let Some(book) = self.stripe(queue).get_mut(queue) {
            book.release(reserved);
            self.follow(queue, book);
        }
    }

    /// A task that was committed and waits.
    pub fn offer(&self, task: Task) {
        let queue = task.key.queue.clone();
        let mut stripe = self.stripe(&queue);
        let book = self.book(&mut stripe, &queue);
        book.offer(task);
        self.follow(&queue, book);
    }

    fn put_back(&self, task: Task) {
        let queue = task.key.queue.clone();
        let mut stripe = self.stripe(&queue);
        let book = self.book(&mut stripe, &queue);
        book.put_back(task);
        self.follow(&queue, book);
    }

    /// The task's row is gone.
    pub fn finished(&self, key: &TaskKey) {
        if let Some(book) = self.stripe(&key.queue).get_mut(&key.queue) {
            book.finished(key);
        }
    }

    /// A task from the backlog turned out to be void.
    pub fn void(&self, task: &Task) {
        if let Some(book) = self.stripe(&task.key.queue).get_mut(&task.key.queue) {
            book.void(task);
        }
    }

    /// The place of a new task in its queue, among those of its priority.
    pub fn place(&self, queue: &QueueKey, level: u8, priority: Option<&Priority>, fresh: i64) -> i64 {
        let keyed = !limit::fairness_key(priority).is_empty();
        if !keyed && !self.fair.load(Ordering::Relaxed) {
            return fresh;
        }
        self.fair.store(true, Ordering::Relaxed);
        let mut stripe = self.stripe(queue);
        self.book(&mut stripe, queue).place_of(level, priority, fresh)
    }

    pub fn offer_query(&self, queue: &QueueKey, query: QueryTask) {
        let mut stripe = self.stripe(queue);
        self.book(&mut stripe, queue).offer_query(query);
    }

    /// Takes a query back that nobody has picked up.
    pub fn take_query(&self, queue: &QueueKey, caller: CallerId) -> Option<QueryTask> {
        self.stripe(queue).get_mut(queue)?.take_query(caller)
    }

    /// Whether somebody polls the queue, or did a moment ago.
    pub fn is_polled(&self, queue: &QueueKey) -> bool {
        self.polled_within(queue, STICKY_FRESHNESS)
    }

    pub fn polled_within(&self, queue: &QueueKey, span: Duration) -> bool {
        self.stripe(queue).get(queue).is_some_and(|book| book.is_polled(span))
    }

    /// Every queue in which tasks wait.
    pub fn backlogs(&self) -> Vec<(QueueKey, u64)> {
        let mut backlogs = Vec::new();
        for stripe in self.stripes.iter() {
            let stripe = stripe.lock().expect("nothing panics while it holds this");
            let waiting = stripe.iter().filter(|(_, book)| book.waiting() > 0);
            backlogs.extend(waiting.map(|(queue, book)| (queue.clone(), book.waiting())));
        }
        backlogs
    }

    pub fn view(&self, queue: &QueueKey) -> QueueView {
        match self.stripe(queue).get_mut(queue) {
            Some(book) => book.view(),
            None => {
                let mut book = Book::default();
                if let Some(config) = self.configs.get(queue) {
                    book.configure(Some(config));
                }
                book.view()
            }
        }
    }

    /// Changes the configuration of a queue, durably; it holds at once, also for those who wait.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn change_config(
        &self,
        queue: &QueueKey,
        change: ConfigChange,
    ) -> Result<Arc<TaskQueueConfig>, StoreError> {
        let config = self.configs.change(&self.store, queue, change).await?;
        let mut stripe = self.stripe(queue);
        let book = self.book(&mut stripe, queue);
        book.configure(Some(config.clone()));
        self.follow(queue, book);
        Ok(config)
    }

    /// Removes the configurations of a namespace's queues.
    pub async fn forget_configs(&self, namespace: uuid::Uuid) -> Result<(), StoreError> {
        self.configs.forget(&*self.store, namespace).await
    }

    /// Lets go of everybody who polls the queue, and treats it as not polled.
    pub fn shut(&self, queue: &QueueKey) -> (Vec<Task>, Vec<QueryTask>) {
        self.stripe(queue).get_mut(queue).map(Book::shut).unwrap_or_default()
    }

    /// Ends the polls of one worker.
    pub fn dismiss(&self, queue: &QueueKey, instance_key: &str) {
        if let Some(book) = self.stripe(queue).get_mut(queue) {
            book.dismiss(instance_key);
        }
    }

    /// Tasks that memory holds of all queues.
    pub fn held(&self) -> usize {
        self.books(|books| books.values().map(Book::held).sum::<usize>()).sum()
    }

    fn books<'a, T: 'a>(&'a self, look: impl Fn(&mut Stripe) -> T + 'a) -> impl Iterator<Item = T> + 'a {
        self.stripes
            .iter()
            .map(move |stripe| look(&mut stripe.lock().expect("nothing panics while it holds this")))
    }

    /// Lets go of what nobody needs: the tasks of queues that nobody polls, and queues with nothing in them.
    pub fn sweep(&self) {
        self.books(|books| books.retain(|_, book| !book.sweep())).for_each(drop);
    }
}

enum Look {
    Found(Handing),
    Wait(Ticket),
    /// The worker has left.
    Departed,
}

/// A place in a queue's line. Leaving it (also by being dropped) gives back what arrived in the meantime.
struct Waiting<'a, F: Fn() -> Time> {
    matching: &'a Matching,
    queue: &'a QueueKey,
    ticket: Option<Ticket>,
    now: F,
}

impl<F: Fn() -> Time> Waiting<'_, F> {
    fn receiver(&mut self) -> &mut oneshot::Receiver<Handing> {
        &mut self.ticket.as_mut().expect("it is there until somebody is served").receiver
    }
}

impl<F: Fn() -> Time> Drop for Waiting<'_, F> {
    fn drop(&mut self) {
        let Some(mut ticket) = self.ticket.take() else { return };
        ticket.receiver.close();
        let late = ticket.receiver.try_recv().ok();
        let mut stripe = self.matching.stripe(self.queue);
        let Some(book) = stripe.get_mut(self.queue) else { return };
        book.leave(ticket.number, (self.now)());
        match late {
            Some((Handed::Task(task), _)) => book.put_back(*task),
            Some((Handed::Query(query), _)) => book.offer_query(query),
            // Its reply found nobody: the engine is told by the delivery itself.
            Some((Handed::Started(delivery), _)) => {
                drop(stripe);
                return delivery.undelivered();
            }
            None => return,
        }
        self.matching.follow(self.queue, book);
    }
}
