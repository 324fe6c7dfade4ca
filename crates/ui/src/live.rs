//! Live updates as server-sent events.
//!
//! A stream sends state, not a log: after a break the client gets what differs from what it holds, so there is nothing to
//! replay, no gap and no duplicate. The one thing that is a log, a run's history, carries the last event's id, and a
//! client that comes back names it (`Last-Event-ID`).

use crate::backend::Backend;
use crate::error::Problem;
use crate::history::{self, Run};
use crate::list::{self, ListParams};
use crate::proto_json::ProtoJson;
use crate::workflow::Described;
use axum::response::sse::Event;
use futures_util::Stream;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Lists change with every step of every workflow; nobody reads more than a few versions a second.
const LIST_PAUSE: Duration = Duration::from_millis(200);
/// A list that takes long to make rests this many times as long before the next: pages that are open in many windows must
/// not keep a busy server busier.
const LIST_REST: u32 = 9;
/// A list is looked at again after this even if nobody said that it changed: attempts that fail change no row.
const LIST_LONGEST: Duration = Duration::from_secs(3);
/// How often an open run is looked at. What is pending changes without a new event (attempts, heartbeats), and there
/// is no long poll for that; a look costs some ten microseconds in the same process.
const RUN_PAUSE: Duration = Duration::from_millis(100);
/// Looks at a run between two looks at who polls its queues.
const LOOKS_PER_POLLERS: u32 = 30;
/// After an error, before the next try.
const ERROR_PAUSE: Duration = Duration::from_secs(2);

/// A source of events; `None` ends the stream.
pub(crate) trait Feed: Send + 'static {
    fn next(&mut self) -> impl Future<Output = Option<Event>> + Send;
}

pub(crate) fn stream<F: Feed>(feed: F) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    futures_util::stream::unfold(
        feed,
        |mut feed| async move { feed.next().await.map(|event| (Ok(event), feed)) },
    )
}

fn event(name: &str, data: &Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

fn problem(problem: &Problem) -> Event {
    event("problem", &problem.to_json())
}

/// Tells the time first, so that ages and countdowns do not depend on the browser's clock.
fn hello(now: SystemTime) -> Event {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    event("hello", &json!({ "now": since.as_millis() as u64 })).retry(Duration::from_secs(1))
}

/// A page of the list, kept up to date.
pub(crate) struct LiveList {
    backend: Arc<dyn Backend>,
    namespace: String,
    params: ListParams,
    changes: watch::Receiver<u64>,
    hello: Option<SystemTime>,
    /// The version that the client holds; rows are sent only where they differ from what was sent before.
    version: String,
    sent: HashMap<String, Value>,
    looked: bool,
    not_before: Instant,
}

impl LiveList {
    pub fn new(
        backend: Arc<dyn Backend>,
        namespace: String,
        params: ListParams,
        version: String,
        changes: watch::Receiver<u64>,
        now: SystemTime,
    ) -> LiveList {
        LiveList {
            backend,
            namespace,
            params,
            changes,
            hello: Some(now),
            version,
            sent: HashMap::new(),
            looked: false,
            not_before: Instant::now(),
        }
    }

    /// The page with `rows` reduced to those that changed and `order` naming all of them by run id.
    fn difference(&mut self, mut page: Value) -> Value {
        let rows = page["rows"].take();
        let mut order = Vec::new();
        let mut changed = Vec::new();
        let mut sent = HashMap::new();
        for row in rows.as_array().into_iter().flatten() {
            let run = row["execution"]["runId"].as_str().unwrap_or_default().to_owned();
            if self.sent.get(&run) != Some(row) {
                changed.push(row.clone());
            }
            sent.insert(run.clone(), row.clone());
            order.push(run);
        }
        self.sent = sent;
        page["rows"] = json!(changed);
        page["order"] = json!(order);
        page
    }
}

impl Feed for LiveList {
    async fn next(&mut self) -> Option<Event> {
        if let Some(now) = self.hello.take() {
            return Some(hello(now));
        }
        loop {
            if self.looked
                && let Ok(Err(_)) = timeout(LIST_LONGEST, self.changes.changed()).await
            {
                return None;
            }
            sleep_until(self.not_before).await;
            self.changes.mark_unchanged();
            let first = !std::mem::replace(&mut self.looked, true);
            let begun = Instant::now();
            let page = list::load(&*self.backend, &self.namespace, &self.params).await;
            self.not_before = Instant::now() + LIST_PAUSE.max(begun.elapsed() * LIST_REST);
            match page {
                Ok(page) => {
                    let version = page["version"].as_str().unwrap_or_default().to_owned();
                    let same = version == self.version;
                    self.version = version;
                    if first && same {
                        // Nothing to send, but it is what the client holds.
                        self.difference(page);
                    } else if !same {
                        return Some(event("list", &self.difference(page)));
                    }
                }
                Err(error) => {
                    self.not_before = Instant::now() + ERROR_PAUSE;
                    return Some(problem(&error));
                }
            }
        }
    }
}

/// A run, kept up to date until it is closed.
pub(crate) struct LiveRun {
    backend: Arc<dyn Backend>,
    run: Run,
    /// Only to learn that the server stops.
    changes: watch::Receiver<u64>,
    hello: Option<SystemTime>,
    /// The last event that the client holds.
    after: i64,
    described: Value,
    pollers: Value,
    looks: u32,
    closed: bool,
}

impl LiveRun {
    pub fn new(
        backend: Arc<dyn Backend>,
        run: Run,
        after: i64,
        changes: watch::Receiver<u64>,
        now: SystemTime,
    ) -> LiveRun {
        LiveRun {
            backend,
            run,
            changes,
            hello: Some(now),
            after,
            described: Value::Null,
            pollers: Value::Null,
            looks: 0,
            closed: false,
        }
    }

    /// What differs from what the client holds; empty if nothing does.
    async fn look(&mut self) -> Result<Map<String, Value>, Problem> {
        let mut update = Map::new();
        let described = Described::load(&*self.backend, &self.run).await?;
        self.closed = !described.running();
        let shown = described.to_json();
        if shown != self.described {
            if described.events() > self.after {
                let events = history::since(&*self.backend, &self.run, self.after).await?;
                if let Some(last) = events.last() {
                    self.after = last.event_id;
                    let json = ProtoJson::new();
                    update.insert("events".into(), events.iter().map(|event| json.event(event)).collect());
                }
            }
            update.insert("describe".into(), shown.clone());
            self.described = shown;
        }
        if self.looks.is_multiple_of(LOOKS_PER_POLLERS) || self.closed {
            let pollers = described.pollers(&*self.backend, &self.run.namespace).await;
            if pollers != self.pollers {
                update.insert("pollers".into(), pollers.clone());
                self.pollers = pollers;
            }
        }
        self.looks += 1;
        Ok(update)
    }
}

impl Feed for LiveRun {
    async fn next(&mut self) -> Option<Event> {
        if let Some(now) = self.hello.take() {
            return Some(hello(now));
        }
        loop {
            // An error of `has_changed` means that the sender is gone: the server stops.
            if self.closed || self.changes.has_changed().is_err() {
                return None;
            }
            if self.looks > 0 {
                sleep(RUN_PAUSE).await;
            }
            match self.look().await {
                Ok(update) if update.is_empty() => {}
                Ok(update) => {
                    return Some(event("run", &Value::Object(update)).id(self.after.to_string()));
                }
                Err(error) => {
                    sleep(ERROR_PAUSE).await;
                    return Some(problem(&error));
                }
            }
        }
    }
}
