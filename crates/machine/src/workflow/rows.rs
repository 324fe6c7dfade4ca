//! The rows of a run as they are stored. Field numbers are for ever: an old database opens in a newer version. Times
//! and durations are nanoseconds, 0 for "not set".

use crate::duration;
use steadfast_api::v1::common::{Callback, Link, Memo, Payloads, Priority, RetryPolicy, SearchAttributes};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::sdk::UserMetadata;
use steadfast_api::v1::workflow::{ResetPointInfo, VersioningOverride};

/// The part of a run that nearly every step changes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CoreRow {
    /// `WorkflowExecutionStatus`.
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(int64, tag = "2")]
    pub next_event_id: i64,
    #[prost(int64, tag = "3")]
    pub last_event_time: i64,
    /// The started event of the last workflow task that was completed: `previous_started_event_id`.
    #[prost(int64, tag = "4")]
    pub last_completed_started_id: i64,
    /// The attempt of the next workflow task.
    #[prost(int32, tag = "5")]
    pub next_attempt: i32,
    #[prost(message, optional, tag = "6")]
    pub task: Option<WorkflowTaskRow>,
    #[prost(message, optional, tag = "7")]
    pub sticky: Option<StickyRow>,
    /// A close command came while events were buffered: new signals and updates wait until the run could close.
    #[prost(bool, tag = "8")]
    pub close_attempted: bool,
    #[prost(int64, tag = "9")]
    pub history_bytes: i64,
    #[prost(int64, tag = "10")]
    pub transitions: i64,
    #[prost(int64, tag = "11")]
    pub signals: i64,
    #[prost(int64, tag = "12")]
    pub start_time: i64,
    /// Start plus the first backoff.
    #[prost(int64, tag = "13")]
    pub execution_time: i64,
    #[prost(int64, tag = "14")]
    pub close_time: i64,
    #[prost(int64, tag = "15")]
    pub run_expiry: i64,
    #[prost(int64, tag = "16")]
    pub execution_expiry: i64,
    /// The first workflow task waits until then.
    #[prost(int64, tag = "17")]
    pub backoff_until: i64,
    #[prost(bool, tag = "18")]
    pub cancel_requested: bool,
    /// Where the history is: ancestors first, each up to its last event, then the run's own branch.
    #[prost(message, repeated, tag = "19")]
    pub ancestry: Vec<BranchRow>,
    #[prost(bytes = "vec", tag = "20")]
    pub branch: Vec<u8>,
    #[prost(int64, tag = "21")]
    pub updates: i64,
    #[prost(int64, tag = "22")]
    pub next_message: i64,
    #[prost(int64, tag = "23")]
    pub next_buffered: i64,
    #[prost(int64, tag = "24")]
    pub buffered_bytes: i64,
    #[prost(string, tag = "25")]
    pub new_run_id: String,
    #[prost(string, tag = "26")]
    pub reset_run_id: String,
    #[prost(int64, tag = "27")]
    pub last_reset_time: i64,
    #[prost(int64, tag = "28")]
    pub original_start_time: i64,
    #[prost(message, optional, tag = "29")]
    pub pause: Option<PauseRow>,
    #[prost(message, optional, tag = "30")]
    pub versioning_override: Option<VersioningOverride>,
    /// Of the last workflow task's completion.
    #[prost(string, tag = "31")]
    pub last_build_id: String,
    /// The last result of a cron chain and the last failure are in event 1; this is the count of `stamp`s given out.
    #[prost(int32, tag = "32")]
    pub stamps: i32,
    /// Problems of workflow tasks in a row, for TemporalReportedProblems.
    #[prost(int32, tag = "33")]
    pub problems: i32,
    /// The last failure of a workflow task that is in the history, for TemporalReportedProblems; cleared by a success.
    #[prost(message, optional, tag = "34")]
    pub task_failure: Option<TaskFailureRow>,
    /// Priority after option updates; the start's if absent.
    #[prost(message, optional, tag = "35")]
    pub priority: Option<Priority>,
    /// The versioning behaviour that the last completed task declared.
    #[prost(int32, tag = "36")]
    pub versioning_behavior: i32,
    #[prost(string, tag = "37")]
    pub deployment_name: String,
    #[prost(string, tag = "38")]
    pub deployment_build_id: String,
    #[prost(int32, tag = "39")]
    pub signal_external_pending: i32,
    #[prost(int32, tag = "40")]
    pub cancel_external_pending: i32,
    /// Other runs share, or shared, the beginning of this history.
    #[prost(bool, tag = "50")]
    pub forked: bool,
    /// Bytes of the run's other rows. Of a run that began in an earlier version: of what changed since.
    #[prost(int64, tag = "51")]
    pub state_bytes: i64,
    /// The request that reset from this run last, by which its echo is known; its run is `reset_run_id`.
    #[prost(string, tag = "52")]
    pub reset_request_id: String,
    /// The workflow task that nobody had started when the run was ended from outside, for who asks what it left behind.
    #[prost(message, optional, tag = "53")]
    pub left_task: Option<WorkflowTaskRow>,
    /// Of a run that a reset made: the request that asked for it.
    #[prost(string, tag = "54")]
    pub made_by_request: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TaskFailureRow {
    #[prost(int32, tag = "1")]
    pub cause: i32,
    #[prost(message, optional, tag = "2")]
    pub failure: Option<Failure>,
    #[prost(int64, tag = "3")]
    pub time: i64,
    #[prost(bool, tag = "4")]
    pub timed_out: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BranchRow {
    #[prost(bytes = "vec", tag = "1")]
    pub branch: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub last_event_id: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct PauseRow {
    #[prost(int64, tag = "1")]
    pub time: i64,
    #[prost(string, tag = "2")]
    pub identity: String,
    #[prost(string, tag = "3")]
    pub reason: String,
    #[prost(string, tag = "4")]
    pub request_id: String,
    /// The workflow rule that paused it; empty if an operator did.
    #[prost(string, tag = "5")]
    pub rule_id: String,
}

/// The one workflow task of a run. A speculative one is never stored (see `state::Volatile`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkflowTaskRow {
    #[prost(int64, tag = "1")]
    pub scheduled_event_id: i64,
    /// 0 until it is started.
    #[prost(int64, tag = "2")]
    pub started_event_id: i64,
    #[prost(int32, tag = "3")]
    pub attempt: i32,
    /// Its Scheduled and Started events are not in the history (attempt above 1, or speculative).
    #[prost(bool, tag = "4")]
    pub transient: bool,
    #[prost(int64, tag = "5")]
    pub scheduled_time: i64,
    #[prost(int64, tag = "6")]
    pub original_scheduled_time: i64,
    #[prost(int64, tag = "7")]
    pub started_time: i64,
    #[prost(string, tag = "8")]
    pub request_id: String,
    /// Start-to-close, of this attempt.
    #[prost(int64, tag = "9")]
    pub timeout: i64,
    /// When it times out if nobody starts it; 0 for never.
    #[prost(int64, tag = "10")]
    pub start_deadline: i64,
    #[prost(bool, tag = "11")]
    pub suggest_continue: bool,
    #[prost(int64, tag = "12")]
    pub history_bytes: i64,
    /// Its row in a queue, while nobody has started it.
    #[prost(message, optional, tag = "13")]
    pub queued: Option<QueuedRow>,
    #[prost(int32, tag = "14")]
    pub stamp: i32,
    #[prost(string, tag = "15")]
    pub identity: String,
    /// Who polls next may have to write these again: `SuggestContinueAsNewReason`s.
    #[prost(int32, repeated, tag = "16")]
    pub suggest_reasons: Vec<i32>,
    /// Only in memory, never in a stored row of a run that was loaded again: see `state::Volatile`.
    #[prost(bool, tag = "17")]
    pub speculative: bool,
    #[prost(string, tag = "18")]
    pub build_id: String,
}

/// Where in which queue a task's row is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QueuedRow {
    #[prost(string, tag = "1")]
    pub queue: String,
    #[prost(uint32, tag = "2")]
    pub priority: u32,
    #[prost(int64, tag = "3")]
    pub order: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StickyRow {
    #[prost(string, tag = "1")]
    pub queue: String,
    #[prost(int64, tag = "2")]
    pub schedule_to_start: i64,
}

/// What the start fixed. Written once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StartRow {
    #[prost(string, tag = "1")]
    pub workflow_type: String,
    #[prost(string, tag = "2")]
    pub task_queue: String,
    #[prost(int64, tag = "3")]
    pub execution_timeout: i64,
    #[prost(int64, tag = "4")]
    pub run_timeout: i64,
    #[prost(int64, tag = "5")]
    pub task_timeout: i64,
    #[prost(message, optional, tag = "6")]
    pub retry_policy: Option<RetryPolicy>,
    #[prost(string, tag = "7")]
    pub cron: String,
    #[prost(int32, tag = "8")]
    pub attempt: i32,
    #[prost(string, tag = "9")]
    pub first_run_id: String,
    #[prost(message, optional, tag = "10")]
    pub parent: Option<ParentRow>,
    #[prost(string, tag = "11")]
    pub root_workflow_id: String,
    #[prost(string, tag = "12")]
    pub root_run_id: String,
    #[prost(message, optional, tag = "13")]
    pub user_metadata: Option<UserMetadata>,
    #[prost(message, optional, tag = "14")]
    pub priority: Option<Priority>,
    #[prost(string, tag = "15")]
    pub request_id: String,
    #[prost(string, tag = "16")]
    pub continued_from: String,
    /// `ContinueAsNewInitiator`.
    #[prost(int32, tag = "17")]
    pub initiator: i32,
    /// Only in rows of earlier versions: since then each has a row of its own.
    #[prost(message, repeated, tag = "18")]
    pub callbacks: Vec<Callback>,
    #[prost(message, repeated, tag = "19")]
    pub links: Vec<Link>,
    #[prost(bool, tag = "20")]
    pub has_last_result: bool,
    /// The timeout was named by whoever started the run, be it with zero.
    #[prost(bool, tag = "21")]
    pub execution_timeout_told: bool,
    #[prost(bool, tag = "22")]
    pub run_timeout_told: bool,
}

