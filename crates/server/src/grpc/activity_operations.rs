//! What operators do to a workflow's activities.

use crate::call::Call;
use crate::from_proto;
use crate::frontend::{Frontend, unexpected};
use crate::status::Refusal;
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::Reply;
use steadfast_machine::workflow::reply::WorkflowReply;

pub async fn pause_activity(
    frontend: &Frontend,
    _: Call,
    request: PauseActivityRequest,
) -> Result<PauseActivityResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    frontend.apply(namespace.id, from_proto::pause_activity(request)?).await?;
    Ok(PauseActivityResponse::default())
}

pub async fn unpause_activity(
    frontend: &Frontend,
    _: Call,
    request: UnpauseActivityRequest,
) -> Result<UnpauseActivityResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    frontend.apply(namespace.id, from_proto::unpause_activity(request)?).await?;
    Ok(UnpauseActivityResponse::default())
}

pub async fn reset_activity(
    frontend: &Frontend,
    _: Call,
    request: ResetActivityRequest,
) -> Result<ResetActivityResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    frontend.apply(namespace.id, from_proto::reset_activity(request)?).await?;
    Ok(ResetActivityResponse::default())
}

pub async fn update_activity_options(
    frontend: &Frontend,
    _: Call,
    request: UpdateActivityOptionsRequest,
) -> Result<UpdateActivityOptionsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let input = from_proto::update_activity_options(request, &frontend.context(&namespace))?;
    match frontend.apply(namespace.id, input).await? {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::ActivityOptions(options) => {
                Ok(UpdateActivityOptionsResponse { activity_options: Some(options) })
            }
            other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
        },
        other => Err(unexpected(&other)),
    }
}
