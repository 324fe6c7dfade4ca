//! Histories: pages, long polls for new events, the close event alone, newest first.

use crate::call::Call;
use crate::check;
use crate::frontend::Frontend;
use crate::limits::{HISTORY_PAGE, LONGEST_WAIT, TAIL};
use crate::status::Refusal;
use crate::token;
use crate::token::{bytes_of, uuid_of};
use bytes::{Bytes, BytesMut};
use prost::Message;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::enums::HistoryEventFilterType;
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::HistoryPage;
use steadfast_machine::{EntityKey, Reject};
use uuid::Uuid;

/// Whose history is read, and where the page begins.
struct Place {
    key: EntityKey,
    run: Option<Uuid>,
    /// The first event of the page; going backward the last one, and 0 for the last there is.
    event: i64,
    /// A task's history ends before this event; 0 for one that ends where it ends.
    until: i64,
    first_page: bool,
}

fn place(
    frontend: &Frontend,
    namespace: Uuid,
    execution: Option<&WorkflowExecution>,
    token: &Bytes,
    reverse: bool,
) -> Result<Place, Refusal> {
    let (id, run) = check::execution(execution)?;
    let key = EntityKey::workflow(namespace, id);
    if token.is_empty() {
        return Ok(Place { key, run, event: i64::from(!reverse), until: 0, first_page: true });
    }
    let page = frontend.tokens.open_history_page(token);
    let page = page
        .ok()
        .filter(|page| page.reverse == reverse)
        .ok_or_else(|| Reject::invalid("Invalid NextPageToken."))?;
    let pinned = uuid_of(&page.run);
    if run.is_some_and(|run| run != pinned) {
        return Err(Reject::invalid("RunId in the request does not match the NextPageToken.").into());
    }
    Ok(Place { key, run: Some(pinned), event: page.event, until: page.until, first_page: false })
}

fn batches(size: i32) -> usize {
    usize::try_from(size).ok().filter(|size| (1..=HISTORY_PAGE).contains(size)).unwrap_or(HISTORY_PAGE)
}

pub async fn get_workflow_execution_history(
    frontend: &Frontend,
    call: Call,
    request: GetWorkflowExecutionHistoryRequest,
) -> Result<GetWorkflowExecutionHistoryResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let place = place(frontend, namespace.id, request.execution.as_ref(), &request.next_page_token, false)?;
    if request.history_event_filter_type == HistoryEventFilterType::CloseEvent as i32 {
        return close_event(frontend, &call, place, request.wait_new_event).await;
    }
    let size = batches(request.maximum_page_size);
    let mut page = frontend.engine.history(place.key.clone(), place.run, place.event, size, false).await?;
    // Only a call that comes with a token waits: the first one always tells what there is.
    if request.wait_new_event && !place.first_page && page.end && page.open && page.encoded.is_empty() {
        let _waiting = frontend.long_call(namespace.id, &call)?;
        let until = call.wait_until(LONGEST_WAIT, TAIL);
        let wait = frontend.engine.wait_history(place.key.clone(), page.run, place.event, false, until);
        frontend.unless_stopping(wait).await.transpose()?;
        page = frontend.engine.history(place.key, Some(page.run), place.event, size, false).await?;
        if page.encoded.is_empty() {
            // Events that are not in the history yet are no news.
            page.transient.clear();
        }
    }
    Ok(forward(frontend, &call, page, place.until, request.wait_new_event))
}

fn forward(
    frontend: &Frontend,
    call: &Call,
    page: HistoryPage,
    until: i64,
    wait: bool,
) -> GetWorkflowExecutionHistoryResponse {
    let end = page.end || (until != 0 && page.next_event_id >= until);
    let more = !end || (wait && page.open);
    let next_page_token = if more {
        frontend.tokens.history_page(token::HistoryPage {
            run: bytes_of(page.run),
            event: page.next_event_id,
            reverse: false,
            until,
        })
    } else {
        Bytes::new()
    };
    let history = if end && call.is_sdk() { spliced(page.encoded, page.transient) } else { page.encoded };
    GetWorkflowExecutionHistoryResponse {
        history: Some(history),
        next_page_token,
        ..GetWorkflowExecutionHistoryResponse::default()
    }
}

/// Encoded histories one behind the other are the encoding of one history.
fn spliced(encoded: Bytes, events: Vec<HistoryEvent>) -> Bytes {
    if events.is_empty() {
        return encoded;
    }
    let more = History { events };
    let mut all = BytesMut::with_capacity(encoded.len() + more.encoded_len());
    all.extend_from_slice(&encoded);
    more.encode_raw(&mut all);
    all.freeze()
}

/// The last event of a run, once it is closed. While it is open the call blocks, whether it asked to wait or not.
async fn close_event(
    frontend: &Frontend,
    call: &Call,
    place: Place,
    wait: bool,
) -> Result<GetWorkflowExecutionHistoryResponse, Refusal> {
    let mut progress = frontend.engine.progress(place.key.clone(), place.run).await?;
    let id = progress.run;
    if progress.open {
        let _waiting = frontend.long_call(place.key.namespace, call)?;
        let until = call.wait_until(LONGEST_WAIT, TAIL);
        let closed = frontend.engine.wait_history(place.key.clone(), id, progress.next_event_id, true, until);
        progress = match frontend.unless_stopping(closed).await {
            Some(seen) => seen?,
            None => progress,
        };
    }
    if progress.open {
        let next = token::HistoryPage { run: bytes_of(id), event: 1, reverse: false, until: 0 };
        let next_page_token = if wait { frontend.tokens.history_page(next) } else { Bytes::new() };
        return Ok(GetWorkflowExecutionHistoryResponse {
            history: Some(Bytes::new()),
            next_page_token,
            ..GetWorkflowExecutionHistoryResponse::default()
        });
    }
    let last = progress.next_event_id - 1;
    let page = frontend.engine.history(place.key, Some(id), last, 1, false).await?;
    // The batch of the last event may hold others before it.
    let mut events = decoded(page)?;
    let events = events.pop().into_iter().collect();
    Ok(GetWorkflowExecutionHistoryResponse {
        history: Some(spliced(Bytes::new(), events)),
        ..GetWorkflowExecutionHistoryResponse::default()
    })
}

fn decoded(page: HistoryPage) -> Result<Vec<HistoryEvent>, Refusal> {
    History::decode(page.encoded).map(|history| history.events).map_err(|error| {
        tracing::error!(%error, run = %page.run, "a stored history does not decode");
        Refusal::Unavailable("the history could not be read".into())
    })
}

pub async fn get_workflow_execution_history_reverse(
    frontend: &Frontend,
    _: Call,
    request: GetWorkflowExecutionHistoryReverseRequest,
) -> Result<GetWorkflowExecutionHistoryReverseResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let place = place(frontend, namespace.id, request.execution.as_ref(), &request.next_page_token, true)?;
    let size = batches(request.maximum_page_size);
    let page = frontend.engine.history(place.key, place.run, place.event, size, true).await?;
    let (run, next, end) = (page.run, page.next_event_id, page.end);
    let mut events = decoded(page)?;
    events.sort_by_key(|event| std::cmp::Reverse(event.event_id));
    let next_page_token = if end {
        Bytes::new()
    } else {
        frontend.tokens.history_page(token::HistoryPage {
            run: bytes_of(run),
            event: next,
            reverse: true,
            until: 0,
        })
    };
    Ok(GetWorkflowExecutionHistoryReverseResponse {
        history: Some(spliced(Bytes::new(), events)),
        next_page_token,
    })
}
