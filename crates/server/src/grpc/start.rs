//! StartWorkflowExecution and SignalWithStartWorkflowExecution.

use crate::call::Call;
use crate::frontend::{Frontend, unexpected};
use crate::status::Refusal;
use crate::{from_proto, to_proto};
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::Hint;
use steadfast_machine::Reply;
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::reply::WorkflowReply;

pub async fn start_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: StartWorkflowExecutionRequest,
) -> Result<StartWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.registered_namespace(&request.namespace)?;
    let start = from_proto::start(request, &frontend.context(&namespace))?;
    let id = start.workflow_id.clone();
    let reply = frontend.apply(namespace.id, (id, Input::current(What::Start(Box::new(start))))).await?;
    let Reply::Workflow(reply) = reply else { return Err(unexpected(&reply)) };
    let WorkflowReply::Started(mut started) = *reply else {
        return Err(unexpected(&Reply::Workflow(reply)));
    };
    let eager = started.eager_task.take();
    let mut response = to_proto::started(&started);
    if let Some(task) = eager {
        let history = frontend.engine.task_history(&task).await?;
        response.eager_workflow_task =
            Some(to_proto::workflow_task(&frontend.tokens, namespace.id, *task, history, Hint::default()));
    }
    Ok(response)
}

pub async fn signal_with_start_workflow_execution(
    frontend: &Frontend,
    _: Call,
    request: SignalWithStartWorkflowExecutionRequest,
) -> Result<SignalWithStartWorkflowExecutionResponse, Refusal> {
    let namespace = frontend.registered_namespace(&request.namespace)?;
    let both = from_proto::signal_with_start(request, &frontend.context(&namespace))?;
    let id = both.start.workflow_id.clone();
    let input = Input::current(What::SignalWithStart(Box::new(both)));
    match frontend.apply(namespace.id, (id, input)).await? {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::SignalWithStart { run_id, started } => {
                Ok(to_proto::signal_with_start(run_id, started))
            }
            other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
        },
        other => Err(unexpected(&other)),
    }
}
