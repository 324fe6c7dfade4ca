//! One measured phase: a closed loop of so many lanes, each doing one unit of work after the other for a given time,
//! with the server's and the driver's use of the machine read before and after.

use anyhow::{Error, Result, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{self, Client};
use crate::metrics;
use crate::process::{Process, Usage, database_size};
use crate::scenario::Scenario;
use crate::server::Target;
use crate::worker::{Worker, WorkerOptions};

/// A unit that takes longer counts as failed: something is stuck, not slow.
const UNIT_PATIENCE: Duration = Duration::from_secs(30);
/// A lane gives up after so many failures in a row.
const FAILURES_IN_A_ROW: u32 = 3;
/// Go servers allow 100 streams to a connection by default in some set-ups; long polls hold theirs.
const LANES_PER_CONNECTION: usize = 50;

/// What to do in a phase.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub scenario: Scenario,
    pub in_flight: usize,
    pub time: Duration,
    pub worker: WorkerOptions,
}

/// What a phase gave. Phases of several rounds are added up by [`Phase::absorb`].
#[derive(Clone, Debug)]
pub struct Phase {
    pub scenario: Scenario,
    pub in_flight: usize,
    /// Units that were finished, the few after the bell included.
    pub units: u64,
    /// The work that was done before the bell, which the throughput counts: a unit that the bell cuts counts by the
    /// share of its time that lay before. Without that, a slow server at many in flight would seem to do nothing.
    pub units_in_time: f64,
    pub time: Duration,
    /// Sorted.
    pub latencies: Vec<Duration>,
    pub failures: u64,
    pub first_failure: Option<String>,
    /// The server answered UNIMPLEMENTED: the scenario does not apply.
    pub unimplemented: bool,
    pub server: Option<ServerUse>,
    pub driver_cpu: Duration,
}

/// What the server used between the first unit and the last.
#[derive(Clone, Copy, Debug)]
pub struct ServerUse {
    pub cpu: Duration,
    pub memory_before: u64,
    pub memory_after: u64,
    /// Growth of the database's files; none without a file.
    pub database: Option<u64>,
    pub written: Option<u64>,
    pub syncs: Option<u64>,
}

/// What the lanes share.
struct Shared {
    scenario: Scenario,
    bell: Instant,
    tag: String,
    next_id: AtomicU64,
}

#[derive(Default)]
struct Lane {
    finished: Vec<(Instant, Duration)>,
    failures: Vec<Error>,
    failed: u64,
}

/// Runs a phase against a server that is up. Fails only when the phase could not be run at all; work that the server
/// did not do is told in the result.
pub async fn run(target: &Target, plan: Plan) -> Result<Phase> {
    let tag = run_tag();
    let queue = format!("bench-{}-{tag}", plan.scenario.name());
    let worker = match plan.scenario.needs_worker() {
        true => {
            let channel = client::connect(&target.address).await?;
            Some(Worker::start(channel, &target.namespace, &queue, plan.worker))
        }
        false => None,
    };
    let mut channels = Vec::new();
    for _ in 0..plan.in_flight.div_ceil(LANES_PER_CONNECTION) {
        channels.push(client::connect(&target.address).await?);
    }
    let clients: Vec<Client> = (0..plan.in_flight)
        .map(|lane| Client::new(channels[lane % channels.len()].clone(), &target.namespace, &queue))
        .collect();

    // The first units pay for connections, caches and a queue that the server sees for the first time.
    let warm_up = plan.time.div_f64(5.0).min(Duration::from_secs(2));
    let warm = lanes(&clients, plan.scenario, warm_up, format!("{tag}-w")).await;
    if let Some(gone) = give_up(&warm, plan, worker.as_ref()) {
        return gone;
    }

    let before = Reading::take(target).await;
    let driver_before = Process::own().usage().unwrap_or_default().cpu;
    let began = Instant::now();
    let done = lanes(&clients, plan.scenario, plan.time, tag).await;
    let after = Reading::take(target).await;
    let driver_cpu = Process::own().usage().unwrap_or_default().cpu.saturating_sub(driver_before);

    let bell = began + plan.time;
    let mut phase = collect(plan, &done, worker.as_ref());
    phase.units_in_time = done
        .iter()
        .flat_map(|lane| &lane.finished)
        .map(|(end, latency)| share_before(bell, *end, *latency))
        .sum();
    phase.driver_cpu = driver_cpu;
    phase.server = Reading::difference(before, after);
    Ok(phase)
}

