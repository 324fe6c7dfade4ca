//! Queries and updates, between a caller and a worker.

use crate::world::*;
use std::time::Duration;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::enums::{
    QueryRejectCondition, QueryResultType, TaskQueueKind, UpdateWorkflowExecutionLifecycleStage as Stage,
};
use steadfast_api::v1::errordetails::{QueryFailedFailure, WorkflowNotReadyFailure};
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::taskqueue::{StickyExecutionAttributes, TaskQueue};
use steadfast_api::v1::update;
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

fn query(id: &str) -> QueryWorkflowRequest {
    QueryWorkflowRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution(id)),
        query: Some(WorkflowQuery { query_type: "state".into(), ..Default::default() }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_query_is_answered_by_a_worker_also_when_the_run_is_closed() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![complete_workflow("done")]).await;
    let mut caller = world.client.clone();
    let asked = tokio::spawn(async move { caller.query_workflow(patient(query("a"))).await });
    let task = world.poll().await;
    assert_eq!(task.query.as_ref().unwrap().query_type, "state");
    assert_eq!(task.started_event_id, 0);
    assert!(task.history.is_some_and(|history| !history.is_empty()));
    let answer = RespondQueryTaskCompletedRequest {
        task_token: task.task_token,
        completed_type: QueryResultType::Answered as i32,
        query_result: payloads("done"),
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    world.client.respond_query_task_completed(answer.clone()).await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap().into_inner().query_result, payloads("done"));
    let late = world.client.respond_query_task_completed(answer).await.unwrap_err();
    assert_eq!(late.code(), Code::NotFound);
}

#[tokio::test]
async fn a_failed_query_carries_the_workers_words() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![complete_workflow("done")]).await;
    let mut caller = world.client.clone();
    let asked = tokio::spawn(async move { caller.query_workflow(patient(query("a"))).await });
    let task = world.poll().await;
    let answer = RespondQueryTaskCompletedRequest {
        task_token: task.task_token,
        completed_type: QueryResultType::Failed as i32,
        error_message: "unknown query".into(),
        ..Default::default()
    };
    world.client.respond_query_task_completed(answer).await.unwrap();
    let refused = asked.await.unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "unknown query"));
    let _: QueryFailedFailure = detail(&refused, "QueryFailedFailure");
}

#[tokio::test]
async fn a_query_may_refuse_closed_runs_and_does_not_wait_for_ever() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![complete_workflow("done")]).await;
    let picky =
        QueryWorkflowRequest { query_reject_condition: QueryRejectCondition::NotOpen as i32, ..query("a") };
    let rejected = world.client.query_workflow(patient(picky)).await.unwrap().into_inner();
    assert!(rejected.query_rejected.is_some());
    let late = world.client.query_workflow(within(query("a"), Duration::from_millis(700))).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert_eq!(late.message(), "query timed out before a worker could process it");
}

/// The worker that has the run in its cache is gone: another gets the whole history, with the query and ever after.
#[tokio::test]
async fn a_query_that_the_sticky_worker_does_not_take_ends_the_stickiness() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let sticky =
        TaskQueue { kind: TaskQueueKind::Sticky as i32, normal_name: QUEUE.into(), ..queue("cache") };
    let request = RespondWorkflowTaskCompletedRequest {
        task_token: task.task_token,
        namespace: NAMESPACE.into(),
        sticky_attributes: Some(StickyExecutionAttributes {
            worker_task_queue: Some(sticky),
            schedule_to_start_timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        }),
        ..Default::default()
    };
    world.client.respond_workflow_task_completed(request).await.unwrap();
    let mut caller = world.client.clone();
    let asked = tokio::spawn(async move { caller.query_workflow(patient(query("a"))).await });
    let task = world.poll().await;
    let answer = RespondQueryTaskCompletedRequest {
        task_token: task.task_token,
        completed_type: QueryResultType::Answered as i32,
        namespace: NAMESPACE.into(),
        ..Default::default()
    };
    world.client.respond_query_task_completed(answer).await.unwrap();
    asked.await.unwrap().unwrap();
    world.signal("a", "go").await.unwrap();
    let Some(Event::WorkflowTaskScheduledEventAttributes(scheduled)) =
        world.history("a").await.pop().and_then(|event| event.attributes)
    else {
        panic!("a signal schedules a workflow task");
    };
    assert_eq!(scheduled.task_queue.map(|queue| queue.name), Some(QUEUE.into()));
}

#[tokio::test]
async fn a_run_that_ended_before_it_began_is_not_ready_for_queries() {
    let mut world = World::new().await;
    world.start("a").await;
    let request = TerminateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("a")),
        ..Default::default()
    };
    world.client.terminate_workflow_execution(request).await.unwrap();
    let refused = world.client.query_workflow(patient(query("a"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let _: WorkflowNotReadyFailure = detail(&refused, "WorkflowNotReadyFailure");
}

#[tokio::test]
async fn updates_are_checked_before_they_reach_a_run() {
    let mut world = World::new().await;
    world.start("a").await;
    let request = |request: update::Request, stage: Stage| UpdateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("a")),
        wait_policy: Some(update::WaitPolicy { lifecycle_stage: stage as i32 }),
        request: Some(request),
        ..Default::default()
    };
    let named = update::Request {
        meta: Some(update::Meta::default()),
        input: Some(update::Input { name: "change".into(), ..Default::default() }),
        ..Default::default()
    };
    for (given, stage, code, text) in [
        (
            update::Request::default(),
            Stage::Completed,
            Code::InvalidArgument,
            "Update meta is not set on request.",
        ),
        (
            update::Request { input: None, ..named.clone() },
            Stage::Completed,
            Code::InvalidArgument,
            "Update input is not set on request.",
        ),
        (
            update::Request { input: Some(update::Input::default()), ..named.clone() },
            Stage::Completed,
            Code::InvalidArgument,
            "Update name is not set on request.",
        ),
        (
            named.clone(),
            Stage::Admitted,
            Code::PermissionDenied,
            "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported.",
        ),
    ] {
        let refused = world.client.update_workflow_execution(request(given, stage)).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (code, text));
    }
    let unknown = PollWorkflowExecutionUpdateRequest {
        namespace: NAMESPACE.into(),
        update_ref: Some(update::UpdateRef {
            workflow_execution: Some(execution("a")),
            update_id: "nobody".into(),
        }),
        ..Default::default()
    };
    let refused = world.client.poll_workflow_execution_update(unknown.clone()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "update \"nobody\" not found"));
    let odd = WorkflowExecution { workflow_id: "a".into(), run_id: "odd".into() };
    for (workflow_execution, text) in [
        (None, "Can't load workflow execution.  WorkflowId not set."),
        (Some(odd), "RunId is not valid UUID."),
    ] {
        let update_ref = Some(update::UpdateRef { workflow_execution, update_id: "nobody".into() });
        let request = PollWorkflowExecutionUpdateRequest { update_ref, ..unknown.clone() };
        let refused = world.client.poll_workflow_execution_update(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, text));
    }
}
