//! The parent's side of a child workflow.
//!
//! ```text
//! initiated ──started──► running ──closed──► (gone)
//!     └──could not be started──► (gone)
//! ```
//!
//! The child is started in two phases: first its run is made, then, when the parent has recorded that, it may begin. So
//! a worker never sees a child whose parent does not know it.

use super::close::Closing;
use super::events::Attributes;
use super::message::{ChildClosed, ChildMayBegin, ChildStarted, Content, ParentClosed, StartChild};
use super::rows::{ChildRow, ParentRow};
use super::step::Step;
use super::task;
use crate::env::Env;
use crate::key::{EntityKey, RunKey};
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use std::sync::Arc;
use steadfast_api::v1::common::{Header, WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::{
    ParentClosePolicy, RetryState, StartChildWorkflowExecutionFailedCause as FailedCause,
    WorkflowExecutionStatus as Status,
};
use steadfast_api::v1::history::{
    ChildWorkflowExecutionCanceledEventAttributes, ChildWorkflowExecutionCompletedEventAttributes,
    ChildWorkflowExecutionFailedEventAttributes, ChildWorkflowExecutionStartedEventAttributes,
    ChildWorkflowExecutionTerminatedEventAttributes, ChildWorkflowExecutionTimedOutEventAttributes,
    StartChildWorkflowExecutionFailedEventAttributes,
};

/// The child's run was made, or could not be.
pub fn start_ended(
    step: &mut Step,
    start: &StartChild,
    outcome: &Result<Option<Content>, Reject>,
    env: &mut Env<'_>,
) {
    let Some(initiated) = &start.initiated else { return };
    let id = start.parent.as_ref().map_or(0, |parent| parent.initiated_event_id);
    // A child that closed already, or an answer that came twice.
    let Some(row) = step.run.children.get(&id).filter(|row| row.run_id.is_empty()).cloned() else { return };
    match outcome {
        Ok(Some(Content::ChildStarted(ChildStarted { run_id, .. }))) if !run_id.is_empty() => {
            record_started(step, &row, run_id, initiated.header.clone(), env);
            let content = Content::ChildMayBegin(ChildMayBegin { run_id: run_id.clone() });
            step.send(child_entity(&row), run_id, content);
        }
        Ok(Some(Content::ChildStarted(ChildStarted { cause, .. }))) => {
            record_failure(step, &row, initiated.control.clone(), *cause, env);
        }
        // Every other obstacle is answered by the child's side: only its namespace can be missing.
        _ => {
            let cause = FailedCause::NamespaceNotFound as i32;
            record_failure(step, &row, initiated.control.clone(), cause, env);
        }
    }
    task::ensure(step, env);
}

fn record_started(step: &mut Step, row: &ChildRow, run_id: &str, header: Option<Header>, env: &mut Env<'_>) {
    step.put_child(ChildRow { run_id: run_id.to_owned(), ..row.clone() });
    let attributes = ChildWorkflowExecutionStartedEventAttributes {
        namespace: row.namespace.clone(),
        namespace_id: row.namespace_id().to_string(),
        initiated_event_id: row.initiated_event_id,
        workflow_execution: execution(&row.workflow_id, run_id),
        workflow_type: workflow_type(row),
        header,
    };
    step.record(env, Attributes::ChildWorkflowExecutionStartedEventAttributes(attributes));
}

fn record_failure(step: &mut Step, row: &ChildRow, control: String, cause: i32, env: &mut Env<'_>) {
    step.drop_child(row.initiated_event_id);
    let attributes = StartChildWorkflowExecutionFailedEventAttributes {
        namespace: row.namespace.clone(),
        namespace_id: row.namespace_id().to_string(),
        workflow_id: row.workflow_id.clone(),
        workflow_type: workflow_type(row),
        cause,
        control,
        initiated_event_id: row.initiated_event_id,
        ..StartChildWorkflowExecutionFailedEventAttributes::default()
    };
    step.record(env, Attributes::StartChildWorkflowExecutionFailedEventAttributes(attributes));
}

/// The last run of the child's chain closed.
pub fn closed(step: &mut Step, from: &RunKey, closed: &ChildClosed, env: &mut Env<'_>) {
    let known = |row: &&Arc<ChildRow>| {
        row.workflow_id == closed.workflow_id
            && row.namespace_id() == from.entity.namespace
            && (row.run_id.is_empty() || row.run_id == closed.first_run_id)
    };
    let Some(row) = step.run.children.get(&closed.initiated_event_id).filter(known).cloned() else { return };
    if row.run_id.is_empty() {
        // The answer to the start is still on its way.
        record_started(step, &row, &closed.first_run_id, None, env);
    }
    step.drop_child(row.initiated_event_id);
    step.record(env, end(&row, closed));
    task::ensure(step, env);
}

/// The event that tells the parent how its child ended.
fn end(row: &ChildRow, closed: &ChildClosed) -> Attributes {
    let namespace = row.namespace.clone();
    let namespace_id = row.namespace_id().to_string();
    let workflow_execution = execution(&row.workflow_id, &closed.run_id);
    // As it was asked for, whatever it continued as.
    let workflow_type = workflow_type(row);
    let (initiated_event_id, started_event_id) = (row.initiated_event_id, row.started_event_id);
    match Status::try_from(closed.status).unwrap_or_default() {
        Status::Completed => Attributes::ChildWorkflowExecutionCompletedEventAttributes(
            ChildWorkflowExecutionCompletedEventAttributes {
                result: closed.result.clone(),
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            },
        ),
        Status::Failed => Attributes::ChildWorkflowExecutionFailedEventAttributes(
            ChildWorkflowExecutionFailedEventAttributes {
                failure: closed.failure.clone(),
                retry_state: closed.retry_state,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            },
        ),
        Status::Canceled => Attributes::ChildWorkflowExecutionCanceledEventAttributes(
            ChildWorkflowExecutionCanceledEventAttributes {
                details: closed.result.clone(),
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            },
        ),
        Status::TimedOut => Attributes::ChildWorkflowExecutionTimedOutEventAttributes(
            ChildWorkflowExecutionTimedOutEventAttributes {
                retry_state: closed.retry_state,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            },
        ),
        _ => Attributes::ChildWorkflowExecutionTerminatedEventAttributes(
            ChildWorkflowExecutionTerminatedEventAttributes {
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            },
        ),
    }
}

/// A run closed: its children get what their parent close policy says, its parent hears of the end of a chain. A run
/// that was reset hands both on; one of whose chain an earlier run was reset hands on the parent alone.
pub fn on_close(step: &mut Step, closing: &Closing, retry_state: RetryState) {
    let children: Vec<Arc<ChildRow>> = step.run.children.values().cloned().collect();
    if !step.run.core.reset_run_id.is_empty() && !step.goes_on {
        // Closed by its own reset: the children go on with the new run, which asks for those anew that are not started.
        for row in children.iter().filter(|row| row.run_id.is_empty() && row.message > 0) {
            step.withdraw(row.message - 1);
        }
        return;
    }
    let told = children.into_iter().filter(|_| !is_planted(Planted::ParentCloseLost));
    for row in told {
        part_with(step, &row);
    }
    if step.successor.is_none() && !step.goes_on {
        tell_parent(step, closing, retry_state);
    }
}

fn part_with(step: &mut Step, row: &ChildRow) {
    let abandoned = row.parent_close_policy == ParentClosePolicy::Abandon as i32;
    if row.run_id.is_empty() {
        // A child that nobody has started yet is not started any more.
        if row.message > 0 && step.withdraw(row.message - 1) {
            return;
        }
        // Its start may be under way: this message follows it, and finds the child or nothing.
    } else if abandoned {
        return;
    }
    let content = Content::ParentClosed(ParentClosed {
        first_run_id: row.run_id.clone(),
        policy: row.parent_close_policy,
        parent: Some(ParentRow { initiated_event_id: row.initiated_event_id, ..own_row(step) }),
    });
    step.send(child_entity(row), "", content);
}

/// This run as its children know it.
pub fn own_row(step: &Step) -> ParentRow {
    ParentRow {
        namespace: String::new(),
        namespace_id: step.key.entity.namespace.as_bytes().to_vec(),
        workflow_id: step.key.entity.id.to_string(),
        run_id: step.key.run.to_string(),
        initiated_event_id: 0,
    }
}

fn tell_parent(step: &mut Step, closing: &Closing, retry_state: RetryState) {
    let start = step.run.start.clone();
    let parent = start.parent.as_ref().filter(|_| !is_planted(Planted::CloseNoticeLost));
    let Some(parent) = parent else { return };
    let (result, failure) = match closing {
        Closing::Completed { result } => (result.clone(), None),
        Closing::Canceled { details } => (details.clone(), None),
        Closing::Failed { failure } => (None, Some(failure.clone())),
        Closing::Terminated | Closing::TimedOut | Closing::ContinuedAsNew => (None, None),
    };
    let content = Content::ChildClosed(ChildClosed {
        initiated_event_id: parent.initiated_event_id,
        first_run_id: start.first_run_id.clone(),
        run_id: step.key.run.to_string(),
        status: closing.status() as i32,
        result,
        failure,
        retry_state: retry_state as i32,
        workflow_type: start.workflow_type.clone(),
        workflow_id: step.key.entity.id.to_string(),
    });
    step.send(EntityKey::workflow(parent.namespace_id(), &parent.workflow_id), &parent.run_id, content);
}

fn child_entity(row: &ChildRow) -> EntityKey {
    EntityKey::workflow(row.namespace_id(), &row.workflow_id)
}

fn execution(workflow_id: &str, run_id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() })
}

fn workflow_type(row: &ChildRow) -> Option<WorkflowType> {
    Some(WorkflowType { name: row.workflow_type.clone() })
}
