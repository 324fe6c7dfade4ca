//! A server, its clients, and the shortest way to say what a worker does.

use bytes::Bytes;
use prost::Message;
use std::time::Duration;
use steadfast_api::google::rpc;
use steadfast_api::v1::command::{Command, CompleteWorkflowExecutionCommandAttributes, command::Attributes};
use steadfast_api::v1::common::{Payload, Payloads, WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::{CommandType, EventType};
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_api::v1::operatorservice::operator_service_client::OperatorServiceClient;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::Limits;
use steadfast_machine::duration::DAY;
use steadfast_query::AttributeType;
use steadfast_server::serve::{Options, Running, StoreChoice};
use tonic::transport::Channel;
use tonic::{Request, Status};

pub const NAMESPACE: &str = "default";
pub const QUEUE: &str = "transfers";

/// A server with a connection to it. Dropping it ends the server with the test's runtime.
pub struct World {
    pub running: Running,
    pub channel: Channel,
    pub client: WorkflowServiceClient<Channel>,
    pub operator: OperatorServiceClient<Channel>,
}

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> World {
        let any = "127.0.0.1:0".parse().expect("it is an address");
        let mut options = Options {
            grpc: any,
            ui: None,
            ui_public_path: "/".into(),
            metrics: Some(([127, 0, 0, 1], 0).into()),
            store: StoreChoice::Memory,
            namespaces: vec![NAMESPACE.into()],
            retention: DAY,
            search_attributes: vec![("CustomKeyword".into(), AttributeType::Keyword)],
            limits: Limits::default(),
        };
        change(&mut options);
        let running = Running::start(options).await.expect("the server starts");
        let endpoint = Channel::from_shared(format!("http://{}", running.grpc)).expect("it is an address");
        let channel = endpoint.connect().await.expect("the server answers");
        World {
            client: WorkflowServiceClient::new(channel.clone()),
            operator: OperatorServiceClient::new(channel.clone()),
            channel,
            running,
        }
    }

    /// Starts a workflow; gives back its run id.
    pub async fn start(&mut self, id: &str) -> String {
        self.client.start_workflow_execution(start(id)).await.expect("it starts").into_inner().run_id
    }

    pub async fn poll(&mut self) -> PollWorkflowTaskQueueResponse {
        let request = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: Some(queue(QUEUE)),
            identity: "worker".into(),
            ..Default::default()
        };
        self.client.poll_workflow_task_queue(patient(request)).await.expect("the poll ends").into_inner()
    }

    pub async fn poll_activity(&mut self) -> PollActivityTaskQueueResponse {
        let request = PollActivityTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: Some(queue(QUEUE)),
            identity: "worker".into(),
            ..Default::default()
        };
        self.client.poll_activity_task_queue(patient(request)).await.expect("the poll ends").into_inner()
    }

    pub async fn complete(
        &mut self,
        task: &PollWorkflowTaskQueueResponse,
        commands: Vec<Command>,
    ) -> Result<RespondWorkflowTaskCompletedResponse, Status> {
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token.clone(),
            commands,
            identity: "worker".into(),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        Ok(self.client.respond_workflow_task_completed(request).await?.into_inner())
    }

    /// Takes the next workflow task and answers it with these commands.
    pub async fn work(&mut self, commands: Vec<Command>) -> PollWorkflowTaskQueueResponse {
        let task = self.poll().await;
        assert!(!task.task_token.is_empty(), "a workflow task was expected");
        self.complete(&task, commands).await.expect("the task is taken");
        task
    }

    pub async fn history(&mut self, id: &str) -> Vec<HistoryEvent> {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(id)),
            ..Default::default()
        };
        let page = self.client.get_workflow_execution_history(request).await.expect("it has a history");
        events(page.into_inner().history)
    }

    pub async fn describe(&mut self, id: &str) -> Result<DescribeWorkflowExecutionResponse, Status> {
        let request =
            DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(execution(id)) };
        Ok(self.client.describe_workflow_execution(request).await?.into_inner())
    }

    pub async fn signal(&mut self, id: &str, name: &str) -> Result<(), Status> {
        let request = SignalWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: Some(execution(id)),
            signal_name: name.into(),
            input: payloads("signalled"),
            identity: "client".into(),
            ..Default::default()
        };
        self.client.signal_workflow_execution(request).await?;
        Ok(())
    }
}

pub fn start(id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: "Transfer".into() }),
        task_queue: Some(queue(QUEUE)),
        identity: "client".into(),
        request_id: format!("start-{id}"),
        ..Default::default()
    }
}

pub fn queue(name: &str) -> TaskQueue {
    TaskQueue { name: name.into(), ..Default::default() }
}

pub fn execution(id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: id.into(), run_id: String::new() }
}

pub fn payloads(text: &str) -> Option<Payloads> {
    let payload = Payload {
        metadata: [("encoding".to_owned(), Bytes::from_static(b"json/plain"))].into(),
        data: Bytes::from(format!("\"{text}\"")),
        ..Default::default()
    };
    Some(Payloads { payloads: vec![payload] })
}

/// With the time that a poll needs.
pub fn patient<T>(message: T) -> Request<T> {
    within(message, Duration::from_secs(15))
}

pub fn within<T>(message: T, time: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

pub fn events(encoded: Option<Bytes>) -> Vec<HistoryEvent> {
    History::decode(encoded.unwrap_or_default()).expect("a history").events
}

pub fn types(events: &[HistoryEvent]) -> Vec<EventType> {
    events.iter().map(HistoryEvent::event_type).collect()
}

pub fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Default::default() }
}

pub fn complete_workflow(result: &str) -> Command {
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(CompleteWorkflowExecutionCommandAttributes {
            result: payloads(result),
        }),
    )
}

/// The one typed detail of a status, if it is of this name.
pub fn detail<M: Message + Default>(status: &Status, name: &str) -> M {
    let sent = rpc::Status::decode(status.details()).expect("typed details");
    let any = sent.details.first().expect("one detail");
    assert!(any.type_url.ends_with(name), "{} is not {name}", any.type_url);
    M::decode(any.value.as_slice()).expect("the detail decodes")
}
