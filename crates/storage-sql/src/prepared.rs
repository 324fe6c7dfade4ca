//! A commit as it is written: encoded, hashed and checked by the caller's thread, so that the one thread that writes has
//! little left to do.

use crate::encoding::{
    checksum, encode_batches, encode_message, encode_task, entity_hash, task_checksum, visibility_checksum,
};
use bytes::Bytes;
use steadfast_machine::{RowKey, RunKey, TaskKey};
use steadfast_storage::{Commit, HistoryChunk, RunState, RunWrite, TaskChange, VisibilityRow};
use uuid::Uuid;
use xxhash_rust::xxh3::Xxh3;

/// Events of a branch beyond this id have no place in the table `history`.
pub const MAX_EVENT_ID: i64 = (1 << HISTORY_EVENT_BITS) - 1;
pub const HISTORY_EVENT_BITS: u32 = 25;

pub struct PreparedCommit {
    pub shard: u32,
    pub epoch: u64,
    pub runs: Vec<PreparedRun>,
    pub tasks_added: Vec<PreparedTask>,
    pub tasks_finished: Vec<TaskKey>,
    pub messages: Vec<PreparedMessage>,
    pub messages_done: Vec<(RunKey, i64)>,
    pub branches_dropped: Vec<Uuid>,
    /// About what it adds to the database, in bytes.
    pub bytes: usize,
}

pub struct PreparedRun {
    pub key: RunKey,
    pub entity_hash: i64,
    pub state: RunState,
    pub core_checksum: i32,
    /// With the checksum of the value.
    pub rows: Vec<(RowKey, Option<(Bytes, i32)>)>,
    pub history: Option<PreparedHistory>,
    pub visibility: Option<PreparedVisibility>,
}

pub struct PreparedHistory {
    pub branch: Uuid,
    pub first_event_id: i64,
    pub checksum: i32,
    pub batches: Vec<u8>,
}

pub struct PreparedVisibility {
    pub row: VisibilityRow,
    pub division: Option<String>,
    pub checksum: i32,
    /// Of the indexed attributes: the rows of equal ones need not be written again.
    pub indexed_hash: u64,
    /// A hash of all columns that order the lists: an entry that keeps its place leaves their indexes alone.
    pub place: u64,
}

pub struct PreparedTask {
    pub key: TaskKey,
    pub checksum: i32,
    pub body: Vec<u8>,
}

pub struct PreparedMessage {
    pub run: Uuid,
    pub sequence: i64,
    pub checksum: i32,
    pub body: Vec<u8>,
}

impl PreparedCommit {
    /// Encodes a commit.
    ///
    /// # Errors
    /// Its history is malformed: empty, with a gap, or beyond [`MAX_EVENT_ID`]. The text says which.
    pub fn new(commit: Commit) -> Result<PreparedCommit, String> {
        let mut prepared = PreparedCommit {
            shard: commit.shard,
            epoch: commit.epoch,
            runs: Vec::with_capacity(commit.runs.len()),
            tasks_added: Vec::new(),
            tasks_finished: Vec::new(),
            messages: Vec::with_capacity(commit.messages.len()),
            messages_done: commit.messages_done,
            branches_dropped: commit.branches_dropped,
            bytes: 0,
        };
        for write in commit.runs {
            let run = PreparedRun::new(write)?;
            prepared.bytes += run.bytes();
            prepared.runs.push(run);
        }
        for change in commit.tasks {
            match change {
                TaskChange::Add(task) => {
                    let body = encode_task(&task);
                    // Finished in the commit that adds it, it never becomes a row.
                    prepared.bytes += body.len();
                    let checksum = task_checksum(&task.key, &body);
                    prepared.tasks_added.push(PreparedTask { key: task.key, checksum, body });
                }
                TaskChange::Finish(key) => {
                    let added = prepared.tasks_added.iter().position(|task| task.key == key);
                    if let Some(place) = added {
                        prepared.tasks_added.remove(place);
                    }
                    prepared.tasks_finished.push(key);
                }
            }
        }
        for message in commit.messages {
            let body = encode_message(&message);
            let (run, sequence) = (message.from.run, message.sequence);
            let checksum = message_checksum(run, sequence, &body);
            prepared.bytes += body.len();
            prepared.messages.push(PreparedMessage { run, sequence, checksum, body });
        }
        Ok(prepared)
    }
}

