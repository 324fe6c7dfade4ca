//! What is refused in the reference's words, as programs look for them.

#![allow(deprecated, reason = "workers still tell their build in the older way")]

use crate::world::*;
use steadfast_api::v1::common::WorkerVersionCapabilities;
use steadfast_api::v1::workflowservice::*;
use tonic::{Code, Status};

const UNKNOWN_RUN: &str = "11111111-1111-1111-1111-111111111111";

#[track_caller]
fn check<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, message: &str) {
    let refused = answer.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (code, message));
}

#[tokio::test]
async fn a_run_that_is_not_there_is_named() {
    let mut world = World::new().await;
    let message =
        format!("workflow execution not found for workflow ID \"nope\" and run ID \"{UNKNOWN_RUN}\"");
    let mut unknown = execution("nope");
    unknown.run_id = UNKNOWN_RUN.into();
    let describe =
        DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(unknown.clone()) };
    check(world.client.describe_workflow_execution(describe).await, Code::NotFound, &message);
    let signal = SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(unknown.clone()),
        signal_name: "s".into(),
        ..Default::default()
    };
    check(world.client.signal_workflow_execution(signal).await, Code::NotFound, &message);
    let reset = ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(unknown),
        request_id: "r".into(),
        workflow_task_finish_event_id: 4,
        ..Default::default()
    };
    check(world.client.reset_workflow_execution(reset).await, Code::NotFound, &message);
    let cancel = RequestCancelWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("nope")),
        first_execution_run_id: UNKNOWN_RUN.into(),
        ..Default::default()
    };
    let message = "workflow not found for ID: nope";
    check(world.client.request_cancel_workflow_execution(cancel).await, Code::NotFound, message);
}

#[tokio::test]
async fn tokens_and_run_ids_are_looked_at_first() {
    let mut world = World::new().await;
    let nothing = RespondActivityTaskCompletedRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let garbage = RespondActivityTaskCompletedRequest { task_token: "x".into(), ..nothing.clone() };
    for (request, message) in
        [(nothing, "Task token not set on request."), (garbage, "Error deserializing task token.")]
    {
        check(world.client.respond_activity_task_completed(request).await, Code::InvalidArgument, message);
    }
    let by_id = RecordActivityTaskHeartbeatByIdRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "nope".into(),
        run_id: "bad".into(),
        activity_id: "a".into(),
        ..Default::default()
    };
    let answer = world.client.record_activity_task_heartbeat_by_id(by_id).await;
    check(answer, Code::InvalidArgument, "RunId is not valid UUID.");
    let pause = PauseWorkflowExecutionRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let message = format!("workflow pause is not enabled for namespace: {NAMESPACE}");
    check(world.client.pause_workflow_execution(pause).await, Code::Unimplemented, &message);
}

#[tokio::test]
async fn requests_about_standalone_activities_are_refused() {
    let mut world = World::new().await;
    let of = |id: &str, run: &str| TerminateActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        run_id: run.into(),
        request_id: "r".into(),
        ..Default::default()
    };
    let too_long = "x".repeat(1001);
    for (request, message) in [
        (of("", ""), "activity ID is required"),
        (of(&too_long, ""), "activity ID exceeds length limit. Length=1001 Limit=1000"),
        (of("a", "bad"), "invalid run id: must be a valid UUID"),
    ] {
        check(world.client.terminate_activity_execution(request).await, Code::InvalidArgument, message);
    }
    let start = StartActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        activity_type: Some(steadfast_api::v1::common::ActivityType { name: "Withdraw".into() }),
        task_queue: Some(queue(QUEUE)),
        request_id: "s".into(),
        ..Default::default()
    };
    let message = "a valid StartToClose or ScheduleToCloseTimeout is not set on ScheduleActivityTaskCommand. \
        ActivityId=a ActivityType=Withdraw";
    let answer = world.client.start_activity_execution(start.clone()).await;
    check(answer, Code::InvalidArgument, message);
    let timeout = Some(prost_types::Duration { seconds: 9, nanos: 0 });
    let start = StartActivityExecutionRequest { start_to_close_timeout: timeout, ..start };
    world.client.start_activity_execution(start).await.unwrap();
    world.client.terminate_activity_execution(of("a", "")).await.unwrap();
    let again = TerminateActivityExecutionRequest { request_id: "other".into(), ..of("a", "") };
    let message = "already terminated with request ID r";
    check(world.client.terminate_activity_execution(again).await, Code::FailedPrecondition, message);
    let cancel = RequestCancelActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        request_id: "c".into(),
        ..Default::default()
    };
    let message = "invalid transition from Terminated";
    check(world.client.request_cancel_activity_execution(cancel).await, Code::FailedPrecondition, message);
}

#[tokio::test]
async fn operators_of_activities_and_workers_are_told_what_is_wrong() {
    let mut world = World::new().await;
    let mut execution = execution("w");
    execution.run_id = "no id".into();
    let pause = PauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution),
        activity: Some(pause_activity_request::Activity::Id("a".into())),
        ..Default::default()
    };
    check(world.client.pause_activity(pause).await, Code::InvalidArgument, "RunId is not valid UUID.");
    let poll = PollActivityTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        worker_version_capabilities: Some(WorkerVersionCapabilities {
            build_id: "b".repeat(256),
            ..Default::default()
        }),
        ..Default::default()
    };
    let message = "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID.";
    check(world.client.poll_activity_task_queue(patient(poll)).await, Code::InvalidArgument, message);
}
