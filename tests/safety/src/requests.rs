//! The requests that clients make, with what all of them say.

use crate::client::{IDENTITY, NAMESPACE, execution, payloads, queue};
use steadfast_api::v1::common::WorkflowType;
use steadfast_api::v1::enums::UpdateWorkflowExecutionLifecycleStage as Stage;
use steadfast_api::v1::update::{Input, Meta, Request as Update, WaitPolicy};
use steadfast_api::v1::workflowservice::*;

/// A workflow task whose worker never got it is given to another after this.
const TASK_TIMEOUT: prost_types::Duration = prost_types::Duration { seconds: 2, nanos: 0 };

pub fn start(on: &str, kind: &str, id: &str, request_id: String) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: kind.into() }),
        task_queue: Some(queue(on)),
        workflow_task_timeout: Some(TASK_TIMEOUT),
        identity: IDENTITY.into(),
        request_id,
        ..Default::default()
    }
}

/// A start, and the signal that the run gets in any case.
pub fn signal_with_start(
    start: StartWorkflowExecutionRequest,
    name: &str,
    mark: &str,
) -> SignalWithStartWorkflowExecutionRequest {
    SignalWithStartWorkflowExecutionRequest {
        namespace: start.namespace,
        workflow_id: start.workflow_id,
        workflow_type: start.workflow_type,
        task_queue: start.task_queue,
        input: start.input,
        workflow_task_timeout: start.workflow_task_timeout,
        identity: start.identity,
        request_id: start.request_id,
        signal_name: name.into(),
        signal_input: payloads(mark),
        ..Default::default()
    }
}

/// The run is the current one if none is named, here and below.
pub fn signal(
    id: &str,
    run: &str,
    name: &str,
    mark: &str,
    request_id: String,
) -> SignalWorkflowExecutionRequest {
    SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(id, run)),
        signal_name: name.into(),
        input: payloads(mark),
        identity: IDENTITY.into(),
        request_id,
        ..Default::default()
    }
}

/// Waits until the update is completed.
pub fn update(id: &str, update_id: &str, mark: &str) -> UpdateWorkflowExecutionRequest {
    UpdateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(id, "")),
        wait_policy: Some(WaitPolicy { lifecycle_stage: Stage::Completed.into() }),
        request: Some(Update {
            meta: Some(Meta { update_id: update_id.into(), identity: IDENTITY.into() }),
            input: Some(Input { name: "update".into(), args: payloads(mark), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn terminate(id: &str, run: &str, reason: &str) -> TerminateWorkflowExecutionRequest {
    TerminateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(id, run)),
        reason: reason.into(),
        identity: IDENTITY.into(),
        ..Default::default()
    }
}

pub fn describe(id: &str, run: &str) -> DescribeWorkflowExecutionRequest {
    DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(execution(id, run)) }
}

/// The first page.
pub fn history(id: &str, run: &str) -> GetWorkflowExecutionHistoryRequest {
    GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution(id, run)),
        ..Default::default()
    }
}

/// The first page.
pub fn list(query: &str) -> ListWorkflowExecutionsRequest {
    ListWorkflowExecutionsRequest {
        namespace: NAMESPACE.into(),
        page_size: 500,
        query: query.into(),
        ..Default::default()
    }
}
