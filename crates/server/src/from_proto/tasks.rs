//! The worker's side: answers to tasks, and what operators do to activities.

use super::{Addressed, Context};
use crate::check;
use crate::token;
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::enums::{WorkerVersioningMode, WorkflowTaskFailedCause};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::failure::failure::FailureInfo;
use steadfast_api::v1::workflowservice::{
    PauseActivityRequest, ResetActivityRequest, RespondWorkflowTaskCompletedRequest,
    RespondWorkflowTaskFailedRequest, UnpauseActivityRequest, UpdateActivityOptionsRequest,
    UpdateWorkflowExecutionOptionsRequest, pause_activity_request, reset_activity_request,
    unpause_activity_request,
};
use steadfast_machine::workflow::check_options_mask;
use steadfast_machine::workflow::failure;
use steadfast_machine::workflow::input::{
    ActivityEnd, ActivityRef, ActivitySelector, CompleteWorkflowTask, EndActivity, FailWorkflowTask,
    HeartbeatActivity, Input, What,
};
use steadfast_machine::{AnyInput, Limits, Reject, duration, standalone_activity};
use uuid::Uuid;

pub fn complete_workflow_task(
    token: &token::WorkflowTask,
    mut request: RespondWorkflowTaskCompletedRequest,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    check::identity(&request.identity, context.limits)?;
    check::deployment(request.deployment_options.as_ref(), context.limits)?;
    check::checksum(&request.binary_checksum, context.limits)?;
    if request.intermediate_page {
        return Err(Reject::FailedPrecondition("Workflow task completion pagination is not enabled.".into()));
    }
    let sticky = request.sticky_attributes.take().and_then(|sticky| {
        let queue = sticky.worker_task_queue.filter(|queue| !queue.name.is_empty())?;
        Some((queue.name, duration::known(sticky.schedule_to_start_timeout.as_ref())))
    });
    if let Some((queue, _)) = &sticky {
        check::queue_name(queue, context.limits, true)?;
    }
    let versioned = request
        .deployment_options
        .as_ref()
        .filter(|options| options.worker_versioning_mode() == WorkerVersioningMode::Versioned);
    let build_id = match (versioned, &request.deployment, &request.worker_version_stamp) {
        (Some(options), _, _) => options.build_id.clone(),
        (None, Some(deployment), _) if !deployment.series_name.is_empty() => deployment.build_id.clone(),
        (None, _, Some(stamp)) => stamp.build_id.clone(),
        _ => String::new(),
    };
    let binary_checksum = request.binary_checksum.clone();
    let complete = CompleteWorkflowTask {
        token: token.position(),
        commands: std::mem::take(&mut request.commands),
        messages: std::mem::take(&mut request.messages),
        identity: request.identity.clone(),
        sticky,
        return_new_task: request.return_new_workflow_task,
        force_create_task: request.force_create_new_workflow_task,
        query_results: std::mem::take(&mut request.query_results).into_iter().collect(),
        binary_checksum,
        build_id,
        sdk_metadata: request.sdk_metadata.take(),
        can_discard_speculative_with_events: request
            .capabilities
            .is_some_and(|capabilities| capabilities.discard_speculative_workflow_task_with_events),
        request: Box::new(request),
    };
    let run = token::uuid_of(&token.run);
    Ok((token.workflow_id.clone(), Input::run(run, What::CompleteWorkflowTask(Box::new(complete)))))
}

pub fn fail_workflow_task(
    token: &token::WorkflowTask,
    request: RespondWorkflowTaskFailedRequest,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    check::identity(&request.identity, context.limits)?;
    let fail = FailWorkflowTask {
        token: token.position(),
        cause: WorkflowTaskFailedCause::try_from(request.cause).unwrap_or_default(),
        failure: request.failure,
        identity: request.identity,
        binary_checksum: request.binary_checksum,
    };
    let run = token::uuid_of(&token.run);
    Ok((token.workflow_id.clone(), Input::run(run, What::FailWorkflowTask(Box::new(fail)))))
}

/// Which activity an answer is about: of which workflow and run, or a standalone one.
pub struct ActivityAddress {
    /// The workflow's id; a standalone activity's own.
    pub id: String,
    pub standalone: bool,
    pub run: Option<Uuid>,
    pub activity: ActivityRef,
}

impl From<&token::ActivityTask> for ActivityAddress {
    fn from(token: &token::ActivityTask) -> ActivityAddress {
        let standalone = token.workflow_id.is_empty();
        ActivityAddress {
            id: if standalone { token.activity_id.clone() } else { token.workflow_id.clone() },
            standalone,
            run: Some(token::uuid_of(&token.run)),
            activity: ActivityRef::Token {
                scheduled_event_id: token.scheduled_event_id,
                attempt: token.attempt,
            },
        }
    }
}

