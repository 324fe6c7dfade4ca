//! Somebody on this machine who is called when workflows end. While it is ill it answers as it likes: with an error, late,
//! not at all, or by hanging up.

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use steadfast_api::v1::common::Callback;
use steadfast_api::v1::common::callback::{Nexus, Variant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A late answer comes after this; it is sooner than the server gives up.
const LATE: Duration = Duration::from_millis(200);
/// The server gives up a call after this, and waits so long at most until the next.
const CALL_TIMEOUT: &str = "500ms";
const LONGEST_INTERVAL: &str = "500ms";
const FIRST_INTERVAL: &str = "50ms";

/// A call that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The workflow id for which the callback was attached.
    pub id: String,
    /// What it says of the run, and of its end.
    pub link: String,
    pub state: String,
    pub close_time: Option<prost_types::Timestamp>,
    pub body: String,
    /// It was answered with success, or was about to be when the caller went away.
    pub accepted: bool,
}

/// Listens until it is dropped.
pub struct Listener {
    port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    ill: Arc<AtomicBool>,
    _accepting: JoinSet<()>,
}

/// What happens to a call.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Accept,
    AcceptLate,
    Refuse,
    Hang,
    HangUp,
}

impl Listener {
    /// Ill, and answers by chance.
    pub async fn start(seed: u64) -> Result<Listener> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let (heard, ill) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::new(AtomicBool::new(true)));
        let port = socket.local_addr()?.port();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(socket, heard.clone(), ill.clone(), fastrand::Rng::with_seed(seed)));
        Ok(Listener { port, heard, ill, _accepting: accepting })
    }

    /// Flags of a server that may call it, and does so again soon.
    pub fn flags(&self) -> Vec<String> {
        let allowed = format!("[{{\"Pattern\":\"127.0.0.1:{}\",\"AllowInsecure\":true}}]", self.port);
        let settings = [
            format!("component.callbacks.allowedAddresses={allowed}"),
            format!("component.callbacks.request.timeout=\"{CALL_TIMEOUT}\""),
            format!("component.callbacks.retryPolicy.initialInterval=\"{FIRST_INTERVAL}\""),
            format!("component.callbacks.retryPolicy.maxInterval=\"{LONGEST_INTERVAL}\""),
        ];
        settings.into_iter().flat_map(|setting| ["--dynamic-config-value".into(), setting]).collect()
    }

    /// The callback that tells it the end of this workflow.
    pub fn callback(&self, id: &str) -> Callback {
        callback_at(self.port, id)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on it answers at once and well, or not.
    pub fn set_ill(&self, ill: bool) {
        self.ill.store(ill, Ordering::Release);
    }

    /// All calls so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A callback to the listener on this port.
pub fn callback_at(port: u16, id: &str) -> Callback {
    let nexus = Nexus { url: format!("http://127.0.0.1:{port}/{id}"), ..Nexus::default() };
    Callback { variant: Some(Variant::Nexus(nexus)), ..Callback::default() }
}

async fn accept(
    socket: TcpListener,
    heard: Arc<Mutex<Vec<Heard>>>,
    ill: Arc<AtomicBool>,
    mut random: fastrand::Rng,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // What cannot be accepted now may be in a moment: the server calls again.
        let Ok((stream, _)) = socket.accept().await else { continue };
        let answer = match random.u8(..10) {
            _ if !ill.load(Ordering::Acquire) => Answer::Accept,
            0..4 => Answer::Accept,
            4 => Answer::AcceptLate,
            5..7 => Answer::Refuse,
            7 => Answer::Hang,
            8 => Answer::HangUp,
            // Nothing is read of it.
            _ => continue,
        };
        let heard = heard.clone();
        let service = service_fn(move |request| reply(request, answer, heard.clone()));
        let connection = hyper::server::conn::http1::Builder::new();
        // A connection that breaks is one of the things that happen here.
        connections
            .spawn(async move { drop(connection.serve_connection(TokioIo::new(stream), service).await) });
    }
}

async fn reply(
    request: Request<Incoming>,
    answer: Answer,
    heard: Arc<Mutex<Vec<Heard>>>,
) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| text(&head.headers, name);
    let accepted = matches!(answer, Answer::Accept | Answer::AcceptLate);
    heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard {
        id: head.uri.path().trim_start_matches('/').into(),
        link: header("nexus-link"),
        state: header("nexus-operation-state"),
        close_time: header("nexus-operation-close-time").parse().ok(),
        body: String::from_utf8_lossy(&body).into_owned(),
        accepted,
    });
    match answer {
        Answer::AcceptLate => tokio::time::sleep(LATE).await,
        Answer::Hang => std::future::pending().await,
        Answer::HangUp => anyhow::bail!("the connection is closed without an answer"),
        Answer::Accept | Answer::Refuse => {}
    }
    Ok(Response::builder().status(if accepted { 200 } else { 503 }).body(Full::default())?)
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().into()
}
