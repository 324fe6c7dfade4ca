//! Completion callbacks: whoever wants to know how the run ends is called then.
//!
//! ```text
//! attached (STANDBY) ──the run closes for good──► SCHEDULED ──answered──► SUCCEEDED, or FAILED where it is no use to try again
//!                                                   ▲  └──no answer, or a passing error──► BACKING_OFF ──┐
//!                                                   └────────────────────────────────────────────────────┘
//! ```
//!
//! A callback that is scheduled is a row of a closed run whose alarm is due, until it is known how the call ended: what
//! stops in between leads to another call. They are attached by the start, or by a start that found the run there, and go
//! on to the next run of a chain, which calls them in its turn.

use super::close::Closing;
use super::input::CallEnd;
use super::rows::CallbackRow;
use super::state::Run;
use super::step::Step;
use crate::decision::{CallbackDue, Reply};
use crate::duration::{MINUTE, SECOND};
use crate::env::Env;
use crate::key::{RowKey, RowTable, Time};
use crate::planted::{Planted, is_planted};
use std::sync::Arc;
use steadfast_api::v1::common::{Callback, callback::Variant};
use steadfast_api::v1::enums::{CallbackState as State, RetryState};
use steadfast_api::v1::failure::{ApplicationFailureInfo, Failure, failure::FailureInfo};

/// Nanoseconds after which a call of whose end nothing was heard is made again. Longer than a call may last.
const CALL_AGAIN: i64 = 30 * SECOND;

/// Nanoseconds for which a call waits that was postponed.
const POSTPONED: i64 = MINUTE;

/// The callbacks of a run, for the next run of its chain.
pub fn of(run: &Run) -> Vec<Callback> {
    run.callbacks.values().filter_map(|row| row.callback.clone()).collect()
}

/// Adds callbacks to a run, and returns their sequences.
pub fn add(run: &mut Run, callbacks: &[Callback], request_id: &str, time: Time) -> Vec<i64> {
    let first = run.callbacks.get_max().map_or(0, |(last, _)| last + 1);
    let sequences = first..first + callbacks.len() as i64;
    for (sequence, callback) in sequences.clone().zip(callbacks) {
        let row = CallbackRow {
            sequence,
            callback: Some(callback.clone()),
            registration_time: time.0,
            request_id: request_id.to_owned(),
            state: State::Standby as i32,
            ..CallbackRow::default()
        };
        run.callbacks.insert(sequence, Arc::new(row));
    }
    sequences.collect()
}

pub fn attach(step: &mut Step, callbacks: &[Callback], request_id: &str, time: Time) {
    for sequence in add(&mut step.run, callbacks, request_id, time) {
        step.put(RowKey::number(RowTable::Callback, sequence));
    }
}

/// Earlier versions kept them with what the start fixed.
pub fn take_over(run: &mut Run) {
    if run.callbacks.is_empty() && !run.start.callbacks.is_empty() {
        let start = Arc::clone(&run.start);
        add(run, &start.callbacks, &start.request_id, Time(run.core.start_time));
    }
}

/// When a closed run wants to be woken. What is being called is waited for, unless one does not know of it.
pub fn alarm(run: &Run, with_calls: bool) -> Option<Time> {
    let due = |row: &Arc<CallbackRow>| match state(row) {
        State::Scheduled => {
            let called = run.volatile.calls.iter().find(|(sequence, _)| *sequence == row.sequence);
            Some(called.filter(|_| with_calls).map_or(Time(row.due), |(_, since)| since.plus(CALL_AGAIN)))
        }
        State::BackingOff => Some(Time(row.due)),
        _ => None,
    };
    run.callbacks.values().filter_map(due).min()
}

/// The run closed. If its chain goes on in its place, the next run calls; a tick of a schedule is an end all the same.
/// Of a run that was reset nobody hears.
pub fn on_close(step: &mut Step, closing: &Closing, retry_state: RetryState) {
    let goes_on = matches!(closing, Closing::ContinuedAsNew) || retry_state == RetryState::InProgress;
    if goes_on || !step.run.core.reset_run_id.is_empty() {
        return;
    }
    let due = step.run.core.close_time;
    for row in rows(step) {
        step.put_callback(CallbackRow { state: State::Scheduled as i32, due, ..row });
    }
}

