//! Who waits for something to change: readers of a history, and viewers of lists.

use ahash::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use steadfast_machine::RunKey;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

type Bells = Mutex<HashMap<RunKey, Arc<Bell>>>;

#[derive(Default)]
pub struct Watches {
    runs: Arc<Bells>,
    lists: Mutex<HashMap<Uuid, watch::Sender<u64>>>,
}

/// Wakes those who wait in the order in which they came. Tokio's `watch` picks a random order, and a simulation could
/// not repeat itself.
#[derive(Default)]
struct Bell {
    rung: AtomicU64,
    notify: Notify,
}

/// One who waits for a run to change. The last one who leaves takes the bell away.
pub struct RunWatch {
    key: RunKey,
    bells: Arc<Bells>,
    bell: Arc<Bell>,
    seen: u64,
}

impl Drop for RunWatch {
    fn drop(&mut self) {
        let mut bells = self.bells.lock().expect("nothing panics while it holds this");
        // One count is the map's, one is this one's.
        if Arc::strong_count(&self.bell) <= 2 {
            bells.remove(&self.key);
        }
    }
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
        let seen = bell.rung.load(Ordering::Acquire);
        RunWatch { key: key.clone(), bells: self.runs.clone(), bell, seen }
    }

    pub fn run_changed(&self, key: &RunKey) {
        let runs = self.runs.lock().expect("nothing panics while it holds this");
        let Some(bell) = runs.get(key) else { return };
        bell.rung.fetch_add(1, Ordering::AcqRel);
        bell.notify.notify_waiters();
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
