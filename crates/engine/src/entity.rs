//! An entity in memory: its runs as they are stored, and the ends of their histories.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use std::collections::{BTreeMap, VecDeque};
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_machine::workflow::state::Run;
use steadfast_machine::{AnyRun, Batch, EntityKey};
use steadfast_storage::{Store, StoreError, StoredRun};
use uuid::Uuid;

/// Bytes of history that are kept of one run.
const TAIL_BYTES: usize = 32 << 10;

#[derive(Default)]
pub struct Entity {
    pub runs: BTreeMap<Uuid, Loaded>,
    /// The highest run id, once it was looked for. `Some(None)`: there is no run.
    pub latest: Option<Option<Uuid>>,
}

pub struct Loaded {
    pub run: AnyRun,
    pub tail: Tail,
}

/// The last batches of a history.
#[derive(Default)]
pub struct Tail {
    batches: VecDeque<Batch>,
    bytes: usize,
}

impl Tail {
    pub fn extend(&mut self, batches: &[Batch]) {
        for batch in batches {
            self.bytes += batch.encoded.len();
            self.batches.push_back(batch.clone());
        }
        while self.bytes > TAIL_BYTES {
            let Some(batch) = self.batches.pop_front() else { break };
            self.bytes -= batch.encoded.len();
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The encoded events from `from` to before `to`, if all of them are here. Both are where a batch begins or ends, but
    /// for a batch in which `from` falls into the middle, which is given whole.
    pub fn between(&self, from: i64, to: i64) -> Option<Bytes> {
        let first = self.batches.front()?.first_event_id;
        if first > from {
            return None;
        }
        let wanted: Vec<&Bytes> = self
            .batches
            .iter()
            .filter(|batch| batch.first_event_id + batch.events > from && batch.first_event_id < to)
            .map(|batch| &batch.encoded)
            .collect();
        if let [one] = wanted[..] {
            return Some(one.clone());
        }
        let mut joined = BytesMut::with_capacity(wanted.iter().map(|bytes| bytes.len()).sum());
        for bytes in wanted {
            joined.extend_from_slice(bytes);
        }
        Some(joined.freeze())
    }

    /// The first page of the events from `from` to before `to`, and the event after it, if all of it is here.
    pub fn page(&self, from: i64, to: i64, batches: usize) -> Option<(Bytes, i64)> {
        let ends = |batch: &Batch| batch.first_event_id + batch.events;
        let wanted = self.batches.iter().filter(|batch| ends(batch) > from && batch.first_event_id < to);
        let next = wanted.take(batches).last().map(ends)?;
        Some((self.between(from, next.min(to))?, next))
    }

    pub fn event(&self, id: i64) -> Option<HistoryEvent> {
        let holds = |batch: &&Batch| batch.first_event_id <= id && id < batch.first_event_id + batch.events;
        event_in(self.batches.iter().find(holds)?, id)
    }

    pub fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter()
    }
}

/// One event of a batch.
pub fn event_in(batch: &Batch, id: i64) -> Option<HistoryEvent> {
    events_in(batch).into_iter().find(|event| event.event_id == id)
}

/// The events of a batch; none if it cannot be read.
pub fn events_in(batch: &Batch) -> Vec<HistoryEvent> {
    History::decode(batch.encoded.clone()).unwrap_or_default().events
}

/// A run as it is stored.
pub fn decoded(key: &EntityKey, stored: &StoredRun) -> Result<AnyRun, StoreError> {
    AnyRun::decode(key.kind, stored.run, &stored.core, &stored.rows)
        .map_err(|bad| StoreError::Corrupt(format!("run {}: {}", stored.run, bad.0)))
}

impl Entity {
    pub fn current(&self) -> Option<&Loaded> {
        self.latest.flatten().and_then(|id| self.runs.get(&id))
    }

    /// A workflow run that is here, or the current one.
    pub fn workflow(&self, run: Option<Uuid>) -> Option<(&Run, &Tail)> {
        let loaded = match run {
            Some(run) => self.runs.get(&run)?,
            None => self.current()?,
        };
        Some((loaded.run.workflow()?, &loaded.tail))
    }

    /// Whether the latest run is known, and this one is here if it exists.
    pub fn holds(&self, run: Option<Uuid>) -> bool {
        match (self.latest, run) {
            (None, _) => false,
            (Some(latest), Some(run)) => {
                self.runs.contains_key(&run) || latest.is_none_or(|latest| run > latest)
            }
            (Some(latest), None) => latest.is_none_or(|latest| self.runs.contains_key(&latest)),
        }
    }

    /// A rough measure of what it takes of memory, in bytes.
    pub fn weight(&self) -> usize {
        200 + self.runs.values().map(|loaded| loaded.run.weight() + loaded.tail.bytes()).sum::<usize>()
    }

    /// Loads the run with the highest id, if that was not done yet.
    pub async fn load_latest(&mut self, key: &EntityKey, store: &dyn Store) -> Result<(), StoreError> {
        if self.latest.is_none() {
            let stored = store.load_latest(key).await?;
            self.latest = Some(stored.as_ref().map(|stored| stored.run));
            if let Some(stored) = stored {
                self.hold(key, stored)?;
            }
        }
        Ok(())
    }

    /// Loads a run that an input names, if it exists and is not here yet.
    pub async fn load_run(
        &mut self,
        key: &EntityKey,
        run: Uuid,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let newer_than_all = self.latest.flatten().is_none_or(|latest| run > latest);
        if self.runs.contains_key(&run) || newer_than_all {
            return Ok(());
        }
        if let Some(stored) = store.load_run(&key.run(run)).await? {
            self.hold(key, stored)?;
        }
        Ok(())
    }

    fn hold(&mut self, key: &EntityKey, stored: StoredRun) -> Result<(), StoreError> {
        let run = decoded(key, &stored)?;
        self.runs.insert(stored.run, Loaded { run, tail: Tail::default() });
        Ok(())
    }
}
