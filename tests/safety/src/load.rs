//! Clients that start workflows and talk to them, one after the other in each lane, whatever happens to the server; and
//! the ledger of what was acknowledged to them.

use crate::client::{Client, text};
use crate::listener::callback_at;
use crate::plan::Plan;
use anyhow::{Result, bail, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use steadfast_api::v1::common::Callback;
use steadfast_api::v1::history::history_event::Attributes as Event;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A workflow that a client drove to its end. All that is in here was acknowledged.
#[derive(Clone, Debug)]
pub struct Entry {
    pub plan: Plan,
    pub id: String,
    /// The run that the start named.
    pub run: String,
    /// The run that ended for good, and when; the same one unless it went on as a new one.
    pub last_run: String,
    pub closed_at: Option<prost_types::Timestamp>,
    /// Inputs of signals, in the order in which they were sent.
    pub signals: Vec<String>,
    /// Ids of updates whose completion was told.
    pub updates: Vec<String>,
    /// Whether its end is told to the listener.
    pub calls_back: bool,
}

/// What the clients of a load saw.
#[derive(Debug, Default)]
pub struct Ledger {
    pub entries: Vec<Entry>,
    /// Calls that ended as none should.
    pub trouble: Vec<String>,
}

/// Runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    lanes: JoinSet<Ledger>,
}

impl Load {
    /// So many lanes; every workflow id begins with `prefix`.
    pub fn start(channel: &Channel, queue: &str, prefix: &str, lanes: usize, seed: u64) -> Load {
        Load::start_calling(channel, queue, prefix, lanes, seed, None)
    }

    /// The same; the end of some workflows is told to the listener on this port.
    pub fn start_calling(
        channel: &Channel,
        queue: &str,
        prefix: &str,
        lanes: usize,
        seed: u64,
        listener: Option<u16>,
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for lane in 0..lanes {
            let client = Client::new(channel.clone(), queue);
            let prefix = format!("{prefix}-{lane}");
            let random = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(lane as u64));
            let lane = Lane { client, prefix, listener, stop: stop.clone() };
            running.spawn(lane.run(random));
        }
        Load { stop, lanes: running }
    }

    /// Waits until every lane has seen the end of its workflow, and gives the ledger.
    pub async fn stop(mut self) -> Ledger {
        self.stop.store(true, Ordering::Release);
        let mut ledger = Ledger::default();
        while let Some(lane) = self.lanes.join_next().await {
            match lane {
                Ok(lane) => {
                    ledger.entries.extend(lane.entries);
                    ledger.trouble.extend(lane.trouble);
                }
                Err(error) => ledger.trouble.push(format!("a lane ended: {error}")),
            }
        }
        ledger
    }
}

/// A client that drives one workflow after the other.
struct Lane {
    client: Client,
    prefix: String,
    listener: Option<u16>,
    stop: Arc<AtomicBool>,
}

impl Lane {
    async fn run(self, mut random: fastrand::Rng) -> Ledger {
        let mut ledger = Ledger::default();
        for number in 0.. {
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            let plan = Plan::ALL[random.usize(..Plan::ALL.len())];
            let id = format!("{}-{number}", self.prefix);
            // What signal-with-start starts calls nobody.
            let listener = self.listener.filter(|_| plan != Plan::SignalWithStart && random.u8(..3) == 0);
            let callback = listener.map(|port| callback_at(port, &id));
            match drive(&self.client, plan, &id, callback, &mut random).await {
                Ok(entry) => ledger.entries.push(entry),
                Err(error) => ledger.trouble.push(format!("{id} ({}): {error:#}", plan.name())),
            }
        }
        ledger
    }
}

/// One workflow from its start until its close was seen.
async fn drive(
    client: &Client,
    plan: Plan,
    id: &str,
    callback: Option<Callback>,
    random: &mut fastrand::Rng,
) -> Result<Entry> {
    let mut entry = Entry {
        plan,
        id: id.into(),
        run: String::new(),
        last_run: String::new(),
        closed_at: None,
        signals: Vec::new(),
        updates: Vec::new(),
        calls_back: callback.is_some(),
    };
    if plan == Plan::SignalWithStart {
        for number in 0..random.usize(1..5) {
            let mark = number.to_string();
            let run = client.signal_with_start(plan.name(), id, &mark).await?;
            ensure!(number == 0 || run == entry.run, "signalled {} and then {run}", entry.run);
            entry.run = run;
            entry.signals.push(mark);
        }
    } else {
        entry.run = match client.start_calling(plan.name(), id, callback.into_iter().collect()).await {
            Ok(run) => run,
            // A try whose reply was lost has started it, and it has gone on as a new run, which knows nothing of the
            // request id: so it is in the reference, too.
            Err(status) if status.code() == Code::AlreadyExists && plan == Plan::Chain => {
                first_of_chain(client, id).await?
            }
            Err(status) => return Err(status.into()),
        };
    }
    match plan {
        Plan::Signals => {
            for number in 0..random.usize(1..5) {
                let mark = number.to_string();
                client.signal(id, "mark", &mark).await?;
                entry.signals.push(mark);
            }
        }
        Plan::Updates => {
            for number in 0..random.usize(1..4) {
                let mark = format!("update-{number}");
                let result = client.update(id, &mark).await?;
                ensure!(text(result.as_ref()) == mark, "the update {mark} gave {result:?}");
                entry.updates.push(mark);
            }
        }
        Plan::Terminated => unless_over(client.terminate(id, &entry.run).await)?,
        Plan::Cancelled => unless_over(client.cancel(id, &entry.run).await)?,
        _ => {}
    }
    if matches!(plan, Plan::Signals | Plan::SignalWithStart | Plan::Updates) {
        unless_over(client.signal(id, "finish", "finish").await)?;
        entry.signals.push("finish".into());
    }
    entry.last_run = entry.run.clone();
    loop {
        let closed = client.closed(id, &entry.last_run).await?;
        let Some(Event::WorkflowExecutionContinuedAsNewEventAttributes(continued)) = closed.attributes else {
            entry.closed_at = closed.event_time;
            return Ok(entry);
        };
        entry.last_run = continued.new_execution_run_id;
    }
}

/// The first run of a workflow that has gone on as a new one.
async fn first_of_chain(client: &Client, id: &str) -> Result<String> {
    let events = client.history(id, "").await?;
    match events.into_iter().next().and_then(|event| event.attributes) {
        Some(Event::WorkflowExecutionStartedEventAttributes(started)) => Ok(started.first_execution_run_id),
        other => bail!("the history of {id} begins with {other:?}"),
    }
}

/// A call that closes its run may find it closed by a try of its own whose reply was lost. Whether it did is seen in the
/// history.
fn unless_over(result: Result<(), Status>) -> Result<(), Status> {
    match result {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        result => result,
    }
}
