//! What callers and workers hear from the workflow machine.

use bytes::Bytes;
use steadfast_api::v1::common::{Link, Payloads};
use steadfast_api::v1::enums::WorkflowExecutionStatus;
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::protocol::Message as ProtocolMessage;
use steadfast_api::v1::query::{WorkflowQuery, WorkflowQueryResult};
use steadfast_api::v1::update::Outcome;
use steadfast_api::v1::workflow::WorkflowExecutionOptions;
use uuid::Uuid;

use super::message::Content;
use super::rows::{ActivityRow, WorkflowTaskRow};
use crate::key::Time;

#[derive(Clone, Debug)]
pub enum WorkflowReply {
    Started(Started),
    WorkflowTask(StartedWorkflowTask),
    WorkflowTaskCompleted {
        new_task: Option<StartedWorkflowTask>,
        activities: Vec<StartedActivity>,
        reset_history_event_id: i64,
    },
    Activity(StartedActivity),
    /// Failures that the server put in the place of ones that were too large.
    ActivityFailed {
        failures: Vec<Failure>,
    },
    Heartbeat {
        cancel_requested: bool,
        paused: bool,
        reset: bool,
    },
    QueryResult(WorkflowQueryResult),
    QueryRejected(WorkflowExecutionStatus),
    Update(UpdateReply),
    UpdateWithStart {
        started: Started,
        update: UpdateReply,
    },
    Reset {
        run_id: Uuid,
    },
    Options(WorkflowExecutionOptions),
    ActivityOptions(steadfast_api::v1::activity::ActivityOptions),
    SignalWithStart {
        run_id: Uuid,
        started: bool,
    },
    /// To a message of another run: what its sender is to hear.
    Message(Option<Content>),
}

#[derive(Clone, Debug)]
pub struct Started {
    pub run_id: Uuid,
    pub started: bool,
    pub status: WorkflowExecutionStatus,
    pub first_run_id: String,
    pub link: Option<Link>,
    pub eager_task: Option<Box<StartedWorkflowTask>>,
}

#[derive(Clone, Debug)]
pub struct UpdateReply {
    pub run_id: Uuid,
    pub update_id: String,
    /// `UpdateWorkflowExecutionLifecycleStage`.
    pub stage: i32,
    pub outcome: Option<Outcome>,
}

/// A workflow task as a worker gets it, but for the history, which the engine reads.
#[derive(Clone, Debug)]
pub struct StartedWorkflowTask {
    pub workflow_id: String,
    pub run_id: Uuid,
    pub workflow_type: String,
    pub task_queue: String,
    pub task: WorkflowTaskRow,
    pub previous_started_event_id: i64,
    /// The worker knows the history up to the previous started event.
    pub partial: bool,
    /// One past the last event that is in the history.
    pub next_event_id: i64,
    /// Scheduled and Started of a task that is not in the history.
    pub synthetic: Vec<HistoryEvent>,
    pub queries: Vec<(String, WorkflowQuery)>,
    pub messages: Vec<ProtocolMessage>,
    /// Where the history is, for reading it.
    pub branches: Vec<(Uuid, i64)>,
    /// The encoded history, where the engine had it in memory.
    pub history: Option<Bytes>,
}

/// An activity task as a worker gets it. What the event of its scheduling holds (input, header) the engine reads.
#[derive(Clone, Debug)]
pub struct StartedActivity {
    pub workflow_id: String,
    pub run_id: Uuid,
    pub workflow_type: String,
    pub activity: ActivityRow,
    pub attempt: i32,
    pub started_time: Time,
    /// The event of its scheduling, where it was at hand.
    pub scheduled_event: Option<Box<HistoryEvent>>,
    pub heartbeat_details: Option<Payloads>,
    pub branches: Vec<(Uuid, i64)>,
}
