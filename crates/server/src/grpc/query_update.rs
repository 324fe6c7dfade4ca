//! Queries and updates, from the caller's side: calls that wait for a worker.

use crate::call::Call;
use crate::from_proto::Addressed;
use crate::frontend::{Frontend, unexpected};
use crate::limits::{LONGEST_WAIT, NO_DEADLINE, QUERY_TAIL};
use crate::status::Refusal;
use crate::{from_proto, to_proto};
use std::time::Instant;
use steadfast_api::v1::enums::QueryResultType;
use steadfast_api::v1::query::QueryRejected;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::{Failure, NamespaceState};
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::reply::{Started, UpdateReply, WorkflowReply};
use steadfast_machine::{CallerId, EntityKey, Reject, Reply};

pub async fn query_workflow(
    frontend: &Frontend,
    call: Call,
    request: QueryWorkflowRequest,
) -> Result<QueryWorkflowResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let caller = frontend.engine.caller();
    let until = call.wait_until(NO_DEADLINE.max(LONGEST_WAIT) * 10, QUERY_TAIL);
    let left = i64::try_from(until.saturating_duration_since(Instant::now()).as_nanos()).unwrap_or(i64::MAX);
    let deadline = frontend.engine.now().plus(left);
    let input = from_proto::query(request, caller, deadline, &frontend.context(&namespace))?;
    let _waiting = frontend.long_call(namespace.id, &call)?;
    let (id, input) = input;
    let key = EntityKey::workflow(namespace.id, &id);
    let waiting = frontend.engine.wait_for_query(caller, key, input, until);
    let Some(answer) = frontend.unless_stopping(waiting).await else {
        return Err(Failure::stopping().into());
    };
    let Some(reply) = answer? else {
        return Err(
            Reject::DeadlineExceeded("query timed out before a worker could process it".into()).into()
        );
    };
    let Reply::Workflow(reply) = reply else { return Err(unexpected(&reply)) };
    match *reply {
        WorkflowReply::QueryRejected(status) => Ok(QueryWorkflowResponse {
            query_rejected: Some(QueryRejected { status: status as i32 }),
            ..QueryWorkflowResponse::default()
        }),
        WorkflowReply::QueryResult(result) if result.result_type == QueryResultType::Failed as i32 => {
            Err(Reject::QueryFailed { message: result.error_message, failure: result.failure.map(Box::new) }
                .into())
        }
        WorkflowReply::QueryResult(result) => {
            Ok(QueryWorkflowResponse { query_result: result.answer, ..QueryWorkflowResponse::default() })
        }
        other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
    }
}

async fn wait(
    frontend: &Frontend,
    namespace: &NamespaceState,
    caller: CallerId,
    (id, input): Addressed,
    until: Instant,
) -> Result<Option<Reply>, Refusal> {
    let key = EntityKey::workflow(namespace.id, &id);
    match frontend.unless_stopping(frontend.engine.wait(caller, key, input, until)).await {
        Some(answer) => Ok(answer?),
        None => Err(Failure::stopping().into()),
    }
}

/// The stage that an update has reached now.
async fn stage_now(
    frontend: &Frontend,
    namespace: &NamespaceState,
    id: &str,
    update: (Option<uuid::Uuid>, String),
) -> Result<UpdateReply, Refusal> {
    let caller = frontend.engine.caller();
    let what = What::PollUpdate { caller, update_id: update.1, stage: 0 };
    let input = Input { run: update.0, first_run: None, what };
    let until = Instant::now() + QUERY_TAIL * 10;
    match wait(frontend, namespace, caller, (id.into(), input), until).await? {
        Some(reply) => Ok(update_of(reply)?.1),
        None => Err(Refusal::Unavailable("workflow update was aborted".into())),
    }
}

/// The update's part of a reply, and what the start of an update-with-start did.
fn update_of(reply: Reply) -> Result<(Option<Started>, UpdateReply), Refusal> {
    match reply {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::Update(update) => Ok((None, update)),
            WorkflowReply::UpdateWithStart { started, update } => Ok((Some(started), update)),
            other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
        },
        other => Err(unexpected(&other)),
    }
}

