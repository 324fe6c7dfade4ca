//! What operators ask of one activity: a standalone one, or, if a workflow id is given, one of that workflow.

use super::Context;
use crate::check;
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::standalone_activity::{Reset, UpdateOptions, What};
use steadfast_machine::workflow::activity_operations::snake;
use steadfast_machine::{Limits, Reject, duration};
use uuid::Uuid;

/// The paths that a mask may name.
const PATHS: [&str; 15] = [
    "task_queue.name",
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
    "priority",
    "priority.priority_key",
    "priority.fairness_key",
    "priority.fairness_weight",
    "retry_policy",
    "retry_policy.initial_interval",
    "retry_policy.backoff_coefficient",
    "retry_policy.maximum_interval",
    "retry_policy.maximum_attempts",
    "start_delay",
];

/// What all these requests have.
struct Head<'a> {
    request_id: &'a mut String,
    activity_id: &'a str,
    identity: &'a str,
    run_id: &'a str,
}

impl Head<'_> {
    fn check(self, context: &Context<'_>) -> Result<Option<Uuid>, Reject> {
        if self.request_id.is_empty() {
            *self.request_id = (context.fresh_id)();
        }
        let limits = context.limits;
        at_most("request ID", self.request_id, limits)?;
        let run = named_activity(self.activity_id, self.run_id, limits)?;
        at_most("identity", self.identity, limits)?;
        Ok(run)
    }
}

/// The run that is named, if one is.
pub fn named_activity(activity_id: &str, run_id: &str, limits: &Limits) -> Result<Option<Uuid>, Reject> {
    if activity_id.is_empty() {
        return Err(Reject::invalid("activity ID is required"));
    }
    at_most("activity ID", activity_id, limits)?;
    check::run_id(run_id).map_err(|_| Reject::invalid("invalid run id: must be a valid UUID"))
}

pub fn at_most(what: &str, text: &str, limits: &Limits) -> Result<(), Reject> {
    let (length, limit) = (text.len(), limits.id_bytes);
    if length <= limit {
        return Ok(());
    }
    Err(Reject::invalid(format!("{what} exceeds length limit. Length={length} Limit={limit}")))
}

macro_rules! head {
    ($request:ident, $context:ident) => {
        Head {
            request_id: &mut $request.request_id,
            activity_id: &$request.activity_id,
            identity: &$request.identity,
            run_id: &$request.run_id,
        }
        .check($context)
    };
}

fn jitter(given: Option<&prost_types::Duration>) -> Result<i64, Reject> {
    duration::nanos(given).map_err(|why| Reject::invalid(format!("invalid jitter: {why}")))
}

fn execution(workflow_id: String, run_id: String) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id, run_id })
}

/// What is asked of a standalone activity, or the same request about an activity of a workflow.
pub enum Operation<W> {
    Standalone(Option<Uuid>, What),
    OfWorkflow(W),
}

pub fn pause(
    mut request: PauseActivityExecutionRequest,
    context: &Context<'_>,
) -> Result<Operation<PauseActivityRequest>, Reject> {
    let run = head!(request, context)?;
    if request.reason.len() > context.limits.blob_bytes {
        return Err(Reject::invalid("reason exceeds length limit"));
    }
    if request.workflow_id.is_empty() {
        let (identity, request_id, reason) = (request.identity, request.request_id, request.reason);
        return Ok(Operation::Standalone(run, What::Pause { identity, request_id, reason }));
    }
    Ok(Operation::OfWorkflow(PauseActivityRequest {
        namespace: request.namespace,
        execution: execution(request.workflow_id, request.run_id),
        identity: request.identity,
        reason: request.reason,
        request_id: request.request_id,
        activity: Some(pause_activity_request::Activity::Id(request.activity_id)),
    }))
}

pub fn unpause(
    mut request: UnpauseActivityExecutionRequest,
    context: &Context<'_>,
) -> Result<Operation<UnpauseActivityRequest>, Reject> {
    let run = head!(request, context)?;
    let jitter = jitter(request.jitter.as_ref())?;
    if request.workflow_id.is_empty() {
        return Ok(Operation::Standalone(run, What::Unpause { request_id: request.request_id, jitter }));
    }
    Ok(Operation::OfWorkflow(UnpauseActivityRequest {
        namespace: request.namespace,
        execution: execution(request.workflow_id, request.run_id),
        identity: request.identity,
        jitter: request.jitter,
        activity: Some(unpause_activity_request::Activity::Id(request.activity_id)),
        ..UnpauseActivityRequest::default()
    }))
}

