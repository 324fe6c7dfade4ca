//! The child's side of a child workflow: its run is made at its parent's request, and begins when the parent knows it.

use super::inbox::answer;
use super::input::{ExternalSender, Parent, RequestCancel, Start};
use super::message::{ChildStarted, Content, ParentClosed, StartChild};
use super::rows::ParentRow;
use super::start::{self, Settled};
use super::state::Run;
use super::step::Step;
use super::{cancel, close, task};
use crate::decision::Decision;
use crate::duration;
use crate::env::Env;
use crate::key::{EntityKey, RunKey};
use crate::reject::Reject;
use steadfast_api::v1::enums::{
    ParentClosePolicy, StartChildWorkflowExecutionFailedCause as FailedCause,
    WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse,
};

/// Makes the run. The same request again gets the same answer, also when the child has gone on to a next run.
pub fn apply(
    entity: &EntityKey,
    current: Option<&Run>,
    message: &StartChild,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let (Some(initiated), Some(parent)) = (&message.initiated, &message.parent) else {
        return Err(Reject::invalid("a child's start says who its parent is"));
    };
    let started = |run_id: String| {
        let workflow_id = entity.id.to_string();
        let initiated_event_id = parent.initiated_event_id;
        answer(Some(Content::ChildStarted(ChildStarted {
            initiated_event_id,
            run_id,
            cause: 0,
            workflow_id,
        })))
    };
    if let Some(run) =
        current.filter(|run| run.start.parent.as_ref().is_some_and(|known| same(known, parent)))
    {
        return Ok(Decision::reply(started(run.start.first_run_id.clone())));
    }
    let reuse = Reuse::try_from(initiated.workflow_id_reuse_policy).unwrap_or(Reuse::AllowDuplicate);
    // The old way to ask for it, and for a child the only one.
    let conflict = match reuse {
        Reuse::TerminateIfRunning => Conflict::TerminateExisting,
        _ => Conflict::Fail,
    };
    let name = |t: Option<&str>| t.unwrap_or_default().to_owned();
    let start = Start {
        workflow_id: entity.id.to_string(),
        workflow_type: name(initiated.workflow_type.as_ref().map(|t| t.name.as_str())),
        task_queue: name(initiated.task_queue.as_ref().map(|queue| queue.name.as_str())),
        input: initiated.input.clone(),
        header: initiated.header.clone(),
        execution_timeout: duration::known(initiated.workflow_execution_timeout.as_ref()),
        run_timeout: duration::known(initiated.workflow_run_timeout.as_ref()),
        task_timeout: duration::known(initiated.workflow_task_timeout.as_ref()),
        request_id: message.request_id.clone(),
        reuse,
        conflict,
        retry_policy: initiated.retry_policy.clone(),
        cron: initiated.cron_schedule.clone(),
        memo: initiated.memo.clone(),
        search_attributes: initiated.search_attributes.clone(),
        user_metadata: message.user_metadata.clone(),
        priority: message.priority.clone(),
        parent: Some(Parent {
            namespace: parent.namespace.clone(),
            namespace_id: parent.namespace_id(),
            workflow_id: parent.workflow_id.clone(),
            run_id: parent.run_id.clone(),
            initiated_event_id: parent.initiated_event_id,
            root_workflow_id: message.root_workflow_id.clone(),
            root_run_id: message.root_run_id.clone(),
        }),
        ..Start::default()
    };
    match start::settle(entity, current, &start, env) {
        Ok(settled @ (Settled::New | Settled::Replace(_))) => {
            let step = start::begin(entity, &start, current.map(|run| run.id), env);
            let new_run = step.key.run;
            let replaced = match settled {
                Settled::Replace(old) => Some(start::terminate(entity, old, new_run, env)),
                _ => None,
            };
            Ok(start::combine(replaced, step).finish(Ok(started(new_run.to_string()))))
        }
        Ok(Settled::Existing(known)) => Ok(Decision::reply(started(known.run_id.to_string()))),
        Ok(Settled::Attach(_)) | Err(Reject::AlreadyStarted { .. }) => {
            let content = ChildStarted {
                initiated_event_id: parent.initiated_event_id,
                run_id: String::new(),
                cause: FailedCause::WorkflowAlreadyExists as i32,
                workflow_id: entity.id.to_string(),
            };
            Ok(Decision::reply(answer(Some(Content::ChildStarted(content)))))
        }
        Err(reject) => Err(reject),
    }
}

fn same(known: &ParentRow, parent: &ParentRow) -> bool {
    known.namespace_id == parent.namespace_id
        && known.workflow_id == parent.workflow_id
        && known.run_id == parent.run_id
        && known.initiated_event_id == parent.initiated_event_id
}

/// The parent has recorded the start: the first workflow task, unless the run waits for something else, or a signal
/// brought one already.
pub fn may_begin(step: &mut Step, env: &mut Env<'_>) {
    let core = &step.run.core;
    if core.backoff_until == 0 && core.task.is_none() && core.last_completed_started_id == 0 {
        task::ensure(step, env);
    }
}

/// The parent closed. It is found by the first run of the chain, so that the policy follows the child; a child whose
/// start the parent never heard of is found by who its parent is.
pub fn parent_closed(step: &mut Step, from: &RunKey, closed: &ParentClosed, env: &mut Env<'_>) {
    let Some((known, parent)) = step.run.start.parent.as_ref().zip(closed.parent.as_ref()) else { return };
    let mine = if closed.first_run_id.is_empty() {
        same(known, parent)
    } else {
        step.run.start.first_run_id == closed.first_run_id && known.workflow_id == parent.workflow_id
    };
    if !mine || known.namespace_id() != from.entity.namespace {
        return;
    }
    match ParentClosePolicy::try_from(closed.policy).unwrap_or_default() {
        // Nobody else will tell it to.
        ParentClosePolicy::Abandon => may_begin(step, env),
        ParentClosePolicy::RequestCancel => {
            let request = RequestCancel {
                identity: "history-service".into(),
                external: Some(ExternalSender {
                    workflow_id: parent.workflow_id.clone(),
                    run_id: parent.run_id.clone(),
                    ..ExternalSender::default()
                }),
                ..RequestCancel::default()
            };
            // Refused only where it is not needed: the run is being closed, or was asked before.
            let _ = cancel::apply(step, &request, env);
        }
        _ => close::terminate(step, "by parent close policy", None, "history-service", Vec::new(), env),
    }
}
