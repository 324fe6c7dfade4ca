//! What has to hold after every input to a run, whatever the input was.
//!
//! - A speculative workflow task is only good as long as nothing else happens: the first durable change makes it a
//!   normal one, with its events before the new ones.
//! - Only so many events wait in the buffer: beyond that the started workflow task fails, which writes them.
//! - A history only grows so large: the change that goes beyond that is not made, the run is terminated instead.

use super::state::Run;
use super::step::Step;
use super::{close, task, task_failure};
use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::reject::Reject;
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;

/// Ends the step that an input made out of `before`.
pub fn finish(before: &Run, mut step: Step, mut reply: Result<Reply, Reject>, env: &mut Env<'_>) -> Decision {
    keep_speculative(before, &mut step, env);
    keep_buffer(&mut step, env);
    if step.run.started_task().is_none() {
        step.flush();
    }
    if let Some(reason) = outgrown(&step, env) {
        step = Step::on(&step.key.entity, before);
        close::terminate(&mut step, reason, None, "history-service", Vec::new(), env);
        reply = Err(Reject::invalid(reason));
    }
    step.finish(reply)
}

fn keep_speculative(before: &Run, step: &mut Step, env: &mut Env<'_>) {
    let Some(task) = before.core.task.as_ref().filter(|task| task.speculative) else { return };
    let same = step.run.core.task.as_ref().is_some_and(|now| now.speculative && now.stamp == task.stamp);
    if step.durable && same {
        task::make_normal(step, env);
    }
}

fn keep_buffer(step: &mut Step, env: &mut Env<'_>) {
    let events = step.run.buffered.len() > env.limits.buffered_events;
    let bytes = step.run.core.buffered_bytes > env.limits.buffered_event_bytes as i64;
    if (events || bytes) && step.run.started_task().is_some() {
        task_failure::fail(step, Cause::ForceCloseCommand, None, "history-service", "", env);
        task::ensure(step, env);
    }
}

/// Why the run must not have this change, if it must not.
fn outgrown(step: &Step, env: &Env<'_>) -> Option<&'static str> {
    let core = &step.run.core;
    if !step.durable || step.deleted || !step.run.is_open() {
        None
    } else if core.history_bytes > env.limits.history_bytes {
        Some("Workflow history size exceeds limit.")
    } else if core.next_event_id - 1 > env.limits.history_events {
        Some("Workflow history count exceeds limit.")
    } else {
        None
    }
}