impl StartRow {
    /// As it is shown: one that nobody named and that there is not is left out.
    pub fn shown_execution_timeout(&self) -> Option<prost_types::Duration> {
        shown(self.execution_timeout, self.execution_timeout_told)
    }

    pub fn shown_run_timeout(&self) -> Option<prost_types::Duration> {
        // A child's is always told, also in rows that do not say so.
        shown(self.run_timeout, self.run_timeout_told || self.parent.is_some())
    }
}

fn shown(nanos: i64, told: bool) -> Option<prost_types::Duration> {
    if told { duration::proto(nanos) } else { duration::if_set(nanos) }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ParentRow {
    #[prost(string, tag = "1")]
    pub namespace: String,
    #[prost(bytes = "vec", tag = "2")]
    pub namespace_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub workflow_id: String,
    #[prost(string, tag = "4")]
    pub run_id: String,
    #[prost(int64, tag = "5")]
    pub initiated_event_id: i64,
}

impl ParentRow {
    pub fn namespace_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_slice(&self.namespace_id).unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributesRow {
    #[prost(message, optional, tag = "1")]
    pub memo: Option<Memo>,
    #[prost(message, optional, tag = "2")]
    pub search_attributes: Option<SearchAttributes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ResetPointsRow {
    #[prost(message, repeated, tag = "1")]
    pub points: Vec<ResetPointInfo>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ActivityRow {
    #[prost(int64, tag = "1")]
    pub scheduled_event_id: i64,
    #[prost(string, tag = "2")]
    pub activity_id: String,
    #[prost(string, tag = "3")]
    pub activity_type: String,
    #[prost(string, tag = "4")]
    pub task_queue: String,
    #[prost(int64, tag = "5")]
    pub schedule_to_close: i64,
    #[prost(int64, tag = "6")]
    pub schedule_to_start: i64,
    #[prost(int64, tag = "7")]
    pub start_to_close: i64,
    #[prost(int64, tag = "8")]
    pub heartbeat: i64,
    #[prost(message, optional, tag = "9")]
    pub retry_policy: Option<RetryPolicy>,
    #[prost(int32, tag = "10")]
    pub attempt: i32,
    /// When this attempt was or will be put in the queue.
    #[prost(int64, tag = "11")]
    pub scheduled_time: i64,
    #[prost(int64, tag = "12")]
    pub first_scheduled_time: i64,
    #[prost(int64, tag = "13")]
    pub started_time: i64,
    #[prost(string, tag = "14")]
    pub identity: String,
    #[prost(string, tag = "15")]
    pub request_id: String,
    #[prost(int64, tag = "16")]
    pub last_heartbeat_time: i64,
    #[prost(message, optional, tag = "17")]
    pub heartbeat_details: Option<Payloads>,
    #[prost(bool, tag = "18")]
    pub cancel_requested: bool,
    #[prost(int64, tag = "19")]
    pub cancel_event_id: i64,
    #[prost(int32, tag = "20")]
    pub stamp: i32,
    #[prost(message, optional, tag = "21")]
    pub last_failure: Option<Failure>,
    #[prost(string, tag = "22")]
    pub last_identity: String,
    #[prost(int64, tag = "23")]
    pub last_attempt_end: i64,
    #[prost(message, optional, tag = "24")]
    pub priority: Option<Priority>,
    #[prost(message, optional, tag = "25")]
    pub pause: Option<PauseRow>,
    #[prost(message, optional, tag = "26")]
    pub queued: Option<QueuedRow>,
    #[prost(bool, tag = "27")]
    pub reset: bool,
    #[prost(bool, tag = "28")]
    pub reset_heartbeat: bool,
    /// The ActivityTaskStarted event is in the history already (only after a reset).
    #[prost(int64, tag = "29")]
    pub started_event_id: i64,
    /// Bytes of the request that scheduled it are in the event; this is the time of that event.
    #[prost(int64, tag = "30")]
    pub event_time: i64,
    #[prost(int64, tag = "31")]
    pub current_interval: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TimerRow {
    #[prost(int64, tag = "1")]
    pub started_event_id: i64,
    #[prost(string, tag = "2")]
    pub timer_id: String,
    #[prost(int64, tag = "3")]
    pub due: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ChildRow {
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(bytes = "vec", tag = "3")]
    pub namespace_id: Vec<u8>,
    #[prost(string, tag = "4")]
    pub workflow_id: String,
    #[prost(string, tag = "5")]
    pub workflow_type: String,
    /// Empty until it is started.
    #[prost(string, tag = "6")]
    pub run_id: String,
    #[prost(int64, tag = "7")]
    pub started_event_id: i64,
    #[prost(int32, tag = "8")]
    pub parent_close_policy: i32,
    #[prost(string, tag = "9")]
    pub request_id: String,
    /// One more than the sequence of the message that starts it; 0 in a run that did not send that itself.
    #[prost(int64, tag = "10")]
    pub message: i64,
}

impl ChildRow {
    pub fn namespace_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_slice(&self.namespace_id).unwrap_or_default()
    }
}

impl ExternalRow {
    pub fn namespace_id(&self) -> uuid::Uuid {
        uuid::Uuid::from_slice(&self.namespace_id).unwrap_or_default()
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ExternalRow {
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    /// A cancel request; else a signal.
    #[prost(bool, tag = "2")]
    pub cancel: bool,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(bytes = "vec", tag = "4")]
    pub namespace_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub workflow_id: String,
    #[prost(string, tag = "6")]
    pub run_id: String,
    #[prost(string, tag = "7")]
    pub control: String,
    #[prost(string, tag = "8")]
    pub request_id: String,
    /// One more than the sequence of its message in the outbox; 0 where that is not known.
    #[prost(int64, tag = "9")]
    pub message: i64,
}

/// An update that was accepted, or admitted by an event (after a reset): any other is only in memory.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateRow {
    #[prost(string, tag = "1")]
    pub update_id: String,
    /// 0 until it is accepted.
    #[prost(int64, tag = "2")]
    pub accepted_event_id: i64,
    /// 0 until it is completed.
    #[prost(int64, tag = "3")]
    pub completed_event_id: i64,
    #[prost(int64, tag = "4")]
    pub admitted_event_id: i64,
    /// The outcome, so that it can be told without reading history.
    #[prost(message, optional, tag = "5")]
    pub outcome: Option<steadfast_api::v1::update::Outcome>,
    #[prost(string, tag = "6")]
    pub name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct BufferedRow {
    /// The order in which they came; not an event id.
    #[prost(int64, tag = "1")]
    pub sequence: i64,
    #[prost(message, optional, tag = "2")]
    pub event: Option<HistoryEvent>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestIdRow {
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// `EventType`.
    #[prost(int32, tag = "2")]
    pub event_type: i32,
    /// 0 while the event is buffered.
    #[prost(int64, tag = "3")]
    pub event_id: i64,
}

/// Somebody who wants to be told how the run ends.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CallbackRow {
    /// The order in which they were attached, from 0.
    #[prost(int64, tag = "1")]
    pub sequence: i64,
    #[prost(message, optional, tag = "2")]
    pub callback: Option<Callback>,
    #[prost(int64, tag = "3")]
    pub registration_time: i64,
    /// Of the request that attached it.
    #[prost(string, tag = "4")]
    pub request_id: String,
    /// `CallbackState`.
    #[prost(int32, tag = "5")]
    pub state: i32,
    /// Calls whose end is known.
    #[prost(int32, tag = "6")]
    pub attempt: i32,
    #[prost(int64, tag = "7")]
    pub last_attempt_time: i64,
    #[prost(message, optional, tag = "8")]
    pub last_failure: Option<Failure>,
    /// While it is scheduled: since when. While it backs off: until when.
    #[prost(int64, tag = "9")]
    pub due: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SignalIdRow {}
