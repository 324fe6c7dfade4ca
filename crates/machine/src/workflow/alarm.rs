//! The run's alarm: everything that is due is done at once, in the reference's order.

use super::events::Attributes;
use super::state::Deadline;
use super::step::Step;
use super::{activity, activity_end, callback, close, task, task_failure};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::Time;
use crate::planted::{Planted, is_planted};
use steadfast_api::v1::enums::TimeoutType;
use steadfast_api::v1::history::TimerFiredEventAttributes;

pub fn apply(step: &mut Step, env: &mut Env<'_>) -> Reply {
    if !step.run.is_open() {
        return callback::due(step, env);
    }
    let due = |time: i64| time != 0 && Time(time) <= env.now;
    if due(step.run.core.execution_expiry) {
        close::time_out_execution(step, env);
        return Reply::Done;
    }
    if due(step.run.core.run_expiry) {
        close::time_out_run(step, env);
        return Reply::Done;
    }
    if due(step.run.core.backoff_until) {
        step.run.core.backoff_until = 0;
        step.durable = true;
        task::ensure(step, env);
    }
    let (mut timers, mut activities) = (Vec::new(), Vec::new());
    for (time, deadline) in &step.run.deadlines {
        let early = if is_planted(Planted::TimerEarly) { crate::duration::SECOND } else { 0 };
        if *time > env.now.plus(early) {
            break;
        }
        match deadline {
            Deadline::Timer(id) => timers.push(*id),
            Deadline::Activity(id) => activities.push(*id),
        }
    }
    fire_timers(step, &timers, env);
    let (mut ended, mut dispatched) = (false, 0);
    let only_activities = !step.durable;
    for id in &activities {
        match activity_due(step, *id, env) {
            Due::Ended => ended = true,
            Due::Dispatched => dispatched += 1,
            Due::Else => {}
        }
    }
    if ended {
        task::ensure(step, env);
    }
    let task_due = workflow_task_due(step, env);
    // That the time of another attempt has come is no transition on the reference: the attempt was decided before.
    if only_activities && !task_due && dispatched == activities.len() {
        step.transitions = 0;
    }
    if step.durable { Reply::Done } else { Reply::Stale }
}

/// `due` is in the order of expiry and started event, as the deadlines are.
fn fire_timers(step: &mut Step, due: &[i64], env: &mut Env<'_>) {
    for id in due {
        let Some(timer) = step.run.timers.get(id).cloned() else { continue };
        step.drop_timer(*id);
        step.record(
            env,
            Attributes::TimerFiredEventAttributes(TimerFiredEventAttributes {
                timer_id: timer.timer_id.clone(),
                started_event_id: *id,
            }),
        );
    }
    if !due.is_empty() {
        task::ensure(step, env);
    }
}

/// What an activity's deadline led to.
enum Due {
    /// It came to its end. All that end at once are in the history before the task that tells of them.
    Ended,
    /// It waited for this attempt, which is in its queue now.
    Dispatched,
    Else,
}

fn activity_due(step: &mut Step, id: i64, env: &mut Env<'_>) -> Due {
    if activity_end::time_out(step, id, env) {
        return Due::Ended;
    }
    let Some(row) = step.run.activities.get(&id).cloned() else { return Due::Else };
    let waiting = row.started_time == 0 && row.queued.is_none() && row.pause.is_none();
    if !waiting || Time(row.scheduled_time) > env.now || step.run.is_paused() {
        return Due::Else;
    }
    activity::dispatch_unless_ruled(step, (*row).clone(), env);
    Due::Dispatched
}

/// Whether it was.
fn workflow_task_due(step: &mut Step, env: &mut Env<'_>) -> bool {
    let Some(row) = &step.run.core.task else { return false };
    let deadline = super::state::task_deadline(row);
    if deadline == 0 || Time(deadline) > env.now {
        return false;
    }
    let kind =
        if row.started_event_id != 0 { TimeoutType::StartToClose } else { TimeoutType::ScheduleToStart };
    task_failure::time_out(step, kind, env);
    true
}
