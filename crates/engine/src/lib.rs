//! The engine: load, decide, write, then act.
//!
//! [`run`] is the only place that changes a run. Around it stand what a run needs to go on by itself: [`matching`]
//! brings tasks and workers together, [`alarms`] wakes runs when something is due, [`outbox`] carries messages between
//! runs, [`pages`] finds what batch operations are done to, [`callbacks`] tells those outside how a run ended, [`retention`] removes what is old. What callers ask of it is in [`polls`], [`callers`], [`history`] and
//! [`views`]; what workers are given goes through [`delivery`].

pub mod alarms;
mod callbacks;
pub mod callers;
pub mod clock;
mod delivery;
mod entity;
mod failure;
pub mod history;
mod ids;
pub mod matching;
pub mod namespaces;
mod needs;
mod outbox;
mod pages;
pub mod polls;
mod retention;
pub mod rules;
mod run;
mod transaction;
pub mod views;
mod visibility;
mod watch;
pub mod workers;

pub use callbacks::{Call, Courier, NoCourier};
pub use clock::{Clock, SystemClock};
pub use delivery::CompletedWorkflowTask;
pub use failure::Failure;
pub use history::{HistoryPage, Progress, TaskHistory};
pub use matching::{ConfigChange, Hint, LevelView, LimitSource, PollerInfo, QueueView, RateChange};
pub use namespaces::{NamespaceState, Namespaces};
pub use polls::{ActivityTaskPoll, Poll, QueryPoll, WorkflowTaskPoll};
pub use rules::Rule;

use alarms::Alarms;
use callbacks::Callbacks;
use callers::Callers;
use ids::EngineIds;
use matching::Matching;
use outbox::Outbox;
use run::Mailboxes;
use std::sync::Arc;
use steadfast_machine::{CallerId, Limits, Time};
use steadfast_storage::{Store, StoreError};
use tokio::sync::watch as tokio_watch;
use watch::Watches;
use workers::{Departed, Workers};

/// The engine of one process. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    ids: EngineIds,
    namespaces: Namespaces,
    mailboxes: Mailboxes,
    matching: Matching,
    alarms: Alarms,
    outbox: Outbox,
    callbacks: Callbacks,
    courier: Arc<dyn Courier>,
    callers: Callers,
    watches: Watches,
    workers: Workers,
    departed: Arc<Departed>,
    /// The epochs under which this process owns the shards.
    epochs: Vec<u64>,
    shutdown: tokio_watch::Sender<bool>,
}

/// How an engine is set up.
pub struct Config {
    pub limits: Limits,
    /// Seeds the ids; random in production.
    pub seed: u64,
    /// Bytes of loaded runs kept in memory.
    pub cache_bytes: usize,
    /// Makes the calls of completion callbacks.
    pub courier: Arc<dyn Courier>,
}

impl Default for Config {
    fn default() -> Config {
        Config { limits: Limits::default(), seed: 0, cache_bytes: 32 << 20, courier: Arc::new(NoCourier) }
    }
}

impl Engine {
    /// Takes all shards of the store over and starts what runs by itself.
    ///
    /// # Errors
    /// When the store cannot be read, or a stored namespace does not decode.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Result<Engine, StoreError> {
        let epochs = acquire_all(&store).await?;
        let namespaces = Namespaces::load(store.clone()).await?;
        let departed = Arc::<Departed>::default();
        let matching = Matching::load(store.clone(), departed.clone()).await?;
        let ids = EngineIds::new(config.seed);
        let callers = Callers::new(steadfast_machine::Ids::random(&mut ids.source()));
        let inner = Arc::new(Inner {
            ids,
            limits: config.limits,
            namespaces,
            mailboxes: Mailboxes::new(config.cache_bytes),
            matching,
            alarms: Alarms::default(),
            outbox: Outbox::default(),
            callbacks: Callbacks::default(),
            courier: config.courier,
            callers,
            watches: Watches::default(),
            workers: Workers::default(),
            departed,
            epochs,
            shutdown: tokio_watch::Sender::new(false),
            clock,
            store,
        });
        let engine = Engine { inner };
        outbox::restore(&engine).await?;
        engine.spawn(alarms::run(engine.clone()));
        engine.spawn(retention::run(engine.clone()));
        Ok(engine)
    }

    pub fn now(&self) -> Time {
        self.inner.clock.now()
    }

    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    pub fn namespaces(&self) -> &Namespaces {
        &self.inner.namespaces
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The workers that tell of themselves.
    pub fn workers(&self) -> &Workers {
        &self.inner.workers
    }

    /// A name for somebody who is going to wait.
    pub fn caller(&self) -> CallerId {
        self.inner.callers.next()
    }

    /// Rises whenever a list of this namespace changes.
    pub fn changes(&self, namespace: uuid::Uuid) -> tokio_watch::Receiver<u64> {
        self.inner.watches.lists(namespace)
    }

    /// Ends long polls with empty answers and everything that runs by itself, then closes the store.
    pub async fn shut_down(&self) {
        self.inner.shutdown.send_replace(true);
        self.inner.store.close().await;
    }

    /// Becomes true when the engine shuts down.
    pub fn shutdown(&self) -> tokio_watch::Receiver<bool> {
        self.inner.shutdown.subscribe()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut shutdown = self.inner.shutdown.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|down| *down) => {}
                () = task => {}
            }
        });
    }
}

/// Takes all shards over at once, so that they share a sync.
async fn acquire_all(store: &Arc<dyn Store>) -> Result<Vec<u64>, StoreError> {
    let waiting: Vec<_> = (0..store.shards())
        .map(|shard| {
            let store = store.clone();
            tokio::spawn(async move { store.acquire(shard).await })
        })
        .collect();
    let mut epochs = Vec::with_capacity(waiting.len());
    for acquired in waiting {
        let acquired = acquired.await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        epochs.push(acquired?);
    }
    Ok(epochs)
}
