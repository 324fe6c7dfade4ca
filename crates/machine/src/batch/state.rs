//! A batch operation in memory and its rows. Field numbers are for ever; times are nanoseconds, 0 for "not set".

use super::message::{Operation, OperationRow};
use crate::duration::MINUTE;
use crate::key::{RowKey, RowTable, Time};
use crate::workflow::state::BadRow;
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;
use steadfast_api::v1::enums::WorkflowExecutionStatus as Status;
use uuid::Uuid;

/// Nanoseconds after which a page of which nothing was heard is asked for again.
const ASK_AGAIN: i64 = MINUTE;

/// What nearly every step changes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchRow {
    /// `WorkflowExecutionStatus`, by which lists know it.
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(int64, tag = "2")]
    pub start_time: i64,
    #[prost(int64, tag = "3")]
    pub close_time: i64,
    #[prost(int64, tag = "4")]
    pub last_time: i64,
    #[prost(int64, tag = "5")]
    pub transitions: i64,
    /// How many targets there were when it began. Some may come or go until their turn.
    #[prost(int64, tag = "6")]
    pub total: i64,
    #[prost(int64, tag = "7")]
    pub succeeded: i64,
    #[prost(int64, tag = "8")]
    pub failed: i64,
    /// The page that is worked on, from 1; 0 before the first has come.
    #[prost(int64, tag = "9")]
    pub page: i64,
    /// Targets of the page whose turn has come.
    #[prost(int64, tag = "10")]
    pub sent: i64,
    /// Where the next page begins; absent if there is none.
    #[prost(message, optional, tag = "11")]
    pub next: Option<CursorRow>,
    /// Messages of whose end nothing was heard yet.
    #[prost(int64, repeated, tag = "12")]
    pub in_flight: Vec<i64>,
    #[prost(int64, tag = "13")]
    pub next_message: i64,
    /// Up to this moment the allowed rate is used up.
    #[prost(int64, tag = "14")]
    pub used_until: i64,
    /// When the rate allows the next target, if that is what it waits for.
    #[prost(int64, tag = "15")]
    pub wake: i64,
    /// Why it was stopped, or what was wrong with its query; and who stopped it.
    #[prost(string, tag = "16")]
    pub end_reason: String,
    #[prost(string, tag = "17")]
    pub end_identity: String,
}

/// A place in the order of lists.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CursorRow {
    #[prost(int64, tag = "1")]
    pub close_time: i64,
    #[prost(int64, tag = "2")]
    pub start_time: i64,
    #[prost(bytes = "vec", tag = "3")]
    pub run: Vec<u8>,
}

/// What the start fixed. Written once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchStartRow {
    #[prost(message, optional, tag = "1")]
    pub operation: Option<OperationRow>,
    #[prost(string, tag = "2")]
    pub query: String,
    #[prost(string, tag = "3")]
    pub reason: String,
    #[prost(string, tag = "4")]
    pub identity: String,
    #[prost(float, tag = "5")]
    pub operations_per_second: f32,
    /// A name of the start, which whoever comes with the same job id is told.
    #[prost(string, tag = "6")]
    pub request_id: String,
}

/// The page that is worked on. Written once, and replaced by the next.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PageRow {
    #[prost(message, repeated, tag = "1")]
    pub targets: Vec<TargetRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct TargetRow {
    #[prost(string, tag = "1")]
    pub workflow_id: String,
    /// Empty for the current run.
    #[prost(string, tag = "2")]
    pub run_id: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: Uuid,
    pub core: BatchRow,
    pub start: Arc<BatchStartRow>,
    pub page: Arc<PageRow>,
    /// Since when a page is asked for. Never stored: not knowing only means asking once more.
    pub asked: Option<Time>,
}

impl Run {
    pub fn new(id: Uuid, start: BatchStartRow) -> Run {
        let core = BatchRow { status: Status::Running as i32, ..BatchRow::default() };
        Run { id, core, start: Arc::new(start), page: Arc::default(), asked: None }
    }

    /// Reads a run back from its rows.
    pub fn decode(id: Uuid, core: &[u8], rows: &[(RowKey, Bytes)]) -> Result<Run, BadRow> {
        let bad = |error: prost::DecodeError| BadRow(format!("batch operation: {error}"));
        let mut run = Run::new(id, BatchStartRow::default());
        run.core = BatchRow::decode(core).map_err(bad)?;
        for (key, bytes) in rows {
            let bytes = bytes.as_ref();
            match key.table {
                RowTable::Start => run.start = Arc::new(BatchStartRow::decode(bytes).map_err(bad)?),
                RowTable::Page => run.page = Arc::new(PageRow::decode(bytes).map_err(bad)?),
                table => return Err(BadRow(format!("a row of table {table:?} of a batch operation"))),
            }
        }
        Ok(run)
    }

    pub fn encode_core(&self) -> Bytes {
        Bytes::from(self.core.encode_to_vec())
    }

    pub fn encode_row(&self, key: &RowKey) -> Option<Bytes> {
        match key.table {
            RowTable::Start => Some(Bytes::from(self.start.encode_to_vec())),
            RowTable::Page if self.page.targets.is_empty() => None,
            RowTable::Page => Some(Bytes::from(self.page.encode_to_vec())),
            _ => None,
        }
    }

    pub fn status(&self) -> Status {
        Status::try_from(self.core.status).unwrap_or_default()
    }

    pub fn is_open(&self) -> bool {
        self.status() == Status::Running
    }

    pub fn operation(&self) -> Option<&Operation> {
        self.start.operation.as_ref()?.operation.as_ref()
    }

    /// The next target whose turn it is.
    pub fn next_target(&self) -> Option<&TargetRow> {
        self.page.targets.get(usize::try_from(self.core.sent).ok()?)
    }

    /// Every target of the page had its turn, and there is another page.
    pub fn wants_page(&self) -> bool {
        let first = self.core.page == 0 && !self.start.query.is_empty();
        self.is_open() && self.next_target().is_none() && (first || self.core.next.is_some())
    }

    /// Nothing is left to do or to wait for.
    pub fn is_done(&self) -> bool {
        self.next_target().is_none() && !self.wants_page() && self.core.in_flight.is_empty()
    }

    /// When this run wants to be woken next.
    pub fn alarm(&self) -> Option<Time> {
        match self.asked.filter(|_| self.wants_page()) {
            Some(since) => Some(since.plus(ASK_AGAIN)),
            None => self.stored_alarm(),
        }
    }

    /// The alarm as it is stored: a page that is wanted is due until it is there.
    pub fn stored_alarm(&self) -> Option<Time> {
        if self.wants_page() {
            return Some(Time(self.core.last_time));
        }
        Time(self.core.wake).if_set().filter(|_| self.is_open())
    }

    /// Whether the question that it asked may be asked once more.
    pub fn may_ask(&self, now: Time) -> bool {
        self.asked.is_none_or(|since| since.plus(ASK_AGAIN) <= now)
    }

    /// Bytes of its rows, roughly.
    pub fn weight(&self) -> usize {
        let targets = self.page.targets.iter();
        let page: usize = targets.map(|target| 70 + target.workflow_id.len() + target.run_id.len()).sum();
        page + self.start.encoded_len()
    }
}
