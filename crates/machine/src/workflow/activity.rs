//! Activities of a workflow: what their phases share.
//!
//! ```text
//! queued ──start──► started ──complete, fail, cancel, time out──► ended
//!   ▲                  │
//!   └── backing off ◄──┘ (another attempt: no event, no workflow task)
//! ```
//!
//! The started event is lazy: it is written with the end, so attempts that fail leave no trace in the history.
//!
//! Scheduled in `commands/activity.rs`, started in `activity_start.rs`, ended or sent to another attempt in
//! `activity_end.rs`; what is due (timeouts, the next attempt) in `alarm.rs`; what operators do, in
//! `activity_operations.rs`.

use super::events::{self, Attributes};
use super::failure;
use super::input::{ActivityRef, HeartbeatActivity};
use super::reply::WorkflowReply;
use super::rows::ActivityRow;
use super::step::{NewTask, Step};
use super::{activity_end, payload, rules};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::{QueueType, Time};
use crate::limits::{NUL, has_nul};
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use prost::Message as _;
use std::sync::Arc;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::enums::EventType;

/// Fills in the timeouts that follow from others: (schedule-to-close, schedule-to-start, start-to-close, heartbeat) in
/// nanoseconds, 0 for none. `None` if neither schedule-to-close nor start-to-close is set.
pub fn normalise(
    close: i64,
    start: i64,
    work: i64,
    heartbeat: i64,
    run: i64,
) -> Option<(i64, i64, i64, i64)> {
    let or = |value: i64, other: i64| if value > 0 { value } else { other };
    let (close, start, work) = if close > 0 {
        (close, or(start, close).min(close), or(work, close).min(close))
    } else if work > 0 {
        (run, or(start, run), work)
    } else {
        return None;
    };
    let capped = |value: i64| if run > 0 { value.min(run) } else { value };
    let work = capped(work);
    Some((capped(close), capped(start), work, capped(heartbeat).min(work)))
}

pub fn check_priority(priority: Option<&Priority>, env: &Env<'_>) -> Result<(), String> {
    let Some(priority) = priority else { return Ok(()) };
    if priority.priority_key < 0 {
        return Err("priority key can't be negative".into());
    }
    if priority.fairness_key.len() > env.limits.fairness_key_bytes {
        return Err("fairness key length exceeds limit".into());
    }
    if priority.fairness_weight < 0.0 || priority.fairness_weight.is_nan() {
        return Err("must be greater than zero".into());
    }
    Ok(())
}

/// The queue of the reference's own workers in every namespace.
pub const INTERNAL_QUEUE: &str = "temporal-sys-per-ns-tq";

pub fn check_queue(name: &str, env: &Env<'_>) -> Result<(), String> {
    if name.is_empty() {
        return Err("missing task queue name".into());
    }
    if name.len() > env.limits.id_bytes {
        return Err("taskQueue length exceeds limit".into());
    }
    if has_nul(name) {
        return Err(NUL.into());
    }
    if name.starts_with("/_sys/") {
        return Err("task queue name cannot start with reserved prefix /_sys/".into());
    }
    Ok(())
}

/// Each field that the activity does not set comes from the workflow.
pub fn merged_priority(workflow: Option<Priority>, activity: Option<&Priority>) -> Option<Priority> {
    let Some(activity) = activity else { return workflow };
    let base = workflow.unwrap_or_default();
    Some(Priority {
        priority_key: if activity.priority_key != 0 { activity.priority_key } else { base.priority_key },
        fairness_key: if activity.fairness_key.is_empty() {
            base.fairness_key
        } else {
            activity.fairness_key.clone()
        },
        fairness_weight: if activity.fairness_weight != 0.0 {
            activity.fairness_weight
        } else {
            base.fairness_weight
        },
    })
}

/// Puts the attempt that is due into its queue. While the run is paused it stays out.
pub fn dispatch(step: &mut Step, mut row: ActivityRow, env: &mut Env<'_>) {
    row.stamp = step.next_stamp();
    if step.run.is_paused() {
        step.put_activity(row);
        return;
    }
    let expires = (row.schedule_to_start > 0).then(|| Time(row.scheduled_time).plus(row.schedule_to_start));
    let task = NewTask {
        scheduled_event_id: row.scheduled_event_id,
        stamp: row.stamp,
        expires,
        sticky: false,
        stored: true,
        priority: merged_priority(step.priority(), row.priority.as_ref()),
    };
    let queue = row.task_queue.clone();
    row.queued = Some(step.enqueue(env, &queue, QueueType::Activity, task));
    step.put_activity(row);
}

/// As [`dispatch`], for an activity that was in its queue before: a workflow rule may pause it instead.
pub fn dispatch_unless_ruled(step: &mut Step, mut row: ActivityRow, env: &mut Env<'_>) {
    row.pause = rules::pause(step, &row, env);
    if row.pause.is_some() { withdraw(step, row) } else { dispatch(step, row, env) }
}

/// Takes the activity out of its queue; nobody who holds its task may start it.
pub fn withdraw(step: &mut Step, mut row: ActivityRow) {
    let queued = row.queued.take();
    step.unqueue(queued.as_ref(), QueueType::Activity);
    row.stamp = step.next_stamp();
    step.put_activity(row);
}

