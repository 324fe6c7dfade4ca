//! The one write.

use bytes::Bytes;
use steadfast_machine::decision::Batch;
use steadfast_machine::{Message, RowKey, RunKey, Task, TaskKey, Time};
use steadfast_query::{Column, Value};
use uuid::Uuid;

/// Everything that one step changes, written together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub shard: u32,
    /// The epoch under which the writer owns the shard. A commit under an old one is refused whole.
    pub epoch: u64,
    pub runs: Vec<RunWrite>,
    pub tasks: Vec<TaskChange>,
    pub messages: Vec<Message>,
    /// Messages that were applied by their target: (sending run, sequence).
    pub messages_done: Vec<(RunKey, i64)>,
    /// History branches that nobody uses any more.
    pub branches_dropped: Vec<Uuid>,
}

#[derive(Clone, Debug)]
pub struct RunWrite {
    pub key: RunKey,
    pub state: RunState,
    /// Rows to put, or to delete where there is no value.
    pub rows: Vec<(RowKey, Option<Bytes>)>,
    /// New history of this commit.
    pub history: Option<HistoryChunk>,
    /// The run's row in the lists, where it changed.
    pub visibility: Option<VisibilityRow>,
}

#[derive(Clone, Debug)]
pub enum RunState {
    /// The core row and the run's alarm: the earliest moment at which it wants to be woken.
    Put { core: Bytes, alarm: Option<Time>, open: bool },
    /// The run, its rows, its visibility and search attributes go. Its history goes by `branches_dropped`.
    Delete,
}

/// The batches that one commit adds to a branch, kept as one row with the key (branch, first event id).
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryChunk {
    pub branch: Uuid,
    /// Never empty; event ids are contiguous.
    pub batches: Vec<Batch>,
}

impl HistoryChunk {
    /// None for a chunk without batches, which no store takes.
    pub fn first_event_id(&self) -> Option<i64> {
        self.batches.first().map(|batch| batch.first_event_id)
    }
}

#[derive(Clone, Debug)]
pub enum TaskChange {
    Add(Task),
    Finish(TaskKey),
}

/// A run as lists show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VisibilityRow {
    /// A run keeps it.
    pub workflow_type: String,
    pub task_queue: String,
    /// `WorkflowExecutionStatus` for workflows.
    pub status: i32,
    pub start_time: Time,
    pub execution_time: Time,
    pub close_time: Option<Time>,
    /// This and the next two: 0 while the run is open, whatever is written.
    pub history_length: i64,
    pub history_bytes: i64,
    pub transitions: i64,
    pub root_workflow_id: String,
    pub root_run_id: String,
    pub parent_workflow_id: Option<String>,
    pub parent_run_id: Option<String>,
    /// Encoded `Memo`.
    pub memo: Bytes,
    /// Encoded `SearchAttributes` as they are returned: custom and predefined.
    pub search_attributes: Bytes,
    /// The same, one indexed row each: (name, values). They are for finding only: rows that are read have none.
    pub indexed: Vec<(String, Vec<Value>)>,
}

impl VisibilityRow {
    /// The division that hides this run from queries that do not name one. It comes in among the indexed attributes.
    pub fn division(&self) -> Option<&str> {
        let (_, values) = self.indexed.iter().find(|(name, _)| name == Column::NamespaceDivision.name())?;
        match values.first() {
            Some(Value::Text(division)) => Some(division),
            _ => None,
        }
    }

    /// Nanoseconds from the execution time to the close, for closed runs.
    pub fn execution_duration(&self) -> Option<i64> {
        self.close_time.map(|close| close.since(self.execution_time))
    }
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Done,
    /// Certainly not written, and the store goes on (a full disk, for instance).
    NotWritten(String),
    /// Another process owns the shard now.
    Fenced,
    /// Perhaps written. What memory holds must be dropped and read again.
    Unknown(String),
}
