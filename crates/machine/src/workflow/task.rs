//! Scheduling the workflow task of a run. There is at most one.
//!
//! ```text
//! none ──schedule──► scheduled ──start──► started ──complete──► none
//!                        │                   │
//!                        └─ sticky timeout   └─ fail, timeout ──► scheduled (next attempt)
//! ```
//!
//! The first attempt has its events in the history. Later ones are *transient*: they exist only in the row, and their
//! events are made up for the worker who gets them; if new events come before such a task starts, it becomes a normal
//! first attempt again.

use super::events::Attributes;
use super::rows::{StickyRow, WorkflowTaskRow};
use super::step::{NewTask, Step};
use crate::decision::Reply;
use crate::duration::{self, MINUTE, SECOND};
use crate::env::Env;
use crate::key::QueueType;
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use steadfast_api::v1::enums::TaskQueueKind;
use steadfast_api::v1::history::WorkflowTaskScheduledEventAttributes;
use steadfast_api::v1::taskqueue::TaskQueue;

/// Makes sure that a workflow task is pending: schedules one if there is none.
pub fn ensure(step: &mut Step, env: &mut Env<'_>) {
    if !step.run.is_open() || step.run.is_paused() {
        return;
    }
    match &step.run.core.task {
        None => schedule(step, env, step.now(env).0),
        Some(task) if task.speculative => make_normal(step, env),
        Some(_) => {}
    }
}

/// Schedules a task that an event or a command asks for. `original` is when the work first waited for a worker; a
/// heartbeating worker keeps it.
pub fn schedule(step: &mut Step, env: &mut Env<'_>, original: i64) {
    if step.flush() {
        // There is something new to see, so it is no repetition.
        step.run.core.next_attempt = 1;
    }
    let attempt = step.run.core.next_attempt.max(1);
    place(step, env, attempt, original, false);
}

/// Schedules a task that leaves no trace unless something comes of it.
pub fn schedule_speculative(step: &mut Step, env: &mut Env<'_>) {
    step.flush();
    let now = step.now(env).0;
    place(step, env, 1, now, true);
}

fn place(step: &mut Step, env: &mut Env<'_>, attempt: i32, original: i64, speculative: bool) {
    let now = step.now(env);
    let transient = attempt > 1 || speculative;
    let timeout = attempt_timeout(step.run.start.task_timeout, attempt, env);
    let scheduled_event_id = if transient {
        step.run.core.next_event_id
    } else {
        step.write(env, scheduled_event(step, attempt, timeout))
    };
    let stamp = step.next_stamp();
    let mut task = WorkflowTaskRow {
        scheduled_event_id,
        attempt,
        transient,
        speculative,
        scheduled_time: now.0,
        original_scheduled_time: original,
        timeout,
        stamp,
        ..WorkflowTaskRow::default()
    };
    if !speculative {
        // One that leaves no trace leaves the backoff as it was, too.
        step.run.core.backoff_until = 0;
        step.durable = true;
    }
    put_in_queue(step, env, &mut task, true);
    step.run.core.task = Some(task);
}

pub fn scheduled_event(step: &Step, attempt: i32, timeout: i64) -> Attributes {
    Attributes::WorkflowTaskScheduledEventAttributes(WorkflowTaskScheduledEventAttributes {
        task_queue: Some(worker_queue(step)),
        start_to_close_timeout: duration::proto(timeout),
        attempt,
    })
}