/// Out of the queue and in again, as its options say now.
pub fn redispatch(step: &mut Step, mut row: ActivityRow, env: &mut Env<'_>) {
    let queued = row.queued.take();
    step.unqueue(queued.as_ref(), QueueType::Activity);
    dispatch_unless_ruled(step, row, env);
}

/// The next attempt is due at `time`, whatever was planned before.
pub fn schedule_at(step: &mut Step, mut row: ActivityRow, time: Time, env: &mut Env<'_>) {
    row.scheduled_time = time.0;
    if row.pause.is_some() || time > step.now(env) { withdraw(step, row) } else { redispatch(step, row, env) }
}

/// The pending activity that a worker speaks of. By token, the attempt must be the one that runs.
pub fn find(step: &Step, activity: &ActivityRef) -> Result<Arc<ActivityRow>, Reject> {
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    match activity {
        ActivityRef::Token { scheduled_event_id, attempt } => step
            .run
            .activities
            .get(scheduled_event_id)
            .filter(|row| row.attempt == *attempt || is_planted(Planted::StaleAttemptEnds))
            .filter(|row| row.started_time != 0)
            .cloned()
            .ok_or_else(Reject::no_activity),
        ActivityRef::Id(id) => step
            .run
            .activity_ids
            .get(id)
            .and_then(|scheduled| step.run.activities.get(scheduled))
            .cloned()
            .ok_or_else(|| {
                Reject::not_found(format!(
                    "cannot find pending activity with ActivityID {id}, check workflow execution history for more details"
                ))
            }),
    }
}

pub fn heartbeat(step: &mut Step, beat: &HeartbeatActivity, env: &mut Env<'_>) -> Result<Reply, Reject> {
    let row = find(step, &beat.activity)?;
    if row.started_time == 0 {
        return Err(Reject::no_activity());
    }
    let size = beat.details.as_ref().map_or(0, |details| details.encoded_len());
    if size > env.limits.blob_bytes {
        let failure = failure::server("Heartbeat details exceeds size limit.", true);
        activity_end::fail(step, &row, failure, &beat.identity, env);
        return Ok(WorkflowReply::Heartbeat { cancel_requested: true, paused: false, reset: false }.into());
    }
    let mut row = (*row).clone();
    row.last_heartbeat_time = step.now(env).0;
    row.heartbeat_details = beat.details.clone();
    let reply = WorkflowReply::Heartbeat {
        cancel_requested: row.cancel_requested,
        paused: row.pause.is_some(),
        reset: row.reset,
    };
    step.put_activity(row);
    Ok(reply.into())
}

/// Records the end of an activity, preceded by its started event unless it never started. The caller asks for a workflow
/// task.
pub fn record_end(step: &mut Step, row: &ActivityRow, end: Attributes, env: &Env<'_>) {
    if row.started_time != 0 && row.started_event_id == 0 {
        record_started(step, row, env);
    }
    step.drop_activity(row.scheduled_event_id);
    step.record(env, end);
}

/// Records the end of a cancelled activity that nobody works on. SDKs know it by the details.
pub fn cancel_unstarted(step: &mut Step, scheduled: i64, requested: i64, identity: &str, env: &Env<'_>) {
    use steadfast_api::v1::history::ActivityTaskCanceledEventAttributes;
    step.drop_activity(scheduled);
    step.record(
        env,
        Attributes::ActivityTaskCanceledEventAttributes(ActivityTaskCanceledEventAttributes {
            details: Some(payload::json_text("ACTIVITY_ID_NOT_STARTED")),
            latest_cancel_requested_event_id: requested,
            scheduled_event_id: scheduled,
            identity: identity.to_owned(),
            ..ActivityTaskCanceledEventAttributes::default()
        }),
    );
}

fn record_started(step: &mut Step, row: &ActivityRow, env: &Env<'_>) {
    use steadfast_api::v1::history::ActivityTaskStartedEventAttributes;
    let attributes = Attributes::ActivityTaskStartedEventAttributes(ActivityTaskStartedEventAttributes {
        scheduled_event_id: row.scheduled_event_id,
        identity: row.identity.clone(),
        request_id: row.request_id.clone(),
        attempt: row.attempt,
        last_failure: row.last_failure.clone(),
        ..ActivityTaskStartedEventAttributes::default()
    });
    let mut event = step.make(env, attributes, None, Vec::new());
    event.event_time = Some(Time(row.started_time).timestamp());
    step.record_event(event);
}

impl Step {
    /// Whether the activity's end is recorded, but not yet seen by the workflow.
    pub fn activity_end_is_buffered(&self, scheduled_event_id: i64) -> bool {
        self.run
            .buffered
            .values()
            .filter_map(|row| row.event.as_ref())
            .any(|event| events::is_end(event) && events::ends_activity(event) == Some(scheduled_event_id))
    }

    /// Takes a timer's firing out of the buffer: its started event id, if there was one.
    pub fn take_buffered_timer(&mut self, timer_id: &str) -> Option<i64> {
        let found = self.run.buffered.iter().find_map(|(sequence, row)| {
            let event = row.event.as_ref()?;
            match (event.event_type(), event.attributes.as_ref()?) {
                (EventType::TimerFired, Attributes::TimerFiredEventAttributes(a))
                    if a.timer_id == timer_id =>
                {
                    Some((*sequence, a.started_event_id, event.encoded_len()))
                }
                _ => None,
            }
        });
        let (sequence, started_event_id, bytes) = found?;
        self.drop_buffered(sequence, bytes);
        Some(started_event_id)
    }
}
