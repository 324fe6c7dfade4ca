//! Messages of other runs arrive, and the answers to a run's own messages come back.

use super::message::{Content, Delivered, Envelope};
use super::reply::WorkflowReply;
use super::state::Run;
use super::step::Step;
use super::{Runs, batch, child, child_start, external, upkeep};
use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;

/// A message of another run arrives. A refusal is an answer too: its sender hears it as [`Delivered`].
pub fn message(
    entity: &EntityKey,
    runs: Runs<'_>,
    envelope: &Envelope,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    match &envelope.body.content {
        Some(Content::StartChild(start)) => child_start::apply(entity, runs.current, start, env),
        Some(Content::ChildMayBegin(_)) => Ok(on(entity, runs.named, env, child_start::may_begin)),
        Some(Content::ParentClosed(closed)) => Ok(on(entity, runs.current, env, |step, env| {
            child_start::parent_closed(step, &envelope.from, closed, env);
        })),
        Some(Content::ChildClosed(closed)) => Ok(on(entity, waiting_parent(runs), env, |step, env| {
            child::closed(step, &envelope.from, closed, env);
        })),
        Some(Content::SignalExternal(signal)) => {
            external::signal(entity, runs.named, &envelope.from, signal, env)
        }
        Some(Content::CancelExternal(cancel)) => {
            external::cancel(entity, runs.named, &envelope.from, cancel, env)
        }
        Some(Content::BatchOperation(operation)) => batch::apply(entity, runs, envelope, operation, env),
        Some(Content::ChildStarted(_) | Content::ExternalOutcome(_) | Content::BatchTarget(_)) | None => {
            Err(Reject::invalid("an answer came as a message"))
        }
    }
}

/// The run that waits for a child: the one that started it, or the one that it was reset to.
fn waiting_parent(runs: Runs<'_>) -> Option<&Run> {
    let named = runs.named?;
    // Whoever was reset from this run, or from one that was, shares the beginning of its history.
    let shares = |current: &&Run| current.core.ancestry.iter().any(|part| part.branch == named.core.branch);
    let current = runs.current.filter(|_| !named.is_open()).filter(shares);
    Some(current.unwrap_or(named))
}

/// What the message does to an open run; nothing, where there is none.
fn on(
    entity: &EntityKey,
    run: Option<&Run>,
    env: &mut Env<'_>,
    change: impl FnOnce(&mut Step, &mut Env<'_>),
) -> Decision {
    let Some(run) = run.filter(|run| run.is_open()) else { return Decision::reply(answer(None)) };
    let mut step = Step::on(entity, run);
    change(&mut step, env);
    upkeep::finish(run, step, Ok(answer(None)), env)
}

pub fn answer(content: Option<Content>) -> Reply {
    WorkflowReply::Message(content).into()
}

/// How a message of this run ended. The message goes in any case; a run that closed meanwhile has no use for the rest.
pub fn delivered(step: &mut Step, delivered: &Delivered, env: &mut Env<'_>) -> Result<Reply, Reject> {
    step.messages_done.push(delivered.sequence);
    step.durable = true;
    step.transitions = 0;
    if !step.run.is_open() {
        return Ok(Reply::Done);
    }
    let recorded = step.run.core.next_buffered;
    match &delivered.body.content {
        Some(Content::StartChild(start)) => child::start_ended(step, start, &delivered.outcome, env),
        Some(Content::SignalExternal(signal)) => {
            external::ended(step, signal.initiated_event_id, &delivered.outcome, env);
        }
        Some(Content::CancelExternal(cancel)) => {
            external::ended(step, cancel.initiated_event_id, &delivered.outcome, env);
        }
        _ => {}
    }
    if step.run.core.next_buffered != recorded {
        step.transitions = 1;
    }
    Ok(Reply::Done)
}
