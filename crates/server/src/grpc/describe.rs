//! DescribeWorkflowExecution, and what is known of how time is skipped.

use crate::call::Call;
use crate::frontend::Frontend;
use crate::status::Refusal;
use crate::{check, to_proto};
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::{EntityKey, Reject};

pub async fn describe_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: DescribeWorkflowExecutionRequest,
) -> Result<DescribeWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let (id, run) = check::execution(request.execution.as_ref())?;
    let run = frontend.engine.describe(EntityKey::workflow(namespace.id, id), run).await?;
    Ok(to_proto::describe(id, &run, &*namespace, frontend.engine.now()))
}

/// The release that is the reference does not know it.
pub async fn poll_workflow_execution_time_skipping(
    _: &Frontend,
    _: Call,
    _: PollWorkflowExecutionTimeSkippingRequest,
) -> Result<PollWorkflowExecutionTimeSkippingResponse, Refusal> {
    let method = "PollWorkflowExecutionTimeSkipping";
    let service = "temporal.api.workflowservice.v1.WorkflowService";
    Err(Reject::Unimplemented(format!("unknown method {method} for service {service}")).into())
}
