//! What several inputs to one entity change together, until one commit makes it durable.

use crate::entity::{Entity, event_in};
use crate::visibility;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use steadfast_api::v1::history::HistoryEvent;
use steadfast_machine::decision::{CallbackDue, PageDue, QueryTask};
use steadfast_machine::planted::{Planted, is_planted};
use steadfast_machine::{
    Answer, AnyRun, Batch, Decision, EntityKey, Message, RowKey, RunKey, Task, TaskKey, Time,
};
use steadfast_query::Schema;
use steadfast_storage::{Commit, HistoryChunk, RunState, RunWrite, TaskChange};
use uuid::Uuid;

/// Runs as the inputs so far have changed them.
#[derive(Default)]
pub struct Transaction {
    pub runs: BTreeMap<Uuid, Changed>,
    pub tasks_added: BTreeMap<TaskKey, Box<Task>>,
    tasks_finished: BTreeSet<TaskKey>,
    pub messages: Vec<Message>,
    messages_done: Vec<(RunKey, i64)>,
    pub answers: Vec<Answer>,
    pub queries: Vec<QueryTask>,
    pub calls: Vec<CallbackDue>,
    pub pages: Vec<PageDue>,
    branches_dropped: Vec<Uuid>,
    bytes: usize,
}

pub struct Changed {
    /// `None` when the run is deleted.
    pub run: Option<AnyRun>,
    pub durable: bool,
    rows: BTreeSet<RowKey>,
    pub batches: Vec<Batch>,
    pub visibility: bool,
}

impl Transaction {
    /// A run as this transaction sees it.
    pub fn run<'a>(&'a self, entity: &'a Entity, id: Uuid) -> Option<&'a AnyRun> {
        match self.runs.get(&id) {
            Some(changed) => changed.run.as_ref(),
            None => entity.runs.get(&id).map(|loaded| &loaded.run),
        }
    }

    /// The current run as this transaction sees it: it may have been made here.
    pub fn current<'a>(&'a self, entity: &'a Entity) -> Option<&'a AnyRun> {
        let made = self.runs.iter().rev().find(|(_, changed)| changed.run.is_some()).map(|(id, _)| *id);
        let known = entity.latest.flatten().filter(|id| self.run(entity, *id).is_some());
        made.max(known).and_then(|id| self.run(entity, id))
    }

    pub fn event(&self, run: Uuid, id: i64) -> Option<HistoryEvent> {
        let holds = |batch: &&Batch| batch.first_event_id <= id && id < batch.first_event_id + batch.events;
        event_in(self.runs.get(&run)?.batches.iter().find(holds)?, id)
    }

    /// Takes a decision in; the tasks that it adds come back, for pairing.
    pub fn absorb(&mut self, decision: Decision) -> Vec<Task> {
        for change in decision.runs {
            let changed = self.runs.entry(change.key.run).or_insert_with(|| Changed {
                run: None,
                durable: false,
                rows: BTreeSet::new(),
                batches: Vec::new(),
                visibility: false,
            });
            self.bytes += change.batches.iter().map(|batch| batch.encoded.len()).sum::<usize>() + 500;
            changed.run = change.next;
            changed.durable |= change.durable;
            changed.visibility |= change.visibility;
            changed.rows.extend(change.rows);
            changed.batches.extend(change.batches);
        }
        for task in &decision.tasks_added {
            self.tasks_added.insert(task.key.clone(), Box::new(task.clone()));
        }
        for key in decision.tasks_finished {
            // Added and finished by the same commit: it never becomes a row.
            if self.tasks_added.remove(&key).is_none() {
                self.tasks_finished.insert(key);
            }
        }
        self.messages.extend(decision.messages);
        self.messages_done.extend(decision.messages_done);
        self.answers.extend(decision.answers);
        self.queries.extend(decision.queries);
        self.calls.extend(decision.calls);
        self.pages.extend(decision.pages);
        self.branches_dropped.extend(decision.branches_dropped);
        decision.tasks_added.into_iter().filter(|task| self.tasks_added.contains_key(&task.key)).collect()
    }

    pub fn durable(&self) -> bool {
        self.runs.values().any(|changed| changed.durable)
            || self.tasks_added.values().any(|task| task.stored)
            || !self.messages_done.is_empty()
    }

    /// Roughly how large the commit is by now, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn finished(&self) -> impl Iterator<Item = &TaskKey> {
        self.tasks_finished.iter()
    }

    /// The commit that makes all of it durable.
    pub fn commit(&self, key: &EntityKey, shard: u32, epoch: u64, schema: &dyn Schema) -> Commit {
        let runs = self.runs.iter().filter(|(_, changed)| changed.durable);
        Commit {
            shard,
            epoch,
            runs: runs.map(|(id, changed)| changed.write(key.run(*id), schema)).collect(),
            tasks: self
                .tasks_finished
                .iter()
                .filter(|_| !is_planted(Planted::TaskRowKept))
                .map(|task| TaskChange::Finish(task.clone()))
                .chain(
                    self.tasks_added
                        .values()
                        .filter(|task| task.stored)
                        .map(|task| TaskChange::Add((**task).clone())),
                )
                .collect(),
            messages: self.messages.clone(),
            messages_done: self.messages_done.clone(),
            branches_dropped: self.branches_dropped.clone(),
        }
    }
}

impl Changed {
    fn write(&self, key: RunKey, schema: &dyn Schema) -> RunWrite {
        let Some(run) = &self.run else {
            return RunWrite {
                key,
                state: RunState::Delete,
                rows: Vec::new(),
                history: None,
                visibility: None,
            };
        };
        let id = key.entity.id.clone();
        let rows: Vec<(RowKey, Option<Bytes>)> =
            self.rows.iter().map(|row| (row.clone(), run.encode_row(row))).collect();
        RunWrite {
            key,
            state: RunState::Put { core: run.encode_core(), alarm: run.stored_alarm(), open: run.is_open() },
            rows,
            history: (!self.batches.is_empty())
                .then(|| HistoryChunk { branch: run.branch(), batches: self.batches.clone() }),
            visibility: (self.visibility && (run.is_open() || !is_planted(Planted::ListNotTold)))
                .then(|| visibility::row(&id, run, schema)),
        }
    }

    /// When the run wants to be woken, and whether storage knows: it does not know of what is volatile.
    pub fn alarm(&self) -> (Option<Time>, bool) {
        let Some(run) = &self.run else { return (None, true) };
        let alarm = run.alarm();
        (alarm, alarm == run.stored_alarm())
    }
}
