//! Calls whoever wanted to be told how a run ended.
//!
//! That a call is to be made is a row of the run, and its alarm is due until the end of the call is stored: so a call is
//! made at least once, whatever happens in between. What is here is only the order of the calls that are due now. They wait
//! by address, so that one that does not answer holds up no other; what waits is a name, not the result that is told.

use crate::Engine;
use crate::failure::Failure;
use async_trait::async_trait;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use steadfast_api::v1::common::Callback;
use steadfast_api::v1::enums::{CallbackState, EventType};
use steadfast_api::v1::history::HistoryEvent;
use steadfast_machine::decision::CallbackDue;
use steadfast_machine::workflow::callback;
use steadfast_machine::workflow::input::{CallEnd, Input, What};
use steadfast_machine::{Reject, Time};
use uuid::Uuid;

/// Calls at the same time, in all and to one address.
const RUNNING: usize = 64;
const RUNNING_TO_ONE: usize = 8;

/// Calls that may wait for one address, and in all; more are put off.
const WAITING_FOR_ONE: usize = 1_000;
const WAITING: usize = 4_000;

/// Between two tries to store how a call ended.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// One call: who is told, and what.
#[derive(Clone, Debug)]
pub struct Call {
    pub callback: Callback,
    pub namespace: String,
    pub workflow_id: String,
    pub run_id: Uuid,
    /// The request that attached the callback to the run, if it was not the start.
    pub attached_by: Option<String>,
    pub start_time: Time,
    /// The run's last event.
    pub closed: HistoryEvent,
}

/// Who makes the calls.
#[async_trait]
pub trait Courier: Send + Sync + 'static {
    /// Makes one call. It need not end: it is given up after `Limits::callback_timeout`.
    async fn call(&self, call: Call) -> CallEnd;
}

/// For an engine that nobody gave a courier.
pub struct NoCourier;

#[async_trait]
impl Courier for NoCourier {
    async fn call(&self, _: Call) -> CallEnd {
        CallEnd::Failed { message: "this server makes no calls".into(), retryable: true }
    }
}

#[derive(Default)]
pub struct Callbacks {
    line: Mutex<Line>,
}

impl Callbacks {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("nothing panics while it holds this")
    }
}

/// The calls that are due, by address.
#[derive(Default)]
struct Line {
    by_address: BTreeMap<String, Address>,
    /// What waits or runs, by run and sequence.
    known: HashSet<(Uuid, i64)>,
    running: usize,
    waiting: usize,
    /// The address that was served last: the next one comes after it.
    last: String,
}

#[derive(Default)]
struct Address {
    waiting: VecDeque<CallbackDue>,
    running: usize,
}

impl Line {
    /// False if too many wait.
    fn add(&mut self, due: CallbackDue) -> bool {
        if self.known.contains(&(due.run.run, due.sequence)) {
            return true;
        }
        let name = address_of(&due.url);
        let for_one = self.by_address.get(name).map_or(0, |address| address.waiting.len());
        if for_one >= WAITING_FOR_ONE || self.waiting >= WAITING {
            return false;
        }
        let address = self.by_address.entry(name.to_owned()).or_default();
        self.known.insert((due.run.run, due.sequence));
        self.waiting += 1;
        address.waiting.push_back(due);
        true
    }

    /// The next call to make: the addresses take turns.
    fn next(&mut self) -> Option<CallbackDue> {
        if self.running >= RUNNING {
            return None;
        }
        let can = |(_, address): &(&String, &Address)| {
            !address.waiting.is_empty() && address.running < RUNNING_TO_ONE
        };
        let after = (std::ops::Bound::Excluded(self.last.clone()), std::ops::Bound::Unbounded);
        let later = self.by_address.range(after).find(can);
        let name = later.or_else(|| self.by_address.iter().find(can)).map(|(name, _)| name.clone())?;
        let address = self.by_address.get_mut(&name)?;
        let due = address.waiting.pop_front()?;
        address.running += 1;
        self.running += 1;
        self.waiting -= 1;
        self.last = name;
        Some(due)
    }

    fn ended(&mut self, due: &CallbackDue) {
        self.known.remove(&(due.run.run, due.sequence));
        self.running -= 1;
        let name = address_of(&due.url);
        if let Some(address) = self.by_address.get_mut(name) {
            address.running -= 1;
            if address.running == 0 && address.waiting.is_empty() {
                self.by_address.remove(name);
            }
        }
    }
}

/// Scheme and host of a URL.
fn address_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

impl Engine {
    /// Makes a call that is due, when its turn comes.
    pub(crate) fn call_back(&self, due: CallbackDue) {
        let taken = self.inner.callbacks.line().add(due.clone());
        if !taken {
            let CallbackDue { run, sequence, attempt, .. } = due;
            let what = What::CallbackEnded { sequence, attempt, end: CallEnd::Postponed };
            return self.tell(run.entity, Input::run(run.run, what));
        }
        let next = self.inner.callbacks.line().next();
        if let Some(due) = next {
            let engine = self.clone();
            // Whoever has made a call makes the next one: there is always somebody while something waits.
            self.spawn(async move {
                let mut next = Some(due);
                while let Some(due) = next {
                    engine.make(&due).await;
                    let mut line = engine.inner.callbacks.line();
                    line.ended(&due);
                    next = line.next();
                }
            });
        }
    }

