//! One simulation from its seed to its report.

use crate::board::Board;
use crate::clock::SimClock;
use crate::disk::Disk;
use crate::knobs::Knobs;
use crate::random::Random;
use crate::world::{Phase, World};
use crate::{chaos, check, client, family, worker};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;
use steadfast_engine::{Clock as _, Failure};
use steadfast_machine::duration::SECOND;
use steadfast_machine::workflow::input::{Input, Signal, What};
use steadfast_machine::{Reject, RunKey, Time};

/// Seconds for which work goes on after the healing. Memory reads the alarms that it lost within one minute.
const CALM: u64 = 90;

/// Seconds within which everything comes to rest.
const REST: u64 = 900;

/// Seconds by which an alarm may be late when nothing goes wrong.
const LATE: i64 = 5;

#[derive(Clone, Debug)]
pub struct Report {
    pub seed: u64,
    /// Over everything that was written and noted, in order.
    pub hash: u64,
    pub notes: u64,
    pub runs: usize,
    /// Virtual milliseconds.
    pub millis: u64,
    pub violations: Vec<String>,
    pub last_lines: Vec<String>,
    /// How often what happened, of [`EXPECTED`] and other things.
    pub seen: BTreeMap<&'static str, u64>,
}

/// What has to happen again and again in simulations, or they show little.
pub const EXPECTED: [&str; 16] = [
    FENCED_FOR_ITS_EPOCH,
    "a process dies in a commit",
    "a process is replaced and does not know",
    "a commit is written and nobody knows",
    "a commit is not written and nobody knows",
    "a commit is not written",
    "a read fails",
    "a storm",
    "the clock is set",
    "a request arrives late",
    "a request comes twice",
    "a worker dies",
    "a run is reset",
    "a run is deleted",
    "a run continues as new",
    "a sticky task times out",
];

/// Not by an injected fault: by the epoch that a commit names, which is not the shard's any more.
pub const FENCED_FOR_ITS_EPOCH: &str = "a commit of an outdated process is refused";

impl Report {
    /// One line: what failed first, and how to see it again.
    pub fn line(&self) -> String {
        let first = self.violations.first().map_or("", String::as_str);
        format!("{}  # {first}", self.replay())
    }

    fn replay(&self) -> String {
        format!("STEADFAST_SEED={} cargo test -p steadfast-sim replay -- --nocapture", self.seed)
    }

    /// What a test prints of a seed that failed: what, the last lines, and how to see it again.
    pub fn explain(&self) -> String {
        format!("{}\n{}\n{}", self.last_lines.join("\n"), self.violations.join("\n"), self.replay())
    }
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A panic in a task of the engine ends only that task: it is noted, and is a violation.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            before(info);
        }));
    });
    PANICS.with_borrow_mut(Vec::clear);
}

pub fn run(seed: u64) -> Report {
    simulate(seed, false)
}

/// Prints every line of what happens.
pub fn run_loud(seed: u64) -> Report {
    simulate(seed, true)
}

fn simulate(seed: u64, loud: bool) -> Report {
    watch_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    runtime.block_on(live(seed, loud))
}

async fn live(seed: u64, loud: bool) -> Report {
    let mut random = Random::new(seed);
    let knobs = Knobs::draw(&mut random);
    let board = Arc::new(Board::new(Arc::new(SimClock::new()), loud));
    board.note(format_args!("seed {seed}: {knobs:?}"));
    let disk = Arc::new(Disk::new(knobs.shards, board.clone(), random.fork(), knobs.slowness));
    let world = Arc::new(World::new(seed, knobs, board.clone(), disk, random.fork()));
    world.boot().await;
    world.register_namespace().await;
    people(&world);
    chaos::run(&world, world.fork()).await;
    chaos::heal(&world).await;
    calm(&world).await;
    world.enter(Phase::Settle);
    settle(&world).await;
    world.enter(Phase::Finish);
    finish(&world).await;
    world.enter(Phase::Over);
    if !board.is_broken() {
        check::all(&world);
    }
    for panic in PANICS.with_borrow_mut(std::mem::take) {
        board.violation(panic);
    }
    report(&world)
}

