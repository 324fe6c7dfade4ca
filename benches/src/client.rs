//! The client's side of the calls: what an SDK's client sends, with errors that name the call.

use anyhow::{Context, Error, Result, bail};
use prost::Message;
use steadfast_api::v1::common::{WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::{EventType, HistoryEventFilterType, UpdateWorkflowExecutionLifecycleStage};
use steadfast_api::v1::history::History;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::update::{Input, Meta, Request, WaitPolicy};
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::workflowservice::*;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::connection::Connection;
use crate::workflows::Workflow;

/// The limits of messages are the server's business; the driver takes what comes.
const MAX_MESSAGE: usize = 128 * 1024 * 1024;
/// The name under which the reference's health service knows the API.
const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";

/// True once the server says SERVING. A server without a health service counts as serving as soon as it answers.
pub async fn is_serving(connection: Connection) -> bool {
    let request = HealthCheckRequest { service: SERVICE.into() };
    let origin = connection.origin.clone();
    match HealthClient::with_origin(connection, origin).check(request).await {
        Ok(reply) => reply.into_inner().status() == ServingStatus::Serving,
        Err(status) => status.code() == tonic::Code::Unimplemented,
    }
}

/// What is listed and counted: the runs that `--closed-runs` leaves behind.
const CLOSED: &str = "WorkflowType = 'noop' AND ExecutionStatus = 'Completed'";
/// Rows on a page of a list, as the web pages ask for.
const LIST_PAGE: i32 = 100;

#[derive(Clone)]
pub struct Client {
    rpc: WorkflowServiceClient<Connection>,
    namespace: String,
    queue: String,
}

impl Client {
    pub fn new(connection: Connection, namespace: &str, queue: &str) -> Self {
        let origin = connection.origin.clone();
        let rpc = WorkflowServiceClient::with_origin(connection, origin)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Client { rpc, namespace: namespace.into(), queue: queue.into() }
    }

    /// Starts a run and returns its run id.
    pub async fn start(&mut self, workflow: Workflow, id: &str) -> Result<String> {
        let request = StartWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_id: id.into(),
            workflow_type: Some(WorkflowType { name: workflow.type_name() }),
            task_queue: Some(TaskQueue { name: self.queue.clone(), ..Default::default() }),
            identity: IDENTITY.into(),
            // The workflow id is new with every call, so it serves as the request id too.
            request_id: id.into(),
            ..Default::default()
        };
        let reply = self.rpc.start_workflow_execution(request).await.map_err(refused("start"))?;
        Ok(reply.into_inner().run_id)
    }

    pub async fn signal_with_start(&mut self, workflow: Workflow, id: &str) -> Result<String> {
        let request = SignalWithStartWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_id: id.into(),
            workflow_type: Some(WorkflowType { name: workflow.type_name() }),
            task_queue: Some(TaskQueue { name: self.queue.clone(), ..Default::default() }),
            identity: IDENTITY.into(),
            request_id: id.into(),
            signal_name: "go".into(),
            ..Default::default()
        };
        let reply = self
            .rpc
            .signal_with_start_workflow_execution(request)
            .await
            .map_err(refused("signal with start"))?;
        Ok(reply.into_inner().run_id)
    }

    pub async fn signal(&mut self, id: &str, run_id: &str, request_id: &str) -> Result<()> {
        let request = SignalWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(id, run_id)),
            signal_name: "go".into(),
            identity: IDENTITY.into(),
            request_id: format!("{request_id}-signal"),
            ..Default::default()
        };
        self.rpc.signal_workflow_execution(request).await.map_err(refused("signal"))?;
        Ok(())
    }

    /// Sends an update and waits until it is completed.
    pub async fn update(&mut self, id: &str, run_id: &str, update_id: &str) -> Result<()> {
        let completed = UpdateWorkflowExecutionLifecycleStage::Completed;
        let request = UpdateWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(id, run_id)),
            wait_policy: Some(WaitPolicy { lifecycle_stage: completed.into() }),
            request: Some(Request {
                meta: Some(Meta { update_id: format!("{update_id}-update"), identity: IDENTITY.into() }),
                input: Some(Input { name: "go".into(), ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        };
        loop {
            let reply =
                self.rpc.update_workflow_execution(request.clone()).await.map_err(refused("update"))?;
            // A server may answer with an earlier stage when its own patience ends: the same call waits on.
            if reply.into_inner().stage() == completed {
                return Ok(());
            }
        }
    }

    pub async fn query(&mut self, id: &str, run_id: &str) -> Result<()> {
        let request = QueryWorkflowRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(id, run_id)),
            query: Some(WorkflowQuery { query_type: "state".into(), ..Default::default() }),
            ..Default::default()
        };
        let reply = self.rpc.query_workflow(request).await.map_err(refused("query"))?.into_inner();
        if reply.query_result.is_none() {
            bail!("query: an answer without a result");
        }
        Ok(())
    }

    pub async fn history_length(&mut self, id: &str, run_id: &str) -> Result<u64> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(id, run_id)),
        };
        let reply = self.rpc.describe_workflow_execution(request).await.map_err(refused("describe"))?;
        let info = reply.into_inner().workflow_execution_info.context("describe: an answer without a run")?;
        Ok(info.history_length as u64)
    }

    /// The first page of the closed runs of the noop workflow.
    pub async fn list(&mut self) -> Result<()> {
        let request = ListWorkflowExecutionsRequest {
            namespace: self.namespace.clone(),
            page_size: LIST_PAGE,
            query: CLOSED.into(),
            ..Default::default()
        };
        let reply = self.rpc.list_workflow_executions(request).await.map_err(refused("list"))?.into_inner();
        match reply.executions.is_empty() {
            true => bail!("list: no run was found"),
            false => Ok(()),
        }
    }

    pub async fn count(&mut self) -> Result<()> {
        let request =
            CountWorkflowExecutionsRequest { namespace: self.namespace.clone(), query: CLOSED.into() };
        let reply = self.rpc.count_workflow_executions(request).await.map_err(refused("count"))?.into_inner();
        match reply.count {
            0 => bail!("count: no run was found"),
            _ => Ok(()),
        }
    }

    pub async fn terminate(&mut self, id: &str, run_id: &str) -> Result<()> {
        let request = TerminateWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(id, run_id)),
            reason: "the benchmark is over".into(),
            identity: IDENTITY.into(),
            ..Default::default()
        };
        self.rpc.terminate_workflow_execution(request).await.map_err(refused("terminate"))?;
        Ok(())
    }

    /// Waits for the close event by the long poll that SDKs use for a result; an error if the run did not complete.
    pub async fn wait_completed(&mut self, id: &str, run_id: &str) -> Result<()> {
        let mut request = GetWorkflowExecutionHistoryRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(id, run_id)),
            wait_new_event: true,
            history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
            skip_archival: true,
            ..Default::default()
        };
        loop {
            let reply = self
                .rpc
                .get_workflow_execution_history(request.clone())
                .await
                .map_err(refused("history"))?
                .into_inner();
            let history = History::decode(reply.history.unwrap_or_default())
                .context("history: not a History message")?;
            match history.events.last().map(|event| event.event_type()) {
                Some(EventType::WorkflowExecutionCompleted) => return Ok(()),
                Some(other) => bail!("{id} ended as {}", other.as_str_name()),
                None if reply.next_page_token.is_empty() => {
                    bail!("history: no close event of {id} and no token to wait on")
                }
                None => request.next_page_token = reply.next_page_token,
            }
        }
    }
}

pub const IDENTITY: &str = "steadfast-bench";

fn execution(id: &str, run_id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: id.into(), run_id: run_id.into() }
}

/// Keeps the status in the chain, where the caller looks for its code.
fn refused(call: &'static str) -> impl Fn(tonic::Status) -> Error {
    move |status| {
        let line = format!("{call}: {:?}: {}", status.code(), status.message());
        Error::new(status).context(line)
    }
}

/// True if the server does not know the call: a scenario that it does not offer, not a failure of the run.
pub fn is_unimplemented(error: &Error) -> bool {
    let status = error.downcast_ref::<tonic::Status>();
    status.is_some_and(|status| status.code() == tonic::Code::Unimplemented)
}
