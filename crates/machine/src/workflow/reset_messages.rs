//! What a reset run sends once more: the starts of children, and signals and cancel requests to other workflows, whose
//! answers were not there yet at the point. Where the run that was reset still waits for the answer they carry the request
//! ids that they had, so that a target that has seen them answers and does nothing; where it has the answer they are done again.

use super::events::Attributes;
use super::message::{CancelExternal, Content, SignalExternal, StartChild};
use super::rows::{ChildRow, ExternalRow, ParentRow};
use super::state::Run;
use super::step::Step;
use super::{activity, child};
use crate::env::Env;
use crate::key::EntityKey;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::history::{
    HistoryEvent, RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
    SignalExternalWorkflowExecutionInitiatedEventAttributes,
    StartChildWorkflowExecutionInitiatedEventAttributes,
};

/// `prefix` is the history up to the point, `base` the run that it is from.
pub fn send_again(step: &mut Step, base: &Run, prefix: &[HistoryEvent], env: &mut Env<'_>) {
    for event in prefix {
        let id = event.event_id;
        match &event.attributes {
            Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a)) => {
                start_child(step, base, event, a, env);
            }
            Some(Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(a)) => {
                if let Some(row) = external(step, base, id, env) {
                    signal(step, row, a, env);
                }
            }
            Some(Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(a)) => {
                if let Some(row) = external(step, base, id, env) {
                    cancel(step, row, a, env);
                }
            }
            _ => {}
        }
    }
}

fn request_id(known: Option<&str>, env: &mut Env<'_>) -> String {
    known.filter(|id| !id.is_empty()).map_or_else(|| env.ids.uuid().to_string(), str::to_owned)
}

fn start_child(
    step: &mut Step,
    base: &Run,
    event: &HistoryEvent,
    initiated: &StartChildWorkflowExecutionInitiatedEventAttributes,
    env: &mut Env<'_>,
) {
    let id = event.event_id;
    let Some(row) = step.run.children.get(&id).filter(|row| row.run_id.is_empty()).cloned() else { return };
    let request_id = request_id(base.children.get(&id).map(|row| row.request_id.as_str()), env);
    let parent = ParentRow {
        namespace: env.namespace.name().to_owned(),
        initiated_event_id: id,
        ..child::own_row(step)
    };
    let content = Content::StartChild(StartChild {
        initiated: Some(initiated.clone()),
        parent: Some(parent),
        root_workflow_id: step.run.start.root_workflow_id.clone(),
        root_run_id: step.run.start.root_run_id.clone(),
        request_id: request_id.clone(),
        user_metadata: event.user_metadata.clone(),
        priority: activity::merged_priority(step.priority(), initiated.priority.as_ref()),
    });
    let message = step.send(EntityKey::workflow(row.namespace_id(), &row.workflow_id), "", content);
    step.put_child(ChildRow { request_id, message: message + 1, ..(*row).clone() });
}

/// The row of a request that is still without an answer.
fn external(step: &Step, base: &Run, id: i64, env: &mut Env<'_>) -> Option<ExternalRow> {
    let row = step.run.externals.get(&id)?;
    let request_id = request_id(base.externals.get(&id).map(|row| row.request_id.as_str()), env);
    let mut row = ExternalRow { request_id, ..(**row).clone() };
    if row.namespace.is_empty() {
        // The event says nothing of the run's own namespace.
        row.namespace = env.namespace.name().to_owned();
    }
    Some(row)
}

fn signal(
    step: &mut Step,
    row: ExternalRow,
    a: &SignalExternalWorkflowExecutionInitiatedEventAttributes,
    env: &Env<'_>,
) {
    let content = Content::SignalExternal(SignalExternal {
        initiated_event_id: row.initiated_event_id,
        run_id: run_id(a.workflow_execution.as_ref()),
        name: a.signal_name.clone(),
        input: a.input.clone(),
        header: a.header.clone(),
        request_id: row.request_id.clone(),
        child_workflow_only: a.child_workflow_only,
        namespace: env.namespace.name().to_owned(),
    });
    send(step, row, content);
}

fn cancel(
    step: &mut Step,
    row: ExternalRow,
    a: &RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
    env: &Env<'_>,
) {
    let content = Content::CancelExternal(CancelExternal {
        initiated_event_id: row.initiated_event_id,
        run_id: run_id(a.workflow_execution.as_ref()),
        request_id: row.request_id.clone(),
        child_workflow_only: a.child_workflow_only,
        reason: a.reason.clone(),
        namespace: env.namespace.name().to_owned(),
    });
    send(step, row, content);
}

fn run_id(execution: Option<&WorkflowExecution>) -> String {
    execution.map(|execution| execution.run_id.clone()).unwrap_or_default()
}

fn send(step: &mut Step, row: ExternalRow, content: Content) {
    let run_id = row.run_id.clone();
    let message = step.send(EntityKey::workflow(row.namespace_id(), &row.workflow_id), &run_id, content);
    step.put_external(ExternalRow { message: message + 1, ..row });
}
