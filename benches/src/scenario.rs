//! The scenarios: what one unit of work is in each, from the client's first call to what it waits for.

use anyhow::{Result, bail};
use std::str::FromStr;

use crate::client::Client;
use crate::workflows::Workflow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Start a workflow that completes in its first task, wait for its close.
    Noop,
    /// The same with one activity in between.
    Activity,
    /// The same with ten activities, one after the other.
    TenActivities,
    /// Start, a timer of 10 ms, close.
    Timer,
    /// Start, a signal right after, close.
    Signal,
    /// Signal with start, close.
    SignalWithStart,
    /// Start, an update right after that is waited for, close.
    Update,
    /// An update of an open run that goes on, one run for each unit in flight: one step on the sticky queue. With
    /// `--history-events` the run has a long history by then.
    Step,
    /// A query of an open run, answered by the worker: one run for each unit in flight, started before.
    Query,
    /// Start a workflow that starts a child and waits for it, close.
    Child,
    /// Start only, with no worker: the run stays open.
    Start,
    /// The first page of a list of closed runs.
    List,
    /// A count of closed runs.
    Count,
    /// Starts without a worker, then workers: the measured part is how the backlog goes away.
    Backlog,
    /// Start a workflow whose first task leaves it waiting. Not for measuring: it fills a server with open runs.
    Idle,
}

impl Scenario {
    pub const ALL: [Scenario; 14] = [
        Scenario::Noop,
        Scenario::Activity,
        Scenario::TenActivities,
        Scenario::Timer,
        Scenario::Signal,
        Scenario::SignalWithStart,
        Scenario::Update,
        Scenario::Step,
        Scenario::Query,
        Scenario::Child,
        Scenario::Start,
        Scenario::List,
        Scenario::Count,
        Scenario::Backlog,
    ];

    /// What runs when nothing is said: the scenarios that the project's goals are about.
    pub const DEFAULT: [Scenario; 4] =
        [Scenario::Noop, Scenario::Activity, Scenario::Signal, Scenario::Start];

    pub fn name(self) -> &'static str {
        match self {
            Scenario::Noop => "noop",
            Scenario::Activity => "activity",
            Scenario::TenActivities => "ten-activities",
            Scenario::Timer => "timer",
            Scenario::Signal => "signal",
            Scenario::SignalWithStart => "signal-with-start",
            Scenario::Update => "update",
            Scenario::Step => "step",
            Scenario::Query => "query",
            Scenario::Child => "child",
            Scenario::Start => "start",
            Scenario::List => "list",
            Scenario::Count => "count",
            Scenario::Backlog => "backlog",
            Scenario::Idle => "idle",
        }
    }

    pub fn needs_worker(self) -> bool {
        !matches!(self, Scenario::Start | Scenario::List | Scenario::Count)
    }

    /// Closed runs that must be there for the scenario to make sense, when nothing else is asked for.
    pub fn closed_runs(self) -> u64 {
        match self {
            Scenario::List | Scenario::Count => 1000,
            _ => 0,
        }
    }

    /// Makes what a lane needs before its first unit: a run to query, or one to update, with so many events.
    pub async fn prepare(self, client: &mut Client, id: &str, events: u64) -> Result<Option<OpenRun>> {
        let workflow = match self {
            Scenario::Query => Workflow::Wait,
            Scenario::Step => Workflow::Serve,
            _ => return Ok(None),
        };
        let run_id = client.start(workflow, id).await?;
        client.query(id, &run_id).await?;
        if self == Scenario::Step {
            let mut sent = 0;
            while client.history_length(id, &run_id).await? < events {
                for _ in 0..SIGNALS_AT_ONCE {
                    sent += 1;
                    client.signal(id, &run_id, &format!("{id}-{sent}")).await?;
                }
            }
        }
        Ok(Some(OpenRun { id: id.into(), run_id }))
    }

    /// One unit of work. `id` has not been used before.
    pub async fn unit(self, client: &mut Client, id: &str, open: Option<&OpenRun>) -> Result<()> {
        match self {
            Scenario::Noop => start_and_wait(client, Workflow::Noop, id).await,
            Scenario::Activity => start_and_wait(client, Workflow::Activities(1), id).await,
            Scenario::TenActivities => start_and_wait(client, Workflow::Activities(10), id).await,
            Scenario::Timer => start_and_wait(client, Workflow::Timer, id).await,
            Scenario::Child => start_and_wait(client, Workflow::Parent, id).await,
            Scenario::Signal => {
                let run_id = client.start(Workflow::Signal, id).await?;
                client.signal(id, &run_id, id).await?;
                client.wait_completed(id, &run_id).await
            }
            Scenario::SignalWithStart => {
                let run_id = client.signal_with_start(Workflow::Signal, id).await?;
                client.wait_completed(id, &run_id).await
            }
            Scenario::Update => {
                let run_id = client.start(Workflow::Update, id).await?;
                client.update(id, &run_id, id).await?;
                client.wait_completed(id, &run_id).await
            }
            Scenario::Step => match open {
                Some(run) => client.update(&run.id, &run.run_id, id).await,
                None => bail!("step: no open run was prepared"),
            },
            Scenario::Query => match open {
                Some(run) => client.query(&run.id, &run.run_id).await,
                None => bail!("query: no open run was prepared"),
            },
            Scenario::Start | Scenario::Backlog => client.start(Workflow::Noop, id).await.map(drop),
            Scenario::Idle => client.start(Workflow::Wait, id).await.map(drop),
            Scenario::List => client.list().await,
            Scenario::Count => client.count().await,
        }
    }
}

/// Signals between two looks at how long the history is by now.
const SIGNALS_AT_ONCE: u32 = 100;

/// A run that stays open while a lane works on it.
#[derive(Clone, Debug)]
pub struct OpenRun {
    id: String,
    run_id: String,
}

impl OpenRun {
    pub async fn end(self, client: &mut Client) -> Result<()> {
        client.terminate(&self.id, &self.run_id).await
    }
}

async fn start_and_wait(client: &mut Client, workflow: Workflow, id: &str) -> Result<()> {
    let run_id = client.start(workflow, id).await?;
    client.wait_completed(id, &run_id).await
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Scenario::ALL.into_iter().find(|scenario| scenario.name() == name).ok_or_else(|| {
            let names: Vec<_> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
            format!("no scenario `{name}`; there are {}", names.join(", "))
        })
    }
}