/// Waits for the stage that was asked for, but no longer than the soft timeout: then the answer is the stage that was
/// reached, and the caller polls. A caller whose own deadline comes first hears of that.
async fn wait_for_update(
    frontend: &Frontend,
    call: &Call,
    namespace: &NamespaceState,
    caller: CallerId,
    (id, input): Addressed,
    update_id: String,
) -> Result<(Option<Started>, UpdateReply), Refusal> {
    let _waiting = frontend.long_call(namespace.id, call)?;
    let run = input.run;
    let soft = call.wait_until(LONGEST_WAIT, QUERY_TAIL);
    match wait(frontend, namespace, caller, (id.clone(), input), soft).await? {
        Some(reply) => update_of(reply),
        None if call.deadline.is_some_and(|deadline| deadline <= Instant::now() + QUERY_TAIL * 2) => {
            Err(Reject::DeadlineExceeded("context deadline exceeded".into()).into())
        }
        None => Ok((None, stage_now(frontend, namespace, &id, (run, update_id)).await?)),
    }
}

pub async fn update_workflow_execution(
    frontend: &Frontend,
    call: Call,
    request: UpdateWorkflowExecutionRequest,
) -> Result<UpdateWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let caller = frontend.engine.caller();
    let input = from_proto::update(request, caller, &frontend.context(&namespace))?;
    let (id, update_id) = (input.0.clone(), update_id(&input.1));
    let (_, update) = wait_for_update(frontend, &call, &namespace, caller, input, update_id).await?;
    Ok(to_proto::updated(&id, update))
}

pub async fn poll_workflow_execution_update(
    frontend: &Frontend,
    call: Call,
    request: PollWorkflowExecutionUpdateRequest,
) -> Result<PollWorkflowExecutionUpdateResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let caller = frontend.engine.caller();
    let input = from_proto::poll_update(request, caller)?;
    let (id, update_id) = (input.0.clone(), update_id(&input.1));
    let (_, update) = wait_for_update(frontend, &call, &namespace, caller, input, update_id).await?;
    Ok(to_proto::update_polled(&id, update))
}

/// A run may close over the update before a worker has accepted it, if the update found it running. Then all of it is tried
/// once more, which may start a run; who fails so again is told that it may try for itself.
pub async fn execute_multi_operation(
    frontend: &Frontend,
    call: Call,
    request: ExecuteMultiOperationRequest,
) -> Result<ExecuteMultiOperationResponse, Refusal> {
    match update_with_start(frontend, &call, request.clone()).await {
        Err(refusal) if closed_over_update(&refusal) => {}
        answer => return answer,
    }
    update_with_start(frontend, &call, request).await.map_err(|refusal| match refusal {
        Refusal::Reject(Reject::MultiOperation { message, mut operations }) if closed_over(&operations) => {
            if let Some(Err(update)) = operations.pop() {
                operations.push(Err(Reject::Aborted(update.message().to_owned())));
            }
            Reject::MultiOperation { message, operations }.into()
        }
        refusal => refusal,
    })
}

fn closed_over_update(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Reject(Reject::MultiOperation { operations, .. }) if closed_over(operations))
}

/// Nothing was started, and the run that was there closed over the update.
fn closed_over(operations: &[Result<(), Reject>]) -> bool {
    let closed = Reject::closed_over_update();
    matches!(operations, [Err(Reject::OperationAborted), Err(update)] if *update == closed)
}

async fn update_with_start(
    frontend: &Frontend,
    call: &Call,
    request: ExecuteMultiOperationRequest,
) -> Result<ExecuteMultiOperationResponse, Refusal> {
    use execute_multi_operation_response::{Response, response};
    let namespace = frontend.registered_namespace(&request.namespace)?;
    let caller = frontend.engine.caller();
    let input = from_proto::multi_operation(request, caller, &frontend.context(&namespace))?;
    let (id, update_id) = (input.0.clone(), update_id(&input.1));
    let (started, update) = wait_for_update(frontend, call, &namespace, caller, input, update_id).await?;
    let started = match started {
        Some(started) => to_proto::started(&started),
        // The wait ended before the update did: the run is there, whoever started it.
        None => StartWorkflowExecutionResponse {
            run_id: update.run_id.to_string(),
            ..StartWorkflowExecutionResponse::default()
        },
    };
    let responses = vec![
        Response { response: Some(response::Response::StartWorkflow(started)) },
        Response { response: Some(response::Response::UpdateWorkflow(to_proto::updated(&id, update))) },
    ];
    Ok(ExecuteMultiOperationResponse { responses })
}

fn update_id(input: &Input) -> String {
    match &input.what {
        What::Update(update) | What::UpdateWithStart { update, .. } => {
            update.request.meta.as_ref().map(|meta| meta.update_id.clone()).unwrap_or_default()
        }
        What::PollUpdate { update_id, .. } => update_id.clone(),
        _ => String::new(),
    }
}
