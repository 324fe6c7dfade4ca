//! One measured phase: a warm-up, then the lanes, with the server's and the driver's use of the machine read before and
//! after; and the work that is done before anything is measured.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};
use tokio::time::timeout;

use crate::client::{self, Client};
use crate::connection::Connection;
use crate::lanes::{self, Lane, Prepared, Until};
use crate::metrics;
use crate::phase::{Phase, ServerUse};
use crate::process::{Process, Usage, database_size};
use crate::scenario::Scenario;
use crate::server::Target;
use crate::worker::{Worker, WorkerOptions};

/// Go servers allow 100 streams to a connection by default in some set-ups; long polls hold theirs.
const LANES_PER_CONNECTION: usize = 50;
/// Lanes for work that is not measured: enough to keep any server busy.
const UNMEASURED_LANES: usize = 64;
/// A backlog that shrinks slower than one in this time does not shrink.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// What to do in a phase.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    pub in_flight: usize,
    pub time: Duration,
    /// Events of the open runs that the scenario `step` works on, at least.
    pub history_events: u64,
    pub worker: WorkerOptions,
}

/// Runs a phase against a server that is up. Fails only when the phase could not be run at all; work that the server
/// did not do is told in the result.
pub async fn run(target: &Target, plan: Plan) -> Result<Phase> {
    let tag = run_tag();
    let queue = format!("bench-{}-{tag}", plan.scenario.name());
    let worker = match plan.scenario.needs_worker() {
        true => Some(worker(target, &queue, plan.worker).await?),
        false => None,
    };
    let clients = clients(target, &queue, plan.in_flight).await?;
    let clients = lanes::prepare(clients, plan.scenario, plan.history_events, &tag).await?;

    // The first units pay for connections, caches and a queue that the server sees for the first time.
    let warm_up = Instant::now() + plan.time.div_f64(5.0).min(Duration::from_secs(2));
    let warm = lanes::run(&clients, plan.scenario, Until::Bell(warm_up), format!("{tag}-w")).await;
    if warm.iter().all(|lane| lane.finished.is_empty()) && warm.iter().any(|lane| lane.failed > 0) {
        return Ok(collect(plan, &warm, worker.as_ref()));
    }

    let meter = Meter::start(target).await;
    let bell = Instant::now() + plan.time;
    let done = lanes::run(&clients, plan.scenario, Until::Bell(bell), tag).await;
    let mut phase = collect(plan, &done, worker.as_ref());
    meter.stop(target, &mut phase).await;
    let finished = done.iter().flat_map(|lane| &lane.finished);
    phase.units_in_time = finished.map(|(end, latency)| share_before(bell, *end, *latency)).sum();
    lanes::clean_up(clients).await?;
    Ok(phase)
}

/// So many starts that nobody works on, then workers: how fast the backlog goes away, and at what cost.
pub async fn drain(target: &Target, plan: Plan, backlog: u64) -> Result<Phase> {
    let tag = run_tag();
    let queue = format!("bench-{}-{tag}", plan.scenario.name());
    let clients = plain_clients(target, &queue, plan.in_flight).await?;
    let started = lanes::run(&clients, Scenario::Start, Until::Units(backlog), tag).await;
    let mut phase = collect(plan, &started, None);
    phase.latencies.clear();
    if phase.failures > 0 {
        return Ok(phase);
    }

    let meter = Meter::start(target).await;
    let began = Instant::now();
    let worker = worker(target, &queue, plan.worker).await?;
    let mut done = worker.decisions();
    loop {
        let before = *done.borrow_and_update();
        if before >= backlog {
            break;
        }
        if timeout(DRAIN_PATIENCE, done.changed()).await.is_err() {
            phase.failures = backlog - before;
            let trouble = worker.trouble().unwrap_or_else(|| "no error was seen".into());
            phase.first_failure = Some(format!("the backlog stopped to shrink: {trouble}"));
            break;
        }
    }
    phase.time = began.elapsed();
    phase.units = backlog - phase.failures;
    phase.units_in_time = phase.units as f64;
    meter.stop(target, &mut phase).await;
    Ok(phase)
}

/// Leaves so many runs of a scenario behind, unmeasured.
pub async fn leave_behind(
    target: &Target,
    scenario: Scenario,
    runs: u64,
    options: WorkerOptions,
) -> Result<()> {
    if runs == 0 {
        return Ok(());
    }
    let tag = run_tag();
    let queue = format!("bench-{tag}");
    // One poller would make a million runs a matter of hours.
    let options = WorkerOptions { pollers: options.pollers.max(UNMEASURED_LANES), ..options };
    let worker = worker(target, &queue, options).await?;
    let clients = plain_clients(target, &queue, UNMEASURED_LANES).await?;
    let done = lanes::run(&clients, scenario, Until::Units(runs), tag).await;
    if let Some(error) = done.into_iter().find_map(|lane| lane.first_failure) {
        return Err(error.context(format!("preparing {runs} runs of {}", scenario.name())));
    }
    // A run is idle only once its first task is done.
    let mut decisions = worker.decisions();
    match timeout(DRAIN_PATIENCE, decisions.wait_for(|done| *done >= runs)).await {
        Ok(_) => Ok(()),
        Err(_) => bail!("preparing {runs} runs of {}: their first tasks were not done", scenario.name()),
    }
}