fn worker_queue(step: &Step) -> TaskQueue {
    match &step.run.core.sticky {
        Some(sticky) => TaskQueue {
            name: sticky.queue.clone(),
            kind: TaskQueueKind::Sticky as i32,
            normal_name: step.run.start.task_queue.clone(),
        },
        None => TaskQueue {
            name: step.run.start.task_queue.clone(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        },
    }
}

/// Attempts after the third wait longer and longer for a worker that says nothing: its silence is the backoff.
fn attempt_timeout(base: i64, attempt: i32, env: &mut Env<'_>) -> i64 {
    if attempt <= 3 {
        return base;
    }
    let doublings = (attempt - 4).min(10) as u32;
    let full = (5 * SECOND).saturating_mul(1 << doublings).min(10 * MINUTE);
    let jitter = (env.ids.random() % 20) as i64;
    base.saturating_add(full - full / 100 * jitter)
}

fn put_in_queue(step: &mut Step, env: &mut Env<'_>, task: &mut WorkflowTaskRow, sticky_allowed: bool) {
    let sticky = step.run.core.sticky.clone().filter(|_| sticky_allowed);
    let (queue, deadline) = match &sticky {
        Some(sticky) if is_planted(Planted::StickyTimeoutLost) => (sticky.queue.clone(), 0),
        Some(sticky) => (sticky.queue.clone(), task.scheduled_time + sticky.schedule_to_start),
        None if task.speculative => (
            step.run.start.task_queue.clone(),
            task.scheduled_time + env.limits.speculative_schedule_to_start,
        ),
        None => (step.run.start.task_queue.clone(), 0),
    };
    task.start_deadline = deadline;
    let new = NewTask {
        scheduled_event_id: task.scheduled_event_id,
        stamp: task.stamp,
        expires: None,
        sticky: sticky.is_some(),
        stored: !task.speculative,
        priority: step.priority(),
    };
    task.queued = Some(step.enqueue(env, &queue, QueueType::Workflow, new));
}

/// Nobody polls the sticky queue: the task moves to the normal one. Stickiness stays until a worker takes it from there.
pub fn sticky_unavailable(step: &mut Step, scheduled: i64, stamp: i32, env: &mut Env<'_>) -> Reply {
    let Some(mut task) = step.run.core.task.clone() else { return Reply::Stale };
    if task.scheduled_event_id != scheduled || task.stamp != stamp || task.started_event_id != 0 {
        return Reply::Stale;
    }
    to_normal_queue(step, &mut task, env);
    step.run.core.task = Some(task);
    // To the reference this is a matter of its queues.
    step.transitions = 0;
    Reply::Done
}

/// A task that nobody has started takes the place in its queue that its priority gives it now.
pub fn requeue(step: &mut Step, env: &mut Env<'_>) {
    let Some(mut task) = step.run.core.task.clone() else { return };
    let Some(queued) = task.queued.take() else { return };
    step.unqueue(Some(&queued), QueueType::Workflow);
    task.stamp = step.next_stamp();
    let sticky = step.run.core.sticky.as_ref().is_some_and(|sticky| sticky.queue == queued.queue);
    put_in_queue(step, env, &mut task, sticky);
    step.run.core.task = Some(task);
}

/// Moves a task that nobody has started to the normal queue.
fn to_normal_queue(step: &mut Step, task: &mut WorkflowTaskRow, env: &mut Env<'_>) {
    let queued = task.queued.take();
    if !task.speculative {
        step.durable = true;
    }
    step.unqueue(queued.as_ref(), QueueType::Workflow);
    task.stamp = step.next_stamp();
    put_in_queue(step, env, task, false);
}

/// The run forgets its sticky queue; a task that waits there goes to the normal one at once.
pub fn reset_sticky(step: &mut Step, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    let Some(sticky) = step.run.core.sticky.take() else { return Ok(Reply::Done) };
    step.durable = true;
    if let Some(mut task) = step.run.core.task.clone()
        && task.queued.as_ref().is_some_and(|queued| queued.queue == sticky.queue)
    {
        to_normal_queue(step, &mut task, env);
        step.run.core.task = Some(task);
    }
    Ok(Reply::Done)
}

/// Ends the sticky relation; whether there was one.
pub fn clear_sticky(step: &mut Step) -> bool {
    step.run.core.sticky.take().is_some()
}

pub fn set_sticky(step: &mut Step, sticky: Option<&(String, i64)>) {
    step.run.core.sticky =
        sticky.map(|(queue, timeout)| StickyRow { queue: queue.clone(), schedule_to_start: *timeout });
}

/// The run does something durable while a speculative task is out: the task gets its events, before the new ones.
pub fn make_normal(step: &mut Step, env: &mut Env<'_>) {
    let Some(mut task) = step.run.core.task.clone().filter(|task| task.speculative) else { return };
    let mut scheduled = step.make(env, scheduled_event(step, task.attempt, task.timeout), None, Vec::new());
    scheduled.event_time = Some(crate::key::Time(task.scheduled_time).timestamp());
    task.scheduled_event_id = step.append(scheduled);
    if task.started_event_id != 0 {
        // As on the reference, nobody is named here.
        task.identity.clear();
        let mut started = step.make(env, super::task_start::started_event(&task), None, Vec::new());
        started.event_time = Some(crate::key::Time(task.started_time).timestamp());
        task.started_event_id = step.append(started);
        step.cut();
    } else if let Some(queued) = task.queued.take() {
        // The queue has to keep it now. The task that is there says "not stored": a new one takes its place.
        step.unqueue(Some(&queued), QueueType::Workflow);
        task.speculative = false;
        task.stamp = step.next_stamp();
        let sticky = step.run.core.sticky.as_ref().is_some_and(|sticky| sticky.queue == queued.queue);
        put_in_queue(step, env, &mut task, sticky);
    }
    task.speculative = false;
    task.transient = false;
    step.run.core.backoff_until = 0;
    step.durable = true;
    step.run.core.task = Some(task);
}

/// The task is gone, with its place in the queue.
pub fn drop_task(step: &mut Step) -> Option<WorkflowTaskRow> {
    let task = step.run.core.task.take()?;
    step.unqueue(task.queued.as_ref(), QueueType::Workflow);
    Some(task)
}
