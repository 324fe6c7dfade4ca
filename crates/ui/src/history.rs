//! Pages of a run's history, from either end or around one event.

use crate::backend::Backend;
use crate::error::Problem;
use crate::proto_json::ProtoJson;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_api::v1::workflowservice::{
    GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryReverseRequest,
};

/// Batches of one page. The API counts the batches in which events were written, mostly of one to three events, and
/// never splits one.
const PAGE_BATCHES: i32 = 50;
/// Batches of a page that is only walked over, on the way to another.
const WALK_BATCHES: i32 = 1000;
/// Events on either side of one that is looked for.
const NEAR_EVENTS: u64 = 50;

/// A run, by name.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub namespace: String,
    pub workflow_id: String,
    /// Empty for the latest run.
    pub run_id: String,
}

impl Run {
    pub fn execution(&self) -> WorkflowExecution {
        WorkflowExecution { workflow_id: self.workflow_id.clone(), run_id: self.run_id.clone() }
    }
}

/// Events in ascending order, and where the next page in the walk's direction starts (empty at the end).
pub(crate) struct Page {
    pub events: Vec<HistoryEvent>,
    pub next: Bytes,
}

impl Page {
    pub fn to_json(&self, json: &ProtoJson) -> Value {
        json!({
            "events": self.events.iter().map(|event| json.event(event)).collect::<Vec<_>>(),
            "next": URL_SAFE_NO_PAD.encode(&self.next),
        })
    }
}

pub(crate) async fn oldest(
    backend: &dyn Backend,
    run: &Run,
    token: Bytes,
    size: i32,
) -> Result<Page, Problem> {
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: run.namespace.clone(),
        execution: Some(run.execution()),
        maximum_page_size: size,
        next_page_token: token,
        ..Default::default()
    };
    let answer = backend.get_workflow_execution_history(request).await?;
    Ok(Page { events: decode(answer.history)?, next: answer.next_page_token })
}

pub(crate) async fn newest(
    backend: &dyn Backend,
    run: &Run,
    token: Bytes,
    size: i32,
) -> Result<Page, Problem> {
    let request = GetWorkflowExecutionHistoryReverseRequest {
        namespace: run.namespace.clone(),
        execution: Some(run.execution()),
        maximum_page_size: size,
        next_page_token: token,
    };
    let answer = backend.get_workflow_execution_history_reverse(request).await?;
    let mut events = decode(answer.history)?;
    events.sort_by_key(|event| event.event_id);
    Ok(Page { events, next: answer.next_page_token })
}

fn decode(history: Option<Bytes>) -> Result<Vec<HistoryEvent>, Problem> {
    let damaged =
        |_| Problem::from(tonic::Status::data_loss("the server sent a history that cannot be read"));
    Ok(History::decode(history.unwrap_or_default()).map_err(damaged)?.events)
}

/// Both ends of a history: the oldest page, and the newest as far as it does not overlap.
pub(crate) async fn both_ends(backend: &dyn Backend, run: &Run) -> Result<(Page, Page), Problem> {
    let head = oldest(backend, run, Bytes::new(), PAGE_BATCHES).await?;
    let mut tail = Page { events: Vec::new(), next: Bytes::new() };
    if !head.next.is_empty() {
        tail = newest(backend, run, Bytes::new(), PAGE_BATCHES).await?;
        let last = head.events.last().map_or(0, |event| event.event_id);
        tail.events.retain(|event| event.event_id > last);
    }
    Ok((head, tail))
}

/// The events after `after`, read from the newest end, because that is where new ones are.
pub(crate) async fn since(
    backend: &dyn Backend,
    run: &Run,
    after: i64,
) -> Result<Vec<HistoryEvent>, Problem> {
    let mut events: Vec<HistoryEvent> = Vec::new();
    let mut token = Bytes::new();
    loop {
        let page = newest(backend, run, token, PAGE_BATCHES).await?;
        let reached = page.events.first().is_none_or(|event| event.event_id <= after.saturating_add(1));
        events.splice(0..0, page.events.into_iter().filter(|event| event.event_id > after));
        if reached || page.next.is_empty() {
            return Ok(events);
        }
        token = page.next;
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct HistoryParams {
    /// Continues a walk: what the page before gave as `next`.
    #[serde(default)]
    token: String,
    /// Walks from the newest event.
    #[serde(default)]
    newest: bool,
    /// The page that holds this event.
    around: Option<i64>,
}

pub(crate) async fn load(backend: &dyn Backend, run: &Run, params: &HistoryParams) -> Result<Value, Problem> {
    let token = URL_SAFE_NO_PAD
        .decode(&params.token)
        .map_err(|_| Problem::bad_request("that page does not exist"))?;
    let page = match params.around {
        Some(event) => around(backend, run, event).await?,
        None if params.newest => newest(backend, run, token.into(), PAGE_BATCHES).await?,
        None => oldest(backend, run, token.into(), PAGE_BATCHES).await?,
    };
    Ok(page.to_json(&ProtoJson::new()))
}

/// The API has no way to start at an event, so this walks to it in large steps.
async fn around(backend: &dyn Backend, run: &Run, event: i64) -> Result<Page, Problem> {
    let mut token = Bytes::new();
    loop {
        let mut page = oldest(backend, run, token, WALK_BATCHES).await?;
        let last = page.events.last().map_or(i64::MAX, |event| event.event_id);
        if last >= event || page.next.is_empty() {
            page.events.retain(|one| one.event_id.abs_diff(event) <= NEAR_EVENTS);
            page.next = Bytes::new();
            return Ok(page);
        }
        token = page.next;
    }
}

/// One event, with all of its payloads.
pub(crate) async fn event(backend: &dyn Backend, run: &Run, id: i64) -> Result<Value, Problem> {
    let page = around(backend, run, id).await?;
    let found = page.events.iter().find(|event| event.event_id == id);
    match found {
        Some(event) => Ok(ProtoJson::whole().event(event)),
        None => Err(tonic::Status::not_found(format!("this run has no event {id}")).into()),
    }
}
