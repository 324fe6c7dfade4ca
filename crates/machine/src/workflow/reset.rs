//! A workflow goes back to an earlier workflow task.
//!
//! The new run shares the history up to that point with the run that it comes from: nothing is copied, its ancestry
//! names the branches. Its state is the fold of those events; then the task at the point fails, activities are handed
//! out anew, and what came from outside after the point is recorded once more.

use super::events::{self, Attributes};
use super::input::Reset;
use super::reply::WorkflowReply;
use super::rows::{ActivityRow, BranchRow, ResetPointsRow, WorkflowTaskRow};
use super::state::Run;
use super::step::Step;
use super::{Runs, activity, close, options, projection, reset_messages, task, task_start};
use crate::decision::Decision;
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;
use prost::Message as _;
use std::collections::BTreeMap;
use steadfast_api::v1::enums::{RetryState, UpdateAdmittedEventOrigin, WorkflowTaskFailedCause as Cause};
use steadfast_api::v1::failure::{Failure, ResetWorkflowFailureInfo, failure::FailureInfo};
use steadfast_api::v1::history::{
    ActivityTaskFailedEventAttributes, HistoryEvent,
    WorkflowExecutionUpdateAdmittedEventAttributes as Admitted, WorkflowTaskFailedEventAttributes,
};
use steadfast_api::v1::workflow::{PostResetOperation, ResetPointInfo, post_reset_operation::Variant};
use uuid::Uuid;

const SERVICE: &str = "history-service";

pub fn apply(
    entity: &EntityKey,
    runs: Runs<'_>,
    reset: &Reset,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let (Some(base), Some(current)) = (runs.named, runs.current) else {
        return Err(Reject::no_workflow(&entity.id, None));
    };
    if reset.request_id.is_empty() {
        return Err(Reject::invalid("RequestId is not set on request."));
    }
    if base.core.reset_request_id == reset.request_id
        && let Ok(run_id) = Uuid::parse_str(&base.core.reset_run_id)
    {
        return Ok(Decision::reply(WorkflowReply::Reset { run_id }));
    }
    in_range(base, reset.finish_event_id)?;
    let operations = operations(reset)?;
    // One that comes again and named no run finds what it made.
    if [&current.core.made_by_request, &current.start.request_id].contains(&&reset.request_id) {
        return Ok(Decision::reply(WorkflowReply::Reset { run_id: current.id }));
    }
    let prefix = prefix(base, reset.finish_event_id, env)?;
    let id = env.ids.run_id(env.now, Some(current.id));
    let mut step = rebuild(entity, base, reset, id, &prefix, env);
    let Some(pending) = step.run.core.task.take().or_else(|| next_attempt(&mut step, &prefix, env)) else {
        return Err(Reject::invalid(format!(
            "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: {}",
            reset.finish_event_id
        )));
    };

    let mut old = Step::on(entity, base);
    old.run.core.reset_run_id = id.to_string();
    old.run.core.reset_request_id.clone_from(&reset.request_id);
    old.run.core.forked = true;
    old.durable = true;
    let (mut later, last) = later_events(base.id, reset.finish_event_id, env);
    if base.id == current.id {
        later.extend(end(&mut old, reset, env));
    } else if current.is_open() {
        let mut latest = Step::on(entity, current);
        if current.start.first_run_id == base.start.first_run_id {
            latest.run.core.reset_run_id = id.to_string();
            latest.goes_on = true;
        }
        let written = end(&mut latest, reset, env);
        if last == current.id {
            later.extend(written);
        }
        old.successor = Some(Box::new(latest));
    }

    fail_task(&mut step, &pending, base.id, reset, env);
    restart_activities(&mut step, reset, env);
    for event in &later {
        reapply(&mut step, event, reset, env);
    }
    reset_messages::send_again(&mut step, base, &prefix, env);
    for (new, mask) in operations {
        options::change(&mut step, &new, &mask, &reset.identity, env)?;
    }
    if !step.run.is_paused() {
        let now = step.now(env).0;
        task::schedule(&mut step, env, now);
    }
    step.put_all_rows();
    match &mut old.successor {
        Some(latest) => latest.successor = Some(Box::new(step)),
        None => old.successor = Some(Box::new(step)),
    }
    Ok(old.finish(Ok(WorkflowReply::Reset { run_id: id }.into())))
}