/// One workflow, to its end: what a person waits for after starting a server. Tried again while the server is not ready
/// for it.
pub async fn first_workflow(target: &Target, deadline: Instant) -> Result<()> {
    let queue = format!("bench-first-{}", run_tag());
    let options = WorkerOptions { pollers: 1, eager: false };
    let worker = worker(target, &queue, options).await?;
    let mut client = Client::new(Connection::open(&target.address).await?, &target.namespace, &queue);
    let mut refusal = None;
    for attempt in 0.. {
        let id = format!("{queue}-{attempt}");
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, Scenario::Noop.unit(&mut client, &id, None)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => refusal = Some(error.to_string()),
            Err(_) => break,
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let reason = refusal.or(worker.trouble()).unwrap_or_else(|| "no error was seen".into());
    bail!("the first workflow did not finish in time: {reason}")
}

/// Ids must differ between runs on a server that keeps its data.
#[allow(clippy::disallowed_methods, reason = "the driver is a client, not a machine: nothing replays it")]
fn run_tag() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

async fn worker(target: &Target, queue: &str, options: WorkerOptions) -> Result<Worker> {
    let connection = Connection::open(&target.address).await?;
    Ok(Worker::start(connection, &target.namespace, queue, options))
}

/// Clients whose units need no run of their own.
async fn plain_clients(target: &Target, queue: &str, lanes: usize) -> Result<Vec<Prepared>> {
    let clients = clients(target, queue, lanes).await?;
    Ok(clients.into_iter().map(|client| Prepared { client, open: None }).collect())
}

async fn clients(target: &Target, queue: &str, lanes: usize) -> Result<Vec<Client>> {
    let mut connections = Vec::new();
    for _ in 0..lanes.div_ceil(LANES_PER_CONNECTION) {
        connections.push(Connection::open(&target.address).await?);
    }
    let connections = connections.iter().cycle().take(lanes);
    Ok(connections.map(|connection| Client::new(connection.clone(), &target.namespace, queue)).collect())
}

/// Which part of a unit's time, from 0 to 1, lay before the bell.
fn share_before(bell: Instant, end: Instant, latency: Duration) -> f64 {
    let over = end.saturating_duration_since(bell);
    1.0 - (over.as_secs_f64() / latency.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0)
}

fn collect(plan: Plan, lanes: &[Lane], worker: Option<&Worker>) -> Phase {
    let mut phase = Phase::empty(plan.scenario, plan.in_flight, plan.time);
    phase.latencies =
        lanes.iter().flat_map(|lane| lane.finished.iter().map(|(_, latency)| *latency)).collect();
    phase.latencies.sort();
    phase.units = phase.latencies.len() as u64;
    phase.units_in_time = phase.units as f64;
    phase.failures = lanes.iter().map(|lane| lane.failed).sum();
    let first = lanes.iter().find_map(|lane| lane.first_failure.as_ref());
    phase.unimplemented = first.is_some_and(client::is_unimplemented);
    phase.first_failure = first.map(|error| match worker.and_then(Worker::trouble) {
        Some(trouble) => format!("{error}; the worker met: {trouble}"),
        None => error.to_string(),
    });
    phase
}

/// The readings at the begin of a phase.
struct Meter {
    server: Option<Reading>,
    driver_cpu: Duration,
}

impl Meter {
    async fn start(target: &Target) -> Meter {
        Meter { server: Reading::take(target).await, driver_cpu: driver_cpu() }
    }

    async fn stop(self, target: &Target, phase: &mut Phase) {
        phase.server = Reading::difference(self.server, Reading::take(target).await);
        phase.driver_cpu = driver_cpu().saturating_sub(self.driver_cpu);
    }
}

fn driver_cpu() -> Duration {
    Process::own().usage().unwrap_or_default().cpu
}

struct Reading {
    usage: Usage,
    database: u64,
    syncs: Option<u64>,
}

impl Reading {
    async fn take(target: &Target) -> Option<Reading> {
        let usage = target.process.as_ref()?.usage()?;
        let database = target.database.as_deref().map(database_size).unwrap_or(0);
        Some(Reading { usage, database, syncs: metrics::syncs(target.metrics_port).await })
    }

    fn difference(before: Option<Reading>, after: Option<Reading>) -> Option<ServerUse> {
        let (before, after) = (before?, after?);
        let grown = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
        Some(ServerUse {
            cpu: after.usage.cpu.saturating_sub(before.usage.cpu),
            memory_before: before.usage.resident,
            memory_after: after.usage.resident,
            database: (after.database > 0).then(|| after.database.saturating_sub(before.database)),
            written: grown(before.usage.written, after.usage.written),
            syncs: grown(before.syncs, after.syncs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_the_bell_cuts_counts_in_part() {
        let bell = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(share_before(bell, bell, second), 1.0);
        assert_eq!(share_before(bell, bell + second / 4, second), 0.75);
        assert_eq!(share_before(bell, bell + second * 2, second), 0.0);
    }
}
