//! What was told to whoever wanted to know how workflows end: every end at least once, as it was, and nothing else.

use crate::check::Findings;
use crate::client::{Client, NAMESPACE};
use crate::listener::{Heard, Listener};
use crate::load::Entry;
use crate::plan::Plan;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use steadfast_api::v1::enums::CallbackState;
use tokio::task::JoinHandle;
use tonic::Status;

/// A listener that is well again has heard of everything by then; a goal of our own, with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A workflow with a callback that does not end while the load lasts: of it nothing may be heard.
pub struct Open {
    id: String,
    started: JoinHandle<Result<String, Status>>,
}

impl Open {
    /// Starts it as soon as there is a server.
    pub fn start(client: &Client, listener: &Listener, prefix: &str) -> Open {
        let id = format!("open-{prefix}");
        let (client, own, callback) = (client.clone(), id.clone(), listener.callback(&id));
        let started =
            tokio::spawn(
                async move { client.start_calling(Plan::Terminated.name(), &own, vec![callback]).await },
            );
        Open { id, started }
    }
}

/// Compares what the listener heard with the ends of these workflows. The load rests, and the listener is well.
///
/// # Errors
/// The server does not answer; what is only wrong is among the findings.
pub async fn compare(
    client: &Client,
    listener: &Listener,
    prefix: &str,
    entries: &[Entry],
    open: Open,
) -> Result<Findings> {
    let mut findings = Findings::default();
    let run = open.started.await?.context("the workflow that stays open")?;
    let described = client.describe(&open.id, &run).await?;
    let waits = described.callbacks.iter().all(|callback| callback.state() == CallbackState::Standby);
    let told = listener.heard().iter().any(|heard| heard.id == open.id);
    if told || !waits || described.callbacks.len() != 1 {
        findings.wrong.push(format!("{} is open; told: {told}, {:?}", open.id, described.callbacks));
    }
    client.terminate(&open.id, &run).await?;
    let closed = client.closed(&open.id, &run).await?;
    let last = Entry {
        plan: Plan::Terminated,
        id: open.id,
        run: run.clone(),
        last_run: run,
        closed_at: closed.event_time,
        signals: Vec::new(),
        updates: Vec::new(),
        calls_back: true,
    };

    let began = Instant::now();
    let waiting: Vec<&Entry> = entries.iter().filter(|entry| entry.calls_back).chain([&last]).collect();
    for entry in &waiting {
        if let Some(wrong) = until_succeeded(client, entry, began).await? {
            findings.wrong.push(format!("{} (run {}): {wrong}", entry.id, entry.last_run));
        }
    }
    findings.callbacks = waiting.len();
    findings.told_after.push(began.elapsed());

    let mut heard: HashMap<String, Vec<Heard>> = HashMap::new();
    let own = [format!("{prefix}-"), format!("open-{prefix}")];
    for call in listener.heard() {
        if call.id.starts_with(&own[0]) || call.id == own[1] {
            heard.entry(call.id.clone()).or_default().push(call);
        }
    }
    findings.calls = heard.values().map(Vec::len).sum();
    for entry in waiting {
        let calls = heard.remove(&entry.id).unwrap_or_default();
        if !calls.iter().any(|call| call.accepted) {
            findings.wrong.push(format!("{}: its end was not told; {} calls", entry.id, calls.len()));
        }
        for call in calls {
            let wrong = not_as_it_was(entry, &call);
            findings.wrong.extend(wrong.map(|wrong| format!("{}: {wrong}: {call:?}", entry.id)));
        }
    }
    for id in heard.keys() {
        findings.wrong.push(format!("{id}: somebody was told of it who had not asked"));
    }
    Ok(findings)
}

/// Waits until describe shows that the callback succeeded.
async fn until_succeeded(client: &Client, entry: &Entry, began: Instant) -> Result<Option<String>> {
    loop {
        let described = match client.describe(&entry.id, &entry.last_run).await {
            Ok(described) => described,
            Err(status) => return Ok(Some(format!("it cannot be described: {status}"))),
        };
        let states: Vec<_> = described.callbacks.iter().map(|callback| callback.state()).collect();
        if states == [CallbackState::Succeeded] {
            return Ok(None);
        }
        if states.len() != 1 || began.elapsed() > PATIENCE {
            return Ok(Some(format!("its callbacks are {:?}", described.callbacks)));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a call says that is not so.
fn not_as_it_was(entry: &Entry, call: &Heard) -> Option<&'static str> {
    let (state, word) = match entry.plan {
        Plan::Terminated => ("failed", "operation terminated"),
        Plan::Cancelled => ("canceled", "operation canceled"),
        _ => ("succeeded", "\"done\""),
    };
    if call.state != state || !call.body.contains(word) {
        return Some("it ended otherwise");
    }
    if !call.link.contains(&format!("/{NAMESPACE}/workflows/{}/{}/", entry.id, entry.last_run)) {
        return Some("another run ended");
    }
    // What was told and then forgotten by a crash ended at another time.
    (call.close_time != entry.closed_at).then_some("it ended at another time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_tells_anything_else_is_noticed() {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 7 });
        let entry = Entry {
            plan: Plan::Chain,
            id: "w".into(),
            run: "first".into(),
            last_run: "last".into(),
            closed_at: time(5),
            signals: Vec::new(),
            updates: Vec::new(),
            calls_back: true,
        };
        let right = Heard {
            id: "w".into(),
            link: "<temporal:///namespaces/default/workflows/w/last/history>".into(),
            state: "succeeded".into(),
            close_time: time(5),
            body: "\"done\"".into(),
            accepted: true,
        };
        assert_eq!(not_as_it_was(&entry, &right), None);
        let wrong: [&dyn Fn(&mut Heard); 5] = [
            &|heard| heard.state = "failed".into(),
            &|heard| heard.body.clear(),
            &|heard| heard.link = heard.link.replace("last", "first"),
            &|heard| heard.close_time = time(6),
            &|heard| heard.close_time = None,
        ];
        for change in wrong {
            let mut heard = right.clone();
            change(&mut heard);
            assert!(not_as_it_was(&entry, &heard).is_some(), "{heard:?}");
        }
    }
}
