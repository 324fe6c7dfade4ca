//! SignalExternalWorkflowExecution and RequestCancelExternalWorkflowExecution.

use super::target::{Target, check_pending, check_run_id};
use super::{Completion, Done, Trouble, check_fits, check_nul, check_payloads};
use crate::env::Env;
use crate::workflow::events::Attributes;
use crate::workflow::message::{CancelExternal, Content, SignalExternal};
use crate::workflow::rows::ExternalRow;
use crate::workflow::step::Step;
use steadfast_api::v1::command::{
    Command, RequestCancelExternalWorkflowExecutionCommandAttributes,
    SignalExternalWorkflowExecutionCommandAttributes,
};
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;
use steadfast_api::v1::history::{
    RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
    SignalExternalWorkflowExecutionInitiatedEventAttributes,
};

pub fn signal(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &SignalExternalWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    const CAUSE: Cause = Cause::BadSignalWorkflowExecutionAttributes;
    const COMMAND: &str = "SignalExternalWorkflowExecutionCommand";
    let target = Target::find(CAUSE, &attributes.namespace, env)?;
    let namespace = &attributes.namespace;
    let execution = attributes.execution.clone().unwrap_or_default();
    let (workflow_id, run_id, name) = (&execution.workflow_id, &execution.run_id, &attributes.signal_name);
    let missing = |what: &str, context: String| {
        Trouble::fail(CAUSE, format!("{what} is not set on {COMMAND}. {context}"))
    };
    if attributes.execution.is_none() {
        return Err(Trouble::fail(CAUSE, format!("Execution is not set on {COMMAND}.")));
    }
    if workflow_id.is_empty() {
        let context = format!("Namespace={namespace} RunId={run_id} SignalName={name}");
        return Err(missing("WorkflowId", context));
    }
    let context = format!("WorkflowId={workflow_id} Namespace={namespace} RunId={run_id} SignalName={name}");
    let after = format!(" Namespace={namespace} RunId={run_id} SignalName={name}");
    check_fits(CAUSE, COMMAND, "WorkflowId", workflow_id, ("", &after), env)?;
    check_run_id(CAUSE, COMMAND, run_id, &context)?;
    if name.is_empty() {
        let context = format!("WorkflowId={workflow_id} Namespace={namespace} RunId={run_id}");
        return Err(missing("SignalName", context));
    }
    check_nul(CAUSE, name)?;
    let pending = step.run.core.signal_external_pending.max(0) as usize;
    let limit = env.limits.pending_signals;
    let cause = Cause::PendingSignalsLimitExceeded;
    check_pending(cause, "pending signals to external workflows", pending, limit)?;
    let input = attributes.input.as_ref();
    check_payloads(CAUSE, "SignalExternalWorkflowExecutionCommandAttributes.Input", input, env)?;
    let id = step.write_full(
        env,
        Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(
            SignalExternalWorkflowExecutionInitiatedEventAttributes {
                workflow_task_completed_event_id: completion.completed_event_id,
                namespace: namespace.clone(),
                namespace_id: target.namespace_id.to_string(),
                workflow_execution: Some(execution.clone()),
                signal_name: name.clone(),
                input: attributes.input.clone(),
                control: attributes.control.clone(),
                child_workflow_only: attributes.child_workflow_only,
                header: attributes.header.clone(),
            },
        ),
        command.user_metadata.clone(),
        Vec::new(),
    );
    let request_id = env.ids.uuid().to_string();
    let content = Content::SignalExternal(SignalExternal {
        initiated_event_id: id,
        run_id: run_id.clone(),
        name: name.clone(),
        input: attributes.input.clone(),
        header: attributes.header.clone(),
        request_id: request_id.clone(),
        child_workflow_only: attributes.child_workflow_only,
        namespace: env.namespace.name().to_owned(),
    });
    let message = step.send(target.entity(workflow_id), run_id, content);
    let row = row(id, false, target, &execution, &attributes.control, request_id);
    step.put_external(ExternalRow { message: message + 1, ..row });
    Ok(())
}

pub fn cancel(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &RequestCancelExternalWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    const CAUSE: Cause = Cause::BadRequestCancelExternalWorkflowExecutionAttributes;
    const COMMAND: &str = "RequestCancelExternalWorkflowExecutionCommand";
    let target = Target::find(CAUSE, &attributes.namespace, env)?;
    let namespace = &attributes.namespace;
    let (workflow_id, run_id) = (&attributes.workflow_id, &attributes.run_id);
    if workflow_id.is_empty() {
        let context = format!("Namespace={namespace} RunId={run_id}");
        return Err(Trouble::fail(CAUSE, format!("WorkflowId is not set on {COMMAND}. {context}")));
    }
    let context = format!("WorkflowId={workflow_id} RunId={run_id} Namespace={namespace}");
    let after = format!(" RunId={run_id} Namespace={namespace}");
    check_fits(CAUSE, COMMAND, "WorkflowId", workflow_id, ("", &after), env)?;
    check_run_id(CAUSE, COMMAND, run_id, &context)?;
    if completion.children_started.contains(workflow_id) {
        let text = "Start and RequestCancel for child workflow is not allowed in same workflow task.";
        return Err(Trouble::fail(CAUSE, format!("{text} {context}")));
    }
    let pending = step.run.core.cancel_external_pending.max(0) as usize;
    let limit = env.limits.pending_cancels;
    let cause = Cause::PendingRequestCancelLimitExceeded;
    check_pending(cause, "pending requests to cancel external workflows", pending, limit)?;
    let execution = WorkflowExecution { workflow_id: workflow_id.clone(), run_id: run_id.clone() };
    let id = step.write_full(
        env,
        Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(
            RequestCancelExternalWorkflowExecutionInitiatedEventAttributes {
                workflow_task_completed_event_id: completion.completed_event_id,
                namespace: namespace.clone(),
                namespace_id: target.namespace_id.to_string(),
                workflow_execution: Some(execution.clone()),
                control: attributes.control.clone(),
                child_workflow_only: attributes.child_workflow_only,
                reason: attributes.reason.clone(),
            },
        ),
        command.user_metadata.clone(),
        Vec::new(),
    );
    let request_id = env.ids.uuid().to_string();
    let content = Content::CancelExternal(CancelExternal {
        initiated_event_id: id,
        run_id: run_id.clone(),
        request_id: request_id.clone(),
        child_workflow_only: attributes.child_workflow_only,
        reason: attributes.reason.clone(),
        namespace: env.namespace.name().to_owned(),
    });
    let message = step.send(target.entity(workflow_id), run_id, content);
    let row = row(id, true, target, &execution, &attributes.control, request_id);
    step.put_external(ExternalRow { message: message + 1, ..row });
    Ok(())
}

fn row(
    initiated_event_id: i64,
    cancel: bool,
    target: Target,
    execution: &WorkflowExecution,
    control: &str,
    request_id: String,
) -> ExternalRow {
    ExternalRow {
        initiated_event_id,
        cancel,
        namespace_id: target.namespace_id.as_bytes().to_vec(),
        namespace: target.namespace,
        workflow_id: execution.workflow_id.clone(),
        run_id: execution.run_id.clone(),
        control: control.to_owned(),
        request_id,
        message: 0,
    }
}
