//! An attempt of an activity ends: by its worker, by a client, or by a timeout. Then there is another attempt, or the
//! activity is over and the workflow hears of it.

use super::activity::{find, record_end};
use super::events::Attributes;
use super::failure;
use super::input::{ActivityEnd, ActivityRef, EndActivity};
use super::reply::WorkflowReply;
use super::rows::ActivityRow;
use super::state::{ActivityTimeout, activity_timeouts};
use super::step::Step;
use super::{retry, rules, task};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::Time;
use crate::limits::Limits;
use crate::reject::Reject;
use prost::Message as _;
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::enums::{RetryState, TimeoutType};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::{
    ActivityTaskCanceledEventAttributes, ActivityTaskCompletedEventAttributes,
    ActivityTaskFailedEventAttributes, ActivityTaskTimedOutEventAttributes,
};

pub fn apply(step: &mut Step, input: &EndActivity, env: &mut Env<'_>) -> Result<Reply, Reject> {
    let row = find(step, &input.activity)?;
    let by_id = matches!(input.activity, ActivityRef::Id(_));
    let completes = matches!(input.end, ActivityEnd::Completed(_));
    // A client may complete an activity that nobody has started yet, and only that.
    if row.started_time == 0 && !completes {
        return Err(Reject::no_activity());
    }
    match &input.end {
        ActivityEnd::Completed(result) => {
            let mut row = (*row).clone();
            if by_id && row.started_time == 0 {
                row.started_time = step.now(env).0;
                row.identity = input.identity.clone();
                row.request_id = String::new();
            }
            complete(step, &row, result.clone(), &input.identity, env);
            Ok(Reply::Done)
        }
        ActivityEnd::Canceled(details) => {
            if !row.cancel_requested {
                return Err(Reject::invalid(
                    "unable to mark activity as canceled without activity being request canceled first",
                ));
            }
            cancel(step, &row, details.clone(), &input.identity, env);
            Ok(Reply::Done)
        }
        ActivityEnd::Failed { failure, last_heartbeat } => {
            let mut row = (*row).clone();
            let mut failures = Vec::new();
            match last_heartbeat {
                Some(details) if details.encoded_len() > env.limits.blob_bytes => {
                    failures.push(failure::server("Heartbeat details exceeds size limit.", true));
                }
                Some(details) => {
                    row.heartbeat_details = Some(details.clone());
                    row.last_heartbeat_time = step.now(env).0;
                }
                None => {}
            }
            let given = failure.clone().unwrap_or_default();
            let kept = failure::limited(given.clone(), env.limits.blob_bytes, env.limits.failure_bytes_kept);
            if kept != given {
                failures.push(kept.clone());
            }
            fail(step, &row, kept, &input.identity, env);
            Ok(WorkflowReply::ActivityFailed { failures }.into())
        }
    }
}

fn complete(step: &mut Step, row: &ActivityRow, result: Option<Payloads>, identity: &str, env: &mut Env<'_>) {
    if result.as_ref().is_some_and(|result| result.encoded_len() > env.limits.blob_bytes) {
        let too_large = failure::server("Complete result exceeds size limit.", true);
        return fail(step, row, too_large, identity, env);
    }
    let end = Attributes::ActivityTaskCompletedEventAttributes(ActivityTaskCompletedEventAttributes {
        result,
        scheduled_event_id: row.scheduled_event_id,
        started_event_id: row.started_event_id,
        identity: identity.to_owned(),
        ..ActivityTaskCompletedEventAttributes::default()
    });
    record_end(step, row, end, env);
    task::ensure(step, env);
}

fn cancel(step: &mut Step, row: &ActivityRow, details: Option<Payloads>, identity: &str, env: &mut Env<'_>) {
    if details.as_ref().is_some_and(|details| details.encoded_len() > env.limits.blob_bytes) {
        let too_large = failure::server("Cancel details exceeds size limit.", true);
        return fail(step, row, too_large, identity, env);
    }
    let end = Attributes::ActivityTaskCanceledEventAttributes(ActivityTaskCanceledEventAttributes {
        details,
        latest_cancel_requested_event_id: row.cancel_event_id,
        scheduled_event_id: row.scheduled_event_id,
        started_event_id: row.started_event_id,
        identity: identity.to_owned(),
        ..ActivityTaskCanceledEventAttributes::default()
    });
    record_end(step, row, end, env);
    task::ensure(step, env);
}

