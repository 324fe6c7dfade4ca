//! Pause, unpause, reset and new options of one activity, standalone or of a workflow. For standalone ones this is off until
//! `history.enableStandaloneActivityOperatorCommands` is set.

use super::{activity_executions, activity_operations};
use crate::call::Call;
use crate::from_proto::activity_execution_operations::{self, Operation};
use crate::frontend::{Frontend, unexpected};
use crate::status::Refusal;
use std::sync::Arc;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::NamespaceState;
use steadfast_machine::standalone_activity::{Input, What};
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::{Reject, Reply};
use uuid::Uuid;

fn namespace(frontend: &Frontend, name: &str, workflow_id: &str) -> Result<Arc<NamespaceState>, Refusal> {
    let namespace = frontend.namespace(name)?;
    if workflow_id.is_empty() && !frontend.limits.activity_operations {
        let text = "Standalone activity operator commands are disabled";
        return Err(Reject::Unimplemented(text.into()).into());
    }
    Ok(namespace)
}

async fn apply(
    frontend: &Frontend,
    namespace: &NamespaceState,
    activity_id: &str,
    run: Option<Uuid>,
    what: What,
) -> Result<Reply, Refusal> {
    let key = activity_executions::key(namespace, activity_id);
    frontend.engine.apply(key, Input { run, what }).await.map_err(Refusal::from)
}

pub async fn pause_activity_execution(
    frontend: &Frontend,
    call: Call,
    request: PauseActivityExecutionRequest,
) -> Result<PauseActivityExecutionResponse, Refusal> {
    let namespace = namespace(frontend, &request.namespace, &request.workflow_id)?;
    let id = request.activity_id.clone();
    match activity_execution_operations::pause(request, &frontend.context(&namespace))? {
        Operation::Standalone(run, what) => drop(apply(frontend, &namespace, &id, run, what).await?),
        Operation::OfWorkflow(request) => {
            activity_operations::pause_activity(frontend, call, request).await?;
        }
    }
    Ok(PauseActivityExecutionResponse::default())
}

pub async fn unpause_activity_execution(
    frontend: &Frontend,
    call: Call,
    request: UnpauseActivityExecutionRequest,
) -> Result<UnpauseActivityExecutionResponse, Refusal> {
    let namespace = namespace(frontend, &request.namespace, &request.workflow_id)?;
    let id = request.activity_id.clone();
    match activity_execution_operations::unpause(request, &frontend.context(&namespace))? {
        Operation::Standalone(run, what) => drop(apply(frontend, &namespace, &id, run, what).await?),
        Operation::OfWorkflow(request) => {
            activity_operations::unpause_activity(frontend, call, request).await?;
        }
    }
    Ok(UnpauseActivityExecutionResponse::default())
}

pub async fn reset_activity_execution(
    frontend: &Frontend,
    call: Call,
    request: ResetActivityExecutionRequest,
) -> Result<ResetActivityExecutionResponse, Refusal> {
    let namespace = namespace(frontend, &request.namespace, &request.workflow_id)?;
    let id = request.activity_id.clone();
    match activity_execution_operations::reset(request, &frontend.context(&namespace))? {
        Operation::Standalone(run, what) => drop(apply(frontend, &namespace, &id, run, what).await?),
        Operation::OfWorkflow(request) => {
            activity_operations::reset_activity(frontend, call, request).await?;
        }
    }
    Ok(ResetActivityExecutionResponse::default())
}

pub async fn update_activity_execution_options(
    frontend: &Frontend,
    call: Call,
    request: UpdateActivityExecutionOptionsRequest,
) -> Result<UpdateActivityExecutionOptionsResponse, Refusal> {
    let namespace = namespace(frontend, &request.namespace, &request.workflow_id)?;
    let id = request.activity_id.clone();
    match activity_execution_operations::update_options(request, &frontend.context(&namespace))? {
        Operation::Standalone(run, what) => match apply(frontend, &namespace, &id, run, what).await? {
            Reply::Workflow(reply) => match *reply {
                WorkflowReply::ActivityOptions(options) => {
                    Ok(UpdateActivityExecutionOptionsResponse { activity_options: Some(options) })
                }
                other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
            },
            other => Err(unexpected(&other)),
        },
        Operation::OfWorkflow(request) => {
            let updated = activity_operations::update_activity_options(frontend, call, request).await?;
            Ok(UpdateActivityExecutionOptionsResponse { activity_options: updated.activity_options })
        }
    }
}
