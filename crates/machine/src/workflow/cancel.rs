//! Somebody asks the workflow to cancel itself.

use super::events::Attributes;
use super::input::RequestCancel;
use super::step::Step;
use super::task;
use crate::decision::Reply;
use crate::env::Env;
use crate::reject::Reject;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::history::WorkflowExecutionCancelRequestedEventAttributes;

/// Asking twice, or asking a workflow that is over, is no error: what was wanted holds.
pub fn apply(step: &mut Step, request: &RequestCancel, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if !step.run.is_open() || step.run.core.cancel_requested {
        return Ok(Reply::Done);
    }
    let external = request.external.as_ref();
    let attributes = Attributes::WorkflowExecutionCancelRequestedEventAttributes(
        WorkflowExecutionCancelRequestedEventAttributes {
            cause: request.reason.clone(),
            external_initiated_event_id: external.map_or(0, |sender| sender.initiated_event_id),
            external_workflow_execution: external.map(|sender| WorkflowExecution {
                workflow_id: sender.workflow_id.clone(),
                run_id: sender.run_id.clone(),
            }),
            identity: request.identity.clone(),
        },
    );
    let event = step.make(env, attributes, None, request.links.clone());
    step.record_event(event);
    step.run.core.cancel_requested = true;
    // Also during a backoff: the first task comes at once.
    task::ensure(step, env);
    Ok(Reply::Done)
}
