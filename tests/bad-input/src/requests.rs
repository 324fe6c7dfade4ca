//! Requests that are in order, each with a hand that puts something wrong into it.

use bytes::Bytes;
use prost_types::Duration;
use steadfast_api::temporal::api::batch::v1::BatchOperationSignal;
use steadfast_api::v1::command::{
    Command, CompleteWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
    command::Attributes,
};
use steadfast_api::v1::common::{ActivityType, Payload, Payloads, WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::CommandType;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::update;
use steadfast_api::v1::workflowservice::*;

pub const NAMESPACE: &str = "default";
/// A queue that nobody polls.
pub const QUEUE: &str = "nobody";

macro_rules! requests {
    ($($(#[$about:meta])* $name:ident: $type:ident { $($field:ident: $value:expr),* $(,)? })*) => {$(
        $(#[$about])*
        // Some requests have no more fields than are given here.
        #[allow(clippy::needless_update)]
        pub fn $name(spoil: impl FnOnce(&mut $type)) -> $type {
            let mut request = $type {
                namespace: NAMESPACE.into(),
                $($field: $value,)*
                ..Default::default()
            };
            spoil(&mut request);
            request
        }
    )*};
}

requests! {
    start: StartWorkflowExecutionRequest {
        workflow_id: fresh("start"),
        workflow_type: Some(workflow_type("Transfer")),
        task_queue: Some(queue(QUEUE)),
        request_id: fresh("request"),
        identity: "client".into(),
    }
    signal_with_start: SignalWithStartWorkflowExecutionRequest {
        workflow_id: fresh("signal-with-start"),
        workflow_type: Some(workflow_type("Transfer")),
        task_queue: Some(queue(QUEUE)),
        request_id: fresh("request"),
        signal_name: "go".into(),
    }
    /// Of the family's open workflow.
    signal: SignalWorkflowExecutionRequest {
        workflow_execution: Some(execution(OPEN)),
        signal_name: "go".into(),
        request_id: fresh("signal"),
    }
    cancel: RequestCancelWorkflowExecutionRequest { workflow_execution: Some(execution(OPEN)) }
    terminate: TerminateWorkflowExecutionRequest { workflow_execution: Some(execution(OPEN)) }
    reset: ResetWorkflowExecutionRequest {
        workflow_execution: Some(execution(OPEN)),
        request_id: fresh("reset"),
        workflow_task_finish_event_id: 4,
    }
    query: QueryWorkflowRequest {
        execution: Some(execution(OPEN)),
        query: Some(WorkflowQuery { query_type: "state".into(), ..Default::default() }),
    }
    update: UpdateWorkflowExecutionRequest {
        workflow_execution: Some(execution(OPEN)),
        request: Some(update::Request {
            meta: Some(update::Meta { update_id: fresh("update"), identity: "client".into() }),
            input: Some(update::Input { name: "change".into(), ..Default::default() }),
            ..Default::default()
        }),
    }
    describe: DescribeWorkflowExecutionRequest { execution: Some(execution(OPEN)) }
    delete: DeleteWorkflowExecutionRequest { workflow_execution: Some(execution(OPEN)) }
    history: GetWorkflowExecutionHistoryRequest { execution: Some(execution(OPEN)) }
    history_reverse: GetWorkflowExecutionHistoryReverseRequest { execution: Some(execution(OPEN)) }
    list: ListWorkflowExecutionsRequest { page_size: 10 }
    count: CountWorkflowExecutionsRequest {}
    poll: PollWorkflowTaskQueueRequest { task_queue: Some(queue(QUEUE)), identity: "worker".into() }
    poll_activity: PollActivityTaskQueueRequest { task_queue: Some(queue(QUEUE)), identity: "worker".into() }
    describe_queue: DescribeTaskQueueRequest { task_queue: Some(queue(QUEUE)) }
    shut_worker: ShutdownWorkerRequest { identity: "worker".into() }
    update_namespace: UpdateNamespaceRequest {}
    complete: RespondWorkflowTaskCompletedRequest { identity: "worker".into() }
    fail: RespondWorkflowTaskFailedRequest { identity: "worker".into() }
    complete_activity: RespondActivityTaskCompletedRequest { identity: "worker".into() }
    fail_activity: RespondActivityTaskFailedRequest { identity: "worker".into() }
    cancel_activity: RespondActivityTaskCanceledRequest { identity: "worker".into() }
    heartbeat: RecordActivityTaskHeartbeatRequest { identity: "worker".into() }
    complete_activity_by_id: RespondActivityTaskCompletedByIdRequest {
        workflow_id: OPEN.into(),
        activity_id: "1".into(),
    }
    answer_query: RespondQueryTaskCompletedRequest {}
    start_activity: StartActivityExecutionRequest {
        activity_id: fresh("activity"),
        activity_type: Some(ActivityType { name: "withdraw".into() }),
        task_queue: Some(queue(QUEUE)),
        start_to_close_timeout: seconds(60),
        request_id: fresh("request"),
    }
    batch: StartBatchOperationRequest {
        job_id: fresh("job"),
        reason: "because".into(),
        visibility_query: "WorkflowId = 'nobody'".into(),
        operation: Some(batch_signal("go", None)),
    }
    stop_batch: StopBatchOperationRequest { job_id: "nobody".into(), reason: "enough".into() }
    describe_batch: DescribeBatchOperationRequest { job_id: "nobody".into() }
    register: RegisterNamespaceRequest { workflow_execution_retention_period: seconds(86_400) }
}

/// What a batch does to what it finds.
pub fn batch_signal(name: &str, input: Option<Payloads>) -> start_batch_operation_request::Operation {
    start_batch_operation_request::Operation::SignalOperation(BatchOperationSignal {
        signal: name.into(),
        input,
        ..Default::default()
    })
}

/// The workflow that every family finds open.
pub const OPEN: &str = "open";

/// A name that no other request of this process has.
pub fn fresh(what: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn execution(id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: id.into(), run_id: String::new() }
}

pub fn workflow_type(name: &str) -> WorkflowType {
    WorkflowType { name: name.into() }
}

pub fn queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.into(), ..Default::default() }
}

pub fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

pub fn payload(data: impl Into<Bytes>) -> Payload {
    let encoding = ("encoding".to_owned(), Bytes::from_static(b"json/plain"));
    Payload { metadata: [encoding].into(), data: data.into(), ..Default::default() }
}

pub fn payloads(data: impl Into<Bytes>) -> Option<Payloads> {
    Some(Payloads { payloads: vec![payload(data)] })
}

/// A payload of so many bytes.
pub fn large(bytes: usize) -> Option<Payloads> {
    payloads(vec![b'x'; bytes])
}

pub fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Default::default() }
}

pub fn finish() -> Command {
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(
            CompleteWorkflowExecutionCommandAttributes::default(),
        ),
    )
}

/// An activity on this queue, in order.
pub fn activity(id: &str, on: &str) -> ScheduleActivityTaskCommandAttributes {
    ScheduleActivityTaskCommandAttributes {
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "withdraw".into() }),
        task_queue: Some(queue(on)),
        start_to_close_timeout: seconds(600),
        ..Default::default()
    }
}

pub fn schedule(attributes: ScheduleActivityTaskCommandAttributes) -> Command {
    command(CommandType::ScheduleActivityTask, Attributes::ScheduleActivityTaskCommandAttributes(attributes))
}