type Operation = (steadfast_api::v1::workflow::WorkflowExecutionOptions, Vec<String>);

fn operations(reset: &Reset) -> Result<Vec<Operation>, Reject> {
    let one = |bytes: &bytes::Bytes| {
        let operation = PostResetOperation::decode(bytes.clone())
            .map_err(|error| Reject::invalid(format!("post reset operation: {error}")))?;
        match operation.variant {
            Some(Variant::UpdateWorkflowOptions(update)) => {
                let mask = update.update_mask.unwrap_or_default().paths;
                Ok((update.workflow_execution_options.unwrap_or_default(), mask))
            }
            Some(Variant::SignalWorkflow(_)) => Err(Reject::invalid(
                "unsupported post reset operation: *workflow.PostResetOperation_SignalWorkflow_",
            )),
            None => Err(Reject::invalid("unsupported post reset operation: <nil>")),
        }
    };
    reset.post_operations.iter().map(one).collect()
}

fn in_range(base: &Run, finish_event_id: i64) -> Result<(), Reject> {
    if finish_event_id <= 1 || finish_event_id >= base.core.next_event_id {
        return Err(Reject::invalid("Workflow task finish ID must be > 1 && <= workflow last event ID."));
    }
    Ok(())
}

/// The events before the point, which has to be at the end of a batch.
fn prefix(base: &Run, finish_event_id: i64, env: &Env<'_>) -> Result<Vec<HistoryEvent>, Reject> {
    let mut events = Vec::new();
    for batch in env.fetched.histories.get(&base.id).into_iter().flatten() {
        if batch.first().is_none_or(|event| event.event_id >= finish_event_id) {
            break;
        }
        events.extend(batch.iter().cloned());
    }
    let last = finish_event_id - 1;
    if events.last().is_none_or(|event| event.event_id != last) {
        return Err(Reject::invalid(format!(
            "StateRebuilder unable to Rebuild mutable state to event ID: {last}, version: 0, this event must be at the boundary"
        )));
    }
    Ok(events)
}

/// The new run as it was at the point.
fn rebuild(
    entity: &EntityKey,
    base: &Run,
    reset: &Reset,
    id: Uuid,
    prefix: &[HistoryEvent],
    env: &Env<'_>,
) -> Step {
    let mut run = projection::fold(id, &base.start, prefix, env.limits);
    let last = run.core.next_event_id - 1;
    // The points of the shared events are as in the run that they came from, but this run can be reset to them, too.
    let known = |point: &ResetPointInfo| {
        let same = |other: &&ResetPointInfo| {
            other.build_id == point.build_id
                && other.binary_checksum == point.binary_checksum
                && other.first_workflow_task_completed_id == point.first_workflow_task_completed_id
        };
        let mut point = base.reset_points.points.iter().find(same).unwrap_or(point).clone();
        if point.run_id == base.id.to_string() {
            point.run_id = id.to_string();
            point.expire_time = None;
        }
        point
    };
    run.reset_points = ResetPointsRow { points: run.reset_points.points.iter().map(known).collect() }.into();
    let core = &mut run.core;
    core.original_start_time = match base.core.original_start_time {
        0 => base.core.start_time,
        time => time,
    };
    let now = env.now;
    // Whatever the first task waited for shows once more.
    core.execution_time = now.plus(core.execution_time - core.start_time).0;
    core.start_time = now.0;
    core.last_reset_time = now.0;
    core.backoff_until = 0;
    core.execution_expiry =
        if base.start.execution_timeout > 0 { now.plus(base.start.execution_timeout).0 } else { 0 };
    core.run_expiry = projection::run_expiry(now, base.start.run_timeout, core.execution_expiry);
    core.ancestry = ancestry(base, last);
    core.branch = id.as_bytes().to_vec();
    core.made_by_request.clone_from(&reset.request_id);
    let mut step = Step::on(entity, &run);
    // That it was made anew, and what this reset does to it.
    step.transitions = 2;
    step
}

