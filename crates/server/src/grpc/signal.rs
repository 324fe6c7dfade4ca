//! What is done to a run from outside: signal, cancel, terminate, delete, reset, pause, change of options.

use crate::call::Call;
use crate::check;
use crate::from_proto;
use crate::frontend::{Frontend, unexpected};
use crate::status::Refusal;
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::{Limits, Reject, Reply};

pub async fn signal_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: SignalWorkflowExecutionRequest,
) -> Result<SignalWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let input = from_proto::signal(request, &frontend.context(&namespace))?;
    frontend.apply(namespace.id, input).await?;
    Ok(SignalWorkflowExecutionResponse::default())
}

pub async fn request_cancel_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: RequestCancelWorkflowExecutionRequest,
) -> Result<RequestCancelWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let input = from_proto::request_cancel(request, &frontend.context(&namespace))?;
    frontend.apply(namespace.id, input).await?;
    Ok(RequestCancelWorkflowExecutionResponse::default())
}

pub async fn terminate_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: TerminateWorkflowExecutionRequest,
) -> Result<TerminateWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let input = from_proto::terminate(request, &frontend.context(&namespace))?;
    frontend.apply(namespace.id, input).await?;
    Ok(TerminateWorkflowExecutionResponse::default())
}

pub async fn delete_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: DeleteWorkflowExecutionRequest,
) -> Result<DeleteWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let (id, run) = check::execution(request.workflow_execution.as_ref())?;
    let input = Input { run, first_run: None, what: What::Delete };
    frontend.apply(namespace.id, (id.into(), input)).await?;
    Ok(DeleteWorkflowExecutionResponse::default())
}

pub async fn reset_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: ResetWorkflowExecutionRequest,
) -> Result<ResetWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let input = from_proto::reset(request, &frontend.context(&namespace))?;
    match frontend.apply(namespace.id, input).await? {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::Reset { run_id } => {
                Ok(ResetWorkflowExecutionResponse { run_id: run_id.to_string() })
            }
            other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
        },
        other => Err(unexpected(&other)),
    }
}

pub async fn update_workflow_execution_options(
    frontend: &Frontend,
    _: Call,
    request: UpdateWorkflowExecutionOptionsRequest,
) -> Result<UpdateWorkflowExecutionOptionsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let input = from_proto::update_workflow_options(request, &frontend.context(&namespace))?;
    match frontend.apply(namespace.id, input).await? {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::Options(options) => Ok(UpdateWorkflowExecutionOptionsResponse {
                workflow_execution_options: Some(options),
                ..Default::default()
            }),
            other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
        },
        other => Err(unexpected(&other)),
    }
}

pub async fn pause_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: PauseWorkflowExecutionRequest,
) -> Result<PauseWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    if !frontend.limits.workflow_pause {
        let text = format!("workflow pause is not enabled for namespace: {}", namespace.name);
        return Err(Reject::Unimplemented(text).into());
    }
    let PauseWorkflowExecutionRequest { workflow_id, run_id, identity, reason, request_id, .. } = &request;
    check_pause((workflow_id, run_id), [identity, reason, request_id], &frontend.limits)?;
    let what =
        What::Pause { identity: request.identity, reason: request.reason, request_id: request.request_id };
    let input = Input { run: check::run_id(&request.run_id)?, first_run: None, what };
    frontend.apply(namespace.id, (request.workflow_id, input)).await?;
    Ok(PauseWorkflowExecutionResponse::default())
}

pub async fn unpause_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: UnpauseWorkflowExecutionRequest,
) -> Result<UnpauseWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let UnpauseWorkflowExecutionRequest { workflow_id, run_id, identity, reason, request_id, .. } = &request;
    check_pause((workflow_id, run_id), [identity, reason, request_id], &frontend.limits)?;
    let what =
        What::Unpause { identity: request.identity, reason: request.reason, request_id: request.request_id };
    let input = Input { run: check::run_id(&request.run_id)?, first_run: None, what };
    frontend.apply(namespace.id, (request.workflow_id, input)).await?;
    Ok(UnpauseWorkflowExecutionResponse::default())
}

/// In the reference's order, and in its words, which are not those of other requests. `texts`: the identity, the reason
/// and the request id.
fn check_pause(
    (workflow_id, run_id): (&str, &str),
    texts: [&String; 3],
    limits: &Limits,
) -> Result<(), Reject> {
    for (what, text) in ["identity", "reason", "request id"].into_iter().zip(texts) {
        if text.len() > limits.id_bytes {
            return Err(Reject::invalid(format!("{what} is too long.")));
        }
        check::no_nul(text)?;
    }
    check::loaded(workflow_id, run_id).map(|_| ())
}
