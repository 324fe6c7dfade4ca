//! What a machine decides: a closed list of changes and effects, which the engine stores first and carries out after.

use crate::any::AnyRun;
use crate::batch::CursorRow;
use crate::duration::SECOND;
use crate::key::{CallerId, EntityKey, RowKey, RunKey, TaskKey, Time};
use crate::reject::Reject;
use crate::workflow::reply::WorkflowReply;
use bytes::Bytes;
use std::collections::BTreeSet;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::query::WorkflowQuery;
use uuid::Uuid;

/// A task for a worker. It is a row until a commit consumes it, unless the same commit that adds it also finishes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub key: TaskKey,
    pub run: RunKey,
    pub scheduled_event_id: i64,
    /// Rises when earlier tasks of the same thing become void.
    pub stamp: i32,
    /// After this moment the task is void; a deadline of the run does the failing.
    pub expires: Option<Time>,
    /// A task on a sticky queue: if nobody polls that, the run wants it on its normal queue.
    pub sticky: bool,
    /// Has a row. A speculative workflow task has none: it is lost with the process, and nobody minds.
    pub stored: bool,
    pub priority: Option<Priority>,
    /// When it was put into its queue.
    pub created: Time,
}

impl Task {
    /// When a task was created that got this place at this moment: the same number if its place follows the time, so
    /// that stores need not keep both.
    pub fn created(place: i64, now: Time) -> Time {
        if Time(place).since(now).abs() < SECOND { Time(place) } else { now }
    }
}

/// A message to another entity, kept in the outbox until it was applied there.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub from: RunKey,
    pub to: EntityKey,
    /// Rises within the sending run: the order of delivery, and the key of the row.
    pub sequence: i64,
    /// An encoded `workflow::message::Body`.
    pub body: Bytes,
}

/// What happened to one run.
#[derive(Clone, Debug)]
pub struct RunChange {
    pub key: RunKey,
    /// The state after the change, `None` when the run is deleted.
    pub next: Option<AnyRun>,
    /// Whether anything durable changed. If not, only the volatile half did, and nothing is committed.
    pub durable: bool,
    /// Rows to write as `next` holds them, or to delete if it does not.
    pub rows: BTreeSet<RowKey>,
    /// New history, encoded.
    pub batches: Vec<Batch>,
    pub visibility: bool,
}

/// Events that were written together. Page sizes and reset points count batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub first_event_id: i64,
    pub events: i64,
    /// An encoded `History` message.
    pub encoded: Bytes,
}

/// An answer to somebody who asked in an earlier input.
#[derive(Clone, Debug)]
pub struct Answer {
    pub to: CallerId,
    pub answer: Result<Reply, Reject>,
}

/// A query that goes to a worker without a workflow task. Never stored.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryTask {
    pub caller: CallerId,
    pub run: RunKey,
    pub query: WorkflowQuery,
}

/// A callback that is to be called. How that ends comes back as an input.
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackDue {
    pub run: RunKey,
    pub sequence: i64,
    /// Of how many calls the end is known.
    pub attempt: i32,
    pub url: String,
}

/// A page of the targets of a batch operation that is to be read. What it holds comes back as an input.
#[derive(Clone, Debug, PartialEq)]
pub struct PageDue {
    pub run: RunKey,
    pub number: i64,
    pub query: String,
    /// Where it begins; absent for the first.
    pub after: Option<CursorRow>,
    pub limit: usize,
    /// How many targets there are in all is asked, too.
    pub count: bool,
}

/// What the caller hears, once the decision is durable.
#[derive(Clone, Debug)]
pub enum Reply {
    Done,
    /// The input was about something that is over or not to be done now, and nobody need be told: a worker goes on
    /// waiting. What the step changed, if anything, is committed all the same.
    Stale,
    /// The answer comes later, as an [`Answer`].
    Wait,
    Workflow(Box<WorkflowReply>),
}

impl From<WorkflowReply> for Reply {
    fn from(reply: WorkflowReply) -> Reply {
        Reply::Workflow(Box::new(reply))
    }
}

#[derive(Clone, Debug)]
pub struct Decision {
    /// In the order in which they happened; a run appears once.
    pub runs: Vec<RunChange>,
    pub reply: Result<Reply, Reject>,
    pub answers: Vec<Answer>,
    pub tasks_added: Vec<Task>,
    pub tasks_finished: Vec<TaskKey>,
    pub messages: Vec<Message>,
    /// Outbox rows of these runs that were delivered: (run, sequence).
    pub messages_done: Vec<(RunKey, i64)>,
    pub queries: Vec<QueryTask>,
    /// Callbacks to call now. The callback's row says so too, until the end of the call is stored.
    pub calls: Vec<CallbackDue>,
    /// Pages to read now. The alarm of their run says so too, until they are there.
    pub pages: Vec<PageDue>,
    /// Runs whose history is no longer used by anybody: their branches may go.
    pub branches_dropped: Vec<Uuid>,
}

impl Decision {
    pub fn reply(reply: impl Into<Reply>) -> Decision {
        Decision {
            runs: Vec::new(),
            reply: Ok(reply.into()),
            answers: Vec::new(),
            tasks_added: Vec::new(),
            tasks_finished: Vec::new(),
            messages: Vec::new(),
            messages_done: Vec::new(),
            queries: Vec::new(),
            calls: Vec::new(),
            pages: Vec::new(),
            branches_dropped: Vec::new(),
        }
    }

    /// Whether the store has anything to do with it. A finished task that had a row comes with a durable change of its
    /// run; one without a row is only taken out of memory.
    pub fn durable(&self) -> bool {
        self.runs.iter().any(|run| run.durable)
            || self.tasks_added.iter().any(|task| task.stored)
            || !self.messages.is_empty()
            || !self.messages_done.is_empty()
    }
}
