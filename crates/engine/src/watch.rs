//! Who waits for something to change: readers of a history, and viewers of lists.

use std::collections::HashMap;
use std::sync::Mutex;
use steadfast_machine::RunKey;
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Default)]
pub struct Watches {
    runs: Mutex<HashMap<RunKey, watch::Sender<u64>>>,
    lists: Mutex<HashMap<Uuid, watch::Sender<u64>>>,
}

impl Watches {
    /// Changes with each commit of the run. Subscribe first, then look.
    pub fn run(&self, key: &RunKey) -> watch::Receiver<u64> {
        let mut runs = self.runs.lock().expect("nothing panics while it holds this");
        runs.entry(key.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    pub fn run_changed(&self, key: &RunKey) {
        let mut runs = self.runs.lock().expect("nothing panics while it holds this");
        let Some(sender) = runs.get(key) else { return };
        if sender.receiver_count() == 0 {
            runs.remove(key);
        } else {
            sender.send_modify(|count| *count += 1);
        }
    }

    /// Forgets a run that nobody watches any more.
    pub fn run_left(&self, key: &RunKey) {
        let mut runs = self.runs.lock().expect("nothing panics while it holds this");
        if runs.get(key).is_some_and(|sender| sender.receiver_count() == 0) {
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
