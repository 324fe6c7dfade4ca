//! Child workflows and messages between runs.

use super::Runs;
use super::close::Closing;
use super::message::{Delivered, Envelope};
use super::step::Step;
use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;
use steadfast_api::v1::enums::RetryState;

/// A run closed: its children get what their parent close policy says, its parent hears of the end.
pub fn on_close(step: &mut Step, closing: &Closing, retry_state: RetryState, env: &mut Env<'_>) {
    let _ = (step, closing, retry_state, env);
}

/// A message of another run arrives. A refusal is an answer too: its sender hears it as [`Delivered`].
pub fn message(
    entity: &EntityKey,
    runs: Runs<'_>,
    envelope: &Envelope,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let _ = (entity, runs, envelope, env);
    Err(Reject::Unimplemented("messages between workflows are not built yet".into()))
}

/// How a message of this run ended.
pub fn delivered(step: &mut Step, delivered: &Delivered, env: &mut Env<'_>) -> Result<Reply, Reject> {
    let _ = env;
    step.messages_done.push(delivered.sequence);
    step.durable = true;
    Ok(Reply::Done)
}
