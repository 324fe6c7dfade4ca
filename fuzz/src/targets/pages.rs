//! The pages' server: a request of a browser, or of whoever, in front of a server that answers with any messages.
//!
//! Promised beside: every answer says that its type is not to be guessed; a foreign host gets nothing; nothing that is shown
//! becomes markup; what is asked of the server is what the path says.

use crate::message;
use arbitrary::{Result, Unstructured};
use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_ui::{Changes, UiOptions, router};
use tokio::sync::watch;
use tower_service::Service;

/// Bytes of a stream that are looked at, at most.
const LOOKED_AT: usize = 64 << 10;

pub fn run(input: &[u8]) {
    // The source gives zeros when it has nothing left.
    let _ = ask(&mut Unstructured::new(input));
}

const PATHS: &[&str] = &[
    "/",
    "/namespaces",
    "/namespaces/default",
    "/namespaces/default/workflows?query=",
    "/namespaces/default/workflows/w",
    "/namespaces/default/workflows/w/00000000-0000-7000-8000-000000000001",
    "/namespaces/default/workflows/w/r/history",
    "/namespaces/default/task-queues/q",
    "/assets/",
    "/ui/api/namespaces",
    "/ui/api/namespaces/default/workflows?query=",
    "/ui/api/namespaces/default/workflows?page=",
    "/ui/api/namespaces/default/live?version=",
    "/ui/api/namespaces/default/find?text=",
    "/ui/api/namespaces/default/workflows/w",
    "/ui/api/namespaces/default/workflows/w/r",
    "/ui/api/namespaces/default/workflows/w/r/live?after=",
    "/ui/api/namespaces/default/workflows/w/r/history?around=",
    "/ui/api/namespaces/default/workflows/w/r/history?newest=true&token=",
    "/ui/api/namespaces/default/workflows/w/r/events/",
    "/ui/api/namespaces/default/task-queues/q",
    "/ui/api/namespaces/default/workflows/w/r/signal",
    "/ui/api/namespaces/default/workflows/w/r/cancel",
    "/ui/api/namespaces/default/workflows/w/r/terminate",
    "/ui/api/namespaces/default/workflows/w/r/query",
];
/// From here on they are changes.
const CHANGES: usize = 21;

const ENDS: &[&str] = &[
    "",
    "1",
    "-9223372036854775808",
    "9223372036854775807",
    "ExecutionStatus%20%3D%20%22Running%22",
    "(a=1%20OR%20b=2)%20AND%20ExecutionStatus=%22Failed%22",
    "%2e%2e%2f%2e%2e",
    "00000000-0000-7000-8000-000000000001",
    "%00%ff",
    "AAAA",
];

const HOSTS: &[&str] = &[
    "localhost:8080",
    "localhost",
    "127.0.0.1:1",
    "[::1]:8080",
    "evil.example",
    "localhost.evil.example",
    "[::1",
    "",
];

const BODIES: &[&str] =
    &[r#"{"name":"go","input":["{\"a\":1}","[[[[1]]]]"]}"#, r#"{"reason":"</script><i>x</i>"}"#, "{}", ""];

fn ask(source: &mut Unstructured<'_>) -> Result<()> {
    let place = source.choose_index(PATHS.len())?;
    let mut path = PATHS[place].to_owned();
    path.push_str(source.choose(ENDS)?);
    let length = source.len().min(usize::from(source.arbitrary::<u8>()? % 16));
    path.push_str(&String::from_utf8_lossy(source.bytes(length)?));
    // Mostly the first, or little else would be seen.
    let host = if source.ratio(3_u8, 4_u8)? { HOSTS[0] } else { source.choose(HOSTS)? };
    let headers: u8 = source.arbitrary()?;
    let mut request = Request::builder()
        .method(if place >= CHANGES || headers & 1 == 1 { "POST" } else { "GET" })
        .uri(path)
        .header("host", host)
        .header("content-type", "application/json");
    if headers & 2 != 0 {
        request = request.header("accept-encoding", "gzip;q=0.5, br");
    }
    if headers & 4 != 0 {
        request = request.header("last-event-id", *source.choose(ENDS)?);
    }
    if headers & 8 != 0 {
        request = request.header("origin", format!("http://{host}"));
    }
    let mut body = source.choose(BODIES)?.as_bytes().to_vec();
    if headers & 16 != 0 {
        let length = source.len().min(usize::from(source.arbitrary::<u8>()? % 32));
        body.extend_from_slice(source.bytes(length)?);
    }
    // Not everything is an address.
    let Ok(request) = request.body(Body::from(body)) else { return Ok(()) };
    let rest = Bytes::copy_from_slice(source.bytes(source.len())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(answered(request, host, rest));
    Ok(())
}

async fn answered(request: Request<Body>, host: &str, rest: Bytes) {
    let server = Scripted(Arc::new(Mutex::new((rest, 0))));
    let (_sender, changes) = watch::channel(0);
    let mut router =
        router(UiOptions::default(), WorkflowServiceClient::new(server), Arc::new(Never(changes)));
    let line = format!("{} {}", request.method(), request.uri());
    // A router asks no questions before it is called, and does not fail.
    let Ok(response) = router.call(request).await;
    let (parts, mut body) = response.into_parts();
    if !line.ends_with("/healthz") {
        let foreign = host.contains("evil") || host.is_empty();
        assert!(!foreign || parts.status == StatusCode::FORBIDDEN, "{line} of {host:?}: {}", parts.status);
        assert_eq!(
            parts.headers.get("x-content-type-options").map(|value| value.as_bytes()),
            Some(&b"nosniff"[..])
        );
    }
    let mut seen = Vec::new();
    // A stream goes on until time is over; time passes at once here.
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(Duration::from_secs(30), body.frame()).await {
        seen.extend_from_slice(&frame.into_data().unwrap_or_default());
        if seen.len() > LOOKED_AT {
            break;
        }
    }
    let html =
        parts.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let seen = String::from_utf8_lossy(&seen);
    assert!(!html || !seen.contains("<i>x</i>"), "{line}: what is shown became markup");
}

struct Never(watch::Receiver<u64>);

impl Changes for Never {
    fn changes(&self, _namespace: &str) -> watch::Receiver<u64> {
        self.0.clone()
    }
}

/// A server that makes its answers of bytes; when they are used up it is not there any more.
#[derive(Clone)]
struct Scripted(Arc<Mutex<(Bytes, usize)>>);

impl Service<Request<tonic::body::Body>> for Scripted {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        script.1 += 1;
        let (bytes, calls) = (script.0.clone(), script.1);
        let mut source = Unstructured::new(&bytes);
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let name = format!("temporal.api.workflowservice.v1.{method}Response");
        let message = match source.is_empty() || calls > 64 {
            true => None,
            // The source gives zeros when it has nothing left.
            false => message::fields(&name, &mut source).ok(),
        };
        let used = bytes.len() - source.len();
        script.0 = bytes.slice(used..);
        async move { Ok(answer(message)) }.boxed()
    }
}

fn answer(message: Option<Vec<u8>>) -> Response<tonic::body::Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(if message.is_some() { "0" } else { "14" }));
    let mut body = BytesMut::new();
    if let Some(message) = message {
        body.put_u8(0);
        body.put_u32(message.len() as u32);
        body.extend_from_slice(&message);
    }
    let body = Full::new(body.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(tonic::body::Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
