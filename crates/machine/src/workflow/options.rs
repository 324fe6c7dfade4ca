//! Options of a running workflow are changed: its versioning override and its priority.

use super::activity;
use super::events::Attributes;
use super::reply::WorkflowReply;
use super::step::Step;
use super::task;
use crate::decision::Reply;
use crate::env::Env;
use crate::reject::Reject;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::history::WorkflowExecutionOptionsUpdatedEventAttributes;
use steadfast_api::v1::workflow::WorkflowExecutionOptions;
use steadfast_api::v1::workflowservice::UpdateWorkflowExecutionOptionsRequest;

pub fn apply(
    step: &mut Step,
    request: &UpdateWorkflowExecutionOptionsRequest,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    let Some(mask) = &request.update_mask else { return Err(Reject::invalid("UpdateMask is required")) };
    let Some(options) = &request.workflow_execution_options else {
        return Err(Reject::invalid("WorkflowExecutionOptions is required"));
    };
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    change(step, options, &mask.paths, &request.identity, env)?;
    Ok(WorkflowReply::Options(current(step)).into())
}

/// Takes over the fields that the mask names. What is as it was leaves no event.
pub fn change(
    step: &mut Step,
    options: &WorkflowExecutionOptions,
    mask: &[String],
    identity: &str,
    env: &mut Env<'_>,
) -> Result<(), Reject> {
    let before = current(step);
    let merged = merged(before.clone(), options, mask)?;
    activity::check_priority(merged.priority.as_ref(), env).map_err(Reject::InvalidArgument)?;
    if merged == before {
        return Ok(());
    }
    let attributes = WorkflowExecutionOptionsUpdatedEventAttributes {
        unset_versioning_override: merged.versioning_override.is_none(),
        versioning_override: merged.versioning_override.clone(),
        priority: merged.priority.clone(),
        identity: identity.to_owned(),
        ..WorkflowExecutionOptionsUpdatedEventAttributes::default()
    };
    step.record(env, Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(attributes));
    step.run.core.versioning_override.clone_from(&merged.versioning_override);
    step.run.core.priority = Some(merged.priority.clone().unwrap_or_default());
    step.visibility = true;
    if merged.priority != before.priority {
        requeue(step, env);
    }
    Ok(())
}

fn current(step: &Step) -> WorkflowExecutionOptions {
    WorkflowExecutionOptions {
        versioning_override: step.run.core.versioning_override.clone(),
        priority: step.priority().filter(|priority| *priority != Priority::default()),
        ..WorkflowExecutionOptions::default()
    }
}

fn merged(
    mut options: WorkflowExecutionOptions,
    new: &WorkflowExecutionOptions,
    mask: &[String],
) -> Result<WorkflowExecutionOptions, Reject> {
    let mut priority = options.priority.take().unwrap_or_default();
    let wanted = new.priority.clone().unwrap_or_default();
    for path in mask {
        match path.as_str() {
            "versioning_override" => options.versioning_override.clone_from(&new.versioning_override),
            "priority" => priority = wanted.clone(),
            "priority.priority_key" => priority.priority_key = wanted.priority_key,
            "priority.fairness_key" => priority.fairness_key.clone_from(&wanted.fairness_key),
            "priority.fairness_weight" => priority.fairness_weight = wanted.fairness_weight,
            // Parts of an override cannot be changed by themselves; time skipping is the test server's.
            other
                if other.starts_with("versioning_override.") || other.starts_with("time_skipping_config") => {
            }
            other => {
                return Err(Reject::invalid(format!(
                    "error parsing UpdateMask: proto: invalid path {other:?} for message \"temporal.api.workflow.v1.WorkflowExecutionOptions\""
                )));
            }
        }
    }
    options.priority = Some(priority).filter(|priority| *priority != Priority::default());
    Ok(options)
}

/// What waits in a queue takes its new place there.
fn requeue(step: &mut Step, env: &mut Env<'_>) {
    task::requeue(step, env);
    let queued: Vec<_> =
        step.run.activities.values().filter(|row| row.queued.is_some()).map(|row| (**row).clone()).collect();
    for row in queued {
        activity::redispatch(step, row, env);
    }
}
