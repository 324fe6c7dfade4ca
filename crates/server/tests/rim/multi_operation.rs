//! Update-with-start: both operations are told apart, and a run that closes over the update makes room for another.

use crate::world::*;
use steadfast_api::v1::enums::UpdateWorkflowExecutionLifecycleStage as Stage;
use steadfast_api::v1::errordetails::MultiOperationExecutionFailure;
use steadfast_api::v1::errordetails::multi_operation_execution_failure::OperationStatus;
use steadfast_api::v1::update::{Input, Meta, Request, WaitPolicy};
use steadfast_api::v1::workflowservice::execute_multi_operation_request::Operation;
use steadfast_api::v1::workflowservice::execute_multi_operation_request::operation::Operation as One;
use steadfast_api::v1::workflowservice::execute_multi_operation_response::response::Response;
use steadfast_api::v1::workflowservice::*;
use tonic::{Code, Status};

fn update(id: &str) -> UpdateWorkflowExecutionRequest {
    let meta = Meta { update_id: "u1".into(), identity: "client".into() };
    let input = Input { name: "bump".into(), ..Input::default() };
    UpdateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(id)),
        wait_policy: Some(WaitPolicy { lifecycle_stage: Stage::Completed as i32 }),
        request: Some(Request { meta: Some(meta), input: Some(input), ..Request::default() }),
        ..Default::default()
    }
}

fn request(
    start: StartWorkflowExecutionRequest,
    update: UpdateWorkflowExecutionRequest,
) -> ExecuteMultiOperationRequest {
    let operation = |operation| Operation { operation: Some(operation) };
    ExecuteMultiOperationRequest {
        namespace: NAMESPACE.into(),
        operations: vec![operation(One::StartWorkflow(start)), operation(One::UpdateWorkflow(update))],
        ..Default::default()
    }
}

/// For the run that is there, if one is.
fn start_or_use(id: &str, request_id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        request_id: request_id.into(),
        workflow_id_conflict_policy: 2,
        ..start(id)
    }
}

fn told(refused: &Status) -> Vec<OperationStatus> {
    assert_eq!(refused.message(), "Update-with-Start could not be executed.");
    detail::<MultiOperationExecutionFailure>(refused, "MultiOperationExecutionFailure").statuses
}

fn texts(statuses: &[OperationStatus]) -> Vec<&str> {
    statuses.iter().map(|status| status.message.as_str()).collect()
}

#[tokio::test]
async fn it_needs_both_of_one_workflow() {
    let mut world = World::new().await;
    let mut alone = request(start("a"), update("a"));
    alone.operations.pop();
    let refused = world.client.execute_multi_operation(alone).await.unwrap_err();
    assert_eq!(refused.message(), "Operations have to be exactly [Start, Update].");

    let refused = world.client.execute_multi_operation(request(start("a"), update("b"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let expected = ["Operation was aborted.", "WorkflowId is not consistent with previous operation(s)."];
    assert_eq!(texts(&told(&refused)), expected);
}

#[tokio::test]
async fn each_operation_is_told_what_is_wrong_with_it() {
    let mut world = World::new().await;
    let start = StartWorkflowExecutionRequest { workflow_type: None, ..start("a") };
    let update = UpdateWorkflowExecutionRequest { request: None, ..update("a") };
    let refused = world.client.execute_multi_operation(request(start, update)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let expected = ["WorkflowType is not set on request.", "Update meta is not set on request."];
    assert_eq!(texts(&told(&refused)), expected);
}

/// The update waits for a workflow task that ends the run: the server asks once more, which starts the next run.
#[tokio::test]
async fn a_run_that_closes_over_the_update_is_followed_by_one_that_gets_it() {
    let mut world = World::new().await;
    let first = world.start("a").await;
    let task = world.poll().await;
    let mut client = world.client.clone();
    let both = patient(request(start_or_use("a", "again"), update("a")));
    let waiting = tokio::spawn(async move { client.execute_multi_operation(both).await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    world.complete(&task, vec![complete_workflow("done")]).await.unwrap();

    let task = world.poll().await;
    assert_ne!(task.workflow_execution.as_ref().unwrap().run_id, first);
    assert_eq!(task.messages.len(), 1, "the update rides with the first task of the new run");
    // A worker that knows no updates has it rejected.
    world.complete(&task, Vec::new()).await.unwrap();
    let answer = waiting.await.unwrap().unwrap().into_inner();
    let Some(Response::StartWorkflow(started)) = &answer.responses[0].response else { panic!("{answer:?}") };
    assert!(started.started && started.run_id != first);
}

/// Where nothing new may be started, the caller hears of the start.
#[tokio::test]
async fn a_run_that_closes_over_the_update_may_be_the_last() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let mut client = world.client.clone();
    let once = StartWorkflowExecutionRequest { workflow_id_reuse_policy: 3, ..start_or_use("a", "again") };
    let both = patient(request(once, update("a")));
    let waiting = tokio::spawn(async move { client.execute_multi_operation(both).await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    world.complete(&task, vec![complete_workflow("done")]).await.unwrap();
    let refused = waiting.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    let statuses = told(&refused);
    assert!(statuses[0].message.starts_with("Workflow execution already finished."), "{statuses:?}");
    assert_eq!(statuses[1].message, "Operation was aborted.");
}