/// One workflow, to its end: what a person waits for after starting a server. Tried again while the server is not ready
/// for it.
pub async fn first_workflow(target: &Target, deadline: Instant) -> Result<()> {
    let queue = format!("bench-first-{}", run_tag());
    let options = WorkerOptions { pollers: 1, eager: false };
    let channel = client::connect(&target.address).await?;
    let worker = Worker::start(channel.clone(), &target.namespace, &queue, options);
    let mut client = Client::new(channel, &target.namespace, &queue);
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

async fn lanes(clients: &[Client], scenario: Scenario, time: Duration, tag: String) -> Vec<Lane> {
    let bell = Instant::now() + time;
    let shared = Arc::new(Shared { scenario, bell, tag, next_id: AtomicU64::new(0) });
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(lane(client.clone(), shared.clone()));
    }
    tasks.join_all().await
}

async fn lane(mut client: Client, shared: Arc<Shared>) -> Lane {
    let mut lane = Lane::default();
    let prepared = shared.scenario.prepare(&mut client, &shared.id()).await;
    let open = match prepared {
        Ok(open) => open,
        Err(error) => {
            lane.fail(error);
            return lane;
        }
    };
    let mut in_a_row = 0;
    while Instant::now() < shared.bell && in_a_row < FAILURES_IN_A_ROW {
        let id = shared.id();
        let began = Instant::now();
        match timeout(UNIT_PATIENCE, shared.scenario.unit(&mut client, &id, open.as_ref())).await {
            Ok(Ok(())) => {
                lane.finished.push((Instant::now(), began.elapsed()));
                in_a_row = 0;
            }
            Ok(Err(error)) => {
                lane.fail(error);
                in_a_row += 1;
            }
            Err(_) => {
                lane.fail(Error::msg(format!("{id} was not finished within {UNIT_PATIENCE:?}")));
                in_a_row += 1;
            }
        }
    }
    if let Err(error) = shared.scenario.clean_up(&mut client, open).await {
        lane.fail(error);
    }
    lane
}

