//! Calls to the services of a whole server, over a store in memory: any method with any message, or with bytes that are none,
//! framed, compressed or neither. Requests that a workflow goes through are at hand complete, and are changed field by field.
//!
//! Promised beside: every call is answered or waits; a message that decodes is never answered with INTERNAL, UNKNOWN or DATA_LOSS;
//! and afterwards another namespace works as before.

use crate::message;
use arbitrary::{Result, Unstructured};
use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use prost::Message;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use steadfast_api::v1::command::*;
use steadfast_api::v1::common::{Payload, Payloads, WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::CommandType;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::{Clock, Config, Engine, NamespaceState};
use steadfast_machine::{Limits, Time};
use steadfast_server::frontend::{About, Frontend};
use steadfast_server::listen::{operator_service, workflow_service};
use steadfast_server::token::Tokens;
use steadfast_storage::MemoryStore;
use tonic::Code;
use tower_service::Service;
use uuid::Uuid;

/// Most calls to one server.
const CALLS: usize = 12;
/// How long a call is waited for, of time that passes only while nothing else is to do.
const PATIENCE: Duration = Duration::from_millis(5);

pub fn run(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    // The source gives zeros when it has nothing left.
    let _ = runtime.expect("a runtime starts").block_on(talk(&mut Unstructured::new(input)));
}

/// Every look at it is a microsecond later.
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

async fn frontend() -> Arc<Frontend> {
    let clock = Arc::new(Ticking(AtomicI64::new(1_767_225_600_000_000_000)));
    let store = Arc::new(MemoryStore::new(1, Uuid::from_u128(9)));
    let limits =
        Limits { activity_operations: true, workflow_pause: true, workflow_rules: true, ..Limits::default() };
    let config = Config { limits: limits.clone(), seed: 1, ..Config::default() };
    let engine = Engine::start(store, clock, config).await.expect("an empty store opens");
    for (number, name) in ["default", "canary"].into_iter().enumerate() {
        let state = NamespaceState::new(Uuid::from_u128(number as u128 + 1), name);
        engine.namespaces().register(state).await.expect("it is not there yet");
    }
    let stopping = Default::default();
    Arc::new(Frontend::new(engine, limits, Tokens::new([7; 32]), About::default(), stopping))
}

/// What the next calls can be about.
#[derive(Default)]
struct Known {
    workflow_task: Bytes,
    activity_task: Bytes,
    page: Bytes,
}

async fn talk(source: &mut Unstructured<'_>) -> Result<()> {
    let frontend = frontend().await;
    let mut known = Known::default();
    for _ in 0..CALLS {
        if source.is_empty() {
            break;
        }
        let (service, method) = method(source)?;
        let name = format!("temporal.api.{service}.v1.{method}Request");
        let mut body = base(&name, &method, &known);
        let whole = source.ratio(15_u8, 16_u8)?;
        if whole {
            if source.arbitrary()? {
                body.extend(message::fields(&name, source)?);
            }
        } else {
            let length = source.len().min(usize::from(source.arbitrary::<u8>()?));
            body = source.bytes(length)?.to_vec();
        }
        let request = framed(&service, &method, &body, source)?;
        let answer = call(&frontend, request).await;
        let Some((code, text, reply)) = answer else { continue };
        let broken = matches!(code, Code::Internal | Code::Unknown | Code::DataLoss);
        assert!(!broken || !whole, "{method}: {code:?} {text}");
        learn(&mut known, &method, &reply);
    }
    let start = start("canary", "canary");
    let path = "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution";
    let answer = call(&frontend, plain(path, &start.encode_to_vec())).await;
    let (code, text, _) = answer.expect("a start is answered");
    assert_eq!(code, Code::Ok, "the canary: {text}");
    frontend.engine.shut_down().await;
    Ok(())
}

/// A method, mostly one of those that a workflow goes through: its service (as packages call it) and its name.
fn method(source: &mut Unstructured<'_>) -> Result<(String, String)> {
    const USUAL: &[&str] = &[
        "StartWorkflowExecution",
        "PollWorkflowTaskQueue",
        "RespondWorkflowTaskCompleted",
        "PollActivityTaskQueue",
        "RespondActivityTaskCompleted",
        "SignalWorkflowExecution",
        "GetWorkflowExecutionHistory",
        "ListWorkflowExecutions",
        "SignalWithStartWorkflowExecution",
        "UpdateWorkflowExecution",
        "QueryWorkflow",
        "DescribeWorkflowExecution",
        "TerminateWorkflowExecution",
        "ResetWorkflowExecution",
        "UpdateActivityOptions",
        "CreateWorkflowRule",
    ];
    if source.ratio(3_u8, 4_u8)? {
        return Ok(("workflowservice".into(), (*source.choose(USUAL)?).into()));
    }
    let services: Vec<_> = ["workflowservice", "operatorservice"]
        .iter()
        .filter_map(|name| {
            let title = if *name == "workflowservice" { "WorkflowService" } else { "OperatorService" };
            Some((*name, message::pool().get_service_by_name(&format!("temporal.api.{name}.v1.{title}"))?))
        })
        .collect();
    let (package, service) = source.choose(&services)?;
    let methods: Vec<String> = service.methods().map(|method| method.name().to_owned()).collect();
    Ok(((*package).into(), source.choose(&methods)?.clone()))
}

fn payloads() -> Option<Payloads> {
    let payload = Payload {
        metadata: [("encoding".to_owned(), Bytes::from_static(b"json/plain"))].into(),
        data: Bytes::from_static(b"\"v\""),
        ..Payload::default()
    };
    Some(Payloads { payloads: vec![payload] })
}

fn start(namespace: &str, id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: namespace.into(),
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: "T".into() }),
        task_queue: Some(TaskQueue { name: "q".into(), ..TaskQueue::default() }),
        request_id: "r".into(),
        input: payloads(),
        ..StartWorkflowExecutionRequest::default()
    }
}