/// Where the events up to `last` are.
fn ancestry(base: &Run, last: i64) -> Vec<BranchRow> {
    let mut parts = Vec::new();
    for (branch, until) in base.history_parts() {
        let last_event_id = until.min(last);
        parts.push(BranchRow { branch: branch.as_bytes().to_vec(), last_event_id });
        if last_event_id == last {
            break;
        }
    }
    parts
}

/// What came after the point, also in the runs that continued this one as new, and the last of these. A retry and the
/// next tick of a schedule began afresh: what they were sent is not for this run.
fn later_events(base: Uuid, from: i64, env: &Env<'_>) -> (Vec<HistoryEvent>, Uuid) {
    let (mut events, mut run, mut from) = (Vec::new(), base, from);
    while let Some(history) = env.fetched.histories.get(&run) {
        events.extend(history.iter().flatten().filter(|event| event.event_id >= from).cloned());
        // Run ids rise along a chain, so this ends.
        let Some(next) = continued_as(history).filter(|next| *next > run) else { break };
        if !env.fetched.histories.contains_key(&next) {
            break;
        }
        (run, from) = (next, 0);
    }
    (events, run)
}

/// The run that continued as new the one that has this history.
pub fn continued_as(history: &[Vec<HistoryEvent>]) -> Option<Uuid> {
    match history.last()?.last()?.attributes.as_ref()? {
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(closed) => {
            Uuid::parse_str(&closed.new_execution_run_id).ok()
        }
        _ => None,
    }
}

/// Ends a run that is open; what it wrote in doing so, among it what had waited in its buffer.
fn end(step: &mut Step, reset: &Reset, env: &mut Env<'_>) -> Vec<HistoryEvent> {
    if step.run.is_open() {
        close::terminate(step, &reset.reason, None, "history-resetter", Vec::new(), env);
    }
    step.new_events().cloned().collect()
}

/// A task that failed or timed out is followed by another attempt, which is in no event: it is the one that the reset ends.
fn next_attempt(step: &mut Step, prefix: &[HistoryEvent], env: &Env<'_>) -> Option<WorkflowTaskRow> {
    use Attributes::*;
    let last = prefix.iter().rev().find_map(|event| match event.attributes.as_ref()? {
        WorkflowTaskFailedEventAttributes(_) | WorkflowTaskTimedOutEventAttributes(_) => Some(true),
        WorkflowTaskScheduledEventAttributes(_) | WorkflowTaskCompletedEventAttributes(_) => Some(false),
        _ => None,
    });
    if last != Some(true) || step.run.is_paused() {
        return None;
    }
    let timeout = step.run.start.task_timeout;
    let scheduled_event_id = step.write(env, task::scheduled_event(step, 1, timeout));
    Some(WorkflowTaskRow { scheduled_event_id, attempt: 1, timeout, ..WorkflowTaskRow::default() })
}

fn fail_task(step: &mut Step, pending: &WorkflowTaskRow, base: Uuid, reset: &Reset, env: &mut Env<'_>) {
    let mut row = pending.clone();
    if row.started_event_id == 0 {
        row.identity = SERVICE.into();
        row.request_id = "emptyUuid".into();
        row.history_bytes = step.run.core.history_bytes;
        row.started_event_id = step.write(env, task_start::started_event(&row));
        step.cut();
    }
    let attributes = WorkflowTaskFailedEventAttributes {
        scheduled_event_id: row.scheduled_event_id,
        started_event_id: row.started_event_id,
        cause: Cause::ResetWorkflow as i32,
        failure: Some(failure(reset, None)),
        identity: SERVICE.into(),
        base_run_id: base.to_string(),
        new_run_id: step.key.run.to_string(),
        ..WorkflowTaskFailedEventAttributes::default()
    };
    step.write(env, Attributes::WorkflowTaskFailedEventAttributes(attributes));
}

fn failure(reset: &Reset, row: Option<&ActivityRow>) -> Failure {
    Failure {
        message: reset.reason.clone(),
        failure_info: Some(FailureInfo::ResetWorkflowFailureInfo(ResetWorkflowFailureInfo {
            last_heartbeat_details: row.and_then(|row| row.heartbeat_details.clone()),
        })),
        ..Failure::default()
    }
}

