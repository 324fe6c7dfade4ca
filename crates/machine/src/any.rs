//! One run, one input, one entry point, whatever the kind: the engine treats all machines alike.

use crate::decision::Decision;
use crate::env::Env;
use crate::key::{CallerId, EntityKey, Kind, RowKey, Time};
use crate::reject::Reject;
use crate::workflow::message::{Delivered, Envelope};
use crate::workflow::state::BadRow;
use crate::{batch, standalone_activity, workflow};
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

/// A run of any kind, as it was after some step. It is shared, not copied: a run is more than a kilobyte of pointers.
#[derive(Clone, Debug)]
pub enum AnyRun {
    Workflow(Arc<workflow::state::Run>),
    Activity(Arc<standalone_activity::Run>),
    Batch(Arc<batch::Run>),
}

/// An input to an entity of any kind.
#[derive(Clone, Debug)]
pub enum AnyInput {
    Workflow(workflow::input::Input),
    Activity(standalone_activity::Input),
    Batch(batch::Input),
}

impl From<workflow::input::Input> for AnyInput {
    fn from(input: workflow::input::Input) -> AnyInput {
        AnyInput::Workflow(input)
    }
}

impl From<standalone_activity::Input> for AnyInput {
    fn from(input: standalone_activity::Input) -> AnyInput {
        AnyInput::Activity(input)
    }
}

impl From<batch::Input> for AnyInput {
    fn from(input: batch::Input) -> AnyInput {
        AnyInput::Batch(input)
    }
}

impl AnyInput {
    /// The run that it names.
    pub fn run(&self) -> Option<Uuid> {
        match self {
            AnyInput::Workflow(input) => input.run,
            AnyInput::Activity(input) => input.run,
            AnyInput::Batch(input) => input.run,
        }
    }

    /// The run's alarm is due.
    pub fn alarm(kind: Kind, run: Uuid) -> AnyInput {
        match kind {
            Kind::Activity => {
                standalone_activity::Input::run(run, standalone_activity::What::AlarmDue).into()
            }
            Kind::Batch => batch::Input::run(run, batch::What::AlarmDue).into(),
            _ => workflow::input::Input::run(run, workflow::input::What::AlarmDue).into(),
        }
    }

    /// The run is to be removed.
    pub fn delete(kind: Kind, run: Uuid) -> AnyInput {
        match kind {
            Kind::Activity => standalone_activity::Input::run(run, standalone_activity::What::Delete).into(),
            Kind::Batch => batch::Input::run(run, batch::What::Delete).into(),
            _ => workflow::input::Input::run(run, workflow::input::What::Delete).into(),
        }
    }

    pub fn is_delete(&self) -> bool {
        match self {
            AnyInput::Workflow(input) => matches!(input.what, workflow::input::What::Delete),
            AnyInput::Activity(input) => matches!(input.what, standalone_activity::What::Delete),
            AnyInput::Batch(input) => matches!(input.what, batch::What::Delete),
        }
    }

    /// A message arrives that another run, or the same, sent. Only workflows get any.
    pub fn message(run: Option<Uuid>, envelope: Envelope) -> AnyInput {
        let what = workflow::input::What::Message(envelope);
        workflow::input::Input { run, first_run: None, what }.into()
    }

    /// To the sender of a message: how it ended.
    pub fn delivered(kind: Kind, run: Uuid, delivered: Delivered) -> AnyInput {
        let delivered = Box::new(delivered);
        match kind {
            Kind::Batch => batch::Input::run(run, batch::What::Delivered(delivered)).into(),
            _ => workflow::input::Input::run(run, workflow::input::What::Delivered(delivered)).into(),
        }
    }
}

/// The runs of an entity that an input may be about.
#[derive(Clone, Copy, Debug)]
pub struct AnyRuns<'a> {
    /// The run with the highest id, open or closed.
    pub current: Option<&'a AnyRun>,
    /// The run that the input names; the current one where it names none.
    pub named: Option<&'a AnyRun>,
}

impl<'a> AnyRuns<'a> {
    fn workflows(self) -> workflow::Runs<'a> {
        let workflow = |run: &'a AnyRun| run.workflow().map(|run| &**run);
        workflow::Runs { current: self.current.and_then(workflow), named: self.named.and_then(workflow) }
    }

    fn activities(self) -> standalone_activity::Runs<'a> {
        let activity = |run: &'a AnyRun| run.activity().map(|run| &**run);
        standalone_activity::Runs {
            current: self.current.and_then(activity),
            named: self.named.and_then(activity),
        }
    }

    fn batches(self) -> batch::Runs<'a> {
        let batch = |run: &'a AnyRun| run.batch().map(|run| &**run);
        batch::Runs { current: self.current.and_then(batch), named: self.named.and_then(batch) }
    }
}

/// History that the input needs to have loaded.
pub fn needs(runs: AnyRuns<'_>, input: &AnyInput) -> workflow::Needs {
    match input {
        AnyInput::Workflow(input) => workflow::needs(runs.workflows(), input),
        AnyInput::Activity(_) | AnyInput::Batch(_) => workflow::Needs::default(),
    }
}

