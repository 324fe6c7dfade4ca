//! Completion callbacks: who may be called, what is sent, and what describe says of it.

use crate::world::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use steadfast_api::v1::common::{Callback, callback};
use steadfast_api::v1::enums::{CallbackState, WorkflowIdConflictPolicy};
use steadfast_api::v1::workflow::{CallbackInfo, OnConflictOptions};
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::duration::SECOND;
use steadfast_machine::limits::AddressRule;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::Code;

#[derive(Clone, Debug)]
struct Heard {
    path: String,
    headers: http::HeaderMap,
    body: Bytes,
}

/// Somebody who is called, and answers with the statuses that were asked for, then with 200.
struct Listener {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    news: Arc<Notify>,
}

impl Listener {
    async fn new(statuses: &[u16]) -> Listener {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let (heard, news) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::new(Notify::new()));
        let answers = Arc::new(Mutex::new(statuses.iter().rev().copied().collect::<Vec<u16>>()));
        let listener = Listener { address, heard: heard.clone(), news: news.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (heard, news, answers) = (heard.clone(), news.clone(), answers.clone());
                let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (heard, news, answers) = (heard.clone(), news.clone(), answers.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let (path, headers) = (head.uri.to_string(), head.headers);
                        heard.lock().expect("the list").push(Heard { path, headers, body });
                        news.notify_one();
                        let status = answers.lock().expect("the answers").pop().unwrap_or(200);
                        let response =
                            http::Response::builder().status(status).header("location", "/elsewhere");
                        Ok::<_, hyper::Error>(
                            response.body(Full::new(Bytes::from("sorry"))).expect("a response"),
                        )
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        listener
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn hears(&self, count: usize) -> Vec<Heard> {
        loop {
            let heard = self.heard.lock().expect("the list").clone();
            if heard.len() >= count {
                return heard;
            }
            tokio::time::timeout(Duration::from_secs(20), self.news.notified()).await.expect("a call comes");
        }
    }
}

fn callback(url: &str) -> Callback {
    let header = [("Nexus-Operation-Token".to_owned(), "token".to_owned())].into();
    Callback {
        variant: Some(callback::Variant::Nexus(callback::Nexus { url: url.into(), header })),
        ..Default::default()
    }
}

fn start_with(id: &str, callbacks: Vec<Callback>) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest { completion_callbacks: callbacks, ..start(id) }
}

async fn world() -> World {
    World::with(|options| {
        let rule = |pattern: &str, allow_insecure| AddressRule { pattern: pattern.into(), allow_insecure };
        options.limits.callback_addresses = vec![rule("127.0.0.1:*", true), rule("*.example", false)];
        options.limits.callback_first_interval = SECOND / 20;
    })
    .await
}

/// Waits until the callbacks of a workflow are as they should be.
async fn callbacks_are(world: &mut World, id: &str, states: &[CallbackState]) -> Vec<CallbackInfo> {
    for _ in 0..200 {
        let infos = world.describe(id).await.expect("it is there").callbacks;
        if infos.iter().map(CallbackInfo::state).eq(states.iter().copied()) {
            return infos;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{id}: {:?}", world.describe(id).await.expect("it is there").callbacks);
}

#[tokio::test]
async fn whoever_asked_at_the_start_is_told_of_the_result() {
    let mut world = world().await;
    let listener = Listener::new(&[]).await;
    let request = start_with("w", vec![callback(&listener.url("/done?x=1"))]);
    world.client.start_workflow_execution(request).await.expect("it starts");
    callbacks_are(&mut world, "w", &[CallbackState::Standby]).await;
    world.work(vec![complete_workflow("hi")]).await;
    let heard = &listener.hears(1).await[0];
    assert_eq!(heard.path, "/done?x=1");
    assert_eq!(heard.body, "\"hi\"");
    assert_eq!(heard.headers["content-type"], "application/json");
    assert_eq!(heard.headers["nexus-operation-state"], "succeeded");
    assert_eq!(heard.headers["nexus-operation-token"], "token");
    assert!(heard.headers.contains_key("nexus-operation-start-time"));
    assert!(heard.headers.contains_key("nexus-operation-close-time"));
    let link = heard.headers["nexus-link"].to_str().expect("text");
    assert!(link.starts_with("<temporal:///namespaces/default/workflows/w/"), "{link}");
    let infos = callbacks_are(&mut world, "w", &[CallbackState::Succeeded]).await;
    assert_eq!(infos[0].attempt, 1);
    assert!(infos[0].last_attempt_complete_time.is_some() && infos[0].last_attempt_failure.is_none());
}

#[tokio::test]
async fn a_passing_error_is_tried_again_and_another_is_not() {
    let mut world = world().await;
    let busy = Listener::new(&[503, 302]).await;
    let wrong = Listener::new(&[400]).await;
    let callbacks = vec![callback(&busy.url("/busy")), callback(&wrong.url("/wrong"))];
    world.client.start_workflow_execution(start_with("w", callbacks)).await.expect("it starts");
    world.work(vec![complete_workflow("hi")]).await;
    let infos = callbacks_are(&mut world, "w", &[CallbackState::Succeeded, CallbackState::Failed]).await;
    assert_eq!(infos[0].attempt, 3);
    let failure = infos[1].last_attempt_failure.clone().expect("why it failed");
    assert_eq!(failure.message, "handler error (BAD_REQUEST)");
    // No redirect was followed.
    assert!(busy.hears(3).await.iter().all(|heard| heard.path == "/busy"));
    assert_eq!(wrong.hears(1).await.len(), 1);
}

#[tokio::test]
async fn a_start_that_finds_the_run_attaches_its_callback() {
    let mut world = world().await;
    let listener = Listener::new(&[]).await;
    let first = start_with("w", vec![callback(&listener.url("/first"))]);
    world.client.start_workflow_execution(first).await.expect("it starts");
    let second = StartWorkflowExecutionRequest {
        request_id: "second".into(),
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
        on_conflict_options: Some(OnConflictOptions {
            attach_request_id: true,
            attach_completion_callbacks: true,
            attach_links: true,
        }),
        ..start_with("w", vec![callback(&listener.url("/second"))])
    };
    world.client.start_workflow_execution(second).await.expect("it is attached");
    let request = TerminateWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("w")),
        ..Default::default()
    };
    world.client.terminate_workflow_execution(request).await.expect("it ends");
    let mut heard = listener.hears(2).await;
    heard.sort_by(|a, b| a.path.cmp(&b.path));
    let link = heard[1].headers["nexus-link"].to_str().expect("text");
    assert!(link.contains("referenceType=RequestIdReference&requestID=second"), "{link}");
    for told in heard {
        assert_eq!(told.headers["nexus-operation-state"], "failed");
        let body = r#"{"details":{"terminatedFailureInfo":{}},"message":"operation terminated","metadata":{"type":"temporal.api.failure.v1.Failure"}}"#;
        assert_eq!(told.body, body);
    }
    callbacks_are(&mut world, "w", &[CallbackState::Succeeded, CallbackState::Succeeded]).await;
}

#[tokio::test]
async fn only_configured_addresses_may_be_called() {
    let mut world = world().await;
    for (url, text) in [
        (
            "http://evil.test/",
            "invalid url: url does not match any configured callback address: http://evil.test/",
        ),
        (
            "http://a.example/",
            "invalid url: callback address does not allow insecure connections: http://a.example/",
        ),
        ("ftp://a.example/", "invalid url: unknown scheme: ftp://a.example/"),
    ] {
        let refused = world.client.start_workflow_execution(start_with("w", vec![callback(url)])).await;
        let status = refused.expect_err("it may not be called");
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));
    }
    let mut large = callback("https://a.example/");
    if let Some(callback::Variant::Nexus(nexus)) = &mut large.variant {
        nexus.header.insert("k".into(), "v".repeat(9000));
    }
    let refused = world.client.start_workflow_execution(start_with("w", vec![large])).await;
    let text = "invalid header: header size longer than max allowed size of 8192";
    assert_eq!(refused.expect_err("it is too large").message(), text);
    let many = vec![callback("https://a.example/"); 33];
    let refused = world.client.start_workflow_execution(start_with("w", many)).await;
    assert_eq!(
        refused.expect_err("they are too many").message(),
        "cannot attach more than 32 callbacks to a workflow"
    );
}