impl PreparedRun {
    fn new(write: RunWrite) -> Result<PreparedRun, String> {
        let RunWrite { key, state, rows, history, visibility } = write;
        let core_checksum = match &state {
            RunState::Put { core, .. } => core_checksum(&key, core),
            RunState::Delete => 0,
        };
        let rows = rows
            .into_iter()
            .map(|(row, value)| {
                let value = value.map(|value| {
                    let checksum = row_checksum(key.run, &row, &value);
                    (value, checksum)
                });
                (row, value)
            })
            .collect();
        let history = history.map(PreparedHistory::new).transpose()?;
        let visibility = visibility.map(|row| PreparedVisibility::new(&key, row));
        let entity_hash = entity_hash(&key.entity);
        Ok(PreparedRun { key, entity_hash, state, core_checksum, rows, history, visibility })
    }

    fn bytes(&self) -> usize {
        let core = match &self.state {
            RunState::Put { core, .. } => core.len(),
            RunState::Delete => 0,
        };
        let rows: usize =
            self.rows.iter().map(|(_, value)| value.as_ref().map_or(0, |(value, _)| value.len())).sum();
        let history = self.history.as_ref().map_or(0, |history| history.batches.len());
        let visibility =
            self.visibility.as_ref().map_or(0, |v| v.row.memo.len() + v.row.search_attributes.len() + 256);
        core + rows + history + visibility + self.key.entity.id.len()
    }
}

impl PreparedHistory {
    fn new(chunk: HistoryChunk) -> Result<PreparedHistory, String> {
        let Some(first_event_id) = chunk.first_event_id() else {
            return Err(format!("a chunk of history branch {} is empty", chunk.branch));
        };
        let mut next = first_event_id;
        for batch in &chunk.batches {
            if batch.first_event_id != next || batch.events < 1 {
                return Err(format!("event {next} is missing in a chunk of history branch {}", chunk.branch));
            }
            next += batch.events;
        }
        if first_event_id < 1 || next > MAX_EVENT_ID {
            return Err(format!("a history has at most {MAX_EVENT_ID} events"));
        }
        let batches = encode_batches(&chunk);
        let checksum = history_checksum(chunk.branch, first_event_id, &batches);
        Ok(PreparedHistory { branch: chunk.branch, first_event_id, checksum, batches })
    }
}

impl PreparedVisibility {
    fn new(key: &RunKey, mut row: VisibilityRow) -> PreparedVisibility {
        if row.close_time.is_none() {
            (row.history_length, row.history_bytes, row.transitions) = (0, 0, 0);
        }
        let division = row.division().map(str::to_owned);
        let checksum = visibility_checksum(key, &row, division.as_deref());
        let indexed_hash = indexed_hash(&row);
        let place = place(&row);
        PreparedVisibility { row, division, checksum, indexed_hash, place }
    }
}

/// Never stored.
fn place(row: &VisibilityRow) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&row.status.to_le_bytes());
    hash.update(&row.start_time.0.to_le_bytes());
    hash.update(&row.close_time.map_or(i64::MAX, |time| time.0).to_le_bytes());
    hash.update(row.workflow_type.as_bytes());
    hash.digest()
}

/// 0 for none. Never stored.
fn indexed_hash(row: &VisibilityRow) -> u64 {
    use steadfast_query::Value;
    if row.indexed.is_empty() {
        return 0;
    }
    let mut hash = Xxh3::new();
    for (name, values) in &row.indexed {
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(&(values.len() as u64).to_le_bytes());
        for value in values {
            let (class, number, bytes): (u8, u64, &[u8]) = match value {
                Value::Int(number) => (0, *number as u64, &[]),
                Value::Real(number) => (1, number.to_bits(), &[]),
                Value::Text(text) => (2, text.len() as u64, text.as_bytes()),
                Value::Blob(bytes) => (3, bytes.len() as u64, bytes),
            };
            hash.update(&[class]);
            hash.update(&number.to_le_bytes());
            hash.update(bytes);
        }
    }
    hash.digest().max(1)
}

pub fn core_checksum(key: &RunKey, core: &[u8]) -> i32 {
    checksum(&[key.run.as_bytes(), key.entity.id.as_bytes()], core)
}

pub fn row_checksum(run: Uuid, row: &RowKey, value: &[u8]) -> i32 {
    checksum(&[run.as_bytes(), &[row.table as u8], &row.key], value)
}

pub fn history_checksum(branch: Uuid, first_event_id: i64, batches: &[u8]) -> i32 {
    checksum(&[branch.as_bytes(), &first_event_id.to_be_bytes()], batches)
}

pub fn message_checksum(run: Uuid, sequence: i64, body: &[u8]) -> i32 {
    checksum(&[run.as_bytes(), &sequence.to_be_bytes()], body)
}