/// The alarm of a closed run: everything that is due is called.
pub fn due(step: &mut Step, env: &Env<'_>) -> Reply {
    for mut row in rows(step) {
        if Time(row.due) > env.now || !matches!(state(&row), State::Scheduled | State::BackingOff) {
            continue;
        }
        let calls = &mut step.run.volatile.calls;
        if calls.iter().any(|(called, since)| *called == row.sequence && since.plus(CALL_AGAIN) > env.now) {
            continue;
        }
        calls.retain(|(called, _)| *called != row.sequence);
        calls.push((row.sequence, env.now));
        step.calls.push(CallbackDue {
            run: step.key.clone(),
            sequence: row.sequence,
            attempt: row.attempt,
            url: url(&row).to_owned(),
        });
        let assumed = is_planted(Planted::CallAssumed);
        if assumed || state(&row) == State::BackingOff {
            row.state = if assumed { State::Succeeded } else { State::Scheduled } as i32;
            step.put_callback(row);
        }
    }
    if step.durable { Reply::Done } else { Reply::Stale }
}

/// How a call ended. One whose end is known already, because it was made twice, changes nothing.
pub fn ended(step: &mut Step, sequence: i64, attempt: i32, end: &CallEnd, env: &mut Env<'_>) -> Reply {
    let row = step
        .run
        .callbacks
        .get(&sequence)
        .filter(|row| state(row) == State::Scheduled && row.attempt == attempt && !step.run.is_open());
    let Some(mut row) = row.map(|row| (**row).clone()) else { return Reply::Stale };
    step.run.volatile.calls.retain(|(called, _)| *called != sequence);
    if *end == CallEnd::Postponed {
        row.state = State::BackingOff as i32;
        row.due = env.now.plus(jittered(POSTPONED, env)).0;
        step.put_callback(row);
        return Reply::Done;
    }
    row.attempt = row.attempt.saturating_add(1);
    row.last_attempt_time = env.now.0;
    row.due = 0;
    row.last_failure = None;
    row.state = State::Succeeded as i32;
    if let CallEnd::Failed { message, retryable } = end {
        row.last_failure = Some(failure(message, *retryable));
        row.state = State::Failed as i32;
        if *retryable {
            row.state = State::BackingOff as i32;
            row.due = env.now.plus(jittered(interval(row.attempt, env), env)).0;
        }
    }
    step.put_callback(row);
    Reply::Done
}

pub fn url(row: &CallbackRow) -> &str {
    match row.callback.as_ref().and_then(|callback| callback.variant.as_ref()) {
        Some(Variant::Nexus(nexus)) => &nexus.url,
        _ => "",
    }
}

pub fn state(row: &CallbackRow) -> State {
    State::try_from(row.state).unwrap_or(State::Unspecified)
}

fn rows(step: &Step) -> Vec<CallbackRow> {
    step.run.callbacks.values().map(|row| (**row).clone()).collect()
}

/// Twice as long with each attempt.
fn interval(attempt: i32, env: &Env<'_>) -> i64 {
    let doublings = attempt.saturating_sub(1).clamp(0, 40) as u32;
    let doubled = env.limits.callback_first_interval.saturating_mul(1 << doublings);
    doubled.min(env.limits.callback_longest_interval)
}

/// A fifth less at most, so that those who failed together do not come back together.
fn jittered(nanos: i64, env: &mut Env<'_>) -> i64 {
    let fifth = nanos / 5;
    nanos - fifth + (env.ids.random() % fifth.max(1) as u64) as i64
}

fn failure(message: &str, retryable: bool) -> Failure {
    let info = ApplicationFailureInfo { non_retryable: !retryable, ..ApplicationFailureInfo::default() };
    Failure {
        message: message.to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
        ..Failure::default()
    }
}
