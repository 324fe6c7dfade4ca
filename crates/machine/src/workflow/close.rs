//! A run closes: by a command, by termination, or by a timeout.

use super::events::Attributes;
use super::rows::{ActivityRow, WorkflowTaskRow};
use super::step::Step;
use super::{callback, chain, child, query, task, task_failure, update};
use crate::env::Env;
use crate::key::QueueType;
use steadfast_api::v1::common::{Link, Payloads};
use steadfast_api::v1::enums::{
    RetryState, WorkflowExecutionStatus as Status, WorkflowTaskFailedCause as Cause,
};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::{
    WorkflowExecutionCanceledEventAttributes, WorkflowExecutionCompletedEventAttributes,
    WorkflowExecutionContinuedAsNewEventAttributes, WorkflowExecutionFailedEventAttributes,
    WorkflowExecutionTerminatedEventAttributes, WorkflowExecutionTimedOutEventAttributes,
};
use steadfast_api::v1::sdk::UserMetadata;

/// How a run ends, and with what.
#[derive(Clone, Debug)]
pub enum Closing {
    Completed { result: Option<Payloads> },
    Failed { failure: Failure },
    Canceled { details: Option<Payloads> },
    Terminated,
    TimedOut,
    ContinuedAsNew,
}

impl Closing {
    pub fn status(&self) -> Status {
        match self {
            Closing::Completed { .. } => Status::Completed,
            Closing::Failed { .. } => Status::Failed,
            Closing::Canceled { .. } => Status::Canceled,
            Closing::Terminated => Status::Terminated,
            Closing::TimedOut => Status::TimedOut,
            Closing::ContinuedAsNew => Status::ContinuedAsNew,
        }
    }
}

/// The run closes because its workflow said so.
pub fn by_command(
    step: &mut Step,
    closing: Closing,
    completed_event_id: i64,
    user_metadata: Option<UserMetadata>,
    env: &mut Env<'_>,
) {
    let (retry_state, next) = match &closing {
        Closing::Completed { result } => {
            (RetryState::Unspecified, chain::after_completion(step, result.as_ref(), env))
        }
        Closing::Failed { failure } => chain::after_failure(step, failure, env),
        _ => (RetryState::Unspecified, None),
    };
    let new_execution_run_id = next.as_ref().map(|next| next.key.run.to_string()).unwrap_or_default();
    let attributes = match &closing {
        Closing::Completed { result } => {
            Attributes::WorkflowExecutionCompletedEventAttributes(WorkflowExecutionCompletedEventAttributes {
                result: result.clone(),
                workflow_task_completed_event_id: completed_event_id,
                new_execution_run_id,
            })
        }
        Closing::Failed { failure } => {
            Attributes::WorkflowExecutionFailedEventAttributes(WorkflowExecutionFailedEventAttributes {
                failure: Some(failure.clone()),
                retry_state: retry_state as i32,
                workflow_task_completed_event_id: completed_event_id,
                new_execution_run_id,
            })
        }
        Closing::Canceled { details } => {
            Attributes::WorkflowExecutionCanceledEventAttributes(WorkflowExecutionCanceledEventAttributes {
                workflow_task_completed_event_id: completed_event_id,
                details: details.clone(),
            })
        }
        Closing::Terminated | Closing::TimedOut | Closing::ContinuedAsNew => {
            unreachable!("no command closes a run like that here")
        }
    };
    step.write_full(env, attributes, user_metadata, Vec::new());
    follow(step, next);
    finish(step, &closing, retry_state, env);
}

/// The run continues as a new one, which is made already.
pub fn continue_as_new(
    step: &mut Step,
    event: WorkflowExecutionContinuedAsNewEventAttributes,
    user_metadata: Option<UserMetadata>,
    next: Box<Step>,
    env: &mut Env<'_>,
) {
    let attributes = Attributes::WorkflowExecutionContinuedAsNewEventAttributes(event);
    step.write_full(env, attributes, user_metadata, Vec::new());
    follow(step, Some(next));
    finish(step, &Closing::ContinuedAsNew, RetryState::Unspecified, env);
}

