//! What the promises are tested with: a store under test, and makers of small commits.

use crate::commit::{Commit, HistoryChunk, Outcome, RunState, RunWrite, TaskChange, VisibilityRow};
use crate::store::Store;
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use steadfast_machine::decision::Batch;
use steadfast_machine::{
    EntityKey, Message, QueueKey, QueueType, RowKey, RowTable, RunKey, Task, TaskKey, Time,
};
use steadfast_query::{AttributeType, Filter, Schema, parse, resolve};
use uuid::Uuid;

/// A database that can be opened again.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    type Store: Store;

    /// Opens the database; the first call makes it.
    async fn open(&mut self) -> Self::Store;

    /// Ends the store as a killed process would: nothing is closed in order. The next `open` sees what survived.
    async fn crash(&mut self, store: Arc<Self::Store>);
}

/// A store whose shards are all owned.
pub struct World<F: Fixture> {
    pub fixture: F,
    pub store: Arc<F::Store>,
    pub epochs: Vec<u64>,
}

impl<F: Fixture> World<F> {
    pub async fn new(mut fixture: F) -> World<F> {
        let store = Arc::new(fixture.open().await);
        let mut world = World { fixture, store, epochs: Vec::new() };
        world.acquire_all().await;
        world
    }

    async fn acquire_all(&mut self) {
        self.epochs.clear();
        for shard in 0..self.store.shards() {
            self.epochs.push(self.store.acquire(shard).await.expect("a healthy store gives its shards"));
        }
    }

    /// The process dies, and another one takes over.
    pub async fn crash(mut self) -> World<F> {
        self.fixture.crash(self.store).await;
        World::new(self.fixture).await
    }

    /// The process ends in order, and another one takes over.
    pub async fn restart(mut self) -> World<F> {
        self.store.close().await;
        drop(self.store);
        self.store = Arc::new(self.fixture.open().await);
        self.acquire_all().await;
        self
    }

    /// A commit without changes, on the shard of this entity.
    pub fn commit_on(&self, entity: &EntityKey) -> Commit {
        let shard = entity.shard(self.store.shards());
        Commit { shard, epoch: self.epochs[shard as usize], ..Commit::default() }
    }

    /// One that changes runs of one entity.
    pub fn commit_runs(&self, runs: Vec<RunWrite>) -> Commit {
        let mut commit = self.commit_on(&runs[0].key.entity);
        commit.runs = runs;
        commit
    }

    pub async fn write(&self, commit: Commit) {
        assert_eq!(self.store.commit(commit).await, Outcome::Done);
    }

    pub async fn write_run(&self, write: RunWrite) {
        self.write(self.commit_runs(vec![write])).await;
    }

    pub async fn write_tasks(&self, tasks: Vec<TaskChange>) {
        self.write(Commit { tasks, ..self.commit_on(&entity("tasks")) }).await;
    }
}

/// The namespace of everything that does not say otherwise.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00aa);

pub fn entity(id: &str) -> EntityKey {
    EntityKey::workflow(NAMESPACE, id)
}

/// A run id: version 7, rising with the number.
pub fn run_id(number: u64) -> Uuid {
    Uuid::from_u128((u128::from(number) << 80) | 0x7000_8000_0000_0000_0000)
}

pub fn run(id: &str, number: u64) -> RunKey {
    entity(id).run(run_id(number))
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// An open run with this core row and nothing else.
pub fn put(key: &RunKey, core: &str) -> RunWrite {
    RunWrite {
        key: key.clone(),
        state: RunState::Put { core: bytes(core), alarm: None, open: true },
        rows: Vec::new(),
        history: None,
        visibility: None,
    }
}

pub fn delete(key: &RunKey) -> RunWrite {
    RunWrite { state: RunState::Delete, ..put(key, "") }
}

pub fn put_with_alarm(key: &RunKey, alarm: Option<i64>) -> RunWrite {
    let alarm = alarm.map(Time);
    RunWrite { state: RunState::Put { core: bytes("core"), alarm, open: true }, ..put(key, "") }
}

pub fn put_listed(key: &RunKey, visibility: VisibilityRow) -> RunWrite {
    let open = visibility.close_time.is_none();
    RunWrite {
        state: RunState::Put { core: bytes("core"), alarm: None, open },
        visibility: Some(visibility),
        ..put(key, "")
    }
}

pub fn activity(id: i64) -> RowKey {
    RowKey::number(RowTable::Activity, id)
}

pub fn batch(first_event_id: i64, events: i64) -> Batch {
    let encoded = Bytes::from(format!("events {first_event_id} to {}", first_event_id + events - 1));
    Batch { first_event_id, events, encoded }
}

/// A chunk of batches of these lengths.
pub fn chunk(branch: Uuid, first_event_id: i64, lengths: &[i64]) -> HistoryChunk {
    let mut next = first_event_id;
    let mut batches = Vec::new();
    for length in lengths {
        batches.push(batch(next, *length));
        next += length;
    }
    HistoryChunk { branch, batches }
}

pub fn queue(name: &str) -> QueueKey {
    QueueKey { namespace: NAMESPACE, name: name.into(), kind: QueueType::Activity }
}

pub fn task(queue_name: &str, priority: u8, order: i64) -> Task {
    let run = run("a task's run", 1);
    Task {
        key: TaskKey { queue: queue(queue_name), priority, order, run: run.run },
        run,
        scheduled_event_id: 5,
        stamp: 0,
        expires: None,
        sticky: false,
        stored: true,
        priority: None,
        created: Time(order),
    }
}

pub fn message(from: &RunKey, sequence: i64) -> Message {
    let body = Bytes::from(format!("message {sequence}"));
    Message { from: from.clone(), to: entity("the target"), sequence, body }
}

/// Running.
pub const OPEN: i32 = 1;
pub const COMPLETED: i32 = 2;
pub const FAILED: i32 = 3;

pub fn listed(status: i32, start: i64, close: Option<i64>) -> VisibilityRow {
    VisibilityRow {
        workflow_type: "Type".into(),
        task_queue: "queue".into(),
        status,
        start_time: Time(start),
        execution_time: Time(start),
        close_time: close.map(Time),
        root_workflow_id: "root".into(),
        root_run_id: run_id(1).to_string(),
        memo: bytes("memo"),
        search_attributes: bytes("attributes"),
        ..VisibilityRow::default()
    }
}

/// The custom attributes of every namespace in the suite.
struct Attributes;

impl Schema for Attributes {
    fn custom(&self, name: &str) -> Option<AttributeType> {
        AttributeType::ALL.into_iter().find(|t| name.strip_prefix("Custom") == Some(t.name()))
    }
}

/// A query of the visibility language; custom attributes are CustomKeyword, CustomInt and so on.
pub fn filter(query: &str) -> Filter {
    let query = parse(query).expect("the suite's queries are well formed");
    resolve(query, &Attributes).expect("the suite's queries have a meaning")
}