impl Shared {
    fn id(&self) -> String {
        format!("{}-{}", self.tag, self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

impl Lane {
    fn fail(&mut self, error: Error) {
        self.failed += 1;
        if self.failures.is_empty() {
            self.failures.push(error);
        }
    }
}

/// Which part of a unit's time, from 0 to 1, lay before the bell.
fn share_before(bell: Instant, end: Instant, latency: Duration) -> f64 {
    let over = end.saturating_duration_since(bell);
    1.0 - (over.as_secs_f64() / latency.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0)
}

/// The result at once, if the warm-up shows that measuring makes no sense.
fn give_up(warm: &[Lane], plan: Plan, worker: Option<&Worker>) -> Option<Result<Phase>> {
    let nothing_done = warm.iter().all(|lane| lane.finished.is_empty());
    let failed = warm.iter().any(|lane| lane.failed > 0);
    (nothing_done && failed).then(|| Ok(collect(plan, warm, worker)))
}

fn collect(plan: Plan, lanes: &[Lane], worker: Option<&Worker>) -> Phase {
    let mut latencies: Vec<Duration> =
        lanes.iter().flat_map(|lane| lane.finished.iter().map(|(_, latency)| *latency)).collect();
    latencies.sort();
    let first = lanes.iter().flat_map(|lane| &lane.failures).next();
    let first_failure = first.map(|error| match worker.and_then(Worker::trouble) {
        Some(trouble) => format!("{error}; the worker met: {trouble}"),
        None => error.to_string(),
    });
    Phase {
        scenario: plan.scenario,
        in_flight: plan.in_flight,
        units: latencies.len() as u64,
        units_in_time: latencies.len() as f64,
        time: plan.time,
        latencies,
        failures: lanes.iter().map(|lane| lane.failed).sum(),
        unimplemented: first.is_some_and(client::is_unimplemented),
        first_failure,
        server: None,
        driver_cpu: Duration::ZERO,
    }
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

impl Phase {
    /// Units a second, counting those that were finished in time.
    pub fn throughput(&self) -> f64 {
        self.units_in_time / self.time.as_secs_f64()
    }

    /// The latency that the given share of units did not exceed; none without units.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied()
    }

    /// Milliseconds of the server's CPU for one unit.
    pub fn server_cpu_ms(&self) -> Option<f64> {
        self.per_unit(self.server?.cpu.as_secs_f64() * 1000.0)
    }

    pub fn driver_cpu_ms(&self) -> Option<f64> {
        self.per_unit(self.driver_cpu.as_secs_f64() * 1000.0)
    }

    pub fn database_bytes(&self) -> Option<f64> {
        self.per_unit(self.server?.database? as f64)
    }

    pub fn written_bytes(&self) -> Option<f64> {
        self.per_unit(self.server?.written? as f64)
    }

    pub fn syncs(&self) -> Option<f64> {
        self.per_unit(self.server?.syncs? as f64)
    }

    fn per_unit(&self, amount: f64) -> Option<f64> {
        (self.units > 0).then(|| amount / self.units as f64)
    }

    /// Adds another round of the same phase.
    pub fn absorb(&mut self, other: Phase) {
        self.units += other.units;
        self.units_in_time += other.units_in_time;
        self.time += other.time;
        self.latencies.extend(other.latencies);
        self.latencies.sort();
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.unimplemented |= other.unimplemented;
        self.driver_cpu += other.driver_cpu;
        let add = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        self.server = match (self.server, other.server) {
            (Some(a), Some(b)) => Some(ServerUse {
                cpu: a.cpu + b.cpu,
                memory_before: a.memory_before.max(b.memory_before),
                memory_after: a.memory_after.max(b.memory_after),
                database: add(a.database, b.database),
                written: add(a.written, b.written),
                syncs: add(a.syncs, b.syncs),
            }),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(latencies: &[u64]) -> Phase {
        let plan = Plan {
            scenario: Scenario::Noop,
            in_flight: 1,
            time: Duration::from_secs(2),
            worker: WorkerOptions { pollers: 1, eager: false },
        };
        let finished = latencies.iter().map(|ms| (Instant::now(), Duration::from_millis(*ms))).collect();
        collect(plan, &[Lane { finished, ..Lane::default() }], None)
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let phase = phase(&hundred);
        assert_eq!(phase.percentile(0.5), Some(Duration::from_millis(50)));
        assert_eq!(phase.percentile(0.99), Some(Duration::from_millis(99)));
        assert_eq!(phase.throughput(), 50.0);
    }

    #[test]
    fn a_unit_that_the_bell_cuts_counts_in_part() {
        let bell = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(share_before(bell, bell, second), 1.0);
        assert_eq!(share_before(bell, bell + second / 4, second), 0.75);
        assert_eq!(share_before(bell, bell + second * 2, second), 0.0);
    }

    #[test]
    fn no_units_give_no_numbers() {
        let phase = phase(&[]);
        assert_eq!(phase.percentile(0.5), None);
        assert_eq!(phase.driver_cpu_ms(), None);
    }

    #[test]
    fn rounds_add_up() {
        let mut both = phase(&[1, 3]);
        both.absorb(phase(&[2]));
        assert_eq!((both.units, both.time), (3, Duration::from_secs(4)));
        assert_eq!(both.percentile(0.5), Some(Duration::from_millis(2)));
    }
}
