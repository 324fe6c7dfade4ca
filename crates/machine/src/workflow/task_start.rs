//! A worker takes the workflow task.

use super::events::Attributes;
use super::input::StartWorkflowTask;
use super::reply::{StartedWorkflowTask, WorkflowReply};
use super::rows::WorkflowTaskRow;
use super::step::Step;
use super::{query, task, update};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::{QueueType, Time};
use crate::reject::Reject;
use steadfast_api::v1::common::WorkerVersionStamp;
use steadfast_api::v1::enums::SuggestContinueAsNewReason as Reason;
use steadfast_api::v1::history::{HistoryEvent, WorkflowTaskStartedEventAttributes};
use uuid::Uuid;

pub fn apply(step: &mut Step, start: &StartWorkflowTask, env: &mut Env<'_>) -> Result<Reply, Reject> {
    let Some(task) = step.run.core.task.clone().filter(|_| step.run.is_open()) else {
        return Ok(Reply::Stale);
    };
    if task.started_event_id != 0 {
        // The same start again: its first answer was lost.
        let again = task.request_id == start.request_id && !start.request_id.is_empty();
        return Ok(if again { started(step, start.sticky).into() } else { Reply::Stale });
    }
    if task.stamp != start.stamp {
        return Ok(Reply::Stale);
    }
    // Whoever takes it from a queue may know nothing of what went with the task before.
    update::unsend(step);
    Ok(begin(step, start, env).into())
}

/// Starts the task that is scheduled.
pub fn begin(step: &mut Step, start: &StartWorkflowTask, env: &mut Env<'_>) -> WorkflowReply {
    let Some(mut row) = step.run.core.task.clone() else { unreachable!("callers have looked") };
    if !start.sticky {
        // Whoever takes it from the normal queue knows nothing of the run.
        task::clear_sticky(step);
    }
    if row.transient && step.run.core.next_event_id > row.scheduled_event_id {
        // Events came after it was scheduled: there is something new to see, so it counts as a first attempt.
        // It keeps the timeout that it was scheduled with, which is longer for a late one.
        row.attempt = 1;
        row.transient = false;
        row.speculative = false;
        step.run.core.next_attempt = 1;
        // A task that is scheduled ends a backoff, as whoever reads the history sees it.
        step.run.core.backoff_until = 0;
        row.scheduled_event_id = step.write(env, task::scheduled_event(step, 1, row.timeout));
    }
    let queued = row.queued.take();
    step.unqueue(queued.as_ref(), QueueType::Workflow);
    // A speculative task that is forgotten leaves its event ids to the next one: its time must tell them apart. And its
    // scheduling is no event yet, by which a clock that was set back since would be held.
    let earliest = row.scheduled_time.max(step.run.volatile.forgotten_task_started + 1);
    row.started_time = step.now(env).0.max(earliest);
    row.start_deadline = 0;
    row.request_id = start.request_id.clone();
    row.identity = start.identity.clone();
    row.build_id = start.build_id.clone();
    row.history_bytes = step.history_bytes_before;
    row.suggest_reasons = reasons(step, env);
    row.suggest_continue = !row.suggest_reasons.is_empty();
    if row.transient {
        row.started_event_id = row.scheduled_event_id + 1;
    } else {
        row.started_event_id = step.write(env, started_event(&row));
        step.cut();
    }
    if !row.speculative {
        step.durable = true;
    }
    step.run.core.task = Some(row);
    query::send(step);
    update::send(step);
    started(step, start.sticky)
}

fn reasons(step: &Step, env: &Env<'_>) -> Vec<i32> {
    let core = &step.run.core;
    let mut reasons = Vec::new();
    if step.history_bytes_before >= env.limits.suggest_continue_bytes {
        reasons.push(Reason::HistorySizeTooLarge as i32);
    }
    if core.next_event_id >= env.limits.suggest_continue_events {
        reasons.push(Reason::TooManyHistoryEvents as i32);
    }
    // Those that wait for their acceptance count, as they do for the limit.
    let updates = core.updates + step.run.volatile.updates.len() as i64;
    if updates * 10 >= env.limits.updates_total * 9 {
        reasons.push(Reason::TooManyUpdates as i32);
    }
    reasons
}

pub fn started_event(row: &WorkflowTaskRow) -> Attributes {
    Attributes::WorkflowTaskStartedEventAttributes(WorkflowTaskStartedEventAttributes {
        scheduled_event_id: row.scheduled_event_id,
        identity: row.identity.clone(),
        request_id: row.request_id.clone(),
        suggest_continue_as_new: row.suggest_continue,
        suggest_continue_as_new_reasons: row.suggest_reasons.clone(),
        history_size_bytes: row.history_bytes,
        worker_version: (!row.build_id.is_empty())
            .then(|| WorkerVersionStamp { build_id: row.build_id.clone(), ..WorkerVersionStamp::default() }),
        ..WorkflowTaskStartedEventAttributes::default()
    })
}

/// The started task as its worker gets it.
pub fn started(step: &Step, partial: bool) -> WorkflowReply {
    let Some(task) = step.run.core.task.clone() else { unreachable!("callers have started it") };
    let synthetic = if task.transient { synthetic(step, &task) } else { Vec::new() };
    WorkflowReply::WorkflowTask(StartedWorkflowTask {
        workflow_id: step.key.entity.id.to_string(),
        run_id: step.key.run,
        workflow_type: step.run.start.workflow_type.clone(),
        task_queue: step.run.start.task_queue.clone(),
        previous_started_event_id: step.run.core.last_completed_started_id,
        partial,
        next_event_id: step.run.core.next_event_id,
        synthetic,
        queries: query::sent(step),
        messages: update::messages(step, &task),
        branches: branches(step),
        history: None,
        task,
    })
}

/// The events that a transient task would have, if it were in the history.
fn synthetic(step: &Step, row: &WorkflowTaskRow) -> Vec<HistoryEvent> {
    synthetic_events(step.run.start.task_queue.as_str(), step.run.core.sticky.as_ref(), row)
}

pub fn synthetic_events(
    queue: &str,
    sticky: Option<&super::rows::StickyRow>,
    row: &WorkflowTaskRow,
) -> Vec<HistoryEvent> {
    use steadfast_api::v1::enums::{EventType, TaskQueueKind};
    use steadfast_api::v1::history::WorkflowTaskScheduledEventAttributes;
    use steadfast_api::v1::taskqueue::TaskQueue;
    let task_queue = match sticky {
        Some(sticky) => TaskQueue {
            name: sticky.queue.clone(),
            kind: TaskQueueKind::Sticky as i32,
            normal_name: queue.to_owned(),
        },
        None => TaskQueue {
            name: queue.to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        },
    };
    let event = |id, time: i64, event_type: EventType, attributes| HistoryEvent {
        event_id: id,
        event_time: Some(Time(time).timestamp()),
        event_type: event_type as i32,
        attributes: Some(attributes),
        ..HistoryEvent::default()
    };
    let mut events = vec![event(
        row.scheduled_event_id,
        row.scheduled_time,
        EventType::WorkflowTaskScheduled,
        Attributes::WorkflowTaskScheduledEventAttributes(WorkflowTaskScheduledEventAttributes {
            task_queue: Some(task_queue),
            start_to_close_timeout: crate::duration::proto(row.timeout),
            attempt: row.attempt,
        }),
    )];
    if row.started_event_id != 0 {
        events.push(event(
            row.started_event_id,
            row.started_time,
            EventType::WorkflowTaskStarted,
            started_event(row),
        ));
    }
    events
}

pub fn branches(step: &Step) -> Vec<(Uuid, i64)> {
    step.run.history_parts()
}
