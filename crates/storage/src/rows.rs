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

/// Bytes of memos and search attributes after which a page of a list ends, although more rows were asked for: a thousand
/// memos may be two gigabytes.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A page of a list, in the reference's order: open runs first, then by close time, start time (newest first), run id.
#[derive(Clone, Debug, Default)]
pub struct VisibilityPage {
    pub rows: Vec<(RunKey, VisibilityRow)>,
    /// The place of the last row, where more may follow.
    pub next: Option<PageKey>,
}

impl VisibilityPage {
    /// The first rows of these, until there are `limit` or they are too large together.
    ///
    /// # Errors
    /// The first of the rows that is one.
    pub fn fill<E>(
        rows: impl IntoIterator<Item = Result<(RunKey, VisibilityRow), E>>,
        limit: usize,
    ) -> Result<VisibilityPage, E> {
        let mut page = VisibilityPage::default();
        let mut bytes = 0;
        for row in rows {
            let (key, row) = row?;
            bytes += row.memo.len() + row.search_attributes.len();
            let place = PageKey::of(&row, key.run);
            page.rows.push((key, row));
            if page.rows.len() >= limit || bytes >= PAGE_BYTES {
                page.next = Some(place);
                break;
            }
        }
        Ok(page)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// 9999-12-31T23:59:59Z (as `i64::MAX`) for open runs.
    pub close_time: Time,
    pub start_time: Time,
    pub run: Uuid,
}
