//! How a standalone activity ends.

use super::state::OutcomeRow;
use super::{Step, attempt};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::RowTable;
use crate::reject::Reject;
use crate::workflow::failure;
use crate::workflow::input::{ActivityEnd, EndActivity};
use crate::workflow::reply::WorkflowReply;
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;
use steadfast_api::v1::common::{Payload, Payloads};
use steadfast_api::v1::enums::{ActivityExecutionStatus as Status, RetryState, TimeoutType};
use steadfast_api::v1::failure::{CanceledFailureInfo, Failure, TerminatedFailureInfo, failure::FailureInfo};

fn close(step: &mut Step, status: Status, outcome: OutcomeRow, env: &Env<'_>) {
    step.unqueue();
    let now = step.now(env).0;
    if step.run.activity().started_time != 0 {
        step.run.activity_mut().last_attempt_end = now;
    }
    step.run.core.status = status as i32;
    step.run.core.close_time = now;
    step.run.outcome = Some(Arc::new(outcome));
    step.visibility = true;
    step.put(RowTable::Outcome);
}

fn with_failure(failure: Failure, retry_state: RetryState) -> OutcomeRow {
    OutcomeRow { failure: Some(failure), retry_state: retry_state as i32, ..OutcomeRow::default() }
}

pub fn by_worker(step: &mut Step, input: &EndActivity, env: &mut Env<'_>) -> Result<Reply, Reject> {
    attempt::check(step, &input.activity)?;
    let running = step.run.activity().started_time != 0;
    if !running && !matches!(input.end, ActivityEnd::Completed(_)) {
        return Err(attempt::not_found(step));
    }
    let too_large = |payloads: &Option<Payloads>| {
        payloads.as_ref().is_some_and(|payloads| payloads.encoded_len() > env.limits.blob_bytes)
    };
    match &input.end {
        ActivityEnd::Completed(result) if too_large(result) => {
            let failure = failure::server("Complete result exceeds size limit.", true);
            failed(step, failure, &input.identity, env);
            Ok(Reply::Done)
        }
        ActivityEnd::Completed(result) => {
            step.run.activity_mut().last_identity.clone_from(&input.identity);
            close(
                step,
                Status::Completed,
                OutcomeRow { result: result.clone(), ..OutcomeRow::default() },
                env,
            );
            Ok(Reply::Done)
        }
        ActivityEnd::Canceled(_) if !step.run.activity().cancel_requested => {
            // The words of the reference, by which an SDK's tests know it.
            Err(Reject::FailedPrecondition(format!("invalid transition from {}", step.run.phase())))
        }
        ActivityEnd::Canceled(details) => {
            canceled(step, details.clone(), env);
            Ok(Reply::Done)
        }
        ActivityEnd::Failed { failure, last_heartbeat } => {
            let mut failures = Vec::new();
            if too_large(last_heartbeat) {
                failures.push(failure::server("Heartbeat details exceeds size limit.", true));
            } else if last_heartbeat.is_some() {
                step.run.activity_mut().heartbeat_details = last_heartbeat.clone();
            }
            let given = failure.clone().unwrap_or_default();
            let kept = failure::limited(given.clone(), env.limits.blob_bytes, env.limits.failure_bytes_kept);
            if kept != given {
                failures.push(kept.clone());
            }
            failed(step, kept, &input.identity, env);
            Ok(WorkflowReply::ActivityFailed { failures }.into())
        }
    }
}

/// The attempt failed: another one, or the end.
pub fn failed(step: &mut Step, failure: Failure, identity: &str, env: &mut Env<'_>) {
    if let Err(state) = attempt::again(step, &failure, env) {
        identity.clone_into(&mut step.run.activity_mut().last_identity);
        step.run.activity_mut().last_failure = Some(failure.clone());
        close(step, Status::Failed, with_failure(failure, state), env);
    }
}

