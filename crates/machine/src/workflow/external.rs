//! Signals and cancel requests from one workflow to another: how they arrive, and how their sender hears of it.

use super::events::Attributes;
use super::inbox::answer;
use super::input::{ExternalSender, RequestCancel, Signal};
use super::message::{CancelExternal, Content, ExternalOutcome, SignalExternal};
use super::rows::ExternalRow;
use super::state::Run;
use super::step::Step;
use super::{cancel as cancel_request, signal as signals, task, upkeep};
use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::key::{EntityKey, RunKey};
use crate::reject::Reject;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::enums::{
    CancelExternalWorkflowExecutionFailedCause as CancelFailed,
    SignalExternalWorkflowExecutionFailedCause as SignalFailed,
};
use steadfast_api::v1::history::{
    ExternalWorkflowExecutionCancelRequestedEventAttributes,
    ExternalWorkflowExecutionSignaledEventAttributes,
    RequestCancelExternalWorkflowExecutionFailedEventAttributes,
    SignalExternalWorkflowExecutionFailedEventAttributes,
};

/// At the target of a signal.
pub fn signal(
    entity: &EntityKey,
    run: Option<&Run>,
    from: &RunKey,
    message: &SignalExternal,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let outcome = |cause| outcome(message.initiated_event_id, cause, false);
    let Some(run) = target(entity, run, from, message.child_workflow_only) else {
        return Ok(Decision::reply(outcome(SignalFailed::ExternalWorkflowExecutionNotFound as i32)));
    };
    let signal = Signal {
        name: message.name.clone(),
        input: message.input.clone(),
        header: message.header.clone(),
        identity: "history-service".into(),
        request_id: message.request_id.clone(),
        external: Some(sender(from, message.initiated_event_id, message.child_workflow_only)),
        ..Signal::default()
    };
    let mut step = Step::on(entity, run);
    // The reference has another when the sender has heard of it: it forgets the request then.
    step.transitions = 2;
    match signals::apply(&mut step, &signal, env) {
        Ok(_) => Ok(upkeep::finish(run, step, Ok(outcome(0)), env)),
        Err(Reject::NotFound(_)) => {
            Ok(Decision::reply(outcome(SignalFailed::ExternalWorkflowExecutionNotFound as i32)))
        }
        Err(Reject::InvalidArgument(_)) => {
            Ok(Decision::reply(outcome(SignalFailed::SignalCountLimitExceeded as i32)))
        }
        // It is about to close: the message is tried again.
        Err(reject) => Err(reject),
    }
}

/// At the target of a cancel request. What is over, or is being cancelled already, needs no more.
pub fn cancel(
    entity: &EntityKey,
    run: Option<&Run>,
    from: &RunKey,
    message: &CancelExternal,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let outcome = |cause| outcome(message.initiated_event_id, cause, true);
    let Some(run) = target(entity, run, from, message.child_workflow_only) else {
        return Ok(Decision::reply(outcome(CancelFailed::ExternalWorkflowExecutionNotFound as i32)));
    };
    let request = RequestCancel {
        identity: "history-service".into(),
        request_id: message.request_id.clone(),
        reason: message.reason.clone(),
        external: Some(sender(from, message.initiated_event_id, message.child_workflow_only)),
        ..RequestCancel::default()
    };
    let mut step = Step::on(entity, run);
    cancel_request::apply(&mut step, &request, env)?;
    Ok(upkeep::finish(run, step, Ok(outcome(0)), env))
}

/// The run that is meant. A workflow does not find itself.
fn target<'a>(entity: &EntityKey, run: Option<&'a Run>, from: &RunKey, child_only: bool) -> Option<&'a Run> {
    let run = run.filter(|_| *entity != from.entity)?;
    let is_child = || {
        run.start.parent.as_ref().is_some_and(|parent| {
            parent.namespace_id() == from.entity.namespace
                && *parent.workflow_id == *from.entity.id
                && parent.run_id == from.run.to_string()
        })
    };
    (!child_only || is_child()).then_some(run)
}

fn sender(from: &RunKey, initiated_event_id: i64, child_workflow_only: bool) -> ExternalSender {
    ExternalSender {
        workflow_id: from.entity.id.to_string(),
        run_id: from.run.to_string(),
        initiated_event_id,
        child_workflow_only,
    }
}

fn outcome(initiated_event_id: i64, cause: i32, cancel: bool) -> Reply {
    answer(Some(Content::ExternalOutcome(ExternalOutcome { initiated_event_id, cause, cancel })))
}

/// At the sender: how it ended.
pub fn ended(
    step: &mut Step,
    initiated_event_id: i64,
    outcome: &Result<Option<Content>, Reject>,
    env: &mut Env<'_>,
) {
    let Some(row) = step.run.externals.get(&initiated_event_id).cloned() else { return };
    let cause = match outcome {
        Ok(Some(Content::ExternalOutcome(outcome))) => outcome.cause,
        Err(Reject::NamespaceNotFound(_)) if row.cancel => CancelFailed::NamespaceNotFound as i32,
        Err(Reject::NamespaceNotFound(_)) => SignalFailed::NamespaceNotFound as i32,
        _ if row.cancel => CancelFailed::ExternalWorkflowExecutionNotFound as i32,
        _ => SignalFailed::ExternalWorkflowExecutionNotFound as i32,
    };
    let event = match (row.cancel, cause) {
        (true, 0) => canceled(&row),
        (true, cause) => cancel_failed(&row, cause),
        (false, 0) => signaled(&row),
        (false, cause) => signal_failed(&row, cause),
    };
    step.drop_external(initiated_event_id);
    step.record(env, event);
    task::ensure(step, env);
}

fn execution(row: &ExternalRow) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: row.workflow_id.clone(), run_id: row.run_id.clone() })
}

fn signaled(row: &ExternalRow) -> Attributes {
    Attributes::ExternalWorkflowExecutionSignaledEventAttributes(
        ExternalWorkflowExecutionSignaledEventAttributes {
            initiated_event_id: row.initiated_event_id,
            namespace: row.namespace.clone(),
            namespace_id: row.namespace_id().to_string(),
            workflow_execution: execution(row),
            control: row.control.clone(),
        },
    )
}

fn signal_failed(row: &ExternalRow, cause: i32) -> Attributes {
    Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(
        SignalExternalWorkflowExecutionFailedEventAttributes {
            cause,
            namespace: row.namespace.clone(),
            namespace_id: row.namespace_id().to_string(),
            workflow_execution: execution(row),
            initiated_event_id: row.initiated_event_id,
            control: row.control.clone(),
            ..SignalExternalWorkflowExecutionFailedEventAttributes::default()
        },
    )
}

fn canceled(row: &ExternalRow) -> Attributes {
    Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(
        ExternalWorkflowExecutionCancelRequestedEventAttributes {
            initiated_event_id: row.initiated_event_id,
            namespace: row.namespace.clone(),
            namespace_id: row.namespace_id().to_string(),
            workflow_execution: execution(row),
        },
    )
}

fn cancel_failed(row: &ExternalRow, cause: i32) -> Attributes {
    Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(
        RequestCancelExternalWorkflowExecutionFailedEventAttributes {
            cause,
            namespace: row.namespace.clone(),
            namespace_id: row.namespace_id().to_string(),
            workflow_execution: execution(row),
            initiated_event_id: row.initiated_event_id,
            ..RequestCancelExternalWorkflowExecutionFailedEventAttributes::default()
        },
    )
}
