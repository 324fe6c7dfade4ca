//! What is to be done goes to the targets, one after the other, and how it ended comes back.

use super::message::{BatchOperation, Target};
use super::state::TargetRow;
use super::{Run, Step};
use crate::decision::Reply;
use crate::duration::{DAY, SECOND};
use crate::env::Env;
use crate::key::Time;
use crate::limits::{Limits, has_nul};
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use crate::workflow::message::{Content, Delivered};
use uuid::Uuid;

/// Sends to as many targets as the rate and the messages under way allow.
pub fn all_that_may(step: &mut Step, env: &Env<'_>) {
    let wake = send(step, env).map_or(0, |allowed| allowed.0);
    if step.run.core.wake != wake {
        step.run.core.wake = wake;
        step.durable = true;
    }
}

/// When the rate allows the next one, if that is what it waits for.
fn send(step: &mut Step, env: &Env<'_>) -> Option<Time> {
    while let Some(target) = step.run.next_target().cloned() {
        if !is_sound(&target, env.limits) {
            step.run.core.sent += 1;
            step.run.core.failed += 1;
            step.durable = true;
            continue;
        }
        if step.run.core.in_flight.len() >= env.limits.batch_concurrency.max(1) {
            return None;
        }
        let pace = Pace::of(&step.run, env.limits);
        let used = pace.used_until(&step.run, env.now);
        let allowed = used.plus(-pace.interval.saturating_mul(pace.burst - 1));
        if allowed > env.now {
            return Some(allowed);
        }
        step.run.core.used_until = env.now.max(used).plus(pace.interval).0;
        step.run.core.sent += 1;
        to(step, &target, 0);
    }
    None
}

/// How fast a batch may go. It may fall behind by a second, and catch up.
struct Pace {
    /// Nanoseconds from one operation to the next.
    interval: i64,
    burst: i64,
}

impl Pace {
    fn of(run: &Run, limits: &Limits) -> Pace {
        let most = limits.batch_operations_per_second.max(1) as f64;
        let asked = f64::from(run.start.operations_per_second);
        let rate = if asked > 0.0 { asked.min(most) } else { most };
        let interval = (SECOND as f64 / rate).clamp(1.0, DAY as f64) as i64;
        Pace { interval, burst: (rate.ceil() as i64).max(1) }
    }

    /// Up to when the rate is used up. It never is for longer than a burst lasts, unless the clock was set back.
    fn used_until(&self, run: &Run, now: Time) -> Time {
        Time(run.core.used_until).min(now.plus(self.interval.saturating_mul(self.burst)))
    }
}

/// A target that no workflow can have as its name fails without being asked.
fn is_sound(target: &TargetRow, limits: &Limits) -> bool {
    let id = &target.workflow_id;
    let run = target.run_id.is_empty() || Uuid::try_parse(&target.run_id).is_ok();
    run && !id.is_empty() && id.len() <= limits.id_bytes && !has_nul(id)
}

fn to(step: &mut Step, target: &TargetRow, event_id: i64) {
    let run = &step.run;
    let whom = if target.run_id.is_empty() { &target.workflow_id } else { &target.run_id };
    let request_id = match is_planted(Planted::BatchTwice) {
        true => String::new(),
        false => format!("{}/{whom}", run.id),
    };
    let operation = BatchOperation {
        operation: run.start.operation.clone(),
        reason: run.start.reason.clone(),
        request_id,
        event_id,
    };
    step.send(target, Content::BatchOperation(operation));
}

/// How it ended with one target. What comes back twice is counted once.
pub fn delivered(step: &mut Step, delivered: &Delivered) -> Reply {
    step.messages_done.push(delivered.sequence);
    step.durable = true;
    let open = step.run.is_open();
    let core = &mut step.run.core;
    let Some(place) = core.in_flight.iter().position(|sequence| *sequence == delivered.sequence) else {
        return Reply::Done;
    };
    core.in_flight.remove(place);
    match &delivered.outcome {
        Ok(Some(Content::BatchTarget(target))) if open => again(step, target),
        // Nothing was done, and nothing will be: the batch was stopped.
        Ok(Some(Content::BatchTarget(_))) => {}
        // Of what is not there, or no longer, nothing was wanted.
        Ok(_) | Err(Reject::NotFound(_)) => core.succeeded += 1,
        Err(_) => core.failed += 1,
    }
    Reply::Done
}

/// The target has said which run is meant.
fn again(step: &mut Step, meant: &Target) {
    let target = TargetRow { workflow_id: meant.workflow_id.clone(), run_id: meant.run_id.clone() };
    to(step, &target, meant.event_id);
}
