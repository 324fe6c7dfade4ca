//! ScheduleActivityTask and RequestCancelActivityTask.

use super::{Completion, Done, Trouble, bad_state, check_internal_queue, check_nul, check_payloads};
use crate::duration;
use crate::env::Env;
use crate::workflow::events::Attributes;
use crate::workflow::rows::ActivityRow;
use crate::workflow::step::Step;
use crate::workflow::{activity, retry};
use steadfast_api::v1::command::{
    Command, RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes,
};
use steadfast_api::v1::enums::{TaskQueueKind, WorkflowTaskFailedCause as Cause};
use steadfast_api::v1::history::{
    ActivityTaskCancelRequestedEventAttributes, ActivityTaskScheduledEventAttributes,
};
use steadfast_api::v1::taskqueue::TaskQueue;

const CAUSE: Cause = Cause::BadScheduleActivityAttributes;

pub fn schedule(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &ScheduleActivityTaskCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let Some(asked) = &attributes.task_queue else {
        return Err(Trouble::fail(CAUSE, "taskQueue is not set"));
    };
    let queue = asked.name.clone();
    let own_queue = &step.run.start.task_queue;
    activity::check_queue(&queue, env).map_err(|error| Trouble::fail(CAUSE, error))?;
    check_internal_queue(&queue, own_queue).map_err(|error| Trouble::fail(CAUSE, error))?;
    let id = &attributes.activity_id;
    check("activityId", id, env)?;
    let activity_type = attributes.activity_type.as_ref().map_or("", |t| t.name.as_str());
    check("activityType", activity_type, env)?;
    let policy = retry::with_defaults(attributes.retry_policy.clone().unwrap_or_default());
    retry::check(&policy).map_err(|error| Trouble::fail(CAUSE, error))?;
    activity::check_priority(attributes.priority.as_ref(), env)
        .map_err(|error| Trouble::fail(CAUSE, format!("invalid priorities: {error}")))?;
    let timeouts = timeouts(attributes, step.run.start.run_timeout)?;
    if attributes.use_workflow_build_id && queue != *own_queue {
        let text = "Activity with UseCompatibleVersion cannot run on different task queue.";
        return Err(Trouble::fail(CAUSE, text));
    }
    check_payloads(CAUSE, "ScheduleActivityTaskCommandAttributes.Input", attributes.input.as_ref(), env)?;
    if step.run.activities.len() >= env.limits.pending_activities {
        let message = format!(
            "the number of pending activities, {}, has reached the per-workflow limit of {}",
            step.run.activities.len(),
            env.limits.pending_activities
        );
        return Err(Trouble::fail(Cause::PendingActivitiesLimitExceeded, message));
    }
    if step.run.activity_ids.contains_key(id) {
        let message = bad_state("add-activitytask-scheduled-event", "ActivityID", id);
        return Err(Trouble::fail(Cause::ScheduleActivityDuplicateId, message));
    }
    let now = step.now(env);
    let event_id = step.write_full(
        env,
        Attributes::ActivityTaskScheduledEventAttributes(ActivityTaskScheduledEventAttributes {
            activity_id: id.clone(),
            activity_type: attributes.activity_type.clone(),
            task_queue: Some(TaskQueue {
                kind: match asked.kind() {
                    TaskQueueKind::Unspecified => TaskQueueKind::Normal as i32,
                    given => given as i32,
                },
                ..asked.clone()
            }),
            header: attributes.header.clone(),
            input: attributes.input.clone(),
            schedule_to_close_timeout: duration::proto(timeouts.schedule_to_close),
            schedule_to_start_timeout: duration::proto(timeouts.schedule_to_start),
            start_to_close_timeout: duration::proto(timeouts.start_to_close),
            heartbeat_timeout: duration::proto(timeouts.heartbeat),
            workflow_task_completed_event_id: completion.completed_event_id,
            retry_policy: Some(policy.clone()),
            use_workflow_build_id: attributes.use_workflow_build_id,
            priority: attributes.priority.clone(),
        }),
        command.user_metadata.clone(),
        Vec::new(),
    );
    let row = ActivityRow {
        scheduled_event_id: event_id,
        activity_id: id.clone(),
        activity_type: activity_type.to_owned(),
        task_queue: queue,
        schedule_to_close: timeouts.schedule_to_close,
        schedule_to_start: timeouts.schedule_to_start,
        start_to_close: timeouts.start_to_close,
        heartbeat: timeouts.heartbeat,
        retry_policy: Some(policy),
        attempt: 1,
        scheduled_time: now.0,
        first_scheduled_time: now.0,
        event_time: now.0,
        priority: attributes.priority.clone(),
        ..ActivityRow::default()
    };
    if attributes.request_eager_execution && env.limits.eager_activities {
        completion.eager.push(event_id);
    }
    activity::dispatch(step, row, env);
    Ok(())
}

