//! Everything that can happen to a workflow.

use crate::key::CallerId;
use crate::reject::Reject;
use bytes::Bytes;
use steadfast_api::v1::command::Command;
use steadfast_api::v1::common::{
    Callback, Header, Link, Memo, Payloads, Priority, RetryPolicy, SearchAttributes,
};
use steadfast_api::v1::enums::{
    ResetReapplyExcludeType, ResetReapplyType, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
    WorkflowTaskFailedCause,
};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::protocol::Message as ProtocolMessage;
use steadfast_api::v1::query::{WorkflowQuery, WorkflowQueryResult};
use steadfast_api::v1::sdk::{UserMetadata, WorkflowTaskCompletedMetadata};
use steadfast_api::v1::update::Request as UpdateRequest;
use steadfast_api::v1::workflow::{OnConflictOptions, VersioningOverride};
use steadfast_api::v1::workflowservice::{
    RespondWorkflowTaskCompletedRequest, UpdateActivityOptionsRequest, UpdateWorkflowExecutionOptionsRequest,
};
use uuid::Uuid;

/// An input names the run it is for; without one it is for the current run.
#[derive(Clone, Debug)]
pub struct Input {
    pub run: Option<Uuid>,
    /// For calls that address a chain of runs: the first run's id must be this (and `run` is ignored).
    pub first_run: Option<Uuid>,
    pub what: What,
}

impl Input {
    pub fn current(what: What) -> Input {
        Input { run: None, first_run: None, what }
    }

    pub fn run(run: Uuid, what: What) -> Input {
        Input { run: Some(run), first_run: None, what }
    }
}

#[derive(Clone, Debug)]
pub enum What {
    Start(Box<Start>),
    SignalWithStart(Box<SignalWithStart>),
    Signal(Box<Signal>),
    RequestCancel(RequestCancel),
    Terminate(Terminate),
    Delete,
    /// A worker takes a workflow task (from a queue, or because it waited when the task was made).
    StartWorkflowTask(StartWorkflowTask),
    CompleteWorkflowTask(Box<CompleteWorkflowTask>),
    FailWorkflowTask(Box<FailWorkflowTask>),
    /// Nobody polls the sticky queue: the task goes to the normal one.
    StickyUnavailable {
        scheduled_event_id: i64,
        stamp: i32,
    },
    ResetSticky,
    StartActivity(StartActivity),
    /// The poller was gone when the task was handed to it: same attempt, back to the queue.
    ActivityUndelivered {
        scheduled_event_id: i64,
        attempt: i32,
        request_id: String,
    },
    EndActivity(Box<EndActivity>),
    HeartbeatActivity(Box<HeartbeatActivity>),
    /// The run's alarm is due.
    AlarmDue,
    Query(Box<Query>),
    /// The caller gave up, or its deadline passed.
    ForgetCaller(CallerId),
    Update(Box<Update>),
    PollUpdate {
        caller: CallerId,
        update_id: String,
        stage: i32,
    },
    /// Start and update in one step; the reply is the update's, with what the start did.
    UpdateWithStart {
        start: Box<Start>,
        update: Box<Update>,
    },
    Reset(Box<Reset>),
    Pause {
        identity: String,
        reason: String,
        request_id: String,
    },
    Unpause {
        identity: String,
        reason: String,
        request_id: String,
    },
    UpdateOptions(Box<UpdateWorkflowExecutionOptionsRequest>),
    PauseActivity {
        selector: ActivitySelector,
        identity: String,
        reason: String,
        request_id: String,
    },
    UnpauseActivity {
        selector: ActivitySelector,
        reset_attempts: bool,
        reset_heartbeat: bool,
        jitter: i64,
    },
    ResetActivity {
        selector: ActivitySelector,
        reset_heartbeat: bool,
        keep_paused: bool,
        restore_original_options: bool,
        jitter: i64,
    },
    UpdateActivityOptions(Box<UpdateActivityOptionsRequest>),
    /// How the call of a callback ended.
    CallbackEnded {
        sequence: i64,
        attempt: i32,
        end: CallEnd,
    },
    /// A message that another run (or this one) sent through its outbox.
    Message(super::message::Envelope),
    /// To the sender: how its message ended. The message's row goes with the commit of this.
    Delivered(Box<super::message::Delivered>),
}

