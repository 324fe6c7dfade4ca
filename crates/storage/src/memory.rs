//! The store in memory: for a development server without a database file, and for the simulator.
//!
//! It keeps every promise of the trait but one: nothing of it survives the process. A commit is applied before its
//! future is first waited for, and every map is ordered, so that a simulation that repeats its calls repeats the answers.

use crate::commit::{Commit, Outcome, RunState, RunWrite, TaskChange, VisibilityRow};
use crate::rows::{BacklogPage, BranchPart, NamespaceRecord, PageKey, StoredRun, VisibilityPage};
use crate::store::{Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use steadfast_machine::decision::Batch;
use steadfast_machine::planted::{Planted, is_planted};
use steadfast_machine::{EntityKey, Kind, Message, QueueKey, RowKey, RunKey, Task, TaskKey, Time};
use steadfast_query::attribute::Column;
use steadfast_query::{Cell, Filter, OPEN_CLOSE_TIME, Value};
use uuid::Uuid;

/// See the module. Dropping it loses nothing as long as another handle made by [`MemoryStore::reopen`] exists.
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Tables {
    cluster_id: Uuid,
    /// By shard.
    epochs: Vec<u64>,
    runs: BTreeMap<EntityKey, BTreeMap<Uuid, RunEntry>>,
    alarms: BTreeSet<(Time, RunKey)>,
    /// By branch, then by the first event id of the chunk.
    histories: BTreeMap<Uuid, BTreeMap<i64, Vec<Batch>>>,
    tasks: BTreeMap<TaskKey, Task>,
    backlogs: BTreeMap<QueueKey, u64>,
    messages: BTreeMap<(Uuid, i64), Message>,
    lists: BTreeMap<(Uuid, Kind), BTreeMap<ListPlace, EntityKey>>,
    /// Runs that are listed without a division, by status.
    counters: BTreeMap<Counted, u64>,
    namespaces: BTreeMap<Uuid, NamespaceRecord>,
    configs: BTreeMap<(String, String), (u64, Bytes)>,
}

/// What is counted apart: runs of one namespace, kind, type and status.
type Counted = (Uuid, Kind, String, i32);

/// A run's place in the order of lists: open first, then the latest close, the latest start, the run id.
type ListPlace = (Reverse<Time>, Reverse<Time>, Uuid);

struct RunEntry {
    core: Bytes,
    alarm: Option<Time>,
    open: bool,
    rows: BTreeMap<RowKey, Bytes>,
    visibility: Option<Listed>,
}

struct Listed {
    /// The run id as queries see it.
    run_text: String,
    division: Option<String>,
    row: VisibilityRow,
}

impl MemoryStore {
    pub fn new(shards: u32, cluster_id: Uuid) -> MemoryStore {
        let tables = Tables { cluster_id, epochs: vec![0; shards.max(1) as usize], ..Tables::default() };
        MemoryStore { tables: Arc::new(Mutex::new(tables)), closed: AtomicBool::new(false) }
    }

    /// Another handle on the same data, as a process has that starts after this one died.
    pub fn reopen(&self) -> MemoryStore {
        MemoryStore { tables: self.tables.clone(), closed: AtomicBool::new(false) }
    }

    fn read(&self) -> Result<MutexGuard<'_, Tables>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        self.tables.lock().map_err(|_| StoreError::Corrupt("a thread died while it changed the store".into()))
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn shards(&self) -> u32 {
        self.tables.lock().map_or(1, |tables| tables.epochs.len() as u32)
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn cluster_id(&self) -> Uuid {
        self.tables.lock().map_or(Uuid::nil(), |tables| tables.cluster_id)
    }

    async fn acquire(&self, shard: u32) -> Result<u64, StoreError> {
        let mut tables = self.read()?;
        match tables.epochs.get_mut(shard as usize) {
            Some(epoch) => {
                *epoch += 1;
                Ok(*epoch)
            }
            None => Err(StoreError::Unavailable(format!("there is no shard {shard}"))),
        }
    }

    async fn commit(&self, commit: Commit) -> Outcome {
        match self.read() {
            Ok(mut tables) => tables.commit(commit),
            Err(error) => Outcome::NotWritten(error.to_string()),
        }
    }

    async fn load_latest(&self, entity: &EntityKey) -> Result<Option<StoredRun>, StoreError> {
        let tables = self.read()?;
        let latest = tables.runs.get(entity).and_then(|runs| runs.last_key_value());
        Ok(latest.map(|(run, entry)| entry.stored(*run)))
    }

    async fn load_run(&self, key: &RunKey) -> Result<Option<StoredRun>, StoreError> {
        Ok(self.read()?.entry(key).map(|entry| entry.stored(key.run)))
    }

    async fn run_ids(&self, entity: &EntityKey) -> Result<Vec<Uuid>, StoreError> {
        Ok(self.read()?.runs.get(entity).map_or_else(Vec::new, |runs| runs.keys().copied().collect()))
    }

    async fn cores(&self, entity: &EntityKey) -> Result<Vec<(Uuid, Bytes)>, StoreError> {
        let tables = self.read()?;
        let runs = tables.runs.get(entity).into_iter().flatten();
        Ok(runs.map(|(run, entry)| (*run, entry.core.clone())).collect())
    }

    async fn read_history(
        &self,
        parts: &[BranchPart],
        from: i64,
        to: i64,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Batch>, StoreError> {
        let tables = self.read()?;
        let mut batches = Vec::new();
        let mut part_begins = i64::MIN;
        for part in parts {
            let low = from.max(part_begins);
            let high = to.min(part.last_event_id.saturating_add(1));
            part_begins = part.last_event_id.saturating_add(1);
            let Some(chunks) = tables.histories.get(&part.branch) else { continue };
            if low >= high {
                continue;
            }
            let first_chunk = chunks.range(..=low).next_back().map_or(low, |(first, _)| *first);
            let wanted = chunks
                .range(first_chunk..high)
                .flat_map(|(_, batches)| batches)
                .filter(|batch| batch.first_event_id < high && batch.first_event_id + batch.events > low);
            batches.extend(wanted.cloned());
            if !reverse && batches.len() >= limit {
                break;
            }
        }
        if reverse {
            batches.reverse();
        }
        batches.truncate(limit);
        Ok(batches)
    }

    async fn read_backlog(
        &self,
        queue: &QueueKey,
        after: Option<&TaskKey>,
        limit: usize,
    ) -> Result<BacklogPage, StoreError> {
        let tables = self.read()?;
        let first = TaskKey { queue: queue.clone(), priority: 0, order: i64::MIN, run: Uuid::nil() };
        let start = match after {
            Some(key) => Bound::Excluded(key),
            None => Bound::Included(&first),
        };
        let tasks: Vec<Task> = tables
            .tasks
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| key.queue == *queue)
            .take(limit)
            .map(|(_, task)| task.clone())
            .collect();
        let next = if tasks.len() == limit { tasks.last().map(|task| task.key.clone()) } else { None };
        Ok(BacklogPage { tasks, next })
    }

    async fn backlogs(&self) -> Result<Vec<(QueueKey, u64)>, StoreError> {
        Ok(self.read()?.backlogs.iter().map(|(queue, count)| (queue.clone(), *count)).collect())
    }

    async fn alarms(&self, until: Time, limit: usize) -> Result<Vec<(Time, RunKey)>, StoreError> {
        let tables = self.read()?;
        Ok(tables.alarms.iter().take_while(|(time, _)| *time <= until).take(limit).cloned().collect())
    }

    async fn messages(
        &self,
        after: Option<&(RunKey, i64)>,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let tables = self.read()?;
        let start = after.map_or(Bound::Unbounded, |(from, sequence)| Bound::Excluded((from.run, *sequence)));
        Ok(tables.messages.range((start, Bound::Unbounded)).take(limit).map(|(_, m)| m.clone()).collect())
    }

    async fn expired(
        &self,
        namespace: Uuid,
        closed_before: Time,
        limit: usize,
    ) -> Result<Vec<RunKey>, StoreError> {
        let tables = self.read()?;
        let kinds = (namespace, Kind::Workflow)..=(namespace, Kind::NexusOperation);
        let mut expired: Vec<(Time, RunKey)> = Vec::new();
        for list in tables.lists.range(kinds).map(|(_, list)| list) {
            let oldest_first = list.iter().rev();
            let closed = oldest_first.take_while(|(place, _)| place.0.0 < closed_before).take(limit);
            expired.extend(closed.map(|(place, entity)| (place.0.0, entity.run(place.2))));
        }
        expired.sort();
        expired.truncate(limit);
        Ok(expired.into_iter().map(|(_, key)| key).collect())
    }

    async fn list(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<VisibilityPage, StoreError> {
        let tables = self.read()?;
        let start = after.map_or(Bound::Unbounded, |key| {
            Bound::Excluded((Reverse(key.close_time), Reverse(key.start_time), key.run))
        });
        let matching = tables.listed(namespace, kind, start, filter);
        VisibilityPage::fill(
            matching.map(|(entity, run, listed)| Ok((entity.run(run), listed.returned()))),
            limit,
        )
    }

    async fn count(&self, namespace: Uuid, kind: Kind, filter: &Filter) -> Result<u64, StoreError> {
        let groups = self.count_by_status(namespace, kind, filter).await?;
        Ok(groups.into_iter().map(|(_, count)| count).sum())
    }

    async fn count_by_status(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: &Filter,
    ) -> Result<Vec<(i32, u64)>, StoreError> {
        let tables = self.read()?;
        let mut groups = BTreeMap::new();
        if filter.is_for_counters() {
            let counted = tables.counters.range((namespace, kind, String::new(), i32::MIN)..);
            let of_kind = |key: &Counted| (key.0, key.1) == (namespace, kind);
            for ((_, _, of_type, status), count) in counted.take_while(|(key, _)| of_kind(key)) {
                if filter.counts(of_type, *status) {
                    *groups.entry(*status).or_insert(0) += count;
                }
            }
            return Ok(groups.into_iter().collect());
        }
        for (_, _, listed) in tables.listed(namespace, kind, Bound::Unbounded, filter) {
            *groups.entry(listed.row.status).or_insert(0) += 1;
        }
        Ok(groups.into_iter().collect())
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceRecord>, StoreError> {
        Ok(self.read()?.namespaces.values().cloned().collect())
    }

    async fn put_namespace(&self, record: NamespaceRecord) -> Result<(), StoreError> {
        let mut tables = self.read()?;
        if tables.namespaces.values().any(|other| other.name == record.name && other.id != record.id) {
            return Err(StoreError::Conflict(format!("the namespace {} exists already", record.name)));
        }
        let stored = tables.namespaces.get(&record.id).map_or(0, |stored| stored.version);
        check_version(stored, record.version.wrapping_sub(1))?;
        tables.namespaces.insert(record.id, record);
        Ok(())
    }

    async fn delete_namespace(&self, id: Uuid) -> Result<(), StoreError> {
        self.read()?.namespaces.remove(&id);
        Ok(())
    }

    async fn delete_search_attribute(&self, namespace: Uuid, name: &str) -> Result<(), StoreError> {
        let mut tables = self.read()?;
        for (_, runs) in tables.runs.iter_mut().filter(|(entity, _)| entity.namespace == namespace) {
            for listed in runs.values_mut().filter_map(|entry| entry.visibility.as_mut()) {
                listed.row.indexed.retain(|(indexed, _)| indexed != name);
            }
        }
        Ok(())
    }

    async fn configs(&self, kind: &str) -> Result<Vec<(String, u64, Bytes)>, StoreError> {
        let tables = self.read()?;
        let of_kind = tables.configs.range((kind.to_owned(), String::new())..);
        Ok(of_kind
            .take_while(|((stored, _), _)| stored == kind)
            .map(|((_, key), (version, value))| (key.clone(), *version, value.clone()))
            .collect())
    }

    async fn put_config(
        &self,
        kind: &str,
        key: &str,
        expected: u64,
        value: Option<Bytes>,
    ) -> Result<(), StoreError> {
        let mut tables = self.read()?;
        let place = (kind.to_owned(), key.to_owned());
        check_version(tables.configs.get(&place).map_or(0, |(version, _)| *version), expected)?;
        match value {
            Some(value) => tables.configs.insert(place, (expected + 1, value)),
            None => tables.configs.remove(&place),
        };
        Ok(())
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }
}

fn check_version(stored: u64, expected: u64) -> Result<(), StoreError> {
    if stored == expected {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("the stored version is {stored}, not {expected}")))
}

impl Tables {
    fn entry(&self, key: &RunKey) -> Option<&RunEntry> {
        self.runs.get(&key.entity)?.get(&key.run)
    }

    /// Checks first, then changes: after the first change nothing can fail.
    fn commit(&mut self, commit: Commit) -> Outcome {
        match self.epochs.get(commit.shard as usize) {
            None => return Outcome::NotWritten(format!("there is no shard {}", commit.shard)),
            Some(epoch) if *epoch != commit.epoch && !is_planted(Planted::EpochNotChecked) => {
                return Outcome::Fenced;
            }
            Some(_) => {}
        }
        for chunk in commit.runs.iter().filter_map(|write| write.history.as_ref()) {
            let Some(first) = chunk.first_event_id() else {
                return Outcome::NotWritten(format!("a chunk of history branch {} is empty", chunk.branch));
            };
            if self.histories.get(&chunk.branch).is_some_and(|chunks| chunks.contains_key(&first)) {
                return Outcome::NotWritten(format!(
                    "event {first} of history branch {} is stored already",
                    chunk.branch
                ));
            }
        }
        for write in commit.runs {
            self.write_run(write);
        }
        for change in commit.tasks {
            match change {
                TaskChange::Add(task) => self.add_task(task),
                TaskChange::Finish(key) => self.finish_task(&key),
            }
        }
        for message in commit.messages {
            self.messages.insert((message.from.run, message.sequence), message);
        }
        for (from, sequence) in commit.messages_done {
            self.messages.remove(&(from.run, sequence));
        }
        for branch in commit.branches_dropped {
            self.histories.remove(&branch);
        }
        Outcome::Done
    }

    fn write_run(&mut self, write: RunWrite) {
        let RunWrite { key, state, rows, history, visibility } = write;
        if let Some(chunk) = history
            && let Some(first) = chunk.first_event_id()
        {
            self.histories.entry(chunk.branch).or_default().insert(first, chunk.batches);
        }
        let (core, alarm, open) = match state {
            RunState::Put { core, alarm, open } => (core, alarm, open),
            RunState::Delete => return self.delete_run(&key),
        };
        let runs = self.runs.entry(key.entity.clone()).or_default();
        let entry = runs.entry(key.run).or_insert_with(|| RunEntry {
            core: Bytes::new(),
            alarm: None,
            open,
            rows: BTreeMap::new(),
            visibility: None,
        });
        entry.core = core;
        entry.open = open;
        let alarm_before = std::mem::replace(&mut entry.alarm, alarm);
        for (row, value) in rows {
            match value {
                Some(value) => entry.rows.insert(row, value),
                None => entry.rows.remove(&row),
            };
        }
        if let Some(mut row) = visibility {
            if row.close_time.is_none() {
                (row.history_length, row.history_bytes, row.transitions) = (0, 0, 0);
            }
            let listed =
                Listed { run_text: key.run.to_string(), division: row.division().map(str::to_owned), row };
            let place = list_place(&listed.row, key.run);
            let status = listed.counts_as(&key.entity);
            let before = entry.visibility.replace(listed);
            self.unlist(&key, before);
            self.lists
                .entry((key.entity.namespace, key.entity.kind))
                .or_default()
                .insert(place, key.entity.clone());
            if let Some(status) = status {
                *self.counters.entry(status).or_insert(0) += 1;
            }
        }
        if alarm_before != alarm {
            if let Some(time) = alarm_before {
                self.alarms.remove(&(time, key.clone()));
            }
            if let Some(time) = alarm {
                self.alarms.insert((time, key));
            }
        }
    }

    fn delete_run(&mut self, key: &RunKey) {
        let Some(runs) = self.runs.get_mut(&key.entity) else { return };
        let Some(entry) = runs.remove(&key.run) else { return };
        if runs.is_empty() {
            self.runs.remove(&key.entity);
        }
        if let Some(time) = entry.alarm {
            self.alarms.remove(&(time, key.clone()));
        }
        self.unlist(key, entry.visibility);
    }

    fn unlist(&mut self, key: &RunKey, listed: Option<Listed>) {
        let Some(listed) = listed else { return };
        let of_kind = (key.entity.namespace, key.entity.kind);
        if let Some(list) = self.lists.get_mut(&of_kind) {
            list.remove(&list_place(&listed.row, key.run));
        }
        if let Some(status) = listed.counts_as(&key.entity)
            && let Some(count) = self.counters.get_mut(&status)
        {
            *count -= 1;
            if *count == 0 {
                self.counters.remove(&status);
            }
        }
    }

    fn add_task(&mut self, task: Task) {
        let queue = task.key.queue.clone();
        if self.tasks.insert(task.key.clone(), task).is_none() {
            *self.backlogs.entry(queue).or_insert(0) += 1;
        }
    }

    fn finish_task(&mut self, key: &TaskKey) {
        if self.tasks.remove(key).is_none() {
            return;
        }
        if let Some(count) = self.backlogs.get_mut(&key.queue) {
            *count -= 1;
            if *count == 0 {
                self.backlogs.remove(&key.queue);
            }
        }
    }

    /// Runs that match, in the order of lists.
    fn listed<'a>(
        &'a self,
        namespace: Uuid,
        kind: Kind,
        start: Bound<ListPlace>,
        filter: &'a Filter,
    ) -> impl Iterator<Item = (&'a EntityKey, Uuid, &'a Listed)> {
        let list = self.lists.get(&(namespace, kind));
        list.into_iter().flat_map(move |list| list.range((start, Bound::Unbounded))).filter_map(
            move |(place, entity)| {
                let listed = self.runs.get(entity)?.get(&place.2)?.visibility.as_ref()?;
                filter.matches(&Candidate { id: &entity.id, listed }).then_some((entity, place.2, listed))
            },
        )
    }
}

impl RunEntry {
    fn stored(&self, run: Uuid) -> StoredRun {
        StoredRun {
            run,
            core: self.core.clone(),
            alarm: self.alarm,
            open: self.open,
            rows: self.rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

impl Listed {
    /// The row as lists return it.
    fn returned(&self) -> VisibilityRow {
        VisibilityRow { indexed: Vec::new(), ..self.row.clone() }
    }

    /// The counter that counts this run, if one does: runs in a division are hidden from plain counts.
    fn counts_as(&self, entity: &EntityKey) -> Option<Counted> {
        let of_type = || self.row.workflow_type.to_string();
        self.division.is_none().then(|| (entity.namespace, entity.kind, of_type(), self.row.status))
    }
}

fn list_place(row: &VisibilityRow, run: Uuid) -> ListPlace {
    let key = PageKey::of(row, run);
    (Reverse(key.close_time), Reverse(key.start_time), run)
}

/// A run as the query language sees it.
struct Candidate<'a> {
    id: &'a str,
    listed: &'a Listed,
}

impl steadfast_query::Row for Candidate<'_> {
    fn column(&self, column: Column) -> Option<Cell<'_>> {
        let row = &self.listed.row;
        let closed = |value: i64| row.close_time.map(|_| Cell::Int(value));
        match column {
            Column::WorkflowId => Some(Cell::Text(self.id)),
            Column::RunId => Some(Cell::Text(&self.listed.run_text)),
            Column::WorkflowType => Some(Cell::Text(&row.workflow_type)),
            Column::TaskQueue => Some(Cell::Text(&row.task_queue)),
            Column::ExecutionStatus => Some(Cell::Int(row.status.into())),
            Column::RootWorkflowId => Some(Cell::Text(&row.root_workflow_id)),
            Column::RootRunId => Some(Cell::Text(&row.root_run_id)),
            Column::ParentWorkflowId => row.parent_workflow_id.as_deref().map(Cell::Text),
            Column::ParentRunId => row.parent_run_id.as_deref().map(Cell::Text),
            Column::StartTime => Some(Cell::Int(row.start_time.0)),
            Column::ExecutionTime => Some(Cell::Int(row.execution_time.0)),
            Column::CloseTime => row.close_time.map(|time| Cell::Int(time.0)),
            Column::HistoryLength => closed(row.history_length),
            Column::HistorySizeBytes => closed(row.history_bytes),
            Column::StateTransitionCount => closed(row.transitions),
            Column::ExecutionDuration => row.execution_duration().map(Cell::Int),
            Column::NamespaceDivision => self.listed.division.as_deref().map(Cell::Text),
        }
    }

    fn attribute(&self, name: &str) -> &[Value] {
        let indexed = self.listed.row.indexed.iter().find(|(indexed, _)| indexed == name);
        indexed.map_or(&[], |(_, values)| values)
    }
}

impl PageKey {
    /// The place of a run in lists.
    pub fn of(row: &VisibilityRow, run: Uuid) -> PageKey {
        let close_time = row.close_time.unwrap_or(Time(OPEN_CLOSE_TIME));
        PageKey { close_time, start_time: row.start_time, run }
    }
}
