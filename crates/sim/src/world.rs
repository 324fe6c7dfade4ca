//! The simulated world: one database, processes that come and go, and everybody's way to the one that serves.

use crate::board::Board;
use crate::courier::SimCourier;
use crate::disk::{Disk, Life, ProcessStore};
use crate::knobs::Knobs;
use crate::ledger::Ledger;
use crate::random::Random;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use steadfast_engine::{Config, Engine, NamespaceState};
use steadfast_machine::duration::DAY;
use steadfast_machine::{EntityKey, Limits, QueueKey, QueueType};
use uuid::Uuid;

pub const NAMESPACE: Uuid = Uuid::from_u128(7);

/// The one normal task queue.
pub const QUEUE: &str = "q";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Everything that can go wrong does.
    Chaos,
    /// Nothing goes wrong any more, but work goes on.
    Calm,
    /// No new work; what is there comes to its end.
    Settle,
    /// Workers close every run that they hear of.
    Finish,
    Over,
}

#[derive(Clone)]
pub struct Process {
    pub engine: Engine,
    pub life: Arc<Life>,
}

#[derive(Default)]
struct Processes {
    serving: Option<Process>,
    /// Others that do not know yet that their shards were taken over.
    outdated: Vec<Process>,
}

pub struct World {
    pub board: Arc<Board>,
    pub disk: Arc<Disk>,
    pub knobs: Knobs,
    pub seed: u64,
    random: Mutex<Random>,
    processes: Mutex<Processes>,
    phase: AtomicU8,
    names: AtomicU64,
    ledger: Mutex<Ledger>,
}

impl World {
    pub fn new(seed: u64, knobs: Knobs, board: Arc<Board>, disk: Arc<Disk>, random: Random) -> World {
        World {
            board,
            disk,
            knobs,
            seed,
            random: Mutex::new(random),
            processes: Mutex::default(),
            phase: AtomicU8::new(0),
            names: AtomicU64::new(0),
            ledger: Mutex::default(),
        }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nothing panics while it holds this")
    }

    /// A source of chance for a new actor.
    pub fn fork(&self) -> Random {
        self.random.lock().expect("nothing panics while it holds this").fork()
    }

    /// A name that nobody else has.
    pub fn name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    pub fn phase(&self) -> Phase {
        use Phase::*;
        [Chaos, Calm, Settle, Finish, Over][usize::from(self.phase.load(Ordering::Relaxed))]
    }

    pub fn enter(&self, phase: Phase) {
        self.board.note(format_args!("{phase:?}"));
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub fn key(&self, workflow: &str) -> EntityKey {
        EntityKey::workflow(NAMESPACE, workflow)
    }

    /// Workflows that operators reset and delete: what they were told to do may go with them.
    pub fn is_rough(&self, workflow: &str) -> bool {
        workflow.starts_with("rough-")
    }

    pub fn queue(&self, name: &str, kind: QueueType) -> QueueKey {
        QueueKey { namespace: NAMESPACE, name: name.into(), kind }
    }

    /// Starts a process that takes all shards over, as often as it takes.
    pub async fn boot(self: &Arc<World>) {
        loop {
            let life = Arc::new(Life::default());
            let store = Arc::new(ProcessStore { disk: self.disk.clone(), life: life.clone() });
            let seed = self.fork().next();
            let courier = Arc::new(SimCourier::new(Arc::downgrade(self), Random::new(self.seed)));
            // Small pages: a batch operation comes to its second one.
            let limits = Limits { batch_page: 2, ..Limits::default() };
            let cache_bytes = self.knobs.cache_bytes;
            let config = Config { limits, seed, cache_bytes, courier };
            self.disk.take_fenced();
            match Engine::start(store, self.board.clock.clone(), config).await {
                Ok(engine) => {
                    self.board.note(format_args!("a process serves"));
                    let process = Process { engine, life };
                    self.processes().serving = Some(process);
                    return;
                }
                Err(error) => {
                    self.board.note(format_args!("a process does not start: {error}"));
                    // What it asked for and did not wait for ends with it.
                    life.end();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    pub async fn register_namespace(&self) {
        let state = NamespaceState { retention: 365 * DAY, ..NamespaceState::new(NAMESPACE, "default") };
        let Some(process) = self.serving() else { return };
        let registered = process.engine.namespaces().register(state).await;
        registered.expect("nothing goes wrong before the chaos");
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().expect("nothing panics while it holds this")
    }

    pub fn serving(&self) -> Option<Process> {
        self.processes().serving.clone()
    }

    /// The serving process dies.
    pub async fn crash(&self) {
        let dead = self.processes().serving.take();
        if let Some(process) = dead {
            self.board.note(format_args!("the process dies"));
            kill(&process).await;
        }
    }

    /// Another process starts, and the old one does not know.
    pub async fn take_over(self: &Arc<World>) {
        self.board.note(format_args!("another process takes over"));
        self.board.saw("a process is replaced and does not know");
        let old = self.serving();
        self.boot().await;
        self.processes().outdated.extend(old);
    }

    pub async fn kill_outdated(&self) {
        let outdated = std::mem::take(&mut self.processes().outdated);
        for process in outdated {
            kill(&process).await;
        }
    }

    /// Asks a process something: mostly the one that serves, now and then one that is outdated. `None`: the answer was
    /// not heard, because the process died, or because the caller lost its patience.
    pub async fn call<T>(
        &self,
        random: &mut Random,
        patience: Option<Duration>,
        ask: impl AsyncFnOnce(Engine) -> T,
    ) -> Option<T> {
        let process = {
            let processes = self.processes();
            match processes.outdated.last().filter(|_| random.percent(20)) {
                Some(outdated) => Some(outdated.clone()),
                None => processes.serving.clone(),
            }
        };
        let Some(process) = process else {
            tokio::time::sleep(Duration::from_millis(random.between(50, 500))).await;
            return None;
        };
        let patience = patience.unwrap_or(Duration::from_secs(300));
        tokio::select! {
            biased;
            () = process.life.over() => None,
            () = tokio::time::sleep(patience) => None,
            answer = ask(process.engine.clone()) => Some(answer),
        }
    }

    /// How long somebody waits for an answer: mostly long enough.
    pub fn patience(&self, random: &mut Random) -> Option<Duration> {
        if self.phase() > Phase::Calm || !random.percent(self.knobs.impatience) {
            return None;
        }
        let longest = *random.pick(&[3, 30, 3_000]);
        Some(random.millis(0, longest))
    }
}

async fn kill(process: &Process) {
    process.life.end();
    // Ends its loops; the store of a dead process does not answer them any more.
    process.engine.shut_down().await;
}

/// A moment so many milliseconds from now, as the engine takes deadlines.
pub fn deadline(millis: u64) -> std::time::Instant {
    (tokio::time::Instant::now() + Duration::from_millis(millis)).into_std()
}
