//! What has to hold of the stored rows after every commit that took effect.

use std::collections::{BTreeMap, BTreeSet};
use steadfast_api::v1::history::History;
use steadfast_machine::workflow::rows::QueuedRow;
use steadfast_machine::workflow::state::Run;
use steadfast_machine::{EntityKey, Kind, QueueKey, QueueType, RunKey, Task, TaskKey};
use steadfast_storage::{Commit, RunState, TaskChange};
use uuid::Uuid;

/// A model of the database, fed by the commits that took effect.
#[derive(Default)]
pub struct Audit {
    /// By shard: the epoch that was given out last.
    pub epochs: BTreeMap<u32, u64>,
    pub tasks: BTreeMap<TaskKey, Task>,
    of_run: BTreeMap<Uuid, BTreeSet<TaskKey>>,
    /// Every run of a workflow that there is, and whether it is open.
    pub runs: BTreeMap<EntityKey, BTreeMap<Uuid, bool>>,
    /// Batch operations, and whether they run.
    pub batches: BTreeMap<RunKey, bool>,
    pub messages: BTreeSet<(Uuid, i64)>,
    /// By branch: the id after its last event.
    next_event: BTreeMap<Uuid, i64>,
}

impl Audit {
    /// Takes a commit in, with the runs as they are stored now.
    pub fn applied(&mut self, commit: &Commit, stored: &BTreeMap<Uuid, Option<Run>>) -> Vec<String> {
        let mut wrong = Vec::new();
        let epoch = self.epochs.get(&commit.shard).copied().unwrap_or(0);
        if commit.epoch != epoch {
            wrong.push(format!(
                "a commit under epoch {} of shard {} took effect; the epoch is {epoch}",
                commit.epoch, commit.shard
            ));
        }
        for change in &commit.tasks {
            match change {
                TaskChange::Add(task) => {
                    self.of_run.entry(task.run.run).or_default().insert(task.key.clone());
                    self.tasks.insert(task.key.clone(), task.clone());
                }
                TaskChange::Finish(key) => {
                    self.tasks.remove(key);
                    self.of_run.entry(key.run).or_default().remove(key);
                }
            }
        }
        self.messages.extend(commit.messages.iter().map(|message| (message.from.run, message.sequence)));
        for (from, sequence) in &commit.messages_done {
            self.messages.remove(&(from.run, *sequence));
        }
        let workflows = || commit.runs.iter().filter(|write| write.key.entity.kind == Kind::Workflow);
        for write in workflows() {
            let runs = self.runs.entry(write.key.entity.clone()).or_default();
            match &write.state {
                RunState::Put { open, .. } => runs.insert(write.key.run, *open),
                RunState::Delete => runs.remove(&write.key.run),
            };
            let Some(Some(run)) = stored.get(&write.key.run) else {
                if matches!(write.state, RunState::Put { .. }) {
                    wrong.push(format!("{}: a run that was put is not stored", write.key));
                }
                continue;
            };
            if let RunState::Put { alarm, open, .. } = &write.state {
                self.check_put(&write.key, run, *alarm, *open, &mut wrong);
            }
            if let Some(chunk) = &write.history {
                self.check_history(&write.key, run, chunk, &mut wrong);
            }
        }
        for write in workflows() {
            self.check_entity(&write.key.entity, &mut wrong);
        }
        wrong
    }

    fn check_put(
        &self,
        key: &RunKey,
        run: &Run,
        alarm: Option<steadfast_machine::Time>,
        open: bool,
        wrong: &mut Vec<String>,
    ) {
        if run.is_open() != open {
            wrong.push(format!("{key}: the row says open {open}, its status is {:?}", run.status()));
        }
        if run.stored_alarm() != alarm {
            wrong.push(format!(
                "{key}: the alarm's column is {alarm:?}, the rows want {:?}",
                run.stored_alarm()
            ));
        }
        let mut owned = BTreeSet::new();
        if let Some(task) = &run.core.task {
            if task.started_event_id == 0 && task.queued.is_none() && run.is_open() {
                wrong.push(format!("{key}: a workflow task is scheduled, and in no queue"));
            }
            if task.started_event_id != 0 && task.queued.is_some() {
                wrong.push(format!("{key}: a workflow task is started, and still in a queue"));
            }
            owned.extend(task.queued.as_ref().map(|row| task_key(key, row, QueueType::Workflow)));
        }
        for activity in run.activities.values() {
            if activity.started_time != 0 && activity.queued.is_some() {
                wrong.push(format!(
                    "{key}: activity {} is started, and still in a queue",
                    activity.activity_id
                ));
            }
            owned.extend(activity.queued.as_ref().map(|row| task_key(key, row, QueueType::Activity)));
        }
        let there = self.of_run.get(&key.run).cloned().unwrap_or_default();
        for task in there.difference(&owned) {
            wrong.push(format!("{key}: the row of a task has no owner: {task:?}"));
        }
        for task in owned.difference(&there) {
            wrong.push(format!("{key}: something waits for a task that has no row: {task:?}"));
        }
    }

    fn check_history(
        &mut self,
        key: &RunKey,
        run: &Run,
        chunk: &steadfast_storage::HistoryChunk,
        wrong: &mut Vec<String>,
    ) {
        use prost::Message as _;
        let inherited = run.core.ancestry.last().map_or(0, |part| part.last_event_id);
        let mut next = self.next_event.get(&chunk.branch).copied().unwrap_or(inherited + 1);
        for batch in &chunk.batches {
            let Ok(history) = History::decode(batch.encoded.clone()) else {
                wrong.push(format!("{key}: a batch of events does not decode"));
                continue;
            };
            if batch.events != history.events.len() as i64 || batch.first_event_id != next {
                wrong.push(format!(
                    "{key}: a batch says {} events from {}, holds {}, and should begin at {next}",
                    batch.events,
                    batch.first_event_id,
                    history.events.len()
                ));
            }
            for event in &history.events {
                if event.event_id != next {
                    wrong.push(format!("{key}: event {} is where {next} should be", event.event_id));
                }
                next = event.event_id + 1;
            }
        }
        self.next_event.insert(chunk.branch, next);
        if run.core.next_event_id != next {
            wrong.push(format!(
                "{key}: the row says that event {} comes next, the history that it is {next}",
                run.core.next_event_id
            ));
        }
    }

    fn check_entity(&self, entity: &EntityKey, wrong: &mut Vec<String>) {
        let Some(runs) = self.runs.get(entity) else { return };
        let latest = runs.keys().next_back();
        for run in runs.iter().filter(|(_, open)| **open).map(|(run, _)| run) {
            if Some(run) != latest {
                wrong.push(format!("{}: {run} is open, and {latest:?} came after it", entity.id));
            }
        }
    }

    pub fn open_runs(&self) -> Vec<RunKey> {
        let all = self.runs.iter().flat_map(|(entity, runs)| runs.iter().map(move |run| (entity, run)));
        all.filter(|(_, (_, open))| **open).map(|(entity, (run, _))| entity.run(*run)).collect()
    }

    pub fn all_runs(&self) -> Vec<RunKey> {
        self.runs.iter().flat_map(|(entity, runs)| runs.keys().map(|run| entity.run(*run))).collect()
    }
}

fn task_key(key: &RunKey, row: &QueuedRow, kind: QueueType) -> TaskKey {
    TaskKey {
        queue: QueueKey { namespace: key.entity.namespace, name: row.queue.as_str().into(), kind },
        priority: row.priority as u8,
        order: row.order,
        run: key.run,
    }
}
