//! What a store gives back.

use crate::commit::VisibilityRow;
use bytes::Bytes;
use steadfast_machine::{RowKey, RunKey, Task, TaskKey, Time};
use uuid::Uuid;

/// A run with all its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    pub run: Uuid,
    pub core: Bytes,
    pub alarm: Option<Time>,
    pub open: bool,
    /// In the order of their keys.
    pub rows: Vec<(RowKey, Bytes)>,
}

/// A part of a run's history: the events of `branch` with ids up to and including `last_event_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchPart {
    pub branch: Uuid,
    pub last_event_id: i64,
}

#[derive(Clone, Debug, Default)]
pub struct BacklogPage {
    pub tasks: Vec<Task>,
    /// Where the next page begins, if there may be one.
    pub next: Option<TaskKey>,
}

/// A namespace's versioned configuration. The encoding belongs to the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceRecord {
    pub id: Uuid,
    pub name: String,
    /// Rises with each change; a put states the version that it was read at.
    pub version: u64,
    pub encoded: Bytes,
}

/// A page of a list, in the reference's order: open runs first, then by close time, start time (newest first), run id.
#[derive(Clone, Debug, Default)]
pub struct VisibilityPage {
    pub rows: Vec<(RunKey, VisibilityRow)>,
    /// The place of the last row, where more may follow.
    pub next: Option<PageKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// 9999-12-31T23:59:59Z (as `i64::MAX`) for open runs.
    pub close_time: Time,
    pub start_time: Time,
    pub run: Uuid,
}