/// Decides what an input does. A `Reject` means that nothing changes at all.
pub fn apply(
    entity: &EntityKey,
    runs: AnyRuns<'_>,
    input: &AnyInput,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    match input {
        AnyInput::Workflow(input) => workflow::apply(entity, runs.workflows(), input, env),
        AnyInput::Activity(input) => standalone_activity::apply(entity, runs.activities(), input, env),
        AnyInput::Batch(input) => batch::apply(entity, runs.batches(), input, env),
    }
}

impl AnyRun {
    /// Reads a run back from its rows.
    pub fn decode(kind: Kind, id: Uuid, core: &[u8], rows: &[(RowKey, Bytes)]) -> Result<AnyRun, BadRow> {
        match kind {
            Kind::Workflow => Ok(AnyRun::Workflow(Arc::new(workflow::state::Run::decode(id, core, rows)?))),
            Kind::Activity => {
                Ok(AnyRun::Activity(Arc::new(standalone_activity::Run::decode(id, core, rows)?)))
            }
            Kind::Batch => Ok(AnyRun::Batch(Arc::new(batch::Run::decode(id, core, rows)?))),
            kind => Err(BadRow(format!("a run of the kind {kind:?}, which this version does not know"))),
        }
    }

    pub fn workflow(&self) -> Option<&Arc<workflow::state::Run>> {
        match self {
            AnyRun::Workflow(run) => Some(run),
            AnyRun::Activity(_) | AnyRun::Batch(_) => None,
        }
    }

    pub fn activity(&self) -> Option<&Arc<standalone_activity::Run>> {
        match self {
            AnyRun::Activity(run) => Some(run),
            AnyRun::Workflow(_) | AnyRun::Batch(_) => None,
        }
    }

    pub fn batch(&self) -> Option<&Arc<batch::Run>> {
        match self {
            AnyRun::Batch(run) => Some(run),
            AnyRun::Workflow(_) | AnyRun::Activity(_) => None,
        }
    }

    pub fn id(&self) -> Uuid {
        match self {
            AnyRun::Workflow(run) => run.id,
            AnyRun::Activity(run) => run.id,
            AnyRun::Batch(run) => run.id,
        }
    }

    pub fn encode_core(&self) -> Bytes {
        match self {
            AnyRun::Workflow(run) => run.encode_core(),
            AnyRun::Activity(run) => run.encode_core(),
            AnyRun::Batch(run) => run.encode_core(),
        }
    }

    pub fn encode_row(&self, key: &RowKey) -> Option<Bytes> {
        match self {
            AnyRun::Workflow(run) => run.encode_row(key),
            AnyRun::Activity(run) => run.encode_row(key),
            AnyRun::Batch(run) => run.encode_row(key),
        }
    }

    pub fn is_open(&self) -> bool {
        match self {
            AnyRun::Workflow(run) => run.is_open(),
            AnyRun::Activity(run) => run.is_open(),
            AnyRun::Batch(run) => run.is_open(),
        }
    }

    /// When this run wants to be woken next.
    pub fn alarm(&self) -> Option<Time> {
        match self {
            AnyRun::Workflow(run) => run.alarm(),
            AnyRun::Activity(run) => run.alarm(),
            AnyRun::Batch(run) => run.alarm(),
        }
    }

    /// The alarm as it is stored: without what only memory knows.
    pub fn stored_alarm(&self) -> Option<Time> {
        match self {
            AnyRun::Workflow(run) => run.stored_alarm(),
            AnyRun::Activity(run) => run.alarm(),
            AnyRun::Batch(run) => run.stored_alarm(),
        }
    }

    /// The branch that new history goes to; nil for kinds that have no history.
    pub fn branch(&self) -> Uuid {
        self.workflow().map_or(Uuid::nil(), |run| run.branch())
    }

    /// Holds something that memory must not let go of, because somebody waits for it.
    pub fn has_volatile(&self) -> bool {
        self.workflow().is_some_and(|run| {
            !run.volatile.is_empty() || run.core.task.as_ref().is_some_and(|task| task.speculative)
        })
    }

    /// Callers who wait for something that is lost when memory is dropped.
    pub fn waiting_callers(&self) -> Vec<CallerId> {
        let Some(run) = self.workflow() else { return Vec::new() };
        let queries = run.volatile.queries.iter().map(|query| query.caller);
        queries.chain(run.volatile.update_waiters.iter().map(|waiter| waiter.caller)).collect()
    }

    /// A rough measure of what it takes of memory, in bytes. What a run takes that only waits was measured on a server with
    /// 20,000 of them, with what the allocator adds.
    pub fn weight(&self) -> usize {
        const WAITING: usize = 5_200;
        let run = match self {
            AnyRun::Workflow(run) => run,
            AnyRun::Activity(_) => return WAITING,
            AnyRun::Batch(run) => return WAITING + run.weight(),
        };
        WAITING
            + run.activities.len() * 700
            + run.timers.len() * 250
            + run.children.len() * 400
            + run.externals.len() * 300
            + run.updates.len() * 400
            + run.signal_ids.len() * 80
            + run.request_ids.len() * 150
            + run.buffered.len() * 500
            + run.callbacks.len() * 600
    }
}