fn follow(step: &mut Step, next: Option<Box<Step>>) {
    if let Some(next) = &next {
        step.run.core.new_run_id = next.key.run.to_string();
        if !next.run.reset_points.points.is_empty() {
            // Until when they can be reset to shows in both runs.
            step.put_reset_points((*next.run.reset_points).clone());
        }
    }
    step.successor = next;
}

/// Ends a started workflow task before the run ends from outside.
fn force_task_closed(step: &mut Step, env: &mut Env<'_>) {
    if step.run.started_task().is_some() {
        task_failure::fail(step, Cause::ForceCloseCommand, None, "history-service", "", env);
    }
    if let Some(left) = task::drop_task(step) {
        step.run.core.left_task = Some(WorkflowTaskRow { speculative: false, queued: None, ..left });
    }
    step.flush();
}

pub fn terminate(
    step: &mut Step,
    reason: &str,
    details: Option<Payloads>,
    identity: &str,
    links: Vec<Link>,
    env: &mut Env<'_>,
) {
    force_task_closed(step, env);
    let attributes =
        Attributes::WorkflowExecutionTerminatedEventAttributes(WorkflowExecutionTerminatedEventAttributes {
            reason: reason.to_owned(),
            details,
            identity: identity.to_owned(),
        });
    step.write_full(env, attributes, None, links);
    finish(step, &Closing::Terminated, RetryState::Unspecified, env);
}

/// The chain may take no longer: nothing follows.
pub fn time_out_execution(step: &mut Step, env: &mut Env<'_>) {
    force_task_closed(step, env);
    time_out(step, RetryState::Timeout, None, env);
}

pub fn time_out_run(step: &mut Step, env: &mut Env<'_>) {
    force_task_closed(step, env);
    let (retry_state, next) = chain::after_timeout(step, env);
    time_out(step, retry_state, next, env);
}

fn time_out(step: &mut Step, retry_state: RetryState, next: Option<Box<Step>>, env: &mut Env<'_>) {
    let attributes =
        Attributes::WorkflowExecutionTimedOutEventAttributes(WorkflowExecutionTimedOutEventAttributes {
            retry_state: retry_state as i32,
            new_execution_run_id: next.as_ref().map(|next| next.key.run.to_string()).unwrap_or_default(),
        });
    step.write(env, attributes);
    follow(step, next);
    finish(step, &Closing::TimedOut, retry_state, env);
}

/// What every close does after its event: nothing stays pending, and whoever waits is told.
pub fn finish(step: &mut Step, closing: &Closing, retry_state: RetryState, env: &mut Env<'_>) {
    step.run.core.status = closing.status() as i32;
    step.run.core.close_time = step.now(env).0;
    step.run.core.sticky = None;
    step.run.core.backoff_until = 0;
    step.visibility = true;
    step.durable = true;
    task::drop_task(step);
    step.drop_all_buffered();
    child::on_close(step, closing, retry_state);
    callback::on_close(step, closing, retry_state);
    drop_pending(step);
    query::on_close(step);
    let continues = step.successor.is_some();
    update::on_close(step, continues);
}

/// Nothing is waited for any more. The rows of activities and children stay, for who asks what the run left behind.
fn drop_pending(step: &mut Step) {
    let queued: Vec<_> = step.run.activities.values().filter(|row| row.queued.is_some()).cloned().collect();
    for row in queued {
        step.unqueue(row.queued.as_ref(), QueueType::Activity);
        step.put_activity(ActivityRow { queued: None, ..(*row).clone() });
    }
    let timers: Vec<i64> = step.run.timers.keys().copied().collect();
    for id in timers {
        step.drop_timer(id);
    }
    // What no target has heard yet is said no more: only an open run calls others.
    let externals: Vec<_> =
        step.run.externals.values().map(|row| (row.initiated_event_id, row.message)).collect();
    for (id, message) in externals {
        if message > 0 {
            step.withdraw(message - 1);
        }
        step.drop_external(id);
    }
}

/// Tasks of a run that goes without closing first.
pub fn drop_tasks(step: &mut Step) {
    task::drop_task(step);
    let queued: Vec<_> = step.run.activities.values().filter_map(|row| row.queued.clone()).collect();
    for row in queued {
        step.unqueue(Some(&row), QueueType::Activity);
    }
}
