//! StartChildWorkflowExecution.

use super::target::{Target, check_pending};
use super::{
    Completion, Done, Trouble, capped, check_attributes, check_fits, check_internal_queue, check_memo,
    check_payloads, queue_text,
};
use crate::cron;
use crate::duration;
use crate::env::Env;
use crate::workflow::events::Attributes;
use crate::workflow::message::{Content, StartChild};
use crate::workflow::rows::{ChildRow, ParentRow};
use crate::workflow::step::Step;
use crate::workflow::{activity, child, retry};
use prost::Message as _;
use steadfast_api::v1::command::{Command, StartChildWorkflowExecutionCommandAttributes};
use steadfast_api::v1::enums::{
    ParentClosePolicy, TaskQueueKind, WorkflowIdReusePolicy, WorkflowTaskFailedCause as Cause,
};
use steadfast_api::v1::history::StartChildWorkflowExecutionInitiatedEventAttributes;
use steadfast_api::v1::taskqueue::TaskQueue;

const CAUSE: Cause = Cause::BadStartChildExecutionAttributes;
const COMMAND: &str = "StartChildWorkflowExecutionCommand";

pub fn start(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &StartChildWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let target = Target::find(CAUSE, &attributes.namespace, env)?;
    let mut initiated = checked(step, attributes, &target, env)?;
    initiated.workflow_task_completed_event_id = completion.completed_event_id;
    check_pending(
        Cause::PendingChildWorkflowsLimitExceeded,
        "pending child workflow executions",
        step.run.children.len(),
        env.limits.pending_children,
    )?;
    let workflow_type = initiated.workflow_type.as_ref().map(|t| t.name.clone()).unwrap_or_default();
    let id = step.write_full(
        env,
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(initiated.clone()),
        command.user_metadata.clone(),
        Vec::new(),
    );
    // The same for every attempt to start it, and known by its form.
    let request_id = format!("{}:{id}:0", step.key.run);
    let parent = ParentRow {
        namespace: env.namespace.name().to_owned(),
        initiated_event_id: id,
        ..child::own_row(step)
    };
    let policy = initiated.parent_close_policy;
    let content = Content::StartChild(StartChild {
        parent: Some(parent),
        root_workflow_id: step.run.start.root_workflow_id.clone(),
        root_run_id: step.run.start.root_run_id.clone(),
        request_id: request_id.clone(),
        user_metadata: command.user_metadata.clone(),
        priority: activity::merged_priority(step.priority(), attributes.priority.as_ref()),
        initiated: Some(initiated),
    });
    let message = step.send(target.entity(&attributes.workflow_id), "", content);
    step.put_child(ChildRow {
        initiated_event_id: id,
        namespace_id: target.namespace_id.as_bytes().to_vec(),
        namespace: target.namespace,
        workflow_id: attributes.workflow_id.clone(),
        workflow_type,
        parent_close_policy: policy,
        request_id,
        message: message + 1,
        ..ChildRow::default()
    });
    completion.children_started.push(attributes.workflow_id.clone());
    Ok(())
}

