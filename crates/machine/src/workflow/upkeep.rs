//! What has to hold after every input to a run, whatever the input was.
//!
//! - A speculative workflow task is only good as long as nothing else happens: the first durable change makes it a
//!   normal one, with its events before the new ones.
//! - Lists can be asked for what is paused.
//! - Only so many events wait in the buffer: beyond that the started workflow task fails, which writes them.
//! - A history and a state only grow so large: the change that goes beyond that is not made, the run is terminated
//!   instead. So it is with a step that writes too much at once; only a signal is refused then, and the run goes on.

use super::payload;
use super::state::Run;
use super::step::Step;
use super::{close, pause, task, task_failure};
use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::reject::Reject;
use prost::Message as _;
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::enums::{EventType, WorkflowTaskFailedCause as Cause};

/// Ends the step that an input made out of `before`.
pub fn finish(before: &Run, mut step: Step, mut reply: Result<Reply, Reject>, env: &mut Env<'_>) -> Decision {
    if step.pauses_changed {
        pause::show(&mut step);
    }
    keep_speculative(before, &mut step, env);
    keep_buffer(&mut step, env);
    // What only now leaves the buffer counts the next time.
    let mut outgrown = outgrown(before, &step, env);
    if step.run.started_task().is_none() {
        step.flush();
    }
    outgrown = outgrown.or_else(|| overfull(before, &step, env));
    if let Some(outgrown) = outgrown {
        let wrote = |kind| step.new_events().any(|event| event.event_type() == kind);
        let signaled =
            wrote(EventType::WorkflowExecutionSignaled) && !wrote(EventType::WorkflowTaskCompleted);
        step = Step::on(&step.key.entity, before);
        if outgrown.by_step && signaled {
            return step.finish(Err(Reject::InvalidArgument(outgrown.message)));
        }
        close::terminate(&mut step, outgrown.reason, outgrown.details, "history-service", Vec::new(), env);
        reply = Err(Reject::InvalidArgument(outgrown.message));
    }
    step.run.core.state_bytes = state_bytes(before, &step);
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
    if let Some(attempt) = step.run.started_task().map(|task| task.attempt).filter(|_| events || bytes) {
        let counts = step.run.core.sticky.is_none();
        task_failure::fail(step, Cause::ForceCloseCommand, None, "history-service", "", env);
        if counts {
            // Though there are events that the worker has not seen, this is another attempt.
            step.run.core.next_attempt = attempt.saturating_add(1);
        }
        task::ensure(step, env);
    }
}

/// Why the run must not have a change.
struct Outgrown {
    reason: &'static str,
    details: Option<Payloads>,
    /// What the caller hears.
    message: String,
    /// The step is too large, not the run.
    by_step: bool,
}

fn by_run(reason: &'static str) -> Outgrown {
    Outgrown { reason, details: None, message: reason.into(), by_step: false }
}

fn outgrown(before: &Run, step: &Step, env: &Env<'_>) -> Option<Outgrown> {
    let core = &step.run.core;
    if !step.durable || step.deleted || !step.run.is_open() {
        None
    } else if before.core.history_bytes > env.limits.history_bytes {
        Some(by_run("Workflow history size exceeds limit."))
    } else if core.next_event_id - 1 > env.limits.history_events {
        Some(by_run("Workflow history count exceeds limit."))
    } else if state_bytes(before, step) + core.encoded_len() as i64 > env.limits.state_bytes {
        Some(by_run("Workflow mutable state size exceeds limit."))
    } else {
        None
    }
}

fn overfull(before: &Run, step: &Step, env: &Env<'_>) -> Option<Outgrown> {
    let limit = env.limits.step_bytes;
    let written = step.run.core.history_bytes - before.core.history_bytes;
    if written <= limit || !step.run.is_open() {
        return None;
    }
    let message = format!("transaction size of {written} bytes exceeds limit of {limit} bytes");
    let details = Some(payload::json_text(&message));
    Some(Outgrown { reason: "Transaction size exceeds limit.", details, message, by_step: true })
}

fn state_bytes(before: &Run, step: &Step) -> i64 {
    (before.core.state_bytes + step.growth(before)).max(0)
}
