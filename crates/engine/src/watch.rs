//! Who waits for something to change: readers of a history, and viewers of lists.

use ahash::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use steadfast_machine::RunKey;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

#[derive(Default)]
pub struct Watches {
    runs: Mutex<HashMap<RunKey, Arc<Bell>>>,
    lists: Mutex<HashMap<Uuid, watch::Sender<u64>>>,
}

/// Wakes those who wait in the order in which they came. Tokio's `watch` picks a random order, and a simulation could
/// not repeat itself.
#[derive(Default)]
struct Bell {
    rung: AtomicU64,
    notify: Notify,
}

/// One who waits for a run to change.
pub struct RunWatch {
    bell: Arc<Bell>,
    seen: u64,
}

impl RunWatch {
    /// What has changed so far is known.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.bell.rung.load(Ordering::Acquire);
    }

    pub async fn changed(&mut self) {
        loop {
            // Registered before the count is read: a change in between is not missed.
            let mut notified = std::pin::pin!(self.bell.notify.notified());
            notified.as_mut().enable();
            let rung = self.bell.rung.load(Ordering::Acquire);
            if rung != self.seen {
                self.seen = rung;
                return;
            }
            notified.await;
        }
    }
}

impl Watches {
    /// Changes with each commit of the run. Subscribe first, then look.
    pub fn run(&self, key: &RunKey) -> RunWatch {
        let mut runs = self.runs.lock().expect("nothing panics while it holds this");
        let bell = runs.entry(key.clone()).or_default().clone();
        RunWatch { seen: bell.rung.load(Ordering::Acquire), bell }
    }

    pub fn run_changed(&self, key: &RunKey) {
        let mut runs = self.runs.lock().expect("nothing panics while it holds this");
        let Some(bell) = runs.get(key) else { return };
        if Arc::strong_count(bell) == 1 {
            runs.remove(key);
        } else {
            bell.rung.fetch_add(1, Ordering::AcqRel);
            bell.notify.notify_waiters();
        }
    }

    /// Forgets a run that nobody watches any more.
    pub fn run_left(&self, key: &RunKey) {
        let mut runs = self.runs.lock().expect("nothing panics while it holds this");
        if runs.get(key).is_some_and(|bell| Arc::strong_count(bell) == 1) {
            runs.remove(key);
        }
    }

    pub fn lists(&self, namespace: Uuid) -> watch::Receiver<u64> {
        let mut lists = self.lists.lock().expect("nothing panics while it holds this");
        lists.entry(namespace).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    pub fn lists_changed(&self, namespace: Uuid) {
        let lists = self.lists.lock().expect("nothing panics while it holds this");
        if let Some(sender) = lists.get(&namespace) {
            sender.send_modify(|count| *count += 1);
        }
    }
}
