//! Every address of the pages. They are those of Temporal's own UI, so that bookmarks and the links that the command
//! line prints keep working.

use crate::UiOptions;
use crate::actions;
use crate::assets;
use crate::backend::{Backend, Changes};
use crate::error::Problem;
use crate::guard;
use crate::history::{self, HistoryParams, Run};
use crate::list::{self, ListParams};
use crate::live::{self, LiveList, LiveRun};
use crate::namespaces;
use crate::page;
use crate::queue;
use crate::respond;
use crate::workflow;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use uuid::Uuid;

#[derive(Clone)]
struct Ui {
    options: Arc<UiOptions>,
    backend: Arc<dyn Backend>,
    changes: Arc<dyn Changes>,
}

/// The pages of the server behind `client`, under `options.public_path` (and also without it, for a proxy in front that
/// takes the path away). `changes` tells when to look at a list again.
pub fn router<T>(options: UiOptions, client: WorkflowServiceClient<T>, changes: Arc<dyn Changes>) -> Router
where
    T: tonic::client::GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
    T::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let path = options.public_path.trim_end_matches('/').to_owned();
    let options = Arc::new(UiOptions { public_path: path.clone(), ..options });
    // A page of history can be longer than tonic's default of 4 MiB.
    let backend = Arc::new(client.max_decoding_message_size(usize::MAX));
    let ui = Ui { options: options.clone(), backend, changes };
    let pages = routes(ui.clone());
    let mut all = pages.clone();
    if !path.is_empty() {
        all = all.route(&format!("{path}/"), get(home).with_state(ui)).nest(&path, pages);
    }
    let guarded = all.layer(middleware::from_fn_with_state(options, guard::guard));
    // Outside the guard: whoever checks the health of a server names it as he likes.
    let paths = BTreeSet::from(["/healthz".to_owned(), format!("{path}/healthz")]);
    paths.iter().fold(guarded, |all, path| all.route(path, get(health)))
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "OK" }))
}

fn routes(ui: Ui) -> Router {
    const NAMESPACE: &str = "/namespaces/{namespace}";
    const RUN: &str = "/namespaces/{namespace}/workflows/{workflow}/{run}";
    let pages = Router::new()
        .route("/", get(home))
        .route("/namespaces", get(namespaces_page))
        .route(NAMESPACE, get(namespace_page))
        .route(&format!("{NAMESPACE}/workflows"), get(list_page))
        .route(&format!("{NAMESPACE}/workflows/{{workflow}}"), get(latest_run_page))
        .route(RUN, get(run_page))
        .route(&format!("{RUN}/{{*tab}}"), get(run_tab_page))
        .route(&format!("{NAMESPACE}/task-queues/{{queue}}"), get(queue_page))
        .route("/assets/{name}", get(asset));
    let data = Router::new()
        .route("/namespaces", get(namespaces_data))
        .route(&format!("{NAMESPACE}/workflows"), get(list_data))
        .route(&format!("{NAMESPACE}/live"), get(list_live))
        .route(&format!("{NAMESPACE}/find"), get(find))
        .route(&format!("{NAMESPACE}/workflows/{{workflow}}"), get(latest_run_data))
        .route(RUN, get(run_data))
        .route(&format!("{RUN}/live"), get(run_live))
        .route(&format!("{RUN}/history"), get(history_data))
        .route(&format!("{RUN}/events/{{event}}"), get(event_data))
        .route(&format!("{RUN}/signal"), post(signal))
        .route(&format!("{RUN}/cancel"), post(cancel))
        .route(&format!("{RUN}/terminate"), post(terminate))
        .route(&format!("{RUN}/query"), post(query))
        .route(&format!("{NAMESPACE}/task-queues/{{queue}}"), get(queue_data))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "NotFound", "no such address") });
    pages.nest("/ui/api", data).fallback(lost_page).with_state(ui)
}

type Answer = Result<Value, Problem>;

impl Ui {
    /// `answer` inside a page.
    fn page(&self, request: &HeaderMap, answer: Answer) -> Response {
        let nonce = fresh_id();
        match answer {
            Ok(data) => page::html(&self.options, request, StatusCode::OK, &data, nonce.as_bytes()),
            Err(problem) => {
                page::html(&self.options, request, problem.status, &problem.to_json(), nonce.as_bytes())
            }
        }
    }