/// Pending activities begin again, also one that runs; one whose start is in the events cannot, and fails.
fn restart_activities(step: &mut Step, reset: &Reset, env: &mut Env<'_>) {
    let rows: Vec<ActivityRow> = step.run.activities.values().map(|row| (**row).clone()).collect();
    let now = step.now(env);
    for mut row in rows {
        if row.started_event_id == 0 {
            row.first_scheduled_time = now.0;
            activity::schedule_at(step, row, now, env);
            continue;
        }
        step.drop_activity(row.scheduled_event_id);
        let attributes = ActivityTaskFailedEventAttributes {
            failure: Some(failure(reset, Some(&row))),
            scheduled_event_id: row.scheduled_event_id,
            started_event_id: row.started_event_id,
            identity: row.identity.clone(),
            retry_state: RetryState::Unspecified as i32,
            ..ActivityTaskFailedEventAttributes::default()
        };
        step.write(env, Attributes::ActivityTaskFailedEventAttributes(attributes));
    }
}

/// Records an event of the old run once more, if it came from outside and still means something.
fn reapply(step: &mut Step, event: &HistoryEvent, reset: &Reset, env: &Env<'_>) {
    let Some(attributes) = event.attributes.as_ref().and_then(|a| reapplied(step, a, reset)) else { return };
    let mut again = step.make(env, attributes, event.user_metadata.clone(), event.links.clone());
    let started = step.run.children.values().map(|child| (child.initiated_event_id, child.started_event_id));
    let started: BTreeMap<i64, i64> = started.collect();
    events::replace_started_id(&mut again, &started);
    let id = step.append(again.clone());
    again.event_id = id;
    projection::change(&mut step.run, &again, env.limits);
}

fn reapplied(step: &Step, attributes: &Attributes, reset: &Reset) -> Option<Attributes> {
    use Attributes::*;
    let child = |initiated: i64| step.run.children.contains_key(&initiated).then(|| attributes.clone());
    let admitted = |request: &Option<steadfast_api::v1::update::Request>| {
        let id = &request.as_ref()?.meta.as_ref()?.update_id;
        let wanted = !reset.exclude_updates && !step.run.updates.contains_key(id);
        wanted.then(|| {
            WorkflowExecutionUpdateAdmittedEventAttributes(Admitted {
                request: request.clone(),
                origin: UpdateAdmittedEventOrigin::Reapply as i32,
            })
        })
    };
    match attributes {
        WorkflowExecutionSignaledEventAttributes(a) => {
            // The same request may have come to this run and to one that continued it.
            let known = !a.request_id.is_empty() && step.run.signal_ids.contains(&a.request_id);
            (!reset.exclude_signals && !known).then(|| attributes.clone())
        }
        WorkflowExecutionUpdateAdmittedEventAttributes(a) => admitted(&a.request),
        WorkflowExecutionUpdateAcceptedEventAttributes(a) => admitted(&a.accepted_request),
        WorkflowExecutionOptionsUpdatedEventAttributes(a) => {
            let known = step.run.request_ids.contains_key(&a.attached_request_id);
            (!known).then(|| attributes.clone())
        }
        ChildWorkflowExecutionStartedEventAttributes(a) => {
            let waits = step.run.children.get(&a.initiated_event_id).filter(|child| child.run_id.is_empty());
            waits.map(|_| attributes.clone())
        }
        StartChildWorkflowExecutionFailedEventAttributes(a) => child(a.initiated_event_id),
        ChildWorkflowExecutionCompletedEventAttributes(a) => child(a.initiated_event_id),
        ChildWorkflowExecutionFailedEventAttributes(a) => child(a.initiated_event_id),
        ChildWorkflowExecutionCanceledEventAttributes(a) => child(a.initiated_event_id),
        ChildWorkflowExecutionTimedOutEventAttributes(a) => child(a.initiated_event_id),
        ChildWorkflowExecutionTerminatedEventAttributes(a) => child(a.initiated_event_id),
        _ => None,
    }
}
