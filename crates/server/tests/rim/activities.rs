//! Workflow tasks and activities, as a worker sees them.

use crate::world::*;
use std::time::Duration;
use steadfast_api::v1::command::{
    ScheduleActivityTaskCommandAttributes, StartTimerCommandAttributes, command::Attributes,
};
use steadfast_api::v1::common::{ActivityType, RetryPolicy};
use steadfast_api::v1::enums::{CommandType, EventType, PendingActivityState, WorkflowTaskFailedCause};
use steadfast_api::v1::failure::failure::FailureInfo;
use steadfast_api::v1::failure::{ApplicationFailureInfo, Failure};
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

fn schedule_activity(retry: Option<RetryPolicy>) -> steadfast_api::v1::command::Command {
    command(
        CommandType::ScheduleActivityTask,
        Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: "withdraw".into(),
            activity_type: Some(ActivityType { name: "Withdraw".into() }),
            task_queue: Some(queue(QUEUE)),
            input: payloads("12.30"),
            start_to_close_timeout: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
            retry_policy: retry,
            ..Default::default()
        }),
    )
}

#[tokio::test]
async fn a_workflow_with_one_activity_runs_to_its_end() {
    let mut world = World::new().await;
    let run_id = world.start("a").await;
    let task = world.work(vec![schedule_activity(None)]).await;
    assert_eq!(task.attempt, 1);
    assert_eq!((task.previous_started_event_id, task.started_event_id), (0, 3));
    assert_eq!(task.workflow_execution_task_queue.as_ref().unwrap().name, QUEUE);
    assert_eq!(types(&events(task.history)).last(), Some(&EventType::WorkflowTaskStarted));

    let activity = world.poll_activity().await;
    assert_eq!(activity.activity_id, "withdraw");
    assert_eq!(activity.input, payloads("12.30"));
    assert_eq!(activity.workflow_execution.as_ref().unwrap().run_id, run_id);
    assert_eq!(activity.heartbeat_timeout, Some(Default::default()), "present, though zero");
    let done = RespondActivityTaskCompletedRequest {
        task_token: activity.task_token.clone(),
        result: payloads("withdrawn"),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    world.client.respond_activity_task_completed(done.clone()).await.unwrap();
    let stale = world.client.respond_activity_task_completed(done).await.unwrap_err();
    assert_eq!(stale.code(), Code::NotFound);

    world.work(vec![complete_workflow("done")]).await;
    assert_eq!(
        types(&world.history("a").await),
        [
            EventType::WorkflowExecutionStarted,
            EventType::WorkflowTaskScheduled,
            EventType::WorkflowTaskStarted,
            EventType::WorkflowTaskCompleted,
            EventType::ActivityTaskScheduled,
            EventType::ActivityTaskStarted,
            EventType::ActivityTaskCompleted,
            EventType::WorkflowTaskScheduled,
            EventType::WorkflowTaskStarted,
            EventType::WorkflowTaskCompleted,
            EventType::WorkflowExecutionCompleted,
        ]
    );
}

#[tokio::test]
async fn a_failed_activity_is_described_and_comes_again() {
    let mut world = World::new().await;
    world.start("a").await;
    let soon = RetryPolicy {
        initial_interval: Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 }),
        ..Default::default()
    };
    world.work(vec![schedule_activity(Some(soon))]).await;
    let first = world.poll_activity().await;
    let described = world.describe("a").await.unwrap();
    assert_eq!(described.pending_activities[0].state, PendingActivityState::Started as i32);
    let bare = RespondActivityTaskFailedRequest {
        task_token: first.task_token.clone(),
        failure: Some(Failure { message: "no info".into(), ..Default::default() }),
        ..Default::default()
    };
    let refused = world.client.respond_activity_task_failed(bare).await.unwrap_err();
    assert_eq!(refused.message(), "Failure must have ApplicationFailureInfo.");
    // By its id a client may say anything of it.
    let nobody = RespondActivityTaskFailedByIdRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "a".into(),
        activity_id: "nobody".into(),
        failure: Some(Failure { message: "no info".into(), ..Default::default() }),
        ..Default::default()
    };
    let refused = world.client.respond_activity_task_failed_by_id(nobody).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    let failed = RespondActivityTaskFailedRequest {
        task_token: first.task_token,
        failure: Some(Failure {
            message: "the bank is closed".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo::default())),
            ..Default::default()
        }),
        ..Default::default()
    };
    world.client.respond_activity_task_failed(failed).await.unwrap();
    let second = world.poll_activity().await;
    assert_eq!(second.attempt, 2);
    let pending = world.describe("a").await.unwrap().pending_activities.remove(0);
    assert_eq!(pending.attempt, 2);
    assert_eq!(pending.last_failure.unwrap().message, "the bank is closed");
}

