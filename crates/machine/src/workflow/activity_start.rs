//! A worker takes an activity task.

use super::activity;
use super::input::StartActivity;
use super::reply::{StartedActivity, WorkflowReply};
use super::rows::ActivityRow;
use super::step::Step;
use super::{rules, task, task_start};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::{QueueType, Time};
use crate::planted::{Planted, is_planted};

pub fn apply(step: &mut Step, start: &StartActivity, env: &mut Env<'_>) -> Reply {
    let row = step.run.activities.get(&start.scheduled_event_id).cloned();
    let Some(row) = row.filter(|_| step.run.is_open()) else { return Reply::Stale };
    if row.started_time != 0 && !is_planted(Planted::DispatchTwice) {
        let again = row.request_id == start.request_id && !start.request_id.is_empty();
        return if again { WorkflowReply::Activity(started(step, &row)).into() } else { Reply::Stale };
    }
    if row.stamp != start.stamp || row.pause.is_some() || step.run.is_paused() {
        return Reply::Stale;
    }
    let pause = if row.attempt == 1 { rules::pause(step, &row, env) } else { None };
    if let Some(pause) = pause {
        // The worker goes on waiting; that the task is gone is committed.
        activity::withdraw(step, ActivityRow { pause: Some(pause), ..(*row).clone() });
        return Reply::Stale;
    }
    WorkflowReply::Activity(begin(step, (*row).clone(), &start.identity, &start.request_id, env)).into()
}

/// Starts an activity in the very step that scheduled it: the worker takes it with the answer to its workflow task.
pub fn start_eagerly(
    step: &mut Step,
    scheduled_event_id: i64,
    identity: &str,
    env: &mut Env<'_>,
) -> Option<StartedActivity> {
    let row = step.run.activities.get(&scheduled_event_id)?.clone();
    if row.started_time != 0 {
        return None;
    }
    let request_id = env.ids.uuid().to_string();
    Some(begin(step, (*row).clone(), identity, &request_id, env))
}

fn begin(
    step: &mut Step,
    mut row: ActivityRow,
    identity: &str,
    request_id: &str,
    env: &mut Env<'_>,
) -> StartedActivity {
    let queued = row.queued.take();
    step.unqueue(queued.as_ref(), QueueType::Activity);
    row.started_time = step.now(env).0;
    row.identity = identity.to_owned();
    row.request_id = request_id.to_owned();
    row.last_identity = identity.to_owned();
    row.reset = false;
    let started = started(step, &row);
    step.put_activity(row);
    started
}

fn started(step: &Step, row: &ActivityRow) -> StartedActivity {
    StartedActivity {
        workflow_id: step.key.entity.id.to_string(),
        run_id: step.key.run,
        workflow_type: step.run.start.workflow_type.clone(),
        activity: ActivityRow {
            priority: activity::merged_priority(step.priority(), row.priority.as_ref()),
            ..row.clone()
        },
        attempt: row.attempt,
        started_time: Time(row.started_time),
        scheduled_event: step.written(row.scheduled_event_id).cloned().map(Box::new),
        heartbeat_details: row.heartbeat_details.clone(),
        branches: task_start::branches(step),
    }
}

/// The poller was gone when the task was handed to it: the same attempt goes back to the queue, as if nothing had been.
pub fn undelivered(
    step: &mut Step,
    scheduled_event_id: i64,
    attempt: i32,
    request_id: &str,
    env: &mut Env<'_>,
) -> Reply {
    let row = step.run.activities.get(&scheduled_event_id).cloned();
    let same = |row: &ActivityRow| row.attempt == attempt && row.request_id == request_id;
    let Some(row) = row.filter(|row| step.run.is_open() && row.started_time != 0 && same(row)) else {
        return Reply::Stale;
    };
    let mut row = (*row).clone();
    row.started_time = 0;
    row.request_id = String::new();
    if row.cancel_requested {
        let identity = row.identity.clone();
        activity::cancel_unstarted(step, scheduled_event_id, row.cancel_event_id, &identity, env);
        task::ensure(step, env);
    } else if row.pause.is_some() || step.run.is_paused() {
        row.stamp = step.next_stamp();
        step.put_activity(row);
    } else {
        activity::dispatch(step, row, env);
    }
    Reply::Done
}