pub fn reset(
    mut request: ResetActivityExecutionRequest,
    context: &Context<'_>,
) -> Result<Operation<ResetActivityRequest>, Reject> {
    let run = head!(request, context)?;
    let jitter = jitter(request.jitter.as_ref())?;
    if request.workflow_id.is_empty() {
        let reset = Reset {
            request_id: request.request_id,
            reset_heartbeat: request.reset_heartbeat,
            keep_paused: request.keep_paused,
            restore_original_options: request.restore_original_options,
            jitter,
        };
        return Ok(Operation::Standalone(run, What::Reset(reset)));
    }
    Ok(Operation::OfWorkflow(ResetActivityRequest {
        namespace: request.namespace,
        execution: execution(request.workflow_id, request.run_id),
        identity: request.identity,
        reset_heartbeat: request.reset_heartbeat,
        keep_paused: request.keep_paused,
        restore_original_options: request.restore_original_options,
        jitter: request.jitter,
        activity: Some(reset_activity_request::Activity::Id(request.activity_id)),
    }))
}

pub fn update_options(
    mut request: UpdateActivityExecutionOptionsRequest,
    context: &Context<'_>,
) -> Result<Operation<UpdateActivityOptionsRequest>, Reject> {
    let run = head!(request, context)?;
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.clone());
    let has_paths = paths.as_ref().is_some_and(|paths| !paths.is_empty());
    if has_paths && request.restore_original {
        return Err(Reject::invalid("Both UpdateMask and RestoreOriginal are provided"));
    }
    let change = if request.restore_original {
        None
    } else {
        let options = request.activity_options.as_mut();
        let options = options.ok_or_else(|| Reject::invalid("ActivityOptions are not provided"))?;
        let paths = paths.ok_or_else(|| Reject::invalid("UpdateMask is not provided"))?;
        check_options(options, &paths, context.limits)?;
        Some((options.clone(), paths))
    };
    if request.workflow_id.is_empty() {
        let update = UpdateOptions { request_id: request.request_id, change };
        return Ok(Operation::Standalone(run, What::UpdateOptions(Box::new(update))));
    }
    Ok(Operation::OfWorkflow(UpdateActivityOptionsRequest {
        namespace: request.namespace,
        execution: execution(request.workflow_id, request.run_id),
        identity: request.identity,
        activity_options: request.activity_options,
        update_mask: request.update_mask.filter(|_| !request.restore_original),
        restore_original: request.restore_original,
        activity: Some(update_activity_options_request::Activity::Id(request.activity_id)),
    }))
}

/// Checks what the paths name, and fills in what a retry policy leaves open.
fn check_options(options: &mut ActivityOptions, paths: &[String], limits: &Limits) -> Result<(), Reject> {
    if paths.is_empty() {
        return Err(Reject::invalid("UpdateMask must specify at least one path"));
    }
    for path in paths {
        if !PATHS.contains(&snake(path).as_str()) {
            return Err(Reject::invalid(format!("unsupported update_mask path: {path:?}")));
        }
    }
    let named = |prefix: &str| paths.iter().any(|path| snake(path).starts_with(prefix));
    if named("task_queue") {
        if options.task_queue.is_none() {
            return Err(Reject::invalid("TaskQueue is not provided"));
        }
        check::user_queue(options.task_queue.as_ref(), limits)?;
    }
    let timeouts = [
        ("schedule_to_close", "ScheduleToCloseTimeout", &options.schedule_to_close_timeout),
        ("schedule_to_start", "ScheduleToStartTimeout", &options.schedule_to_start_timeout),
        ("start_to_close", "StartToCloseTimeout", &options.start_to_close_timeout),
        ("heartbeat", "HeartbeatTimeout", &options.heartbeat_timeout),
    ];
    for (path, name, value) in timeouts {
        if named(path) {
            duration::nanos(value.as_ref())
                .map_err(|why| Reject::invalid(format!("invalid {name}: {why}")))?;
        }
    }
    if named("priority") {
        if named("priority.") && options.priority.is_none() {
            return Err(Reject::invalid("Priority is not provided"));
        }
        check::priority(options.priority.as_ref(), limits)?;
    }
    if paths.iter().any(|path| snake(path) == "retry_policy") {
        check::retry_policy(options.retry_policy.get_or_insert_default())?;
    } else if named("retry_policy.") && options.retry_policy.is_none() {
        return Err(Reject::invalid("RetryPolicy is not provided"));
    }
    Ok(())
}
