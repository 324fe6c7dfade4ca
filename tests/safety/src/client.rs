//! The client's side of the calls on the raw API, and how a call is insisted on while the server comes and goes.

use crate::requests;
use anyhow::{Context, Result, bail};
use prost::Message;
use std::time::Duration;
use steadfast_api::v1::common::{Callback, Payload, Payloads, WorkflowExecution};
use steadfast_api::v1::enums::{HistoryEventFilterType, UpdateWorkflowExecutionLifecycleStage};
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::workflow::WorkflowExecutionInfo;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::workflowservice::*;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

pub const NAMESPACE: &str = "default";
pub const IDENTITY: &str = "safety";

/// How long one try of a call may take: a server that was killed may leave a connection that says nothing.
const TRY: Duration = Duration::from_secs(10);
/// How long a long poll waits before it is asked again.
const POLL: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);
/// A call that got no definite answer in this time is a failure of its own.
const PATIENCE: Duration = Duration::from_secs(120);
const MAX_MESSAGE: usize = 128 << 20;

#[derive(Clone)]
pub struct Client {
    pub rpc: WorkflowServiceClient<Channel>,
    queue: String,
}

/// Whether the call may have been done although it failed, or may be done if it is tried again.
pub fn is_doubtful(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::NotFound
            | Code::AlreadyExists
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
            | Code::OutOfRange
            | Code::DataLoss
    )
}

/// Makes a call until its answer is definite: the same message, request id included, as SDKs do.
///
/// # Errors
/// The refusal, or the last doubtful error when there was no definite one in two minutes.
pub async fn insist<M: Clone, R>(
    rpc: &WorkflowServiceClient<Channel>,
    message: &M,
    call: impl AsyncFn(WorkflowServiceClient<Channel>, Request<M>) -> Result<Response<R>, Status>,
) -> Result<R, Status> {
    insist_for(TRY, rpc, message, call).await
}

async fn insist_for<M: Clone, R>(
    one_try: Duration,
    rpc: &WorkflowServiceClient<Channel>,
    message: &M,
    call: impl AsyncFn(WorkflowServiceClient<Channel>, Request<M>) -> Result<Response<R>, Status>,
) -> Result<R, Status> {
    let began = std::time::Instant::now();
    loop {
        let mut request = Request::new(message.clone());
        request.set_timeout(one_try);
        match call(rpc.clone(), request).await {
            Ok(reply) => return Ok(reply.into_inner()),
            Err(status) if is_doubtful(&status) && began.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(status) => return Err(status),
        }
    }
}

impl Client {
    pub fn new(channel: Channel, queue: &str) -> Client {
        let rpc = WorkflowServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        Client { rpc, queue: queue.into() }
    }

    /// Starts a run and gives its id.
    pub async fn start(&self, kind: &str, id: &str) -> Result<String, Status> {
        self.start_calling(kind, id, Vec::new()).await
    }

    /// Starts a run whose end is told to these.
    pub async fn start_calling(
        &self,
        kind: &str,
        id: &str,
        completion_callbacks: Vec<Callback>,
    ) -> Result<String, Status> {
        let start = requests::start(&self.queue, kind, id, format!("{id}-start"));
        let request = StartWorkflowExecutionRequest { completion_callbacks, ..start };
        let reply =
            insist(&self.rpc, &request, async |mut rpc, request| rpc.start_workflow_execution(request).await);
        Ok(reply.await?.run_id)
    }

    /// Signals a run, which is started if it is not there; gives its id.
    pub async fn signal_with_start(&self, kind: &str, id: &str, mark: &str) -> Result<String, Status> {
        let start = requests::start(&self.queue, kind, id, format!("{id}-{mark}"));
        let request = requests::signal_with_start(start, "mark", mark);
        let reply = insist(&self.rpc, &request, async |mut rpc, request| {
            rpc.signal_with_start_workflow_execution(request).await
        });
        Ok(reply.await?.run_id)
    }

    /// Sends the signal `name` with the input `mark`.
    pub async fn signal(&self, id: &str, name: &str, mark: &str) -> Result<(), Status> {
        let request = requests::signal(id, "", name, mark, format!("{id}-{name}-{mark}"));
        let reply = insist(&self.rpc, &request, async |mut rpc, request| {
            rpc.signal_workflow_execution(request).await
        });
        reply.await.map(drop)
    }

