//! A workflow task fails or times out, and the next attempt is scheduled at once.

use super::events::Attributes;
use super::input::FailWorkflowTask;
use super::rows::{AttributesRow, TaskFailureRow, WorkflowTaskRow};
use super::step::Step;
use super::{close, completion, failure, payload, task, task_start};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::Time;
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use steadfast_api::v1::common::SearchAttributes;
use steadfast_api::v1::enums::{TimeoutType, WorkflowTaskFailedCause as Cause};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::{WorkflowTaskFailedEventAttributes, WorkflowTaskTimedOutEventAttributes};

/// The search attribute that says that a run's workflow task keeps failing.
pub const REPORTED_PROBLEMS: &str = "TemporalReportedProblems";

/// What an SDK reports.
pub fn apply(step: &mut Step, failed: &FailWorkflowTask, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    completion::check_token(step, &failed.token)?;
    let failure = failed
        .failure
        .clone()
        .map(|failure| failure::limited(failure, env.limits.blob_bytes, env.limits.failure_bytes_kept));
    if failed.cause == Cause::GrpcMessageTooLarge {
        fail(step, Cause::ForceCloseCommand, None, "history-service", "", env);
        close::terminate(step, "GrpcMessageTooLarge", None, "history-service", Vec::new(), env);
        return Ok(Reply::Done);
    }
    fail(step, failed.cause, failure, &failed.identity, &failed.binary_checksum, env);
    task::ensure(step, env);
    Ok(Reply::Done)
}

/// Ends the started task as failed. The caller schedules the next one, or closes the run.
pub fn fail(
    step: &mut Step,
    cause: Cause,
    failure: Option<Failure>,
    identity: &str,
    binary_checksum: &str,
    env: &mut Env<'_>,
) {
    let Some(row) = end(step, identity, env) else { return };
    if !row.transient || row.speculative {
        let attributes = WorkflowTaskFailedEventAttributes {
            scheduled_event_id: row.scheduled_event_id,
            started_event_id: row.started_event_id,
            cause: cause as i32,
            failure,
            identity: identity.to_owned(),
            binary_checksum: binary_checksum.to_owned(),
            ..WorkflowTaskFailedEventAttributes::default()
        };
        step.write(env, Attributes::WorkflowTaskFailedEventAttributes(attributes));
        let time = step.now(env).0;
        step.run.core.task_failure =
            Some(TaskFailureRow { cause: cause as i32, time, ..TaskFailureRow::default() });
    }
    if is_planted(Planted::BufferLost) {
        step.drop_all_buffered();
    }
    count_attempt(step, &row);
    report_problems(step, env);
    if step.flush() || matches!(cause, Cause::ResetWorkflow | Cause::FailoverCloseCommand) {
        step.run.core.next_attempt = 1;
    }
}

/// Ends the task as timed out and schedules the next attempt.
pub fn time_out(step: &mut Step, kind: TimeoutType, env: &mut Env<'_>) {
    let Some(row) = end(step, "", env) else { return };
    let started = kind == TimeoutType::StartToClose;
    if !row.transient || row.speculative {
        let attributes = WorkflowTaskTimedOutEventAttributes {
            scheduled_event_id: row.scheduled_event_id,
            started_event_id: if started { row.started_event_id } else { 0 },
            timeout_type: kind as i32,
        };
        step.write(env, Attributes::WorkflowTaskTimedOutEventAttributes(attributes));
        if started {
            let time = step.now(env).0;
            step.run.core.task_failure =
                Some(TaskFailureRow { timed_out: true, time, ..TaskFailureRow::default() });
        }
    }
    if started {
        count_attempt(step, &row);
        report_problems(step, env);
    } else {
        // Nobody had it: the sticky worker is gone, or the speculative task found no worker.
        task::clear_sticky(step);
        step.run.core.next_attempt = 1;
    }
    if step.flush() {
        step.run.core.next_attempt = 1;
    }
    task::ensure(step, env);
}

/// Takes the task off; a speculative one gets its events now, because something came of it. Its Started names who ends it.
fn end(step: &mut Step, identity: &str, env: &mut Env<'_>) -> Option<WorkflowTaskRow> {
    let mut row = task::drop_task(step)?;
    if row.speculative {
        let at = |time: i64| Some(Time(time).timestamp());
        let mut scheduled =
            step.make(env, task::scheduled_event(step, row.attempt, row.timeout), None, Vec::new());
        scheduled.event_time = at(row.scheduled_time);
        row.scheduled_event_id = step.append(scheduled);
        if row.started_event_id != 0 {
            identity.clone_into(&mut row.identity);
            let mut started = step.make(env, task_start::started_event(&row), None, Vec::new());
            started.event_time = at(row.started_time);
            row.started_event_id = step.append(started);
            step.cut();
        }
    }
    step.run.core.backoff_until = 0;
    step.durable = true;
    super::query::unsend(step);
    super::update::unsend(step);
    step.run.core.close_attempted = false;
    Some(row)
}

/// A failure while sticky does not count: it may be the worker's cache, so the next worker gets the whole history.
fn count_attempt(step: &mut Step, row: &WorkflowTaskRow) {
    let was_sticky = task::clear_sticky(step);
    let core = &mut step.run.core;
    if was_sticky {
        core.next_attempt = 1;
    } else {
        core.next_attempt = row.attempt.saturating_add(1);
        core.problems = core.problems.saturating_add(1);
    }
}

/// After so many of them since the last success a search attribute says what the last one was that the history tells.
fn report_problems(step: &mut Step, env: &Env<'_>) {
    let core = &step.run.core;
    if core.problems < env.limits.reported_problem_attempts {
        return;
    }
    let Some(told) = &core.task_failure else { return };
    let (category, cause) = if told.timed_out {
        ("category=WorkflowTaskTimedOut".to_owned(), "cause=WorkflowTaskTimedOutCauseStartToClose".to_owned())
    } else {
        let cause = Cause::try_from(told.cause).unwrap_or_default();
        ("category=WorkflowTaskFailed".to_owned(), format!("cause=WorkflowTaskFailedCause{cause:?}"))
    };
    let payload = payload::keywords([category.as_str(), cause.as_str()]);
    let known =
        step.run.attributes.search_attributes.as_ref().and_then(|a| a.indexed_fields.get(REPORTED_PROBLEMS));
    if known.is_some_and(|known| known.data == payload.data) {
        return;
    }
    let mut row: AttributesRow = (*step.run.attributes).clone();
    let attributes = row.search_attributes.get_or_insert_with(SearchAttributes::default);
    attributes.indexed_fields.insert(REPORTED_PROBLEMS.to_owned(), payload);
    step.put_attributes(row);
}

/// A workflow task succeeded: the run has no problem any more.
pub fn clear_problems(step: &mut Step) {
    let core = &mut step.run.core;
    core.problems = 0;
    core.task_failure = None;
    let reported = step
        .run
        .attributes
        .search_attributes
        .as_ref()
        .is_some_and(|a| a.indexed_fields.contains_key(REPORTED_PROBLEMS));
    if reported {
        let mut row: AttributesRow = (*step.run.attributes).clone();
        if let Some(attributes) = &mut row.search_attributes {
            attributes.indexed_fields.remove(REPORTED_PROBLEMS);
        }
        step.put_attributes(row);
    }
}
