//! Starting: dedup, conflicts, validation; and ending from outside.

use crate::world::*;
use steadfast_api::v1::common::{RetryPolicy, WorkflowExecution};
use steadfast_api::v1::enums::{
    EventType, WorkflowExecutionStatus as Status, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
};
use steadfast_api::v1::errordetails::{NotFoundFailure, WorkflowExecutionAlreadyStartedFailure};
use steadfast_api::v1::history::history_event::Attributes;
use steadfast_api::v1::workflow::OnConflictOptions;
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

#[tokio::test]
async fn a_repeated_request_finds_the_run_that_it_started() {
    let mut world = World::new().await;
    let first = world.client.start_workflow_execution(start("a")).await.unwrap().into_inner();
    let again = world.client.start_workflow_execution(start("a")).await.unwrap().into_inner();
    assert_eq!(first.run_id, again.run_id);
    assert!(first.started && again.started);
    assert_eq!(first.status, Status::Running as i32);
}

#[tokio::test]
async fn another_start_of_the_same_id_is_told_of_the_first() {
    let mut world = World::new().await;
    let run_id = world.start("a").await;
    let other = StartWorkflowExecutionRequest { request_id: "other".into(), ..start("a") };
    let refused = world.client.start_workflow_execution(other.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(
        refused.message(),
        format!("Workflow execution is already running. WorkflowId: a, RunId: {run_id}.")
    );
    let detail: WorkflowExecutionAlreadyStartedFailure =
        detail(&refused, "WorkflowExecutionAlreadyStartedFailure");
    assert_eq!((detail.run_id.as_str(), detail.start_request_id.as_str()), (run_id.as_str(), "start-a"));

    let existing = StartWorkflowExecutionRequest {
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
        ..other.clone()
    };
    let existing = world.client.start_workflow_execution(existing).await.unwrap().into_inner();
    assert_eq!((existing.run_id, existing.started), (run_id.clone(), false));

    let instead = StartWorkflowExecutionRequest {
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::TerminateExisting as i32,
        ..other
    };
    let instead = world.client.start_workflow_execution(instead).await.unwrap().into_inner();
    assert!(instead.started);
    assert_ne!(instead.run_id, run_id);
    let old = DescribeWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        execution: Some(WorkflowExecution { workflow_id: "a".into(), run_id }),
    };
    let old = world.client.describe_workflow_execution(old).await.unwrap().into_inner();
    assert_eq!(old.workflow_execution_info.unwrap().status, Status::Terminated as i32);
}

#[tokio::test]
async fn the_reuse_policy_says_whether_a_closed_id_may_run_again() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![complete_workflow("done")]).await;
    let again = |policy: WorkflowIdReusePolicy| StartWorkflowExecutionRequest {
        request_id: format!("again-{}", policy as i32),
        workflow_id_reuse_policy: policy as i32,
        ..start("a")
    };
    for policy in [WorkflowIdReusePolicy::RejectDuplicate, WorkflowIdReusePolicy::AllowDuplicateFailedOnly] {
        let refused = world.client.start_workflow_execution(again(policy)).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists, "{policy:?}");
        assert!(
            refused.message().starts_with("Workflow execution already finished"),
            "{}",
            refused.message()
        );
    }
    let allowed = again(WorkflowIdReusePolicy::AllowDuplicate);
    assert!(world.client.start_workflow_execution(allowed).await.unwrap().into_inner().started);
}

#[tokio::test]
async fn what_a_start_leaves_out_is_filled_in_its_event() {
    let mut world = World::new().await;
    let request = StartWorkflowExecutionRequest {
        workflow_run_timeout: steadfast_machine::duration::proto(5_000_000_000),
        retry_policy: Some(RetryPolicy { maximum_attempts: 3, ..Default::default() }),
        ..start("a")
    };
    world.client.start_workflow_execution(request).await.unwrap();
    let events = world.history("a").await;
    assert_eq!(types(&events), [EventType::WorkflowExecutionStarted, EventType::WorkflowTaskScheduled]);
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &events[0].attributes else {
        panic!("the first event is the start");
    };
    let seconds =
        |duration: &Option<prost_types::Duration>| duration.as_ref().map(|duration| duration.seconds);
    assert_eq!(seconds(&started.workflow_run_timeout), Some(5));
    // No longer than the run.
    assert_eq!(seconds(&started.workflow_task_timeout), Some(5));
    let retry = started.retry_policy.as_ref().unwrap();
    assert_eq!((seconds(&retry.initial_interval), seconds(&retry.maximum_interval)), (Some(1), Some(100)));
    assert_eq!(retry.backoff_coefficient, 2.0);
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_texts_that_clients_know() {
    let mut world = World::new().await;
    let negative = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    let cases = [
        (
            StartWorkflowExecutionRequest { workflow_id: String::new(), ..start("a") },
            "WorkflowId is not set on request.",
        ),
        (
            StartWorkflowExecutionRequest { workflow_id: "x".repeat(1001), ..start("a") },
            "WorkflowId length exceeds limit.",
        ),
        (
            StartWorkflowExecutionRequest { workflow_type: None, ..start("a") },
            "WorkflowType is not set on request.",
        ),
        (StartWorkflowExecutionRequest { task_queue: None, ..start("a") }, "taskQueue is not set"),
        (
            StartWorkflowExecutionRequest { task_queue: Some(queue("/_sys/x")), ..start("a") },
            "task queue name cannot start with reserved prefix /_sys/",
        ),
        (
            StartWorkflowExecutionRequest { workflow_run_timeout: negative, ..start("a") },
            "An invalid WorkflowRunTimeoutSeconds is set on request. cause: negative duration",
        ),
        (
            StartWorkflowExecutionRequest {
                retry_policy: Some(RetryPolicy { backoff_coefficient: 0.5, ..Default::default() }),
                ..start("a")
            },
            "BackoffCoefficient cannot be less than 1 on retry policy.",
        ),
        (
            StartWorkflowExecutionRequest {
                cron_schedule: "* * * * *".into(),
                workflow_start_delay: Some(Default::default()),
                ..start("a")
            },
            "CronSchedule and WorkflowStartDelay may not be used together.",
        ),
        (
            StartWorkflowExecutionRequest { cron_schedule: "nonsense".into(), ..start("a") },
            "invalid CronSchedule.",
        ),
    ];
    for (request, text) in cases {
        let refused = world.client.start_workflow_execution(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, text));
    }
    let large = StartWorkflowExecutionRequest { input: payloads(&"x".repeat(3 << 20)), ..start("a") };
    let refused = world.client.start_workflow_execution(large).await.unwrap_err();
    assert_eq!(refused.message(), "Blob data size exceeds limit.");
}