/// The event of the command, with all that follows from what is set.
fn checked(
    step: &Step,
    attributes: &StartChildWorkflowExecutionCommandAttributes,
    target: &Target,
    env: &Env<'_>,
) -> Result<StartChildWorkflowExecutionInitiatedEventAttributes, Trouble> {
    let workflow_type = attributes.workflow_type.as_ref().map_or("", |t| t.name.as_str());
    let (id, namespace) = (&attributes.workflow_id, &target.namespace);
    let missing = |what: &str, context: String| {
        Trouble::fail(CAUSE, format!("Required field {what} is not set on {COMMAND}. {context}"))
    };
    if id.is_empty() {
        let context = format!("WorkflowType={workflow_type} Namespace={namespace}");
        return Err(missing("WorkflowId", context));
    }
    if workflow_type.is_empty() {
        return Err(missing("WorkflowType", format!("WorkflowId={id} Namespace={namespace}")));
    }
    let context = format!("WorkflowId={id} WorkflowType={workflow_type} Namespace={namespace}");
    let after = format!(" WorkflowType={workflow_type} Namespace={namespace}");
    check_fits(CAUSE, COMMAND, "WorkflowId", id, ("", &after), env)?;
    let around = (format!("WorkflowId={id} "), format!(" Namespace={namespace}"));
    check_fits(CAUSE, COMMAND, "WorkflowType", workflow_type, (&around.0, &around.1), env)?;
    let queue = attributes.task_queue.as_ref().map(|queue| queue.name.as_str()).unwrap_or_default();
    let queue = if queue.is_empty() { &step.run.start.task_queue } else { queue };
    let bad = |what: &str, error: String| {
        Trouble::fail(CAUSE, format!("invalid {what} on {COMMAND}: {error}. {context}"))
    };
    let timeout = |what: &str, value: Option<&prost_types::Duration>| {
        duration::nanos(value)
            .map_err(|error| Trouble::fail(CAUSE, format!("Invalid {what} on {COMMAND}: {error}. {context}")))
    };
    let execution = timeout("WorkflowExecutionTimeout", attributes.workflow_execution_timeout.as_ref())?;
    let run = timeout("WorkflowRunTimeout", attributes.workflow_run_timeout.as_ref())?;
    let run = capped(run, execution);
    let task = timeout("WorkflowTaskTimeout", attributes.workflow_task_timeout.as_ref())?;
    let task = if task == 0 { env.limits.workflow_task_timeout } else { task };
    let task = task.min(capped(env.limits.longest_workflow_task_timeout, run));
    let retry_policy = attributes.retry_policy.clone().map(retry::with_defaults);
    if let Some(policy) = &retry_policy {
        retry::check(policy).map_err(|error| bad("WorkflowRetryPolicy", error))?;
    }
    if !attributes.cron_schedule.is_empty() {
        cron::check_cron(&attributes.cron_schedule).map_err(|error| bad("CronSchedule", error))?;
    }
    if let Some(search) = &attributes.search_attributes {
        check_attributes(CAUSE, search, Some(("StartChildWorkflowCommand", &context)), env)?;
    }
    activity::check_priority(attributes.priority.as_ref(), env)
        .map_err(|error| Trouble::fail(CAUSE, error))?;
    let own = &step.run.start.task_queue;
    activity::check_queue(queue, env).and_then(|()| check_internal_queue(queue, own)).map_err(|error| {
        let queue = queue_text(queue);
        Trouble::fail(CAUSE, format!("invalid TaskQueue on {COMMAND}: {error}. {context} TaskQueue={queue}"))
    })?;
    if attributes.inherit_build_id && queue != own {
        let text =
            "StartChildWorkflowExecution with UseCompatibleVersion cannot run on different task queue.";
        return Err(Trouble::fail(CAUSE, text));
    }
    check_payloads(
        CAUSE,
        "StartChildWorkflowExecutionCommandAttributes. Input",
        attributes.input.as_ref(),
        env,
    )?;
    let memo = attributes.memo.as_ref().map_or(0, |memo| memo.encoded_len());
    check_memo(CAUSE, "StartChildWorkflowExecutionCommandAttributes.Memo", memo, env)?;
    let policy = match ParentClosePolicy::try_from(attributes.parent_close_policy).unwrap_or_default() {
        ParentClosePolicy::Unspecified => ParentClosePolicy::Terminate,
        policy => policy,
    };
    let reuse = match WorkflowIdReusePolicy::try_from(attributes.workflow_id_reuse_policy).unwrap_or_default()
    {
        WorkflowIdReusePolicy::Unspecified => WorkflowIdReusePolicy::AllowDuplicate,
        reuse => reuse,
    };
    Ok(StartChildWorkflowExecutionInitiatedEventAttributes {
        namespace: target.namespace.clone(),
        namespace_id: target.namespace_id.to_string(),
        workflow_id: id.clone(),
        workflow_type: attributes.workflow_type.clone(),
        task_queue: Some(TaskQueue {
            name: queue.to_owned(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        input: attributes.input.clone(),
        workflow_execution_timeout: duration::if_set(execution),
        workflow_run_timeout: duration::proto(run),
        workflow_task_timeout: duration::proto(task),
        parent_close_policy: policy as i32,
        control: attributes.control.clone(),
        workflow_id_reuse_policy: reuse as i32,
        retry_policy,
        cron_schedule: attributes.cron_schedule.clone(),
        header: attributes.header.clone(),
        memo: super::memo_without_nulls(attributes.memo.clone()),
        search_attributes: super::without_nulls(attributes.search_attributes.clone())
            .map(|search| env.namespace.with_types(search)),
        inherit_build_id: attributes.inherit_build_id,
        priority: attributes.priority.clone(),
        ..StartChildWorkflowExecutionInitiatedEventAttributes::default()
    })
}
