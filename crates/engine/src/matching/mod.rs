//! Brings tasks and pollers together. A queue's book is in memory; the tasks that wait are rows, of which it holds a
//! window at the head.

mod book;

use book::{Book, Found};
pub use book::{PollerInfo, Ticket};

use crate::run::Delivery;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use steadfast_machine::decision::QueryTask;
use steadfast_machine::{CallerId, QueueKey, Task, TaskKey, Time};
use steadfast_storage::Store;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A sticky queue without a poller for so long is left alone.
const STICKY_FRESHNESS: Duration = Duration::from_secs(10);

/// Tasks that are read at once when the window is empty.
const PAGE: usize = 500;

/// After the backlog could not be read.
const READ_AGAIN: Duration = Duration::from_millis(200);

const STRIPES: usize = 16;

/// What a poller gets.
pub enum Handed {
    /// A task from the backlog, which the poller has yet to start.
    Task(Box<Task>),
    /// A task that was started for this poller in the commit that made it.
    Started(Delivery),
    Query(QueryTask),
}

#[derive(Clone)]
pub struct Matching {
    stripes: Arc<Vec<Mutex<HashMap<QueueKey, Book>>>>,
    store: Arc<dyn Store>,
}

/// A poller that was taken for a task whose commit is under way.
pub struct Reserved {
    pub info: PollerInfo,
    pub sender: oneshot::Sender<Handed>,
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

#[derive(Clone, Debug, Default)]
pub struct QueueView {
    pub pollers: Vec<PollerView>,
    pub backlog: i64,
    /// When the oldest waiting task was put in the queue.
    pub oldest: Option<Time>,
    /// Tasks a second.
    pub add_rate: f32,
    pub dispatch_rate: f32,
}

#[derive(Clone, Debug)]
pub struct PollerView {
    pub identity: String,
    pub last_access: Time,
    pub rate: Option<f64>,
}

impl Matching {
    pub fn new(store: Arc<dyn Store>) -> Matching {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Matching { stripes: Arc::new(stripes), store }
    }

    fn stripe(&self, queue: &QueueKey) -> MutexGuard<'_, HashMap<QueueKey, Book>> {
        let sum = queue
            .name
            .bytes()
            .fold(queue.kind as usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.stripes[sum % STRIPES].lock().expect("nothing panics while it holds this")
    }

    /// A queue that has tasks in storage.
    pub fn restore(&self, queue: &QueueKey, count: u64) {
        self.stripe(queue).entry(queue.clone()).or_default().restore(count);
    }

    /// Waits for something to do until the deadline.
    pub async fn poll(
        &self,
        queue: &QueueKey,
        info: PollerInfo,
        deadline: Instant,
    ) -> Option<(Handed, Option<Taken>)> {
        let ticket = match self.look(queue, &info) {
            Look::Found(handed) => return Some(self.hand(handed)),
            Look::Wait(ticket) => ticket,
        };
        let mut waiting = Waiting { matching: self, queue, ticket: Some(ticket) };
        let received = tokio::time::timeout_at(deadline, waiting.receiver()).await;
        match received {
            Ok(Ok(handed)) => {
                waiting.ticket = None;
                Some(self.hand(handed))
            }
            // The queue was shut, or nothing came in time.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    fn hand(&self, handed: Handed) -> (Handed, Option<Taken>) {
        let taken = match &handed {
            Handed::Task(task) => Some(Taken { matching: self.clone(), task: Some(task.clone()) }),
            Handed::Started(_) | Handed::Query(_) => None,
        };
        (handed, taken)
    }

    fn look(&self, queue: &QueueKey, info: &PollerInfo) -> Look {
        let mut stripe = self.stripe(queue);
        let book = stripe.entry(queue.clone()).or_default();
        match book.take(info) {
            Found::Task(task) => return Look::Found(Handed::Task(task)),
            Found::Query(query) => return Look::Found(Handed::Query(query)),
            Found::Unread => {
                tokio::spawn(self.clone().read(queue.clone()));
            }
            Found::Nothing => {}
        }
        Look::Wait(book.wait(info.clone()))
    }

    /// Reads the backlog until those who wait are served, or nothing is left.
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
            if !book.fill(page.tasks, page.next.is_some()) {
                return;
            }
        }
    }