    /// `answer` alone.
    fn data(&self, request: &HeaderMap, answer: Answer) -> Response {
        match answer {
            Ok(data) => respond::json(request, StatusCode::OK, &data),
            Err(problem) => respond::json(request, problem.status, &problem.to_json()),
        }
    }

    fn stream(&self, feed: impl live::Feed) -> Response {
        let mut response = Sse::new(live::stream(feed)).keep_alive(KeepAlive::default()).into_response();
        // For proxies that would otherwise hold back what is meant to be seen at once.
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn redirect(&self, path: &str) -> Redirect {
        Redirect::temporary(&format!("{}{path}", self.options.public_path))
    }
}

/// A nonce, or the request id of a click. Nothing that is decided or stored depends on its value.
#[allow(clippy::disallowed_methods)]
fn fresh_id() -> Uuid {
    Uuid::new_v4()
}

#[derive(Deserialize)]
struct InNamespace {
    namespace: String,
}

#[derive(Deserialize)]
struct InWorkflow {
    namespace: String,
    workflow: String,
    #[serde(default)]
    run: String,
}

impl From<InWorkflow> for Run {
    fn from(path: InWorkflow) -> Run {
        Run { namespace: path.namespace, workflow_id: path.workflow, run_id: path.run }
    }
}

#[derive(Deserialize)]
struct InQueue {
    namespace: String,
    queue: String,
}

#[derive(Deserialize)]
struct InEvent {
    namespace: String,
    workflow: String,
    run: String,
    event: i64,
}

// Pages

async fn home(State(ui): State<Ui>) -> Redirect {
    ui.redirect(&format!("/namespaces/{}/workflows", encoded(&ui.options.default_namespace)))
}

async fn namespace_page(State(ui): State<Ui>, Path(path): Path<InNamespace>) -> Redirect {
    ui.redirect(&format!("/namespaces/{}/workflows", encoded(&path.namespace)))
}

async fn namespaces_page(State(ui): State<Ui>, headers: HeaderMap) -> Response {
    ui.page(&headers, namespaces::load(&*ui.backend).await)
}

async fn list_page(
    State(ui): State<Ui>,
    Path(path): Path<InNamespace>,
    Query(params): Query<ListParams>,
    headers: HeaderMap,
) -> Response {
    ui.page(&headers, list::load(&*ui.backend, &path.namespace, &params).await)
}

async fn latest_run_page(State(ui): State<Ui>, Path(path): Path<InWorkflow>, headers: HeaderMap) -> Response {
    ui.page(&headers, workflow::load(&*ui.backend, &path.into()).await)
}

async fn run_page(State(ui): State<Ui>, Path(path): Path<InWorkflow>, headers: HeaderMap) -> Response {
    ui.page(&headers, workflow::load(&*ui.backend, &path.into()).await)
}

/// All tabs of the other UI are one page here.
async fn run_tab_page(State(ui): State<Ui>, Path(path): Path<InWorkflow>, headers: HeaderMap) -> Response {
    ui.page(&headers, workflow::load(&*ui.backend, &path.into()).await)
}

async fn queue_page(State(ui): State<Ui>, Path(path): Path<InQueue>, headers: HeaderMap) -> Response {
    ui.page(&headers, queue::load(&*ui.backend, &path.namespace, &path.queue).await)
}

async fn lost_page(State(ui): State<Ui>, uri: Uri, headers: HeaderMap) -> Response {
    let problem =
        Problem::new(StatusCode::NOT_FOUND, "NotFound", format!("there is no page at {}", uri.path()));
    ui.page(&headers, Err(problem))
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    assets::serve(&name, &headers)
}

// The data behind them

async fn namespaces_data(State(ui): State<Ui>, headers: HeaderMap) -> Response {
    ui.data(&headers, namespaces::load(&*ui.backend).await)
}

async fn list_data(
    State(ui): State<Ui>,
    Path(path): Path<InNamespace>,
    Query(params): Query<ListParams>,
    headers: HeaderMap,
) -> Response {
    ui.data(&headers, list::load(&*ui.backend, &path.namespace, &params).await)
}

#[derive(Deserialize)]
struct FindParams {
    text: String,
}

async fn find(
    State(ui): State<Ui>,
    Path(path): Path<InNamespace>,
    Query(params): Query<FindParams>,
    headers: HeaderMap,
) -> Response {
    ui.data(&headers, list::find(&*ui.backend, &path.namespace, &params.text).await)
}

async fn latest_run_data(State(ui): State<Ui>, Path(path): Path<InWorkflow>, headers: HeaderMap) -> Response {
    ui.data(&headers, workflow::load(&*ui.backend, &path.into()).await)
}

async fn run_data(State(ui): State<Ui>, Path(path): Path<InWorkflow>, headers: HeaderMap) -> Response {
    ui.data(&headers, workflow::load(&*ui.backend, &path.into()).await)
}

async fn history_data(
    State(ui): State<Ui>,
    Path(path): Path<InWorkflow>,
    Query(params): Query<HistoryParams>,
    headers: HeaderMap,
) -> Response {
    ui.data(&headers, history::load(&*ui.backend, &path.into(), &params).await)
}

async fn event_data(State(ui): State<Ui>, Path(path): Path<InEvent>, headers: HeaderMap) -> Response {
    let run = Run { namespace: path.namespace, workflow_id: path.workflow, run_id: path.run };
    ui.data(&headers, history::event(&*ui.backend, &run, path.event).await)
}

async fn queue_data(State(ui): State<Ui>, Path(path): Path<InQueue>, headers: HeaderMap) -> Response {
    ui.data(&headers, queue::load(&*ui.backend, &path.namespace, &path.queue).await)
}

// Live

#[derive(Deserialize)]
struct LiveListParams {
    #[serde(default)]
    query: String,
    /// The version that the page holds.
    #[serde(default)]
    version: String,
}

async fn list_live(
    State(ui): State<Ui>,
    Path(path): Path<InNamespace>,
    Query(params): Query<LiveListParams>,
) -> Response {
    let changes = ui.changes.changes(&path.namespace);
    let list = ListParams { query: params.query, page: String::new() };
    let now = (ui.options.clock)();
    ui.stream(LiveList::new(ui.backend.clone(), path.namespace, list, params.version, changes, now))
}

#[derive(Deserialize)]
struct LiveRunParams {
    /// The last event that the page holds.
    #[serde(default)]
    after: i64,
}

async fn run_live(
    State(ui): State<Ui>,
    Path(path): Path<InWorkflow>,
    Query(params): Query<LiveRunParams>,
    headers: HeaderMap,
) -> Response {
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let changes = ui.changes.changes(&path.namespace);
    let now = (ui.options.clock)();
    ui.stream(LiveRun::new(ui.backend.clone(), path.into(), resumed.unwrap_or(params.after), changes, now))
}

// Changes

async fn signal(
    State(ui): State<Ui>,
    Path(path): Path<InWorkflow>,
    headers: HeaderMap,
    Json(body): Json<actions::Signal>,
) -> Response {
    let answer = actions::signal(&*ui.backend, &path.into(), body, fresh_id().to_string()).await;
    ui.data(&headers, answer)
}

async fn cancel(
    State(ui): State<Ui>,
    Path(path): Path<InWorkflow>,
    headers: HeaderMap,
    Json(body): Json<actions::Reason>,
) -> Response {
    let answer = actions::cancel(&*ui.backend, &path.into(), body, fresh_id().to_string()).await;
    ui.data(&headers, answer)
}

async fn terminate(
    State(ui): State<Ui>,
    Path(path): Path<InWorkflow>,
    headers: HeaderMap,
    Json(body): Json<actions::Reason>,
) -> Response {
    ui.data(&headers, actions::terminate(&*ui.backend, &path.into(), body).await)
}

async fn query(
    State(ui): State<Ui>,
    Path(path): Path<InWorkflow>,
    headers: HeaderMap,
    Json(body): Json<actions::Query>,
) -> Response {
    ui.data(&headers, actions::query(&*ui.backend, &path.into(), body).await)
}

/// A segment of a path.
fn encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte as char),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
