//! The options of a standalone activity are changed, or restored to what they were at its start.

use super::operate::{lifted, schedule};
use super::state::{Phase, Run};
use super::{Step, UpdateOptions};
use crate::decision::Reply;
use crate::duration;
use crate::env::Env;
use crate::key::Time;
use crate::reject::Reject;
use crate::workflow::activity_operations::{adopt, merged, snake};
use crate::workflow::reply::WorkflowReply;
use crate::workflow::retry;
use steadfast_api::v1::activity::ActivityOptions;

/// The options as they are in force.
pub fn of(run: &Run) -> ActivityOptions {
    ActivityOptions { start_delay: duration::proto(run.core.start_delay), ..run.activity().options() }
}

pub fn update(step: &mut Step, update: &UpdateOptions, env: &mut Env<'_>) -> Result<Reply, Reject> {
    let reply = |run: &Run| Ok(WorkflowReply::ActivityOptions(of(run)).into());
    if step.run.core.options_request_id == update.request_id {
        return reply(&step.run);
    }
    let phase = step.run.phase();
    if phase.is_end() || matches!(phase, Phase::CancelRequested | Phase::ResetRequested) {
        return Err(Reject::FailedPrecondition(format!(
            "Cannot update options for activity in state {phase}"
        )));
    }
    let policy_changes = match &update.change {
        None => {
            check_restorable(&step.run)?;
            restore(&mut step.run);
            true
        }
        Some((options, paths)) => {
            change(step, options, paths, env)?;
            paths.iter().any(|path| snake(path).starts_with("retry_policy"))
        }
    };
    // A worker that asked for a certain delay gets it, whatever the policy says now.
    let core = &mut step.run.core;
    if policy_changes
        && !core.interval_by_worker
        && matches!(phase, Phase::Scheduled | Phase::Paused)
        && let Some(row) = core.activity.as_mut().filter(|row| row.current_interval != 0)
    {
        let policy = row.retry_policy.clone().unwrap_or_default();
        row.current_interval = retry::backoff(&policy, row.attempt - 1);
    }
    if phase == Phase::Scheduled {
        let time = step.run.retry_time().unwrap_or_else(|| lifted(step, step.now(env)));
        schedule(step, time, env);
    }
    step.run.core.options_request_id = update.request_id.clone();
    step.visibility = true;
    step.durable = true;
    reply(&step.run)
}

fn change(step: &mut Step, new: &ActivityOptions, paths: &[String], env: &Env<'_>) -> Result<(), Reject> {
    let core = &step.run.core;
    let mut start_delay = core.start_delay;
    if paths.iter().any(|path| snake(path) == "start_delay") {
        let first = Time(core.start_time).plus(core.start_delay);
        let paused_before = core.last_started_time == 0 && step.run.phase() == Phase::Paused;
        if first <= step.now(env) && !paused_before {
            return Err(Reject::FailedPrecondition(
                "cannot update start_delay: the first activity attempt has already been dispatched".into(),
            ));
        }
        start_delay = duration::nanos(new.start_delay.as_ref())
            .map_err(|why| Reject::invalid(format!("invalid StartDelay: {why}")))?;
    }
    let mut row = step.run.activity().clone();
    let merged = merged(&row, new, paths)?;
    let set = |value: &Option<prost_types::Duration>| duration::known(value.as_ref()) > 0;
    if !set(&merged.schedule_to_close_timeout) && !set(&merged.start_to_close_timeout) {
        return Err(Reject::invalid(format!(
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId={} ActivityType={}",
            row.activity_id, row.activity_type
        )));
    }
    adopt(&mut row, merged, env)?;
    *step.run.activity_mut() = row;
    delay(&mut step.run, start_delay);
    Ok(())
}

/// The start delay counts from the start, and the time for the whole from the end of the delay.
fn delay(run: &mut Run, start_delay: i64) {
    run.core.start_delay = start_delay;
    let first = Time(run.core.start_time).plus(start_delay).0;
    run.activity_mut().first_scheduled_time = first;
}

/// Activities that were started before their options were kept cannot be restored.
pub fn check_restorable(run: &Run) -> Result<(), Reject> {
    match &run.start.options {
        Some(_) => Ok(()),
        None => Err(Reject::invalid(
            "cannot restore original options: no original task queue was recorded for this activity",
        )),
    }
}

/// As it was started. The delay is only restored while it matters.
pub fn restore(run: &mut Run) {
    let Some(original) = run.start.options.clone() else { return };
    let nanos = |value: &Option<prost_types::Duration>| duration::known(value.as_ref());
    let row = run.activity_mut();
    row.task_queue = original.task_queue.map(|queue| queue.name).unwrap_or_default();
    row.schedule_to_close = nanos(&original.schedule_to_close_timeout);
    row.schedule_to_start = nanos(&original.schedule_to_start_timeout);
    row.start_to_close = nanos(&original.start_to_close_timeout);
    row.heartbeat = nanos(&original.heartbeat_timeout);
    row.retry_policy = original.retry_policy;
    row.priority = original.priority;
    if run.core.last_started_time == 0 {
        delay(run, nanos(&original.start_delay));
    }
}