/// The attempt failed: another one, or the end.
pub fn fail(step: &mut Step, row: &ActivityRow, failure: Failure, identity: &str, env: &mut Env<'_>) {
    let state = match next_attempt(step, row, &failure, env) {
        Ok(()) => return,
        Err(state) => state,
    };
    let end = Attributes::ActivityTaskFailedEventAttributes(ActivityTaskFailedEventAttributes {
        // A worker may say nothing of why.
        failure: (failure != Failure::default()).then_some(failure),
        scheduled_event_id: row.scheduled_event_id,
        started_event_id: row.started_event_id,
        identity: identity.to_owned(),
        retry_state: state as i32,
        ..ActivityTaskFailedEventAttributes::default()
    });
    record_end(step, row, end, env);
    task::ensure(step, env);
}

/// All timeouts of the activity that are due, earliest first; at most one changes anything. Whether the activity ended;
/// the caller asks for a workflow task.
pub fn time_out(step: &mut Step, scheduled_event_id: i64, env: &mut Env<'_>) -> bool {
    let Some(row) = step.run.activities.get(&scheduled_event_id).cloned() else { return false };
    if row.pause.is_some() {
        return false;
    }
    let due = activity_timeouts(&row).into_iter().find(|(time, _)| *time <= env.now);
    let Some((_, kind)) = due else { return false };
    let fired = match kind {
        ActivityTimeout::StartToClose => TimeoutType::StartToClose,
        ActivityTimeout::ScheduleToStart => TimeoutType::ScheduleToStart,
        ActivityTimeout::ScheduleToClose => TimeoutType::ScheduleToClose,
        ActivityTimeout::Heartbeat => TimeoutType::Heartbeat,
    };
    let failure = failure::timeout(format!("activity {fired:?} timeout"), fired, None, None);
    let state = match next_attempt(step, &row, &failure, env) {
        Ok(()) => return false,
        Err(state) => state,
    };
    let (message, kind) = if state == RetryState::Timeout && fired != TimeoutType::ScheduleToStart {
        let message = "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying";
        (message.to_owned(), TimeoutType::ScheduleToClose)
    } else {
        (failure.message, fired)
    };
    let details = row.heartbeat_details.clone();
    let failure = failure::timeout(message, kind, details, row.last_failure.clone());
    let end = Attributes::ActivityTaskTimedOutEventAttributes(ActivityTaskTimedOutEventAttributes {
        failure: Some(failure),
        scheduled_event_id,
        started_event_id: row.started_event_id,
        retry_state: state as i32,
    });
    record_end(step, &row, end, env);
    true
}

/// Prepares another attempt, or says why there is none.
fn next_attempt(
    step: &mut Step,
    row: &ActivityRow,
    failure: &Failure,
    env: &mut Env<'_>,
) -> Result<(), RetryState> {
    let paused = match row.pause {
        Some(_) => None,
        None => rules::pause(step, row, env).map(|pause| ActivityRow { pause: Some(pause), ..row.clone() }),
    };
    let next = another_attempt(paused.as_ref().unwrap_or(row), failure, step.now(env), env.limits)?;
    step.put_activity(next);
    Ok(())
}

/// The row of the next attempt, if the policy, the failure and the time that is left allow one.
pub fn another_attempt(
    row: &ActivityRow,
    failure: &Failure,
    now: Time,
    limits: &Limits,
) -> Result<ActivityRow, RetryState> {
    let policy = row.retry_policy.as_ref().ok_or(RetryState::RetryPolicyNotSet)?;
    if row.cancel_requested {
        return Err(RetryState::CancelRequested);
    }
    if is_final_timeout(failure) {
        return Err(RetryState::Timeout);
    }
    if !retry::is_retryable(Some(failure), policy) {
        return Err(RetryState::NonRetryableFailure);
    }
    let expiration =
        (row.schedule_to_close > 0).then(|| Time(row.first_scheduled_time).plus(row.schedule_to_close));
    let wait = if row.pause.is_some() {
        0
    } else {
        retry::next_interval(retry::Whose::Activity, policy, row.attempt, Some(failure), now, expiration)?
    };
    let mut next = row.clone();
    next.attempt = row.attempt.saturating_add(1);
    if row.reset_heartbeat {
        next.heartbeat_details = None;
        next.last_heartbeat_time = 0;
    }
    next.reset = false;
    next.reset_heartbeat = false;
    next.started_time = 0;
    next.request_id = String::new();
    next.last_attempt_end = now.0;
    next.last_failure =
        (*failure != Failure::default()).then(|| failure::remembered(failure, limits.activity_failure_bytes));
    next.scheduled_time = now.plus(wait).0;
    next.current_interval = wait;
    Ok(next)
}

/// Whether it is a timeout after which there is no other attempt.
pub fn is_final_timeout(failure: &Failure) -> bool {
    use steadfast_api::v1::failure::failure::FailureInfo;
    match &failure.failure_info {
        Some(FailureInfo::TimeoutFailureInfo(info)) => {
            matches!(info.timeout_type(), TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose)
        }
        _ => false,
    }
}
