//! Standalone activities: what callers do to them, and the worker that runs them.

use crate::world::*;
use std::time::Duration;
use steadfast_api::v1::activity::activity_execution_outcome::Value;
use steadfast_api::v1::common::{ActivityType, RetryPolicy};
use steadfast_api::v1::enums::{
    ActivityExecutionStatus as Status, ActivityIdConflictPolicy, PendingActivityState,
};
use steadfast_api::v1::errordetails::ActivityExecutionAlreadyStartedFailure;
use steadfast_api::v1::failure::failure::FailureInfo;
use steadfast_api::v1::failure::{ApplicationFailureInfo, Failure};
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

fn start_activity(id: &str) -> StartActivityExecutionRequest {
    StartActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        identity: "client".into(),
        request_id: format!("start-{id}"),
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "Withdraw".into() }),
        task_queue: Some(queue(QUEUE)),
        start_to_close_timeout: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
        input: payloads("10"),
        ..Default::default()
    }
}

impl World {
    async fn describe_activity(&mut self, id: &str) -> DescribeActivityExecutionResponse {
        let request = DescribeActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            include_input: true,
            include_outcome: true,
            ..Default::default()
        };
        self.client.describe_activity_execution(request).await.expect("it is there").into_inner()
    }

    async fn outcome(&mut self, id: &str) -> Value {
        let request = PollActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            ..Default::default()
        };
        let polled =
            self.client.poll_activity_execution(patient(request)).await.expect("it ends").into_inner();
        polled.outcome.and_then(|outcome| outcome.value).expect("it has ended")
    }

    async fn count_activities(&mut self, query: &str) -> i64 {
        let request = CountActivityExecutionsRequest { namespace: NAMESPACE.into(), query: query.into() };
        self.client.count_activity_executions(request).await.expect("they are counted").into_inner().count
    }
}

