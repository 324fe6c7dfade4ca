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
use steadfast_api::v1::deployment::WorkerDeploymentVersion;
use steadfast_api::v1::enums::VersioningBehavior;
use steadfast_api::v1::history::WorkflowExecutionOptionsUpdatedEventAttributes;
use steadfast_api::v1::workflow::versioning_override::{Override, PinnedOverrideBehavior};
use steadfast_api::v1::workflow::{VersioningOverride, WorkflowExecutionOptions};
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
    let mut merged = merged(before.clone(), options, mask)?;
    pin(step, merged.versioning_override.as_mut())?;
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
            part if part.starts_with("versioning_override.") => {
                return Err(Reject::invalid(
                    "error applying update_options: versioning_override fields must be updated together",
                ));
            }
            "priority" => priority = wanted.clone(),
            "priority.priority_key" => priority.priority_key = wanted.priority_key,
            "priority.fairness_key" => priority.fairness_key.clone_from(&wanted.fairness_key),
            "priority.fairness_weight" => priority.fairness_weight = wanted.fairness_weight,
            // The test server's.
            other if other.starts_with("time_skipping_config") => {}
            other => return Err(unknown_path(other)),
        }
    }
    options.priority = Some(priority).filter(|priority| *priority != Priority::default());
    Ok(options)
}

fn unknown_path(path: &str) -> Reject {
    Reject::invalid(format!(
        "error parsing UpdateMask: proto: invalid path {path:?} for message \"temporal.api.workflow.v1.WorkflowExecutionOptions\""
    ))
}

/// Whether all that a mask names exists.
///
/// # Errors
/// Something does not: that is so whatever the run is.
pub fn check_mask(mask: &[String]) -> Result<(), Reject> {
    let is_field = |path: &str| {
        matches!(
            path,
            "priority.priority_key" | "priority.fairness_key" | "priority.fairness_weight" | "priority"
        ) || ["versioning_override", "time_skipping_config"].iter().any(|field| path.starts_with(field))
    };
    mask.iter().find(|path| !is_field(path)).map_or(Ok(()), |path| Err(unknown_path(path)))
}

/// An override that pins to no version in particular keeps the run at the one that it is pinned to.
fn pin(step: &Step, new: Option<&mut VersioningOverride>) -> Result<(), Reject> {
    let Some(Override::Pinned(pinned)) = new.and_then(|new| new.r#override.as_mut()) else { return Ok(()) };
    if pinned.version.is_some() || pinned.behavior() != PinnedOverrideBehavior::Pinned {
        return Ok(());
    }
    let core = &step.run.core;
    let before = core.versioning_override.as_ref().and_then(|before| before.r#override.as_ref());
    let (behavior, version) = match before {
        Some(Override::Pinned(before)) => (VersioningBehavior::Pinned, before.version.clone()),
        Some(Override::AutoUpgrade(_)) => (VersioningBehavior::AutoUpgrade, None),
        _ => {
            let version = WorkerDeploymentVersion {
                deployment_name: core.deployment_name.clone(),
                build_id: core.deployment_build_id.clone(),
            };
            let behavior = VersioningBehavior::try_from(core.versioning_behavior).unwrap_or_default();
            (behavior, (behavior == VersioningBehavior::Pinned).then_some(version))
        }
    };
    let Some(version) = version else {
        return Err(Reject::FailedPrecondition(format!(
            "must specify a specific pinned override version because workflow with id {} has behavior {behavior:?} and is not yet pinned to any version",
            step.key.entity.id
        )));
    };
    pinned.version = Some(version);
    Ok(())
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