/// A request that is answered with yes, where one is known; else one with nothing but the namespace, which all requests have
/// that have one at all.
fn base(name: &str, method: &str, known: &Known) -> Vec<u8> {
    let namespace = || "default".to_owned();
    let execution = || Some(WorkflowExecution { workflow_id: "w".into(), run_id: String::new() });
    let queue = || Some(TaskQueue { name: "q".into(), ..TaskQueue::default() });
    match method {
        "StartWorkflowExecution" => start("default", "w").encode_to_vec(),
        "SignalWithStartWorkflowExecution" => SignalWithStartWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_id: "w".into(),
            workflow_type: Some(WorkflowType { name: "T".into() }),
            task_queue: queue(),
            signal_name: "s".into(),
            ..Default::default()
        }
        .encode_to_vec(),
        "PollWorkflowTaskQueue" => {
            PollWorkflowTaskQueueRequest { namespace: namespace(), task_queue: queue(), ..Default::default() }
                .encode_to_vec()
        }
        "PollActivityTaskQueue" => {
            PollActivityTaskQueueRequest { namespace: namespace(), task_queue: queue(), ..Default::default() }
                .encode_to_vec()
        }
        "RespondWorkflowTaskCompleted" => RespondWorkflowTaskCompletedRequest {
            namespace: namespace(),
            task_token: known.workflow_task.clone(),
            commands: vec![activity()],
            ..Default::default()
        }
        .encode_to_vec(),
        "RespondWorkflowTaskFailed" => RespondWorkflowTaskFailedRequest {
            namespace: namespace(),
            task_token: known.workflow_task.clone(),
            ..Default::default()
        }
        .encode_to_vec(),
        "RespondActivityTaskCompleted" => RespondActivityTaskCompletedRequest {
            namespace: namespace(),
            task_token: known.activity_task.clone(),
            result: payloads(),
            ..Default::default()
        }
        .encode_to_vec(),
        "GetWorkflowExecutionHistory" => GetWorkflowExecutionHistoryRequest {
            namespace: namespace(),
            execution: execution(),
            next_page_token: known.page.clone(),
            maximum_page_size: 1,
            ..Default::default()
        }
        .encode_to_vec(),
        "SignalWorkflowExecution" => SignalWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: execution(),
            signal_name: "s".into(),
            ..Default::default()
        }
        .encode_to_vec(),
        "DescribeWorkflowExecution" => {
            DescribeWorkflowExecutionRequest { namespace: namespace(), execution: execution() }
                .encode_to_vec()
        }
        "ResetWorkflowExecution" => ResetWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: execution(),
            workflow_task_finish_event_id: 4,
            ..Default::default()
        }
        .encode_to_vec(),
        _ => message::with_text(name, "namespace", "default"),
    }
}