#[tokio::test]
async fn an_activity_runs_without_a_workflow() {
    let mut world = World::new().await;
    let request = DescribeNamespaceRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let info = world.client.describe_namespace(request).await.unwrap().into_inner().namespace_info.unwrap();
    assert!(info.capabilities.unwrap().standalone_activities);

    let started = world.client.start_activity_execution(start_activity("a")).await.unwrap().into_inner();
    assert!(started.started && !started.run_id.is_empty());
    let again = world.client.start_activity_execution(start_activity("a")).await.unwrap().into_inner();
    assert_eq!((again.started, &again.run_id), (false, &started.run_id), "the same request");

    let info = world.describe_activity("a").await.info.unwrap();
    assert_eq!(
        (info.status, info.run_state),
        (Status::Running as i32, PendingActivityState::Scheduled as i32)
    );

    let task = world.poll_activity().await;
    assert_eq!((task.activity_id.as_str(), task.activity_run_id), ("a", started.run_id));
    // The execution is there, and empty, as on the reference.
    assert_eq!((task.workflow_type, task.workflow_execution), (None, Some(Default::default())));
    assert_eq!(task.input, payloads("10"));
    let done = RespondActivityTaskCompletedRequest {
        namespace: NAMESPACE.into(),
        task_token: task.task_token,
        result: payloads("withdrawn"),
        ..Default::default()
    };
    world.client.respond_activity_task_completed(done).await.unwrap();

    assert_eq!(world.outcome("a").await, Value::Result(payloads("withdrawn").unwrap()));
    let described = world.describe_activity("a").await;
    let info = described.info.unwrap();
    assert_eq!((info.status, described.input), (Status::Completed as i32, payloads("10")));
    assert!(info.close_time.is_some() && info.last_attempt_complete_time.is_some());
    // Who waits for more from here on waits in vain, and is told so.
    let wait = DescribeActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        run_id: described.run_id,
        long_poll_token: described.long_poll_token,
        ..Default::default()
    };
    let waited = world.client.describe_activity_execution(within(wait, Duration::from_millis(1100))).await;
    assert_eq!(waited.unwrap().into_inner(), Default::default());
    assert_eq!(world.count_activities("ExecutionStatus = 'Completed'").await, 1);
    assert_eq!(world.count_activities("ExecutionStatus = 'Running'").await, 0);
    let request = ListActivityExecutionsRequest {
        namespace: NAMESPACE.into(),
        query: "ActivityType = 'Withdraw'".into(),
        ..Default::default()
    };
    let listed = world.client.list_activity_executions(request).await.unwrap().into_inner().executions;
    assert_eq!(listed.iter().map(|one| one.activity_id.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn an_id_has_one_open_activity() {
    let mut world = World::new().await;
    let first = world.client.start_activity_execution(start_activity("a")).await.unwrap().into_inner();
    let second = StartActivityExecutionRequest { request_id: "another".into(), ..start_activity("a") };
    let refused = world.client.start_activity_execution(second.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let told: ActivityExecutionAlreadyStartedFailure =
        detail(&refused, "ActivityExecutionAlreadyStartedFailure");
    assert_eq!(told.run_id, first.run_id);
    let joined = StartActivityExecutionRequest {
        id_conflict_policy: ActivityIdConflictPolicy::UseExisting as i32,
        ..second
    };
    let joined = world.client.start_activity_execution(joined).await.unwrap().into_inner();
    assert_eq!((joined.started, joined.run_id), (false, first.run_id));
}

#[tokio::test]
async fn activities_are_cancelled_terminated_and_deleted() {
    let mut world = World::new().await;
    for id in ["a", "b"] {
        world.client.start_activity_execution(start_activity(id)).await.unwrap();
    }
    let cancel = RequestCancelActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        identity: "client".into(),
        request_id: "cancel".into(),
        reason: "wrong account".into(),
        ..Default::default()
    };
    world.client.request_cancel_activity_execution(cancel.clone()).await.unwrap();
    world.client.request_cancel_activity_execution(cancel.clone()).await.expect("the same request again");
    let late = RequestCancelActivityExecutionRequest { request_id: "other".into(), ..cancel };
    let refused = world.client.request_cancel_activity_execution(late).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let Value::Failure(failure) = world.outcome("a").await else { panic!("a failure") };
    assert!(matches!(failure.failure_info, Some(FailureInfo::CanceledFailureInfo(_))));

    let terminate = TerminateActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "b".into(),
        identity: "client".into(),
        request_id: "terminate".into(),
        reason: "enough".into(),
        ..Default::default()
    };
    world.client.terminate_activity_execution(terminate).await.unwrap();
    let Value::Failure(failure) = world.outcome("b").await else { panic!("a failure") };
    assert_eq!(failure.message, "enough");

    let delete = DeleteActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        ..Default::default()
    };
    world.client.delete_activity_execution(delete.clone()).await.unwrap();
    let gone = DescribeActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        ..Default::default()
    };
    let refused = world.client.describe_activity_execution(gone).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn a_worker_whose_attempt_is_over_hears_that_there_is_no_such_activity() {
    let mut world = World::new().await;
    let soon = Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 });
    let policy = RetryPolicy { initial_interval: soon, ..Default::default() };
    let request = StartActivityExecutionRequest { retry_policy: Some(policy), ..start_activity("a") };
    world.client.start_activity_execution(request).await.unwrap();
    let first = world.poll_activity().await;
    let beat = RecordActivityTaskHeartbeatRequest {
        task_token: first.task_token.clone(),
        details: payloads("half"),
        ..Default::default()
    };
    world.client.record_activity_task_heartbeat(beat.clone()).await.unwrap();
    // A delay of nothing is none: the policy says when it comes again.
    let info = ApplicationFailureInfo { next_retry_delay: Some(Default::default()), ..Default::default() };
    let failed = RespondActivityTaskFailedRequest {
        task_token: first.task_token,
        failure: Some(Failure {
            message: "the bank is closed".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
            ..Default::default()
        }),
        ..Default::default()
    };
    world.client.respond_activity_task_failed(failed.clone()).await.unwrap();
    let second = world.poll_activity().await;
    assert_eq!((second.attempt, second.heartbeat_details), (2, payloads("half")));
    let stale = world.client.record_activity_task_heartbeat(beat).await.unwrap_err();
    assert_eq!((stale.code(), stale.message()), (Code::NotFound, "activity not found for ID: a"));
    let stale = world.client.respond_activity_task_failed(failed).await.unwrap_err();
    assert_eq!(stale.message(), "activity not found for ID: a");
    // What it said and why it failed is told unasked, as clients that are older than the question expect.
    let info = world.describe_activity("a").await.info.unwrap();
    assert_eq!(info.heartbeat_details, payloads("half"));
    assert_eq!(info.last_failure.unwrap().message, "the bank is closed");
    let done = RespondActivityTaskCompletedByIdRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        identity: "somebody".into(),
        ..Default::default()
    };
    world.client.respond_activity_task_completed_by_id(done).await.unwrap();
    let info = world.describe_activity("a").await.info.unwrap();
    assert_eq!(info.last_worker_identity, "somebody", "who ended it");
}

#[tokio::test]
async fn a_token_to_wait_with_is_of_one_run_and_policies_must_be_known() {
    let mut world = World::new().await;
    world.client.start_activity_execution(start_activity("a")).await.unwrap();
    world.client.start_activity_execution(start_activity("b")).await.unwrap();
    let (a, b) = (world.describe_activity("a").await, world.describe_activity("b").await);
    let wait = |token: bytes::Bytes| DescribeActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        run_id: a.run_id.clone(),
        long_poll_token: token,
        ..Default::default()
    };
    for (token, text) in [
        (b.long_poll_token, "long poll token does not match execution"),
        ("short".into(), "invalid long poll token"),
    ] {
        let refused = world.client.describe_activity_execution(patient(wait(token))).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, text));
    }
    for (request, text) in [
        (
            StartActivityExecutionRequest { id_reuse_policy: 77, ..start_activity("c") },
            "unsupported ID reuse policy: 77",
        ),
        (
            StartActivityExecutionRequest { id_conflict_policy: 77, ..start_activity("c") },
            "unsupported ID conflict policy: 77",
        ),
    ] {
        let refused = world.client.start_activity_execution(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, text));
    }
    // A namespace that is deprecated takes no new workflows, but these.
    let deprecate = DeprecateNamespaceRequest { namespace: NAMESPACE.into(), ..Default::default() };
    #[allow(deprecated)]
    world.client.deprecate_namespace(deprecate).await.unwrap();
    world.client.start_activity_execution(start_activity("c")).await.expect("it starts");
}