/// A request to start, checked and with its defaults filled in by the server.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub workflow_id: String,
    pub workflow_type: String,
    pub task_queue: String,
    pub input: Option<Payloads>,
    pub header: Option<Header>,
    /// Nanoseconds; 0 for none.
    pub execution_timeout: i64,
    pub run_timeout: i64,
    /// Whether the request names the timeout, be it with zero: then it shows.
    pub execution_timeout_told: bool,
    pub run_timeout_told: bool,
    pub task_timeout: i64,
    pub identity: String,
    pub request_id: String,
    pub reuse: WorkflowIdReusePolicy,
    pub conflict: WorkflowIdConflictPolicy,
    pub retry_policy: Option<RetryPolicy>,
    pub cron: String,
    pub memo: Option<Memo>,
    pub search_attributes: Option<SearchAttributes>,
    pub start_delay: i64,
    pub user_metadata: Option<UserMetadata>,
    pub links: Vec<Link>,
    pub priority: Option<Priority>,
    pub callbacks: Vec<Callback>,
    pub versioning_override: Option<VersioningOverride>,
    pub on_conflict: Option<OnConflictOptions>,
    pub eager: bool,
    pub eager_worker: Option<EagerWorker>,
    pub last_result: Option<Payloads>,
    pub continued_failure: Option<Failure>,
    /// For a child workflow.
    pub parent: Option<Parent>,
}

/// The worker that asked for an eager start.
#[derive(Clone, Debug, Default)]
pub struct EagerWorker {
    pub identity: String,
    pub build_id: String,
}

#[derive(Clone, Debug, Default)]
pub struct Parent {
    pub namespace: String,
    pub namespace_id: Uuid,
    pub workflow_id: String,
    pub run_id: String,
    pub initiated_event_id: i64,
    pub root_workflow_id: String,
    pub root_run_id: String,
}

#[derive(Clone, Debug, Default)]
pub struct Signal {
    pub name: String,
    pub input: Option<Payloads>,
    pub header: Option<Header>,
    pub identity: String,
    pub request_id: String,
    pub links: Vec<Link>,
    /// The workflow that sent it: (workflow id, run id, namespace).
    pub external: Option<ExternalSender>,
    pub skip_workflow_task: bool,
}

#[derive(Clone, Debug, Default)]
pub struct ExternalSender {
    pub workflow_id: String,
    pub run_id: String,
    pub initiated_event_id: i64,
    pub child_workflow_only: bool,
}

#[derive(Clone, Debug)]
pub struct SignalWithStart {
    pub start: Start,
    pub signal: Signal,
}

#[derive(Clone, Debug, Default)]
pub struct RequestCancel {
    pub identity: String,
    pub request_id: String,
    pub reason: String,
    pub links: Vec<Link>,
    pub external: Option<ExternalSender>,
}

#[derive(Clone, Debug, Default)]
pub struct Terminate {
    pub reason: String,
    pub details: Option<Payloads>,
    pub identity: String,
    pub links: Vec<Link>,
}

#[derive(Clone, Debug, Default)]
pub struct StartWorkflowTask {
    pub scheduled_event_id: i64,
    pub stamp: i32,
    pub identity: String,
    /// Makes a repeated start harmless.
    pub request_id: String,
    /// The queue that the worker polled is a sticky one.
    pub sticky: bool,
    pub build_id: String,
    pub deployment_name: String,
}

/// What a task token says about a workflow task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkflowTaskToken {
    pub scheduled_event_id: i64,
    pub started_event_id: i64,
    /// Nanoseconds since 1970: tells two speculative tasks with the same ids apart.
    pub started_time: i64,
    pub attempt: i32,
}