impl ActivityAddress {
    pub fn by_id(workflow_id: String, run_id: &str, activity_id: String) -> Result<ActivityAddress, Reject> {
        if activity_id.is_empty() {
            return Err(Reject::invalid("ActivityId is not set on request."));
        }
        let standalone = workflow_id.is_empty();
        Ok(ActivityAddress {
            id: if standalone { activity_id.clone() } else { workflow_id },
            standalone,
            run: check::run_id(run_id).map_err(|_| Reject::invalid("RunId is not valid UUID."))?,
            activity: ActivityRef::Id(activity_id),
        })
    }

    fn ended(self, identity: String, end: ActivityEnd) -> (EntityName, AnyInput) {
        let end = Box::new(EndActivity { activity: self.activity, identity, end });
        let input = if self.standalone {
            standalone_activity::Input { run: self.run, what: standalone_activity::What::End(end) }.into()
        } else {
            Input { run: self.run, first_run: None, what: What::EndActivity(end) }.into()
        };
        (EntityName { id: self.id, standalone: self.standalone }, input)
    }

    fn beat(self, identity: String, details: Option<Payloads>) -> (EntityName, AnyInput) {
        let beat = Box::new(HeartbeatActivity { activity: self.activity, identity, details });
        let input = if self.standalone {
            standalone_activity::Input { run: self.run, what: standalone_activity::What::Heartbeat(beat) }
                .into()
        } else {
            Input { run: self.run, first_run: None, what: What::HeartbeatActivity(beat) }.into()
        };
        (EntityName { id: self.id, standalone: self.standalone }, input)
    }
}

/// Whom an activity's news are for: its workflow, or itself.
pub struct EntityName {
    pub id: String,
    pub standalone: bool,
}

/// An activity's end, and the failures that were put in the place of what was too large.
pub fn end_activity(
    address: ActivityAddress,
    identity: String,
    mut end: ActivityEnd,
    context: &Context<'_>,
) -> Result<((EntityName, AnyInput), Vec<Failure>), Reject> {
    let limits = context.limits;
    if let ActivityEnd::Failed { failure: Some(failure), .. } = &end {
        // What a client says of an activity by its id may be of any kind, as on the reference.
        let by_token = matches!(address.activity, ActivityRef::Token { .. });
        if by_token && !matches!(failure.failure_info, Some(FailureInfo::ApplicationFailureInfo(_))) {
            return Err(Reject::invalid("Failure must have ApplicationFailureInfo."));
        }
        retry_delays(failure)?;
    }
    check::identity(&identity, limits)?;
    let mut replaced = Vec::new();
    match &mut end {
        ActivityEnd::Completed(result) if too_large(result.as_ref(), limits) => {
            end = failed("Complete result exceeds size limit.");
        }
        ActivityEnd::Canceled(details) if too_large(details.as_ref(), limits) => {
            end = failed("Cancel details exceed size limit.");
        }
        ActivityEnd::Failed { failure, last_heartbeat } => {
            if too_large(last_heartbeat.as_ref(), limits) {
                *last_heartbeat = None;
                replaced.push(failure::server("Heartbeat details exceed size limit.", true));
            }
            if let Some(given) = failure.take() {
                let was_too_large = check::size(Some(&given)) > limits.blob_bytes;
                let kept = failure::limited(given, limits.blob_bytes, limits.failure_bytes_kept);
                if was_too_large {
                    replaced.push(kept.clone());
                }
                *failure = Some(kept);
            }
        }
        _ => {}
    }
    Ok((address.ended(identity, end), replaced))
}

/// A heartbeat; one with details that are too large ends the activity instead.
pub fn heartbeat(
    address: ActivityAddress,
    identity: String,
    details: Option<Payloads>,
    context: &Context<'_>,
) -> Result<(EntityName, AnyInput), Reject> {
    check::identity(&identity, context.limits)?;
    Ok(if too_large(details.as_ref(), context.limits) {
        address.ended(identity, failed("Heartbeat details exceed size limit."))
    } else {
        address.beat(identity, details)
    })
}

fn too_large(payloads: Option<&Payloads>, limits: &Limits) -> bool {
    check::size(payloads) > limits.blob_bytes
}

fn failed(message: &str) -> ActivityEnd {
    ActivityEnd::Failed { failure: Some(failure::server(message, true)), last_heartbeat: None }
}

/// Every retry delay along the causes must be a duration that can be waited for.
fn retry_delays(failure: &Failure) -> Result<(), Reject> {
    let mut next = Some(failure);
    while let Some(failure) = next {
        if let Some(FailureInfo::ApplicationFailureInfo(info)) = &failure.failure_info {
            duration::nanos(info.next_retry_delay.as_ref())
                .map_err(|why| Reject::invalid(format!("NextRetryDelay is not a valid duration: {why}")))?;
        }
        next = failure.cause.as_deref();
    }
    Ok(())
}