    async fn make(&self, due: &CallbackDue) {
        let call = match self.call_for(due).await {
            Ok(Some(call)) => call,
            // There is nothing to tell any more, or nothing can be read now: then the alarm brings it again.
            Ok(None) => return,
            Err(failure) => {
                tracing::warn!(run = %due.run, ?failure, "a callback waits: its run cannot be read");
                return;
            }
        };
        let limit = Duration::from_nanos(self.inner.limits.callback_timeout.max(0) as u64);
        let end = match tokio::time::timeout(limit, self.inner.courier.call(call)).await {
            Ok(end) => end,
            Err(_) => {
                let message = format!("Post \"{}\": context deadline exceeded", due.url);
                CallEnd::Failed { message, retryable: true }
            }
        };
        if let CallEnd::Failed { message, retryable } = &end {
            tracing::warn!(run = %due.run, url = due.url, message, retryable, "a callback failed");
        }
        let what = What::CallbackEnded { sequence: due.sequence, attempt: due.attempt, end };
        let news = Input::run(due.run.run, what);
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.apply(due.run.entity.clone(), news.clone()).await {
                Err(Failure::Unavailable(_) | Failure::Reject(Reject::ResourceExhausted { .. })) => {
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
                Ok(_) | Err(Failure::Reject(_)) => return,
            }
        }
    }

    /// What is to be told, if it is still to be told.
    async fn call_for(&self, due: &CallbackDue) -> Result<Option<Call>, Failure> {
        let Some(namespace) = self.inner.namespaces.by_id(due.run.entity.namespace) else { return Ok(None) };
        let (id, sequence, attempt) = (due.run.run, due.sequence, due.attempt);
        let seen = self.look(due.run.entity.clone(), Some(id), move |entity| {
            let (run, tail) = entity.workflow(Some(id))?;
            let row = run.callbacks.get(&sequence).filter(|row| {
                callback::state(row) == CallbackState::Scheduled && row.attempt == attempt && !run.is_open()
            })?;
            let attached = run.request_ids.get(&row.request_id).is_some_and(|request| {
                request.event_type == EventType::WorkflowExecutionOptionsUpdated as i32
            });
            let last = run.core.next_event_id - 1;
            let start_time = Time(run.core.start_time);
            Some((row.clone(), attached, start_time, last, tail.event(last), run.history_parts()))
        });
        let Some((row, attached, start_time, last, held, parts)) = seen.await? else { return Ok(None) };
        let closed = match held {
            Some(event) => Some(event),
            None => self.read_event(&parts, last).await?,
        };
        let (Some(callback), Some(closed)) = (row.callback.clone(), closed) else { return Ok(None) };
        Ok(Some(Call {
            callback,
            namespace: namespace.name.clone(),
            workflow_id: due.run.entity.id.to_string(),
            run_id: id,
            attached_by: attached.then(|| row.request_id.clone()),
            start_time,
            closed,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_machine::EntityKey;

    fn due(url: &str, sequence: i64) -> CallbackDue {
        let run = EntityKey::workflow(Uuid::nil(), "w").run(Uuid::nil());
        CallbackDue { run, sequence, attempt: 0, url: url.into() }
    }

    #[test]
    fn one_address_that_does_not_answer_holds_up_no_other() {
        let mut line = Line::default();
        for sequence in 0..20 {
            assert!(line.add(due("http://slow/a", sequence)));
        }
        let slow: Vec<_> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(slow.len(), RUNNING_TO_ONE);
        assert!(line.add(due("http://quick/b", 100)));
        let quick = line.next().expect("another address is free");
        assert_eq!(quick.url, "http://quick/b");
        assert!(line.next().is_none());
        line.ended(&slow[0]);
        assert_eq!(line.next().map(|due| due.url).as_deref(), Some("http://slow/a"));
    }

    #[test]
    fn a_call_waits_once_and_only_so_many_wait() {
        let mut line = Line::default();
        assert!(line.add(due("http://a/", 0)) && line.add(due("http://a/", 0)));
        assert_eq!(line.waiting, 1);
        for sequence in 1..WAITING_FOR_ONE as i64 {
            assert!(line.add(due("http://a/", sequence)));
        }
        assert!(!line.add(due("http://a/", 5_000)));
        assert!(line.add(due("http://b/", 5_000)));
    }

    #[test]
    fn addresses_are_schemes_and_hosts() {
        for (url, address) in [
            ("http://a:1/b/c", "http://a:1"),
            ("https://a?q=/", "https://a"),
            ("https://a", "https://a"),
            ("", ""),
        ] {
            assert_eq!(address_of(url), address);
        }
    }
}
