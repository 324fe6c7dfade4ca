//! The start of a standalone activity.

use super::Context;
use super::activity_execution_operations::at_most;
use crate::check;
use steadfast_api::v1::workflowservice::StartActivityExecutionRequest;
use steadfast_machine::standalone_activity::Start;
use steadfast_machine::workflow::activity;
use steadfast_machine::{Reject, duration};

/// The id, and what is to be started under it.
pub fn start_activity(
    mut request: StartActivityExecutionRequest,
    context: &Context<'_>,
) -> Result<(String, Start), Reject> {
    let limits = context.limits;
    let id = std::mem::take(&mut request.activity_id);
    let task_queue = check::user_queue(request.task_queue.as_ref(), limits)?.name.clone();
    if id.is_empty() {
        return Err(Reject::invalid("activityId is not set"));
    }
    let activity_type = request.activity_type.take().unwrap_or_default().name;
    if activity_type.is_empty() {
        return Err(Reject::invalid("activityType is not set"));
    }
    check::no_nul(&id)?;
    check::no_nul(&activity_type)?;
    let mut retry_policy = request.retry_policy.take().unwrap_or_default();
    check::retry_policy(&mut retry_policy)?;
    at_most("activityId", &id, limits)?;
    at_most("activityType", &activity_type, limits)?;
    check::priority(request.priority.as_ref(), limits).map_err(|refusal| match refusal {
        Reject::InvalidArgument(why) => Reject::InvalidArgument(format!("invalid priorities: {why}")),
        other => other,
    })?;
    let close = timeout("ScheduleToCloseTimeout", request.schedule_to_close_timeout.as_ref())?;
    let start = timeout("ScheduleToStartTimeout", request.schedule_to_start_timeout.as_ref())?;
    let work = timeout("StartToCloseTimeout", request.start_to_close_timeout.as_ref())?;
    let heartbeat = timeout("HeartbeatTimeout", request.heartbeat_timeout.as_ref())?;
    let (schedule_to_close, schedule_to_start, start_to_close, heartbeat) =
        activity::normalise(close, start, work, heartbeat, 0).ok_or_else(|| {
            Reject::invalid(format!(
                "a valid StartToClose or ScheduleToCloseTimeout is not set on ScheduleActivityTaskCommand. ActivityId={id} ActivityType={activity_type}"
            ))
        })?;
    let start_delay = timeout("StartDelay", request.start_delay.as_ref())?;
    let request_id = Some(request.request_id).filter(|id| !id.is_empty()).unwrap_or_else(context.fresh_id);
    at_most("request ID", &request_id, limits)?;
    if check::size(request.input.as_ref()) > limits.blob_bytes {
        return Err(Reject::invalid("input exceeds length limit"));
    }
    check::header(request.header.as_ref(), limits)?;
    check::user_metadata(request.user_metadata.as_ref(), limits)?;
    at_most("identity", &request.identity, limits)?;
    if !request.completion_callbacks.is_empty() {
        return Err(Reject::invalid("completion callbacks are not enabled for standalone activities"));
    }
    if let Some(attributes) = &request.search_attributes {
        context
            .namespace
            .check_search_attributes(attributes)
            .map_err(|bad| Reject::InvalidArgument(bad.into_text()))?;
    }
    let (reuse, conflict) = (request.id_reuse_policy, request.id_conflict_policy);
    let start = Start {
        activity_type,
        task_queue,
        schedule_to_close,
        schedule_to_start,
        start_to_close,
        heartbeat,
        start_delay: start_delay.min(duration::LONGEST),
        retry_policy,
        input: request.input,
        header: request.header,
        request_id,
        identity: request.identity,
        reuse: reuse
            .try_into()
            .map_err(|_| Reject::InvalidArgument(format!("unsupported ID reuse policy: {reuse}")))?,
        conflict: conflict
            .try_into()
            .map_err(|_| Reject::InvalidArgument(format!("unsupported ID conflict policy: {conflict}")))?,
        search_attributes: request
            .search_attributes
            .map(|attributes| context.namespace.with_types(attributes)),
        user_metadata: request.user_metadata,
        priority: request.priority,
        links: request.links,
    };
    Ok((id, start))
}

fn timeout(what: &str, given: Option<&prost_types::Duration>) -> Result<i64, Reject> {
    duration::nanos(given).map_err(|why| Reject::invalid(format!("invalid {what}: {why}")))
}