fn report(world: &World) -> Report {
    let trace = world.board.trace();
    Report {
        seed: world.seed,
        hash: trace.hash(),
        notes: trace.count(),
        runs: world.disk.audit().all_runs().len(),
        millis: world.board.clock.millis(),
        violations: world.board.violations(),
        last_lines: trace.last_lines(),
        seen: world.board.seen(),
    }
}

fn people(world: &Arc<World>) {
    if world.knobs.is_steady() {
        tokio::spawn(punctual(world.clone()));
    }
    for _ in 0..world.knobs.clients {
        tokio::spawn(client::run(world.clone(), world.fork()));
    }
    for number in 0..world.knobs.workers {
        tokio::spawn(worker::generations(world.clone(), world.fork(), number));
    }
}

/// While commits fail now and then, alarms are late, but not by much: they are tried again.
async fn punctual(world: Arc<World>) {
    while world.phase() == Phase::Chaos && !world.board.is_broken() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let latest = world.knobs.latest_alarm();
        let late = world.disk.overdue(world.board.clock.now().plus(-latest));
        if let Some(key) = first_late(&world, &late) {
            let latest = latest / SECOND;
            let why = format!("{key}: its alarm was due {latest} s ago, though only single calls fail");
            world.board.violation(why);
        }
    }
}

/// A run that was reset may be made with an alarm that is due already.
fn first_late<'a>(world: &World, late: &'a [(Time, RunKey)]) -> Option<&'a RunKey> {
    late.iter().map(|(_, key)| key).find(|key| !world.is_rough(&key.entity.id))
}

/// Work goes on and nothing goes wrong: no alarm may be late any more.
async fn calm(world: &World) {
    for second in 0..CALM {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if world.board.is_broken() {
            return;
        }
        if second < 65 {
            continue;
        }
        let late = world.disk.overdue(world.board.clock.now().plus(-LATE * SECOND));
        if let Some(key) = first_late(world, &late) {
            world.board.violation(format!("{key}: its alarm was due {LATE} s ago, and nothing happened"));
        }
    }
}

/// Nobody asks for anything new: everything pending comes to its end by itself.
async fn settle(world: &World) {
    for _ in 0..REST / 5 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if world.board.is_broken() {
            return;
        }
        if check::unsettled(world).is_empty() && family::unsettled(world).is_empty() {
            return compare_all(world).await;
        }
    }
    for why in check::unsettled(world).into_iter().chain(family::unsettled(world)) {
        world.board.violation(format!("still after {REST} s: {why}"));
    }
}

async fn compare_all(world: &World) {
    let entities: Vec<_> = world.disk.audit().runs.keys().cloned().collect();
    for entity in entities {
        client::compare(world, &entity).await;
    }
}

/// A signal wakes each open run, and its worker closes it.
async fn finish(world: &World) {
    for _ in 0..60 {
        let open: Vec<RunKey> = world.disk.audit().open_runs();
        if world.board.is_broken() || open.is_empty() && check::untold(world).is_empty() {
            break;
        }
        for key in open {
            let Some(process) = world.serving() else { return };
            let name = world.name("finish-");
            let signal = Signal { name: name.clone(), request_id: name, ..Signal::default() };
            let input = Input::run(key.run, What::Signal(Box::new(signal)));
            let answer = process.engine.apply(key.entity.clone(), input).await;
            // What closed meanwhile, with its parent for instance, takes no signal; what is closing is asked again.
            let open = world.disk.run(&key).is_some_and(|run| run.is_open());
            if let Err(failure) = answer
                && open
                && !matches!(failure, Failure::Reject(Reject::ResourceExhausted { .. }))
            {
                world.board.violation(format!("{key}: it does not take a signal: {failure:?}"));
            }
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    for key in world.disk.audit().open_runs() {
        world.board.violation(format!("{key}: it is open, and its workers wanted to close it"));
    }
}
