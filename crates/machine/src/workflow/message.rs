//! Messages between runs, kept in the sender's outbox until it knows how they ended.
//!
//! A message is delivered at least once and in order from one run to one target; what the target must keep anyway
//! (request ids, pending children) tells it what it has seen. The target's answer, or its refusal, comes back to the
//! sender as [`Delivered`], and the commit of that takes the message out of the outbox: no commit spans two entities.

use super::rows::ParentRow;
use crate::batch::{BatchOperation, Target};
use crate::key::RunKey;
use crate::reject::Reject;
use steadfast_api::v1::common::{Header, Payloads};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::StartChildWorkflowExecutionInitiatedEventAttributes;

#[derive(Clone, Debug)]
pub struct Envelope {
    pub from: RunKey,
    pub sequence: i64,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub struct Delivered {
    pub sequence: i64,
    /// What was sent.
    pub body: Body,
    pub outcome: Result<Option<Content>, Reject>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Body {
    #[prost(oneof = "Content", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub content: Option<Content>,
    /// The run that it is for; empty for the current one.
    #[prost(string, tag = "100")]
    pub to_run: String,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Content {
    /// To the id of a new child.
    #[prost(message, tag = "1")]
    StartChild(StartChild),
    /// To the parent: the child was started, or could not be.
    #[prost(message, tag = "2")]
    ChildStarted(ChildStarted),
    /// To the child: its parent knows of it, it may begin.
    #[prost(message, tag = "3")]
    ChildMayBegin(ChildMayBegin),
    /// To the parent: the last run of the child's chain closed.
    #[prost(message, tag = "4")]
    ChildClosed(ChildClosed),
    /// To a child: its parent closed.
    #[prost(message, tag = "5")]
    ParentClosed(ParentClosed),
    #[prost(message, tag = "6")]
    SignalExternal(SignalExternal),
    #[prost(message, tag = "7")]
    CancelExternal(CancelExternal),
    /// To the sender of a signal or a cancel request: how it ended.
    #[prost(message, tag = "8")]
    ExternalOutcome(ExternalOutcome),
    /// Of a batch operation to one of its targets.
    #[prost(message, tag = "9")]
    BatchOperation(BatchOperation),
    /// To a batch operation: which run is meant.
    #[prost(message, tag = "10")]
    BatchTarget(Target),
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct StartChild {
    #[prost(message, optional, tag = "1")]
    pub initiated: Option<StartChildWorkflowExecutionInitiatedEventAttributes>,
    #[prost(message, optional, tag = "2")]
    pub parent: Option<ParentRow>,
    #[prost(string, tag = "3")]
    pub root_workflow_id: String,
    #[prost(string, tag = "4")]
    pub root_run_id: String,
    #[prost(string, tag = "5")]
    pub request_id: String,
    #[prost(message, optional, tag = "6")]
    pub user_metadata: Option<steadfast_api::v1::sdk::UserMetadata>,
    #[prost(message, optional, tag = "7")]
    pub priority: Option<steadfast_api::v1::common::Priority>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ChildStarted {
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    /// Empty if it could not be started.
    #[prost(string, tag = "2")]
    pub run_id: String,
    /// `StartChildWorkflowExecutionFailedCause`, if it could not be started.
    #[prost(int32, tag = "3")]
    pub cause: i32,
    #[prost(string, tag = "4")]
    pub workflow_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ChildMayBegin {
    #[prost(string, tag = "1")]
    pub run_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ChildClosed {
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    #[prost(string, tag = "2")]
    pub first_run_id: String,
    #[prost(string, tag = "3")]
    pub run_id: String,
    /// `WorkflowExecutionStatus`.
    #[prost(int32, tag = "4")]
    pub status: i32,
    #[prost(message, optional, tag = "5")]
    pub result: Option<Payloads>,
    #[prost(message, optional, tag = "6")]
    pub failure: Option<Failure>,
    #[prost(int32, tag = "7")]
    pub retry_state: i32,
    #[prost(string, tag = "8")]
    pub workflow_type: String,
    #[prost(string, tag = "9")]
    pub workflow_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ParentClosed {
    #[prost(string, tag = "1")]
    pub first_run_id: String,
    /// `ParentClosePolicy`.
    #[prost(int32, tag = "2")]
    pub policy: i32,
    #[prost(message, optional, tag = "3")]
    pub parent: Option<ParentRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct SignalExternal {
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    #[prost(string, tag = "2")]
    pub run_id: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(message, optional, tag = "4")]
    pub input: Option<Payloads>,
    #[prost(message, optional, tag = "5")]
    pub header: Option<Header>,
    #[prost(string, tag = "6")]
    pub request_id: String,
    #[prost(bool, tag = "7")]
    pub child_workflow_only: bool,
    #[prost(string, tag = "8")]
    pub namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CancelExternal {
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    #[prost(string, tag = "2")]
    pub run_id: String,
    #[prost(string, tag = "3")]
    pub request_id: String,
    #[prost(bool, tag = "4")]
    pub child_workflow_only: bool,
    #[prost(string, tag = "5")]
    pub reason: String,
    #[prost(string, tag = "6")]
    pub namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct ExternalOutcome {
    #[prost(int64, tag = "1")]
    pub initiated_event_id: i64,
    /// 0 if it was delivered; else the failed cause's number.
    #[prost(int32, tag = "2")]
    pub cause: i32,
    #[prost(bool, tag = "3")]
    pub cancel: bool,
}
