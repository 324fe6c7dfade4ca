//! A workflow is paused and goes on again.
//!
//! A paused run takes in whatever comes and decides nothing: no workflow task is scheduled, activities stay out of
//! their queues. A workflow task that a worker has already may still be completed.

use super::events::Attributes;
use super::payload;
use super::rows::{AttributesRow, PauseRow};
use super::step::Step;
use super::{activity, task};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::Time;
use crate::reject::Reject;
use std::collections::BTreeSet;
use steadfast_api::v1::enums::{WorkflowExecutionStatus as Status, WorkflowTaskFailedCause as Cause};
use steadfast_api::v1::history::{
    WorkflowExecutionPausedEventAttributes, WorkflowExecutionUnpausedEventAttributes,
    WorkflowTaskFailedEventAttributes,
};

/// The search attribute by which lists find what is paused, and why.
pub const PAUSE_INFO: &str = "TemporalPauseInfo";

/// Brings the search attribute up to date with what is paused: the workflow, and types of activities.
pub fn show(step: &mut Step) {
    let mut words = Vec::new();
    if let Some(pause) = &step.run.core.pause {
        words.push(format!("Workflow:{}", step.key.entity.id));
        if !pause.reason.is_empty() {
            words.push(format!("Reason:{}", pause.reason));
        }
    }
    let paused = step.run.activities.values().filter(|row| row.pause.is_some());
    let types: BTreeSet<&str> = paused.map(|row| row.activity_type.as_str()).collect();
    words.extend(types.into_iter().map(|name| format!("property:activityType={name}")));
    let value = (!words.is_empty()).then(|| payload::keywords(words.iter().map(String::as_str)));
    let fields = step.run.attributes.search_attributes.as_ref().map(|attributes| &attributes.indexed_fields);
    if fields.and_then(|fields| fields.get(PAUSE_INFO)) == value.as_ref() {
        return;
    }
    let mut row: AttributesRow = (*step.run.attributes).clone();
    let fields = &mut row.search_attributes.get_or_insert_default().indexed_fields;
    match value {
        Some(value) => fields.insert(PAUSE_INFO.to_owned(), value),
        None => fields.remove(PAUSE_INFO),
    };
    step.put_attributes(row);
}

fn check_open(step: &Step) -> Result<(), Reject> {
    if step.run.is_open() { Ok(()) } else { Err(Reject::closed()) }
}

pub fn pause(
    step: &mut Step,
    identity: &str,
    reason: &str,
    request_id: &str,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    check_open(step)?;
    if let Some(pause) = &step.run.core.pause {
        if !request_id.is_empty() && pause.request_id == request_id {
            return Ok(Reply::Done);
        }
        return Err(Reject::FailedPrecondition("workflow is already paused.".into()));
    }
    let attributes = WorkflowExecutionPausedEventAttributes {
        identity: identity.to_owned(),
        reason: reason.to_owned(),
        request_id: request_id.to_owned(),
    };
    step.record(env, Attributes::WorkflowExecutionPausedEventAttributes(attributes));
    let time = step.now(env).0;
    step.run.core.pause = Some(PauseRow {
        time,
        identity: identity.to_owned(),
        reason: reason.to_owned(),
        request_id: request_id.to_owned(),
        ..PauseRow::default()
    });
    step.run.core.status = Status::Paused as i32;
    step.visibility = true;
    withdraw_task(step, env);
    withdraw_activities(step);
    show(step);
    Ok(Reply::Done)
}

/// A task that nobody has started goes.
fn withdraw_task(step: &mut Step, env: &mut Env<'_>) {
    if step.run.started_task().is_some() {
        return;
    }
    let Some(row) = task::drop_task(step) else { return };
    if row.transient {
        return;
    }
    let attributes = WorkflowTaskFailedEventAttributes {
        scheduled_event_id: row.scheduled_event_id,
        cause: Cause::WorkflowPauseRequestedBeforeTaskStarted as i32,
        identity: "history-service".into(),
        ..WorkflowTaskFailedEventAttributes::default()
    };
    step.flush();
    step.write(env, Attributes::WorkflowTaskFailedEventAttributes(attributes));
}

fn withdraw_activities(step: &mut Step) {
    let queued: Vec<_> =
        step.run.activities.values().filter(|row| row.queued.is_some()).map(|row| (**row).clone()).collect();
    for row in queued {
        activity::withdraw(step, row);
    }
}

pub fn unpause(
    step: &mut Step,
    identity: &str,
    reason: &str,
    request_id: &str,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    check_open(step)?;
    if !step.run.is_paused() {
        return Err(Reject::FailedPrecondition("workflow is not paused.".into()));
    }
    let attributes = WorkflowExecutionUnpausedEventAttributes {
        identity: identity.to_owned(),
        reason: reason.to_owned(),
        request_id: request_id.to_owned(),
    };
    step.record(env, Attributes::WorkflowExecutionUnpausedEventAttributes(attributes));
    step.run.core.pause = None;
    step.run.core.status = Status::Running as i32;
    step.visibility = true;
    show(step);
    let now = step.now(env);
    let due: Vec<_> = step
        .run
        .activities
        .values()
        .filter(|row| row.started_time == 0 && row.queued.is_none() && row.pause.is_none())
        .filter(|row| Time(row.scheduled_time) <= now)
        .map(|row| (**row).clone())
        .collect();
    for row in due {
        activity::dispatch_unless_ruled(step, row, env);
    }
    if step.run.core.backoff_until == 0 {
        task::ensure(step, env);
    }
    Ok(Reply::Done)
}