struct Timeouts {
    schedule_to_close: i64,
    schedule_to_start: i64,
    start_to_close: i64,
    heartbeat: i64,
}

/// Fills in what follows from the rest; nothing outlasts the run.
fn timeouts(attributes: &ScheduleActivityTaskCommandAttributes, run: i64) -> Result<Timeouts, Trouble> {
    let nanos = |what: &str, value: Option<&prost_types::Duration>| {
        duration::nanos(value).map_err(|error| Trouble::fail(CAUSE, format!("invalid {what}: {error}")))
    };
    let close = nanos("ScheduleToCloseTimeout", attributes.schedule_to_close_timeout.as_ref())?;
    let start = nanos("ScheduleToStartTimeout", attributes.schedule_to_start_timeout.as_ref())?;
    let work = nanos("StartToCloseTimeout", attributes.start_to_close_timeout.as_ref())?;
    let heartbeat = nanos("HeartbeatTimeout", attributes.heartbeat_timeout.as_ref())?;
    activity::normalise(close, start, work, heartbeat, run)
        .map(|(schedule_to_close, schedule_to_start, start_to_close, heartbeat)| Timeouts {
            schedule_to_close,
            schedule_to_start,
            start_to_close,
            heartbeat,
        })
        .ok_or_else(|| {
            let (id, kind) = (&attributes.activity_id, attributes.activity_type.as_ref());
            let kind = kind.map_or("", |kind| kind.name.as_str());
            Trouble::fail(
                CAUSE,
                format!("a valid StartToClose or ScheduleToCloseTimeout is not set on ScheduleActivityTaskCommand. ActivityId={id} ActivityType={kind}"),
            )
        })
}

fn check(what: &str, value: &str, env: &Env<'_>) -> Done {
    if value.is_empty() {
        return Err(Trouble::fail(CAUSE, format!("{what} is not set")));
    }
    if value.len() > env.limits.id_bytes {
        let (length, limit) = (value.len(), env.limits.id_bytes);
        let text = format!("{what} exceeds length limit. Length={length} Limit={limit}");
        return Err(Trouble::fail(CAUSE, text));
    }
    check_nul(CAUSE, value)
}

pub fn request_cancel(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &RequestCancelActivityTaskCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadRequestCancelActivityAttributes;
    let scheduled = attributes.scheduled_event_id;
    if scheduled <= 0 {
        let message = "ScheduledEventId is not set on RequestCancelActivityTaskCommand.";
        return Err(Trouble::fail(cause, message));
    }
    let row = step.run.activities.get(&scheduled).cloned();
    let known = match &row {
        Some(row) => !row.cancel_requested,
        // It ended while the worker was deciding: the request is recorded, and means nothing.
        None => step.activity_end_is_buffered(scheduled),
    };
    if !known {
        let message = bad_state("add-activitytask-cancel-requested-event", "ScheduledEventID", scheduled);
        return Err(Trouble::fail(cause, message));
    }
    let requested = step.write_full(
        env,
        Attributes::ActivityTaskCancelRequestedEventAttributes(ActivityTaskCancelRequestedEventAttributes {
            scheduled_event_id: scheduled,
            workflow_task_completed_event_id: completion.completed_event_id,
        }),
        command.user_metadata.clone(),
        Vec::new(),
    );
    let Some(row) = row else { return Ok(()) };
    if row.started_time != 0 {
        let mut row = (*row).clone();
        row.cancel_requested = true;
        row.cancel_event_id = requested;
        step.put_activity(row);
        return Ok(());
    }
    // Nobody works on it, so nobody has to be asked.
    activity::cancel_unstarted(step, scheduled, requested, &completion.input.identity, env);
    completion.new_task_needed = true;
    Ok(())
}