pub fn timed_out(step: &mut Step, fired: TimeoutType, env: &mut Env<'_>) {
    let row = step.run.activity();
    let (details, cause) = (row.heartbeat_details.clone(), row.last_failure.clone());
    let failure = of_timeout(fired, details.clone(), None);
    let Err(state) = attempt::again(step, &failure, env) else { return };
    let attempt_timed_out = matches!(fired, TimeoutType::StartToClose | TimeoutType::Heartbeat);
    let mut outcome = of_timeout(fired, details.clone(), cause);
    if attempt_timed_out {
        step.run.activity_mut().last_failure = Some(outcome.clone());
        if state == RetryState::Timeout {
            outcome = Failure {
                message: "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying".into(),
                ..of_timeout(TimeoutType::ScheduleToClose, details, outcome.cause.map(|cause| *cause))
            };
        }
    }
    close(step, Status::TimedOut, with_failure(outcome, state), env);
}

/// Unlike that of a workflow's activity, it does not say that it comes from the server.
fn of_timeout(kind: TimeoutType, details: Option<Payloads>, cause: Option<Failure>) -> Failure {
    let failure = failure::timeout(format!("activity {kind:?} timeout"), kind, details, cause);
    Failure { source: String::new(), ..failure }
}

fn canceled(step: &mut Step, details: Option<Payloads>, env: &Env<'_>) {
    let failure = Failure {
        message: "Activity canceled".into(),
        failure_info: Some(FailureInfo::CanceledFailureInfo(CanceledFailureInfo {
            details,
            identity: step.run.core.cancel_identity.clone(),
        })),
        ..Failure::default()
    };
    close(step, Status::Canceled, with_failure(failure, RetryState::Unspecified), env);
}

pub fn request_cancel(
    step: &mut Step,
    identity: &str,
    request_id: &str,
    reason: &str,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    let core = &step.run.core;
    if core.cancel_request_id == request_id && !request_id.is_empty() {
        return Ok(Reply::Done);
    }
    if !step.run.is_open() {
        return Err(ended(step));
    }
    if step.run.activity().cancel_requested {
        return Err(Reject::FailedPrecondition(format!(
            "cancellation already requested with request ID {}",
            core.cancel_request_id
        )));
    }
    step.run.core.cancel_request_id = request_id.to_owned();
    step.run.core.cancel_reason = reason.to_owned();
    step.run.core.cancel_identity = identity.to_owned();
    // A pause or a reset that was asked for is void.
    step.run.core.reset_restores = false;
    let row = step.run.activity_mut();
    row.cancel_requested = true;
    row.pause = None;
    row.reset = false;
    row.reset_heartbeat = false;
    step.durable = true;
    if step.run.activity().started_time == 0 {
        // Nobody works on it, so nobody has to be asked.
        let details = Payload {
            metadata: [("encoding".to_owned(), Bytes::from("json/plain"))].into(),
            data: Bytes::from(json_string(reason)),
            ..Payload::default()
        };
        canceled(step, Some(Payloads { payloads: vec![details] }), env);
    }
    Ok(Reply::Done)
}

fn ended(step: &Step) -> Reject {
    Reject::FailedPrecondition(format!("invalid transition from {}", step.run.phase()))
}

/// A JSON string literal.
fn json_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            character if u32::from(character) < 0x20 => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

pub fn terminate(
    step: &mut Step,
    identity: &str,
    request_id: &str,
    reason: &str,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    let core = &step.run.core;
    if !step.run.is_open() {
        let known = &core.terminate_request_id;
        return match step.run.status() {
            Status::Terminated if known == request_id => Ok(Reply::Done),
            Status::Terminated => {
                Err(Reject::FailedPrecondition(format!("already terminated with request ID {known}")))
            }
            _ => Err(ended(step)),
        };
    }
    let failure = Failure {
        message: reason.to_owned(),
        failure_info: Some(FailureInfo::TerminatedFailureInfo(TerminatedFailureInfo {
            identity: identity.to_owned(),
        })),
        ..Failure::default()
    };
    step.run.core.terminate_request_id = request_id.to_owned();
    close(step, Status::Terminated, with_failure(failure, RetryState::Unspecified), env);
    Ok(Reply::Done)
}

pub fn delete(step: &mut Step) -> Reply {
    step.unqueue();
    step.deleted = true;
    step.durable = true;
    Reply::Done
}