    /// Takes a waiting poller for a task that is about to be committed, unless older tasks wait.
    pub fn reserve(&self, task: &Task) -> Option<Reserved> {
        self.stripe(&task.key.queue).get_mut(&task.key.queue)?.reserve(task)
    }

    /// The commit did not come about: the poller goes on waiting.
    pub fn release(&self, queue: &QueueKey, reserved: Reserved) {
        if let Some(book) = self.stripe(queue).get_mut(queue) {
            book.release(reserved);
        }
    }

    /// A task that was committed and waits.
    pub fn offer(&self, task: Task) {
        let queue = task.key.queue.clone();
        self.stripe(&queue).entry(queue).or_default().offer(task);
    }

    fn put_back(&self, task: Task) {
        let queue = task.key.queue.clone();
        self.stripe(&queue).entry(queue).or_default().put_back(task);
    }

    /// The task's row is gone.
    pub fn finished(&self, key: &TaskKey) {
        if let Some(book) = self.stripe(&key.queue).get_mut(&key.queue) {
            book.finished(key);
        }
    }

    /// A task was started in the commit that made it.
    pub fn paired(&self, queue: &QueueKey) {
        if let Some(book) = self.stripe(queue).get_mut(queue) {
            book.paired();
        }
    }

    pub fn offer_query(&self, queue: &QueueKey, query: QueryTask) {
        self.stripe(queue).entry(queue.clone()).or_default().offer_query(query);
    }

    /// Takes a query back that nobody has picked up.
    pub fn take_query(&self, queue: &QueueKey, caller: CallerId) -> Option<QueryTask> {
        self.stripe(queue).get_mut(queue)?.take_query(caller)
    }

    /// Whether somebody polls the queue, or did a moment ago.
    pub fn is_polled(&self, queue: &QueueKey) -> bool {
        self.stripe(queue).get(queue).is_some_and(|book| book.is_polled(STICKY_FRESHNESS))
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
        self.stripe(queue).get_mut(queue).map(Book::view).unwrap_or_default()
    }

    /// Lets go of everybody who polls the queue, and treats it as not polled.
    pub fn shut(&self, queue: &QueueKey) -> Vec<Task> {
        self.stripe(queue).get_mut(queue).map(Book::shut).unwrap_or_default()
    }

    /// Forgets queues that nobody has used for a while and that have nothing in them.
    pub fn sweep(&self) {
        for stripe in self.stripes.iter() {
            stripe.lock().expect("nothing panics while it holds this").retain(|_, book| !book.is_idle());
        }
    }
}

enum Look {
    Found(Handed),
    Wait(Ticket),
}

/// A place in a queue's line. Leaving it (also by being dropped) gives back what arrived in the meantime.
struct Waiting<'a> {
    matching: &'a Matching,
    queue: &'a QueueKey,
    ticket: Option<Ticket>,
}

impl Waiting<'_> {
    fn receiver(&mut self) -> &mut oneshot::Receiver<Handed> {
        &mut self.ticket.as_mut().expect("it is there until somebody is served").receiver
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(mut ticket) = self.ticket.take() else { return };
        ticket.receiver.close();
        let late = ticket.receiver.try_recv().ok();
        let mut stripe = self.matching.stripe(self.queue);
        let Some(book) = stripe.get_mut(self.queue) else { return };
        book.leave(ticket.number);
        match late {
            Some(Handed::Task(task)) => book.put_back(*task),
            Some(Handed::Query(query)) => book.offer_query(query),
            // Its reply found nobody: the engine is told by the delivery itself.
            Some(Handed::Started(delivery)) => {
                drop(stripe);
                delivery.undelivered();
            }
            None => {}
        }
    }
}
