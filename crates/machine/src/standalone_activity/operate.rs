//! An operator pauses, unpauses or resets a standalone activity. While a worker has it, the worker goes on: it hears of what
//! is wanted with its next heartbeat, and what is wanted is done when the attempt has failed.

use super::state::Phase;
use super::{Reset, Step, options};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::Time;
use crate::reject::Reject;
use crate::workflow::rows::PauseRow;
use steadfast_api::v1::enums::ActivityExecutionStatus as Status;

pub fn pause(
    step: &mut Step,
    identity: &str,
    request_id: &str,
    reason: &str,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    if step.run.core.pause_request_id == request_id {
        // Even if it was unpaused since: the request is a late echo of the one that paused it.
        return Ok(Reply::Done);
    }
    let phase = step.run.phase();
    if !matches!(phase, Phase::Scheduled | Phase::Started) {
        return Err(Reject::FailedPrecondition(format!("activity is in non-pausable state {phase}")));
    }
    step.run.core.pause_request_id = request_id.to_owned();
    let time = step.now(env).0;
    step.run.activity_mut().pause = Some(PauseRow {
        time,
        identity: identity.to_owned(),
        reason: reason.to_owned(),
        request_id: request_id.to_owned(),
        ..PauseRow::default()
    });
    step.durable = true;
    if phase == Phase::Scheduled {
        rest(step);
    }
    Ok(Reply::Done)
}

/// Nobody works on it, and nobody may begin.
pub fn rest(step: &mut Step) {
    step.unqueue();
    step.invalidate();
    show(step, Status::Paused);
}

fn show(step: &mut Step, status: Status) {
    if step.run.status() != status {
        step.run.core.status = status as i32;
        step.visibility = true;
    }
}

pub fn unpause(step: &mut Step, request_id: &str, jitter: i64, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if step.run.core.unpause_request_id == request_id {
        return Ok(Reply::Done);
    }
    match step.run.phase() {
        phase if phase.is_end() => {
            return Err(Reject::FailedPrecondition(format!("activity is in terminal state {phase}")));
        }
        Phase::Paused => {
            step.run.activity_mut().pause = None;
            show(step, Status::Running);
            let time = lifted(step, soon(step, jitter, env));
            // What is left of a backoff is still waited for.
            let time = step.run.retry_time().map_or(time, |retry| retry.max(time));
            schedule(step, time, env);
        }
        Phase::PauseRequested => step.run.activity_mut().pause = None,
        phase => {
            return Err(Reject::FailedPrecondition(format!("activity is in non-unpausable state {phase}")));
        }
    }
    step.run.core.unpause_request_id = request_id.to_owned();
    step.durable = true;
    Ok(Reply::Done)
}

pub fn reset(step: &mut Step, reset: &Reset, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if step.run.core.reset_request_id == reset.request_id {
        return Ok(Reply::Done);
    }
    if reset.restore_original_options {
        options::check_restorable(&step.run)?;
    }
    let refused = |text: &str| Err(Reject::FailedPrecondition(text.into()));
    let phase = step.run.phase();
    match phase {
        Phase::CancelRequested => return refused("cannot reset an activity with a pending cancellation"),
        Phase::ResetRequested => return refused("cannot reset an activity with a pending reset"),
        Phase::Started | Phase::PauseRequested => {
            step.run.core.reset_restores = reset.restore_original_options;
            let row = step.run.activity_mut();
            row.reset = true;
            row.reset_heartbeat = reset.reset_heartbeat;
            if !reset.keep_paused {
                row.pause = None;
            }
        }
        Phase::Scheduled | Phase::Paused => {
            if reset.restore_original_options {
                options::restore(&mut step.run);
                step.visibility = true;
            }
            begin_again(step, reset.reset_heartbeat);
            if phase == Phase::Scheduled || !reset.keep_paused {
                step.run.activity_mut().pause = None;
                show(step, Status::Running);
                let time = lifted(step, soon(step, reset.jitter, env));
                schedule(step, time, env);
            }
        }
        _ => return refused("activity execution is not running"),
    }
    step.run.core.reset_request_id = reset.request_id.clone();
    step.durable = true;
    Ok(Reply::Done)
}

/// Counts attempts from one, and forgets the backoff.
fn begin_again(step: &mut Step, reset_heartbeat: bool) {
    let row = step.run.activity_mut();
    row.attempt = 1;
    row.current_interval = 0;
    if reset_heartbeat {
        row.heartbeat_details = None;
        row.last_heartbeat_time = 0;
    }
    step.invalidate();
}

/// The attempt during which a reset was asked for is over: what was put off happens.
pub fn finish_reset(step: &mut Step, env: &mut Env<'_>) {
    if std::mem::take(&mut step.run.core.reset_restores) {
        options::restore(&mut step.run);
        step.visibility = true;
    }
    let row = step.run.activity_mut();
    row.reset = false;
    let reset_heartbeat = std::mem::take(&mut row.reset_heartbeat);
    begin_again(step, reset_heartbeat);
    if step.run.activity().pause.is_some() {
        rest(step);
    } else {
        let time = lifted(step, step.now(env));
        schedule(step, time, env);
    }
}

/// Now, or at a random moment within the jitter.
fn soon(step: &Step, jitter: i64, env: &mut Env<'_>) -> Time {
    let now = step.now(env);
    if jitter <= 0 { now } else { now.plus((env.ids.random() % jitter as u64) as i64) }
}

/// Not before the start delay is over, as long as nobody has begun.
pub fn lifted(step: &Step, time: Time) -> Time {
    let core = &step.run.core;
    if core.last_started_time != 0 { time } else { time.max(Time(core.start_time).plus(core.start_delay)) }
}

/// The attempt may start from this moment on, whatever was planned before.
pub fn schedule(step: &mut Step, time: Time, env: &mut Env<'_>) {
    step.unqueue();
    step.run.activity_mut().scheduled_time = time.0;
    if time <= step.now(env) { step.dispatch(env) } else { step.invalidate() }
}
