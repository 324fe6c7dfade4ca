//! ContinueAsNewWorkflowExecution.

use super::close::nothing_unseen;
use super::{
    Completion, Done, Trouble, capped, check_attributes, check_fits, check_internal_queue, check_memo,
    check_payloads, queue_text,
};
use crate::duration;
use crate::env::Env;
use crate::workflow::activity;
use crate::workflow::chain::{self, Continuation};
use crate::workflow::step::Step;
use crate::workflow::{close, retry};
use prost::Message as _;
use steadfast_api::v1::command::{Command, ContinueAsNewWorkflowExecutionCommandAttributes};
use steadfast_api::v1::common::WorkflowType;
use steadfast_api::v1::enums::{
    ContinueAsNewInitiator as Initiator, TaskQueueKind, WorkflowTaskFailedCause as Cause,
};
use steadfast_api::v1::history::WorkflowExecutionContinuedAsNewEventAttributes;
use steadfast_api::v1::taskqueue::TaskQueue;

const CAUSE: Cause = Cause::BadContinueAsNewAttributes;
const COMMAND: &str = "ContinueAsNewWorkflowExecutionCommand";

pub fn continue_as_new(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &ContinueAsNewWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    nothing_unseen(completion)?;
    let next = checked(step, attributes, env)?;
    let backoff = next.backoff;
    let event = WorkflowExecutionContinuedAsNewEventAttributes {
        new_execution_run_id: String::new(),
        workflow_type: Some(WorkflowType { name: next.workflow_type.clone() }),
        task_queue: Some(TaskQueue {
            name: next.task_queue.clone(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        input: next.input.clone(),
        workflow_run_timeout: duration::proto(next.run_timeout),
        workflow_task_timeout: duration::proto(next.task_timeout),
        workflow_task_completed_event_id: completion.completed_event_id,
        backoff_start_interval: duration::if_set(backoff),
        initiator: attributes.initiator,
        failure: next.failure.clone(),
        last_completion_result: next.last_result.clone(),
        header: next.header.clone(),
        memo: next.memo.clone(),
        search_attributes: next.search_attributes.clone(),
        inherit_build_id: attributes.inherit_build_id,
        ..WorkflowExecutionContinuedAsNewEventAttributes::default()
    };
    let next = chain::next_run(step, next, env);
    let event = WorkflowExecutionContinuedAsNewEventAttributes {
        new_execution_run_id: next.key.run.to_string(),
        ..event
    };
    close::continue_as_new(step, event, command.user_metadata.clone(), next, env);
    Ok(())
}

/// What the command asks for, with the run's own values where it says nothing.
fn checked(
    step: &Step,
    attributes: &ContinueAsNewWorkflowExecutionCommandAttributes,
    env: &Env<'_>,
) -> Result<Continuation, Trouble> {
    let start = &step.run.start;
    let or = |value: Option<&String>, own: &str| match value {
        Some(value) if !value.is_empty() => value.clone(),
        _ => own.to_owned(),
    };
    let workflow_type = or(attributes.workflow_type.as_ref().map(|t| &t.name), &start.workflow_type);
    let task_queue = or(attributes.task_queue.as_ref().map(|queue| &queue.name), &start.task_queue);
    let context = format!("WorkflowType={workflow_type} TaskQueue={}", queue_text(&task_queue));
    check_fits(CAUSE, COMMAND, "WorkflowType", &workflow_type, ("", ""), env)?;
    let own = &start.task_queue;
    activity::check_queue(&task_queue, env).and_then(|()| check_internal_queue(&task_queue, own)).map_err(
        |error| Trouble::fail(CAUSE, format!("error validating {COMMAND} TaskQueue: {error}. {context}")),
    )?;
    let bad = |what: &str, error: String| {
        Trouble::fail(CAUSE, format!("invalid {what} on {COMMAND}: {error}. {context}"))
    };
    let timeout = |what: &str, value: Option<&prost_types::Duration>| {
        duration::nanos(value)
            .map_err(|error| Trouble::fail(CAUSE, format!("Invalid {what} on {COMMAND}: {error}. {context}")))
    };
    let run_timeout = timeout("WorkflowRunTimeout", attributes.workflow_run_timeout.as_ref())?;
    let task_timeout = timeout("WorkflowTaskTimeout", attributes.workflow_task_timeout.as_ref())?;
    let backoff = timeout("BackoffStartInterval", attributes.backoff_start_interval.as_ref())?;
    let retry_policy = attributes.retry_policy.clone().map(retry::with_defaults);
    if let Some(policy) = &retry_policy {
        retry::check(policy).map_err(|error| bad("WorkflowRetryPolicy", error))?;
    }
    if let Some(search) = &attributes.search_attributes {
        check_attributes(CAUSE, search, Some((COMMAND, &context)), env)?;
    }
    if attributes.inherit_build_id && task_queue != *own {
        let text = "ContinueAsNew with UseCompatibleVersion cannot run on different task queue.";
        return Err(Trouble::fail(CAUSE, text));
    }
    let what = |field: &str| format!("ContinueAsNewWorkflowExecutionCommandAttributes. {field}");
    check_payloads(CAUSE, &what("Input"), attributes.input.as_ref(), env)?;
    let memo = attributes.memo.as_ref().map_or(0, |memo| memo.encoded_len());
    check_memo(CAUSE, &what("Memo"), memo, env)?;
    let run_timeout = if run_timeout == 0 { start.run_timeout } else { run_timeout };
    let run_timeout = capped(run_timeout, start.execution_timeout);
    let task_timeout = if task_timeout == 0 { start.task_timeout } else { task_timeout };
    let longest = capped(env.limits.longest_workflow_task_timeout, run_timeout);
    let initiator = match attributes.initiator() {
        Initiator::Unspecified => Initiator::Workflow,
        told => told,
    };
    Ok(Continuation {
        initiator,
        workflow_type,
        task_queue,
        run_timeout,
        task_timeout: task_timeout.min(longest),
        backoff,
        input: attributes.input.clone(),
        header: attributes.header.clone(),
        memo: super::memo_without_nulls(attributes.memo.clone()),
        search_attributes: super::without_nulls(attributes.search_attributes.clone())
            .map(|search| env.namespace.with_types(search)),
        retry_policy,
        cron: attributes.cron_schedule.clone(),
        attempt: if initiator == Initiator::Retry { start.attempt.saturating_add(1) } else { 1 },
        last_result: attributes.last_completion_result.clone(),
        failure: attributes.failure.clone(),
        callbacks_end: false,
    })
}