fn activity() -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: "a0".into(),
        activity_type: Some(steadfast_api::v1::common::ActivityType { name: "A".into() }),
        task_queue: Some(TaskQueue { name: "q".into(), ..TaskQueue::default() }),
        start_to_close_timeout: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    Command {
        command_type: CommandType::ScheduleActivityTask as i32,
        attributes: Some(command::Attributes::ScheduleActivityTaskCommandAttributes(attributes)),
        ..Command::default()
    }
}

/// Remembers what the next calls need.
fn learn(known: &mut Known, method: &str, reply: &[u8]) {
    match method {
        "PollWorkflowTaskQueue" => {
            let task = PollWorkflowTaskQueueResponse::decode(reply).unwrap_or_default();
            if !task.task_token.is_empty() {
                known.workflow_task = task.task_token;
            }
        }
        "PollActivityTaskQueue" => {
            let task = PollActivityTaskQueueResponse::decode(reply).unwrap_or_default();
            if !task.task_token.is_empty() {
                known.activity_task = task.task_token;
            }
        }
        "GetWorkflowExecutionHistory" => {
            known.page =
                GetWorkflowExecutionHistoryResponse::decode(reply).unwrap_or_default().next_page_token;
        }
        _ => {}
    }
}

type Sent = Request<tonic::body::Body>;

fn plain(path: &str, body: &[u8]) -> Sent {
    let mut framed = BytesMut::with_capacity(body.len() + 5);
    framed.put_u8(0);
    framed.put_u32(body.len() as u32);
    framed.extend_from_slice(body);
    let mut request = Request::new(tonic::body::Body::new(Full::new(framed.freeze())));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = path.parse().expect("paths of services are paths");
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert("grpc-timeout", HeaderValue::from_static("10S"));
    request
}

/// The message in a frame: as it is, compressed, or with a head that does not fit.
fn framed(service: &str, method: &str, body: &[u8], source: &mut Unstructured<'_>) -> Result<Sent> {
    let title = if service == "workflowservice" { "WorkflowService" } else { "OperatorService" };
    let path = format!("/temporal.api.{service}.v1.{title}/{method}");
    let how = source.int_in_range(0..=31_u8)?;
    let mut request = plain(&path, body);
    if how == 1 || how == 2 {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).expect("memory takes what is written");
        let mut zipped = encoder.finish().expect("memory takes what is written");
        if how == 2 {
            zipped.truncate(source.int_in_range(0..=zipped.len())?);
        }
        let mut frame = BytesMut::new();
        frame.put_u8(1);
        frame.put_u32(zipped.len() as u32);
        frame.extend_from_slice(&zipped);
        *request.body_mut() = tonic::body::Body::new(Full::new(frame.freeze()));
        request.headers_mut().insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    if how == 3 {
        let length = source.len().min(8);
        let frame = Bytes::copy_from_slice(source.bytes(length)?);
        *request.body_mut() = tonic::body::Body::new(Full::new(frame));
    }
    if matches!(how, 2 | 3) {
        // What comes back is an error of the frame, and may be INTERNAL.
        request.extensions_mut().insert(Broken);
    }
    Ok(request)
}

/// The frame of this request is none.
#[derive(Clone, Copy)]
struct Broken;

/// Code, message and reply; none if the call waits for something, or could not but be answered with an error.
async fn call(frontend: &Arc<Frontend>, request: Sent) -> Option<(Code, String, Bytes)> {
    let broken = request.extensions().get::<Broken>().is_some();
    let workflow = request.uri().path().contains("workflowservice");
    let answered = async {
        let response = match workflow {
            true => workflow_service(frontend.clone()).call(request).await,
            false => operator_service(frontend.clone()).call(request).await,
        };
        let Ok(response) = response;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body of an answer comes whole");
        let trailers = body.trailers().cloned().unwrap_or_default();
        let header = |name: &str| parts.headers.get(name).or(trailers.get(name)).cloned();
        let code = header("grpc-status").expect("every answer has a status");
        let text = header("grpc-message").map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
        let reply = body.to_bytes();
        (Code::from_bytes(code.as_bytes()), text.unwrap_or_default(), reply.slice(reply.len().min(5)..))
    };
    let answer = tokio::time::timeout(PATIENCE, answered).await.ok();
    answer.filter(|_| !broken)
}
