//! ScheduleActivityTask and RequestCancelActivityTask.

use super::{Completion, Done, Trouble, check_id, check_length, check_payloads, nanos};
use crate::duration;
use crate::env::Env;
use crate::workflow::events::Attributes;
use crate::workflow::rows::ActivityRow;
use crate::workflow::step::Step;
use crate::workflow::{activity, retry};
use bytes::Bytes;
use steadfast_api::v1::command::{
    Command, RequestCancelActivityTaskCommandAttributes, ScheduleActivityTaskCommandAttributes,
};
use steadfast_api::v1::common::{Payload, Payloads};
use steadfast_api::v1::enums::{TaskQueueKind, WorkflowTaskFailedCause as Cause};
use steadfast_api::v1::history::{
    ActivityTaskCancelRequestedEventAttributes, ActivityTaskCanceledEventAttributes,
    ActivityTaskScheduledEventAttributes,
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
    let queue = attributes.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default();
    let queue = if queue.is_empty() { step.run.start.task_queue.clone() } else { queue };
    check_length(CAUSE, "TaskQueue", &queue, env)?;
    if queue.starts_with("/_sys/") {
        return Err(Trouble::fail(
            CAUSE,
            format!("task queue name cannot start with reserved prefix /_sys/: {queue}"),
        ));
    }
    let id = &attributes.activity_id;
    check_id(CAUSE, "ActivityId", id, env)?;
    let activity_type = attributes.activity_type.as_ref().map_or("", |t| t.name.as_str());
    check_id(CAUSE, "ActivityType", activity_type, env)?;
    let policy = retry::with_defaults(attributes.retry_policy.clone().unwrap_or_default());
    retry::check(&policy).map_err(|error| Trouble::fail(CAUSE, error))?;
    activity::check_priority(attributes.priority.as_ref(), env)
        .map_err(|error| Trouble::fail(CAUSE, error))?;
    let timeouts = timeouts(attributes, step.run.start.run_timeout)?;
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
        let message = format!("Activity ID \"{id}\" is already used by a pending activity.");
        return Err(Trouble::fail(Cause::ScheduleActivityDuplicateId, message));
    }
    let now = step.now(env);
    let event_id = step.write_full(
        env,
        Attributes::ActivityTaskScheduledEventAttributes(ActivityTaskScheduledEventAttributes {
            activity_id: id.clone(),
            activity_type: attributes.activity_type.clone(),
            task_queue: Some(TaskQueue {
                name: queue.clone(),
                kind: TaskQueueKind::Normal as i32,
                normal_name: String::new(),
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
    let close = nanos(CAUSE, "ScheduleToCloseTimeout", attributes.schedule_to_close_timeout.as_ref())?;
    let start = nanos(CAUSE, "ScheduleToStartTimeout", attributes.schedule_to_start_timeout.as_ref())?;
    let work = nanos(CAUSE, "StartToCloseTimeout", attributes.start_to_close_timeout.as_ref())?;
    let heartbeat = nanos(CAUSE, "HeartbeatTimeout", attributes.heartbeat_timeout.as_ref())?;
    activity::normalise(close, start, work, heartbeat, run)
        .map(|(schedule_to_close, schedule_to_start, start_to_close, heartbeat)| Timeouts {
            schedule_to_close,
            schedule_to_start,
            start_to_close,
            heartbeat,
        })
        .ok_or_else(|| {
            Trouble::fail(CAUSE, "A valid StartToClose or ScheduleToCloseTimeout is not set on command.")
        })
}

pub fn request_cancel(
    step: &mut Step,
    completion: &mut Completion<'_>,
    attributes: &RequestCancelActivityTaskCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadRequestCancelActivityAttributes;
    let scheduled = attributes.scheduled_event_id;
    let row = step.run.activities.get(&scheduled).cloned();
    let ended = row.is_none() && step.activity_end_is_buffered(scheduled);
    if row.is_none() && !ended {
        let message = format!("ScheduledEventId {scheduled} is not a pending activity.");
        return Err(Trouble::fail(cause, message));
    }
    if row.as_ref().is_some_and(|row| row.cancel_requested) {
        let message = format!("Activity with ScheduledEventId {scheduled} already has a cancel request.");
        return Err(Trouble::fail(cause, message));
    }
    let requested = step.write(
        env,
        Attributes::ActivityTaskCancelRequestedEventAttributes(ActivityTaskCancelRequestedEventAttributes {
            scheduled_event_id: scheduled,
            workflow_task_completed_event_id: completion.completed_event_id,
        }),
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
    step.drop_activity(scheduled);
    step.record(
        env,
        Attributes::ActivityTaskCanceledEventAttributes(ActivityTaskCanceledEventAttributes {
            details: Some(not_started()),
            latest_cancel_requested_event_id: requested,
            scheduled_event_id: scheduled,
            identity: completion.input.identity.clone(),
            ..ActivityTaskCanceledEventAttributes::default()
        }),
    );
    completion.new_task_needed = true;
    Ok(())
}

/// The details by which SDKs know that an activity was cancelled before it started.
fn not_started() -> Payloads {
    let payload = Payload {
        metadata: [("encoding".to_owned(), Bytes::from("json/plain"))].into(),
        data: Bytes::from("\"ACTIVITY_ID_NOT_STARTED\""),
        ..Payload::default()
    };
    Payloads { payloads: vec![payload] }
}