#[tokio::test]
async fn terminate_ends_a_run_once_and_cancel_never_fails_on_a_closed_one() {
    let mut world = World::new().await;
    world.start("a").await;
    let terminate = TerminateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("a")),
        ..Default::default()
    };
    world.client.terminate_workflow_execution(terminate.clone()).await.unwrap();
    let events = world.history("a").await;
    let Some(Attributes::WorkflowExecutionTerminatedEventAttributes(ended)) =
        &events.last().unwrap().attributes
    else {
        panic!("the last event is the termination");
    };
    assert_eq!(
        (ended.reason.as_str(), ended.identity.as_str()),
        ("terminated by user via frontend", "frontend-service")
    );
    let refused = world.client.terminate_workflow_execution(terminate).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "workflow execution already completed"));
    let _: NotFoundFailure = detail(&refused, "NotFoundFailure");
    let cancel = RequestCancelWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("a")),
        ..Default::default()
    };
    world.client.request_cancel_workflow_execution(cancel.clone()).await.unwrap();
    // Not even one of another chain than is named: there is nothing to cancel.
    let other = "11111111-1111-1111-1111-111111111111".to_owned();
    let cancel = RequestCancelWorkflowExecutionRequest { first_execution_run_id: other, ..cancel };
    world.client.request_cancel_workflow_execution(cancel.clone()).await.unwrap();
    world.start("b").await;
    let cancel = RequestCancelWorkflowExecutionRequest { workflow_execution: Some(execution("b")), ..cancel };
    let refused = world.client.request_cancel_workflow_execution(cancel).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "workflow execution not found"));
}

/// A request that joins a run is found again by its id, if it left that; else there is the run's first event.
#[tokio::test]
async fn what_joins_a_run_is_told_where() {
    use steadfast_api::v1::common::link::{Variant, workflow_event::Reference};
    let mut world = World::new().await;
    world.start("a").await;
    for attach_request_id in [true, false] {
        let options = OnConflictOptions { attach_request_id, attach_links: true, ..Default::default() };
        let request = StartWorkflowExecutionRequest {
            request_id: format!("another {attach_request_id}"),
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
            on_conflict_options: Some(options),
            ..start("a")
        };
        let joined = world.client.start_workflow_execution(request).await.unwrap().into_inner();
        let Some(Variant::WorkflowEvent(event)) = joined.link.and_then(|link| link.variant) else {
            panic!("it names an event");
        };
        match event.reference {
            Some(Reference::RequestIdRef(request)) if attach_request_id => {
                assert_eq!(request.request_id, "another true");
            }
            Some(Reference::EventRef(event)) if !attach_request_id => assert_eq!(event.event_id, 1),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn signal_with_start_signals_what_runs_and_starts_what_does_not() {
    let mut world = World::new().await;
    let request = |request_id: &str| SignalWithStartWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "a".into(),
        workflow_type: start("a").workflow_type,
        task_queue: Some(queue(QUEUE)),
        signal_name: "go".into(),
        request_id: request_id.into(),
        ..Default::default()
    };
    let first = world.client.signal_with_start_workflow_execution(request("1")).await.unwrap().into_inner();
    let second = world.client.signal_with_start_workflow_execution(request("2")).await.unwrap().into_inner();
    assert_eq!((first.started, second.started), (true, false));
    assert_eq!(first.run_id, second.run_id);
    assert_eq!(
        types(&world.history("a").await),
        [
            EventType::WorkflowExecutionStarted,
            EventType::WorkflowExecutionSignaled,
            EventType::WorkflowTaskScheduled,
            EventType::WorkflowExecutionSignaled,
        ]
    );
}

#[tokio::test]
async fn a_deleted_workflow_is_not_found() {
    let mut world = World::new().await;
    world.start("a").await;
    let delete = DeleteWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("a")),
    };
    world.client.delete_workflow_execution(delete).await.unwrap();
    let gone = world.describe("a").await.unwrap_err();
    assert_eq!((gone.code(), gone.message()), (Code::NotFound, "workflow not found for ID: a"));
}
