//! Attempts: taken by a worker, kept alive, given back, tried again.

use super::state::Phase;
use super::{Step, end, operate};
use crate::decision::Reply;
use crate::duration;
use crate::env::Env;
use crate::key::Time;
use crate::reject::Reject;
use crate::workflow::activity_end::{another_attempt, is_final_timeout};
use crate::workflow::failure;
use crate::workflow::input::{ActivityRef, HeartbeatActivity, StartActivity};
use crate::workflow::reply::{StartedActivity, WorkflowReply};
use crate::workflow::state::ActivityTimeout;
use prost::Message as _;
use steadfast_api::v1::common::ActivityType;
use steadfast_api::v1::enums::{EventType, RetryState, TaskQueueKind, TimeoutType};
use steadfast_api::v1::failure::{Failure, failure::FailureInfo};
use steadfast_api::v1::history::history_event::Attributes;
use steadfast_api::v1::history::{ActivityTaskScheduledEventAttributes, HistoryEvent};
use steadfast_api::v1::taskqueue::TaskQueue;

pub fn start(step: &mut Step, attempt: &StartActivity, env: &mut Env<'_>) -> Reply {
    let row = step.run.activity();
    if !step.run.is_open() {
        return Reply::Stale;
    }
    if row.started_time != 0 {
        let again = row.request_id == attempt.request_id && !attempt.request_id.is_empty();
        return if again { WorkflowReply::Activity(started(step)).into() } else { Reply::Stale };
    }
    if row.stamp != attempt.stamp || row.pause.is_some() {
        return Reply::Stale;
    }
    step.unqueue();
    let now = step.now(env).0;
    let row = step.run.activity_mut();
    row.started_time = now;
    row.identity = attempt.identity.clone();
    row.last_identity = attempt.identity.clone();
    row.request_id = attempt.request_id.clone();
    step.run.core.last_started_time = now;
    step.durable = true;
    WorkflowReply::Activity(started(step)).into()
}

fn started(step: &Step) -> StartedActivity {
    let row = step.run.activity().clone();
    StartedActivity {
        workflow_id: String::new(),
        run_id: step.run.id,
        workflow_type: String::new(),
        attempt: row.attempt,
        started_time: Time(row.started_time),
        scheduled_event: Some(Box::new(scheduled_event(step))),
        heartbeat_details: row.heartbeat_details.clone(),
        branches: Vec::new(),
        activity: row,
    }
}

