//! The picture that all who watch share: the accounts, the transfers under way with their steps, and the latest that ended.
//!
//! It is taken once for all of them, only while somebody watches, and sent only when it has changed.

use crate::bank::{Account, Bank};
use crate::progress::{Known, Progress, look, shown};
use crate::transfers::{Listed, Transfers};
use futures::StreamExt;
use money::Cents;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How many transfers under way are shown with their steps.
const UNDER_WAY: usize = 40;
/// How many ended transfers are shown.
const ENDED: usize = 20;
/// How many transfers are looked at at once.
const LOOKS_AT_ONCE: usize = 10;
/// The pause between two pictures while transfers are under way, and while none is.
const BUSY_PAUSE: Duration = Duration::from_millis(400);
const IDLE_PAUSE: Duration = Duration::from_millis(1500);

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Picture {
    pub accounts: Vec<Account>,
    /// The sum of all accounts; money on its way from one to another is in neither.
    pub total: Cents,
    pub chaos: Option<Value>,
    pub counts: Option<Counts>,
    pub under_way: Vec<Progress>,
    pub ended: Vec<Progress>,
    /// What cannot be shown, and why: one sentence each.
    pub problems: Vec<String>,
    /// Where the server's web UI has the namespace; `/workflows/{id}/{run}` leads to a transfer.
    pub server_ui: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Counts {
    pub running: usize,
    pub done: usize,
    pub failed: usize,
}

pub struct Live {
    pictures: watch::Sender<Arc<Picture>>,
    /// Somebody did something: do not wait for the end of the pause.
    news: Notify,
}

impl Live {
    pub fn start(transfers: Arc<Transfers>, bank: Arc<Bank>, server_ui: String) -> Arc<Live> {
        let first = Picture { server_ui, ..Picture::default() };
        let live = Arc::new(Live { pictures: watch::Sender::new(Arc::new(first)), news: Notify::new() });
        tokio::spawn(keep_taking(Arc::clone(&live), transfers, bank));
        live
    }

    /// The picture now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Picture>> {
        let receiver = self.pictures.subscribe();
        self.news.notify_one();
        receiver
    }

    /// Asks for a new picture soon.
    pub fn something_happened(&self) {
        self.news.notify_one();
    }
}

async fn keep_taking(live: Arc<Live>, transfers: Arc<Transfers>, bank: Arc<Bank>) {
    let server_ui = live.pictures.borrow().server_ui.clone();
    let mut known: HashMap<String, Known> = HashMap::new();
    loop {
        if live.pictures.receiver_count() == 0 {
            live.news.notified().await;
        }
        let picture = take(&transfers, &bank, &server_ui, &mut known).await;
        let pause = if picture.under_way.is_empty() { IDLE_PAUSE } else { BUSY_PAUSE };
        live.pictures.send_if_modified(|last| {
            let changed = **last != picture;
            if changed {
                *last = Arc::new(picture);
            }
            changed
        });
        let _ = tokio::time::timeout(pause, live.news.notified()).await;
    }
}

async fn take(
    transfers: &Transfers,
    bank: &Bank,
    server_ui: &str,
    known: &mut HashMap<String, Known>,
) -> Picture {
    let mut problems = Vec::new();
    let (accounts, chaos) = tokio::join!(bank.accounts(), bank.chaos());
    let accounts = accounts.unwrap_or_else(|error| {
        problems.push(format!("{error}."));
        Vec::new()
    });
    let (running, ended, counts) = tokio::join!(
        transfers.list(" AND ExecutionStatus = 'Running'", UNDER_WAY),
        transfers.list(" AND ExecutionStatus != 'Running'", ENDED),
        count(transfers),
    );
    let (running, ended) = match (running, ended) {
        (Ok(running), Ok(ended)) => (running, ended),
        (Err(error), _) | (_, Err(error)) => {
            problems.push(format!("{error}."));
            (Vec::new(), Vec::new())
        }
    };
    let under_way = look_at_all(transfers, running, known).await;
    let last_known = |transfer: Listed| {
        let state = known.get(&transfer.run_id).and_then(|known| known.state().cloned());
        // What was last heard of a transfer that has ended since may be a step behind.
        shown(transfer, state.filter(|state| state.outcome.is_some()), None)
    };
    let ended: Vec<Progress> = ended.into_iter().map(last_known).collect();

    let shown_runs: std::collections::HashSet<&str> =
        under_way.iter().chain(&ended).map(|progress| progress.transfer.run_id.as_str()).collect();
    known.retain(|run_id, _| shown_runs.contains(run_id.as_str()));
    Picture {
        total: accounts.iter().map(|account| account.balance).sum(),
        accounts,
        chaos: chaos.ok(),
        counts,
        under_way,
        ended,
        problems,
        server_ui: server_ui.to_owned(),
    }
}

async fn look_at_all(
    transfers: &Transfers,
    running: Vec<Listed>,
    known: &mut HashMap<String, Known>,
) -> Vec<Progress> {
    let looks = futures::stream::iter(running).map(|transfer| {
        let mut known = known.remove(&transfer.run_id).unwrap_or_default();
        async move {
            let progress = look(transfers, transfer, &mut known).await;
            (progress, known)
        }
    });
    let looked: Vec<(Progress, Known)> = looks.buffered(LOOKS_AT_ONCE).collect().await;
    let mut under_way = Vec::with_capacity(looked.len());
    for (progress, newly_known) in looked {
        known.insert(progress.transfer.run_id.clone(), newly_known);
        under_way.push(progress);
    }
    under_way
}

async fn count(transfers: &Transfers) -> Option<Counts> {
    let (running, done, all) = tokio::join!(
        transfers.count(" AND ExecutionStatus = 'Running'"),
        transfers.count(" AND ExecutionStatus = 'Completed'"),
        transfers.count(""),
    );
    let (running, done, all) = (running.ok()?, done.ok()?, all.ok()?);
    Some(Counts { running, done, failed: all.saturating_sub(running).saturating_sub(done) })
}
