//! A signal arrives.

use super::events::Attributes;
use super::input::Signal;
use super::step::Step;
use super::task;
use crate::decision::Reply;
use crate::env::Env;
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::history::WorkflowExecutionSignaledEventAttributes;

pub fn apply(step: &mut Step, signal: &Signal, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if is_repeated(step, signal) {
        return Ok(Reply::Done);
    }
    check(step, env)?;
    record(step, signal, env);
    // A first task that waits for its backoff is not hurried by a signal.
    if step.run.core.backoff_until == 0 && !signal.skip_workflow_task {
        task::ensure(step, env);
    }
    Ok(Reply::Done)
}

/// The same request again. Looked at before anything else, so that a retry succeeds also when the run has closed.
pub fn is_repeated(step: &Step, signal: &Signal) -> bool {
    let forgotten =
        is_planted(Planted::SignalTwice) || (is_planted(Planted::MessageTwice) && signal.external.is_some());
    !forgotten && !signal.request_id.is_empty() && step.run.signal_ids.contains(&signal.request_id)
}

pub fn check(step: &Step, env: &Env<'_>) -> Result<(), Reject> {
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    if step.run.core.close_attempted && step.run.started_task().is_some() {
        return Err(Reject::closing());
    }
    if step.run.core.signals >= env.limits.signals_per_run {
        return Err(Reject::invalid("exceeded workflow execution limit for signal events"));
    }
    Ok(())
}

pub fn record(step: &mut Step, signal: &Signal, env: &mut Env<'_>) {
    let attributes =
        Attributes::WorkflowExecutionSignaledEventAttributes(WorkflowExecutionSignaledEventAttributes {
            signal_name: signal.name.clone(),
            input: signal.input.clone(),
            identity: signal.identity.clone(),
            header: signal.header.clone(),
            external_workflow_execution: signal.external.as_ref().map(|sender| WorkflowExecution {
                workflow_id: sender.workflow_id.clone(),
                run_id: sender.run_id.clone(),
            }),
            request_id: signal.request_id.clone(),
            ..WorkflowExecutionSignaledEventAttributes::default()
        });
    let event = step.make(env, attributes, None, signal.links.clone());
    step.record_event(event);
    step.run.core.signals += 1;
    if !signal.request_id.is_empty() {
        step.put_signal_id(&signal.request_id);
    }
}