#[derive(Clone, Debug, Default)]
pub struct CompleteWorkflowTask {
    pub token: WorkflowTaskToken,
    pub commands: Vec<Command>,
    pub messages: Vec<ProtocolMessage>,
    pub identity: String,
    /// Queue and schedule-to-start timeout in nanoseconds.
    pub sticky: Option<(String, i64)>,
    pub return_new_task: bool,
    pub force_create_task: bool,
    pub query_results: Vec<(String, WorkflowQueryResult)>,
    pub binary_checksum: String,
    pub build_id: String,
    pub sdk_metadata: Option<WorkflowTaskCompletedMetadata>,
    /// The request itself, for the fields that are copied into the event as they are.
    pub request: Box<RespondWorkflowTaskCompletedRequest>,
    pub can_discard_speculative_with_events: bool,
}

#[derive(Clone, Debug, Default)]
pub struct FailWorkflowTask {
    pub token: WorkflowTaskToken,
    pub cause: WorkflowTaskFailedCause,
    pub failure: Option<Failure>,
    pub identity: String,
    pub binary_checksum: String,
}

#[derive(Clone, Debug, Default)]
pub struct StartActivity {
    pub scheduled_event_id: i64,
    pub stamp: i32,
    pub identity: String,
    pub request_id: String,
    pub build_id: String,
}

/// How a caller names an activity.
#[derive(Clone, Debug)]
pub enum ActivityRef {
    /// By task token: the attempt must be the running one.
    Token {
        scheduled_event_id: i64,
        attempt: i32,
    },
    Id(String),
}

#[derive(Clone, Debug)]
pub struct EndActivity {
    pub activity: ActivityRef,
    pub identity: String,
    pub end: ActivityEnd,
}

#[derive(Clone, Debug)]
pub enum ActivityEnd {
    Completed(Option<Payloads>),
    Failed { failure: Option<Failure>, last_heartbeat: Option<Payloads> },
    Canceled(Option<Payloads>),
}

#[derive(Clone, Debug)]
pub struct HeartbeatActivity {
    pub activity: ActivityRef,
    pub identity: String,
    pub details: Option<Payloads>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CallEnd {
    Succeeded,
    Failed {
        message: String,
        retryable: bool,
    },
    /// It was not called, as too many wait for the same address.
    Postponed,
}

#[derive(Clone, Debug)]
pub enum ActivitySelector {
    Id(String),
    Type(String),
    All,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub caller: CallerId,
    pub query: WorkflowQuery,
    /// `QueryRejectCondition`.
    pub reject_condition: i32,
    /// When the caller gives up, as wall time; the machine compares it with a backoff.
    pub deadline: crate::key::Time,
}

#[derive(Clone, Debug)]
pub struct Update {
    pub caller: CallerId,
    pub request: UpdateRequest,
    /// `UpdateWorkflowExecutionLifecycleStage`.
    pub stage: i32,
}

#[derive(Clone, Debug, Default)]
pub struct Reset {
    pub request_id: String,
    pub reason: String,
    pub identity: String,
    pub finish_event_id: i64,
    pub exclude_signals: bool,
    pub exclude_updates: bool,
    pub exclude_nexus: bool,
    pub post_operations: Vec<Bytes>,
}

impl Reset {
    /// Says what is not recorded once more: by the older way, and by kinds.
    ///
    /// # Errors
    /// The older way is a number that means nothing.
    pub fn exclude(&mut self, by_type: i32, kinds: &[i32]) -> Result<(), Reject> {
        let by_type = ResetReapplyType::try_from(by_type)
            .map_err(|_| Reject::invalid(format!("unknown reset reapply type: {by_type}")))?;
        let excluded = |kind: ResetReapplyExcludeType| kinds.contains(&(kind as i32));
        let none = by_type == ResetReapplyType::None;
        self.exclude_signals = none || excluded(ResetReapplyExcludeType::Signal);
        self.exclude_updates =
            none || by_type == ResetReapplyType::Signal || excluded(ResetReapplyExcludeType::Update);
        self.exclude_nexus = excluded(ResetReapplyExcludeType::Nexus);
        Ok(())
    }
}