/// What a worker learns of its task, in the form that it has for activities of workflows.
fn scheduled_event(step: &Step) -> HistoryEvent {
    let row = step.run.activity();
    let attributes = ActivityTaskScheduledEventAttributes {
        activity_id: row.activity_id.clone(),
        activity_type: Some(ActivityType { name: row.activity_type.clone() }),
        task_queue: Some(TaskQueue {
            name: row.task_queue.clone(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        header: step.run.start.header.clone(),
        input: step.run.start.input.clone(),
        schedule_to_close_timeout: duration::proto(row.schedule_to_close),
        schedule_to_start_timeout: duration::proto(row.schedule_to_start),
        start_to_close_timeout: duration::proto(row.start_to_close),
        heartbeat_timeout: duration::proto(row.heartbeat),
        retry_policy: row.retry_policy.clone(),
        priority: row.priority.clone(),
        ..ActivityTaskScheduledEventAttributes::default()
    };
    HistoryEvent {
        event_id: 1,
        event_time: Some(Time(row.event_time).timestamp()),
        event_type: EventType::ActivityTaskScheduled as i32,
        attributes: Some(Attributes::ActivityTaskScheduledEventAttributes(attributes)),
        ..HistoryEvent::default()
    }
}

/// The same attempt goes back to the queue, as if nothing had been.
pub fn undelivered(step: &mut Step, request_id: &str, env: &mut Env<'_>) -> Reply {
    let row = step.run.activity();
    if !step.run.is_open() || row.started_time == 0 || row.request_id != request_id {
        return Reply::Stale;
    }
    let row = step.run.activity_mut();
    row.started_time = 0;
    row.request_id = String::new();
    match (row.reset, row.pause.is_some()) {
        (true, _) => operate::finish_reset(step, env),
        (false, true) => operate::rest(step),
        (false, false) => step.dispatch(env),
    }
    Reply::Done
}

/// Whether the worker speaks of the attempt that runs.
pub fn check(step: &Step, activity: &ActivityRef) -> Result<(), Reject> {
    let row = step.run.activity();
    if !step.run.is_open() {
        return Err(not_found(step));
    }
    let right = match activity {
        ActivityRef::Token { attempt, .. } => row.started_time != 0 && row.attempt == *attempt,
        ActivityRef::Id(_) => true,
    };
    if right { Ok(()) } else { Err(not_found(step)) }
}

/// What a worker hears whose attempt is not the one that runs: the same as if there were no such activity.
pub fn not_found(step: &Step) -> Reject {
    Reject::not_found(format!("activity not found for ID: {}", step.run.activity().activity_id))
}

pub fn heartbeat(step: &mut Step, beat: &HeartbeatActivity, env: &mut Env<'_>) -> Result<Reply, Reject> {
    check(step, &beat.activity)?;
    if step.run.activity().started_time == 0 {
        return Err(not_found(step));
    }
    if beat.details.as_ref().is_some_and(|details| details.encoded_len() > env.limits.blob_bytes) {
        let failure = failure::server("Heartbeat details exceeds size limit.", true);
        end::failed(step, failure, &beat.identity, env);
        return Ok(WorkflowReply::Heartbeat { cancel_requested: true, paused: false, reset: false }.into());
    }
    let now = step.now(env).0;
    step.run.core.heartbeats += 1;
    step.durable = true;
    let row = step.run.activity_mut();
    row.last_heartbeat_time = now;
    row.heartbeat_details = beat.details.clone();
    let phase = step.run.phase();
    let told = WorkflowReply::Heartbeat {
        cancel_requested: phase == Phase::CancelRequested,
        paused: phase == Phase::PauseRequested,
        reset: phase == Phase::ResetRequested,
    };
    Ok(told.into())
}

/// Prepares another attempt, or says why there is none.
pub fn again(step: &mut Step, failure: &Failure, env: &mut Env<'_>) -> Result<(), RetryState> {
    let now = step.now(env);
    let mut row = step.run.activity().clone();
    step.durable = true;
    if row.reset && !is_final_timeout(failure) {
        // Whether the failure or the policy allow another attempt does not matter: it is a first one.
        row.started_time = 0;
        row.request_id = String::new();
        row.last_attempt_end = now.0;
        row.last_failure = Some(failure::remembered(failure, env.limits.activity_failure_bytes));
        *step.run.activity_mut() = row;
        operate::finish_reset(step, env);
        return Ok(());
    }
    // That it is paused does not change what the policy says.
    let pause = row.pause.take();
    let mut next = match asks_for_a_delay(failure) {
        true => another_attempt(&row, failure, now, env.limits)?,
        false => another_attempt(&row, &without_delay(failure), now, env.limits)?,
    };
    next.last_failure =
        next.last_failure.map(|_| failure::remembered(failure, env.limits.activity_failure_bytes));
    next.pause = pause;
    step.unqueue();
    let is_paused = next.pause.is_some();
    *step.run.activity_mut() = next;
    step.run.core.interval_by_worker = asks_for_a_delay(failure);
    if is_paused {
        operate::rest(step);
    }
    Ok(())
}

/// A delay of nothing is none, unlike with a workflow's activity.
fn asks_for_a_delay(failure: &Failure) -> bool {
    let Some(FailureInfo::ApplicationFailureInfo(info)) = &failure.failure_info else { return false };
    info.next_retry_delay.as_ref().is_some_and(|delay| delay.seconds != 0 || delay.nanos != 0)
}

fn without_delay(failure: &Failure) -> Failure {
    let mut failure = failure.clone();
    if let Some(FailureInfo::ApplicationFailureInfo(info)) = &mut failure.failure_info {
        info.next_retry_delay = None;
    }
    failure
}

/// The deadline of the attempt, or the moment of the next one.
pub fn alarm(step: &mut Step, env: &mut Env<'_>) -> Reply {
    if !step.run.is_open() {
        return Reply::Stale;
    }
    let due = step.run.timeouts().into_iter().find(|(time, _)| *time <= env.now);
    if let Some((_, kind)) = due {
        let fired = match kind {
            ActivityTimeout::StartToClose => TimeoutType::StartToClose,
            ActivityTimeout::ScheduleToStart => TimeoutType::ScheduleToStart,
            ActivityTimeout::ScheduleToClose => TimeoutType::ScheduleToClose,
            ActivityTimeout::Heartbeat => TimeoutType::Heartbeat,
        };
        end::timed_out(step, fired, env);
    }
    let row = step.run.activity();
    let waits = step.run.is_open() && row.started_time == 0 && row.queued.is_none() && row.pause.is_none();
    if waits && Time(row.scheduled_time) <= env.now {
        step.dispatch(env);
    }
    if step.durable { Reply::Done } else { Reply::Stale }
}