pub fn pause_activity(request: PauseActivityRequest) -> Result<Addressed, Reject> {
    use pause_activity_request::Activity;
    let selector = request.activity.map(|activity| match activity {
        Activity::Id(id) => ActivitySelector::Id(id),
        Activity::Type(name) => ActivitySelector::Type(name),
    });
    let (id, run, selector) = selected(request.execution, selector)?;
    let what = What::PauseActivity {
        selector,
        identity: request.identity,
        reason: request.reason,
        request_id: request.request_id,
    };
    Ok((id, Input { run, first_run: None, what }))
}

pub fn unpause_activity(request: UnpauseActivityRequest) -> Result<Addressed, Reject> {
    use unpause_activity_request::Activity;
    let selector = request.activity.map(|activity| match activity {
        Activity::Id(id) => ActivitySelector::Id(id),
        Activity::Type(name) => ActivitySelector::Type(name),
        Activity::UnpauseAll(_) => ActivitySelector::All,
    });
    let (id, run, selector) = selected(request.execution, selector)?;
    let what = What::UnpauseActivity {
        selector,
        reset_attempts: request.reset_attempts,
        reset_heartbeat: request.reset_heartbeat,
        jitter: check::timeout("Jitter", request.jitter.as_ref())?,
    };
    Ok((id, Input { run, first_run: None, what }))
}

pub fn reset_activity(request: ResetActivityRequest) -> Result<Addressed, Reject> {
    use reset_activity_request::Activity;
    let selector = request.activity.map(|activity| match activity {
        Activity::Id(id) => ActivitySelector::Id(id),
        Activity::Type(name) => ActivitySelector::Type(name),
        Activity::MatchAll(_) => ActivitySelector::All,
    });
    let (id, run, selector) = selected(request.execution, selector)?;
    let what = What::ResetActivity {
        selector,
        reset_heartbeat: request.reset_heartbeat,
        keep_paused: request.keep_paused,
        restore_original_options: request.restore_original_options,
        jitter: check::timeout("Jitter", request.jitter.as_ref())?,
    };
    Ok((id, Input { run, first_run: None, what }))
}

fn selected(
    execution: Option<steadfast_api::v1::common::WorkflowExecution>,
    selector: Option<ActivitySelector>,
) -> Result<(String, Option<Uuid>, ActivitySelector), Reject> {
    let execution = execution.unwrap_or_default();
    if execution.workflow_id.is_empty() {
        return Err(Reject::invalid("WorkflowId is not set on request."));
    }
    let selector = selector
        .ok_or_else(|| Reject::invalid("Either Activity.Id or Activity.Type should be set on request."))?;
    Ok((execution.workflow_id, operated_run(&execution.run_id)?, selector))
}

/// Operators of activities are told of a bad run id in other words.
fn operated_run(id: &str) -> Result<Option<Uuid>, Reject> {
    check::run_id(id).map_err(|_| Reject::invalid("RunId is not valid UUID."))
}

pub fn update_activity_options(
    request: UpdateActivityOptionsRequest,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    let execution = request.execution.clone().unwrap_or_default();
    if execution.workflow_id.is_empty() {
        return Err(Reject::invalid("WorkflowId is not set on request."));
    }
    if request.activity.is_none() {
        return Err(Reject::invalid("Either Activity.Id or Activity.Type should be set on request."));
    }
    let priority = request.activity_options.as_ref().and_then(|options| options.priority.as_ref());
    check::priority(priority, context.limits)?;
    let run = operated_run(&execution.run_id)?;
    let what = What::UpdateActivityOptions(Box::new(request));
    Ok((execution.workflow_id, Input { run, first_run: None, what }))
}

pub fn update_workflow_options(
    request: UpdateWorkflowExecutionOptionsRequest,
    context: &Context<'_>,
) -> Result<Addressed, Reject> {
    let execution = request.workflow_execution.clone().unwrap_or_default();
    if execution.workflow_id.is_empty() {
        return Err(Reject::invalid("WorkflowId is not set on request."));
    }
    let Some(mask) = &request.update_mask else { return Err(Reject::invalid("UpdateMask is required")) };
    let Some(options) = &request.workflow_execution_options else {
        return Err(Reject::invalid("WorkflowExecutionOptions is required"));
    };
    check_options_mask(&mask.paths)?;
    check::priority(options.priority.as_ref(), context.limits)?;
    if options.time_skipping_config.is_some() {
        return Err(super::no_time_skipping());
    }
    let run = check::run_id(&execution.run_id)?;
    let what = What::UpdateOptions(Box::new(request));
    Ok((execution.workflow_id, Input { run, first_run: None, what }))
}