    /// Sends an update and waits until it is completed; gives its result.
    pub async fn update(&self, id: &str, mark: &str) -> Result<Option<Payloads>, Status> {
        use steadfast_api::v1::update::outcome::Value;
        let request = requests::update(id, mark, mark);
        loop {
            let reply = insist_for(POLL, &self.rpc, &request, async |mut rpc, request| {
                rpc.update_workflow_execution(request).await
            });
            let reply = reply.await?;
            if reply.stage() == UpdateWorkflowExecutionLifecycleStage::Completed {
                return match reply.outcome.and_then(|outcome| outcome.value) {
                    Some(Value::Success(result)) => Ok(Some(result)),
                    Some(Value::Failure(failure)) => Err(Status::aborted(failure.message)),
                    None => Ok(None),
                };
            }
        }
    }

    pub async fn terminate(&self, id: &str, run: &str) -> Result<(), Status> {
        let request = requests::terminate(id, run, "the test wants it");
        let reply = insist(&self.rpc, &request, async |mut rpc, request| {
            rpc.terminate_workflow_execution(request).await
        });
        reply.await.map(drop)
    }

    pub async fn cancel(&self, id: &str, run: &str) -> Result<(), Status> {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: Some(execution(id, run)),
            request_id: format!("{id}-cancel"),
            identity: IDENTITY.into(),
            ..Default::default()
        };
        let reply = insist(&self.rpc, &request, async |mut rpc, request| {
            rpc.request_cancel_workflow_execution(request).await
        });
        reply.await.map(drop)
    }

    pub async fn describe(&self, id: &str, run: &str) -> Result<DescribeWorkflowExecutionResponse, Status> {
        let request = requests::describe(id, run);
        let reply = insist(&self.rpc, &request, async |mut rpc, request| {
            rpc.describe_workflow_execution(request).await
        });
        reply.await
    }

    /// Waits for the close of a run and gives the event.
    pub async fn closed(&self, id: &str, run: &str) -> Result<HistoryEvent> {
        let mut request = GetWorkflowExecutionHistoryRequest {
            wait_new_event: true,
            history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
            skip_archival: true,
            ..requests::history(id, run)
        };
        let began = std::time::Instant::now();
        loop {
            let reply = insist_for(POLL, &self.rpc, &request, async |mut rpc, request| {
                rpc.get_workflow_execution_history(request).await
            });
            let reply = reply.await.with_context(|| format!("waiting for the close of {id}"))?;
            let history = History::decode(reply.history.unwrap_or_default())?;
            if let Some(event) = history.events.into_iter().next_back() {
                return Ok(event);
            }
            if began.elapsed() > PATIENCE {
                bail!("{id} (run {run}) did not close in {PATIENCE:?}");
            }
            request.next_page_token = reply.next_page_token;
        }
    }

    /// All events of a run.
    pub async fn history(&self, id: &str, run: &str) -> Result<Vec<HistoryEvent>, Status> {
        let mut request = requests::history(id, run);
        let mut events = Vec::new();
        loop {
            let reply = insist(&self.rpc, &request, async |mut rpc, request| {
                rpc.get_workflow_execution_history(request).await
            });
            let reply = reply.await?;
            let page = History::decode(reply.history.unwrap_or_default())
                .map_err(|error| Status::data_loss(format!("a history that does not decode: {error}")))?;
            events.extend(page.events);
            if reply.next_page_token.is_empty() {
                return Ok(events);
            }
            request.next_page_token = reply.next_page_token;
        }
    }

    /// All runs that a query of the list finds.
    pub async fn list(&self, query: &str) -> Result<Vec<WorkflowExecutionInfo>, Status> {
        let mut request = requests::list(query);
        let mut runs = Vec::new();
        loop {
            let reply = insist(&self.rpc, &request, async |mut rpc, request| {
                rpc.list_workflow_executions(request).await
            });
            let reply = reply.await?;
            runs.extend(reply.executions);
            if reply.next_page_token.is_empty() {
                return Ok(runs);
            }
            request.next_page_token = reply.next_page_token;
        }
    }

    pub async fn count(&self, query: &str) -> Result<i64, Status> {
        let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query: query.into() };
        let reply = insist(&self.rpc, &request, async |mut rpc, request| {
            rpc.count_workflow_executions(request).await
        });
        Ok(reply.await?.count)
    }
}

pub fn execution(id: &str, run: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: id.into(), run_id: run.into() }
}

pub fn queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.into(), ..Default::default() }
}

/// A text as a payload that every SDK can read.
pub fn payloads(text: &str) -> Option<Payloads> {
    let payload = Payload {
        metadata: [("encoding".to_owned(), "json/plain".into())].into(),
        data: format!("\"{text}\"").into(),
        ..Default::default()
    };
    Some(Payloads { payloads: vec![payload] })
}

/// The text of [`payloads`].
pub fn text(payloads: Option<&Payloads>) -> String {
    let data = payloads.and_then(|payloads| payloads.payloads.first()).map(|payload| payload.data.clone());
    String::from_utf8_lossy(&data.unwrap_or_default()).trim_matches('"').to_owned()
}