#[tokio::test]
async fn heartbeats_and_ids_reach_the_activity() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![schedule_activity(None)]).await;
    let task = world.poll_activity().await;
    let beat = RecordActivityTaskHeartbeatRequest {
        task_token: task.task_token,
        details: payloads("half"),
        ..Default::default()
    };
    let told = world.client.record_activity_task_heartbeat(beat).await.unwrap().into_inner();
    assert!(!told.cancel_requested);
    assert_eq!(world.describe("a").await.unwrap().pending_activities[0].heartbeat_details, payloads("half"));
    let unknown = RespondActivityTaskCompletedByIdRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "a".into(),
        activity_id: "deposit".into(),
        ..Default::default()
    };
    let refused = world.client.respond_activity_task_completed_by_id(unknown.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(
        refused.message().contains("cannot find pending activity with ActivityID deposit"),
        "{}",
        refused.message()
    );
    let known = RespondActivityTaskCompletedByIdRequest { activity_id: "withdraw".into(), ..unknown };
    world.client.respond_activity_task_completed_by_id(known).await.unwrap();
}

#[tokio::test]
async fn a_poll_without_work_ends_empty_a_second_before_its_caller_gives_up() {
    let mut world = World::new().await;
    let request = PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue("nobody")),
        ..Default::default()
    };
    let begun = std::time::Instant::now();
    let empty = world
        .client
        .poll_workflow_task_queue(within(request.clone(), Duration::from_millis(2500)))
        .await
        .unwrap();
    assert_eq!(empty.into_inner(), PollWorkflowTaskQueueResponse::default());
    assert!(begun.elapsed() < Duration::from_millis(2400));
    let refused = world.client.poll_workflow_task_queue(request).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "Context timeout is not set."));
}

#[tokio::test]
async fn a_failed_workflow_task_comes_again_with_the_next_attempt() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let failed = RespondWorkflowTaskFailedRequest {
        task_token: task.task_token.clone(),
        cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure as i32,
        failure: Some(Failure { message: "divided by zero".into(), ..Default::default() }),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    world.client.respond_workflow_task_failed(failed.clone()).await.unwrap();
    let again = world.poll().await;
    assert_eq!(again.attempt, 2);
    let stale = world.client.respond_workflow_task_failed(failed).await.unwrap_err();
    assert_eq!((stale.code(), stale.message()), (Code::NotFound, "Workflow task not found."));
    let pending = world.describe("a").await.unwrap().pending_workflow_task.unwrap();
    assert_eq!(pending.attempt, 2);
}

#[tokio::test]
async fn a_bad_command_fails_the_task_and_says_which() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let nameless = command(
        CommandType::StartTimer,
        Attributes::StartTimerCommandAttributes(StartTimerCommandAttributes::default()),
    );
    let refused = world.complete(&task, vec![nameless]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("BadStartTimerAttributes:"), "{}", refused.message());
    assert_eq!(types(&world.history("a").await)[3], EventType::WorkflowTaskFailed);
}

#[tokio::test]
async fn a_token_that_nobody_made_is_refused() {
    let mut world = World::new().await;
    let task = PollWorkflowTaskQueueResponse { task_token: "made up".into(), ..Default::default() };
    let refused = world.complete(&task, Vec::new()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "Error deserializing task token.")
    );
}

#[tokio::test]
async fn a_queue_shows_who_polls_it() {
    let mut world = World::new().await;
    world.start("a").await;
    world.poll().await;
    let request = DescribeTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        report_stats: true,
        ..Default::default()
    };
    let described = world.client.describe_task_queue(request).await.unwrap().into_inner();
    assert_eq!(described.pollers[0].identity, "worker");
    assert_eq!(described.stats.unwrap().approximate_backlog_count, 0);
}
