//! A standalone activity in memory and its rows. Field numbers are for ever; times are nanoseconds, 0 for "not set".

use crate::key::{RowKey, RowTable, Time};
use crate::workflow::rows::{ActivityRow, AttributesRow};
use crate::workflow::state::{BadRow, activity_deadline};
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;
use steadfast_api::v1::common::{Header, Link, Payloads};
use steadfast_api::v1::enums::ActivityExecutionStatus as Status;
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::sdk::UserMetadata;
use uuid::Uuid;

/// What nearly every step changes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StandaloneRow {
    /// `ActivityExecutionStatus`.
    #[prost(int32, tag = "1")]
    pub status: i32,
    #[prost(message, optional, tag = "2")]
    pub activity: Option<ActivityRow>,
    #[prost(int64, tag = "3")]
    pub start_time: i64,
    #[prost(int64, tag = "4")]
    pub close_time: i64,
    #[prost(int64, tag = "5")]
    pub transitions: i64,
    #[prost(int32, tag = "6")]
    pub stamps: i32,
    #[prost(int64, tag = "7")]
    pub last_time: i64,
    #[prost(string, tag = "8")]
    pub cancel_request_id: String,
    #[prost(string, tag = "9")]
    pub cancel_reason: String,
    #[prost(string, tag = "10")]
    pub cancel_identity: String,
    #[prost(string, tag = "11")]
    pub terminate_request_id: String,
    #[prost(int64, tag = "12")]
    pub heartbeats: i64,
    #[prost(int64, tag = "13")]
    pub start_delay: i64,
    #[prost(int64, tag = "14")]
    pub last_started_time: i64,
}

/// What the start fixed. Written once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StandaloneStartRow {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Payloads>,
    #[prost(message, optional, tag = "2")]
    pub header: Option<Header>,
    #[prost(string, tag = "3")]
    pub request_id: String,
    #[prost(message, optional, tag = "4")]
    pub user_metadata: Option<UserMetadata>,
    #[prost(message, repeated, tag = "5")]
    pub links: Vec<Link>,
    #[prost(string, tag = "6")]
    pub identity: String,
}

/// How it ended. Written once.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OutcomeRow {
    #[prost(message, optional, tag = "1")]
    pub result: Option<Payloads>,
    #[prost(message, optional, tag = "2")]
    pub failure: Option<Failure>,
    /// `RetryState`.
    #[prost(int32, tag = "3")]
    pub retry_state: i32,
}

#[derive(Clone, Debug)]
pub struct Run {
    pub id: Uuid,
    pub core: StandaloneRow,
    pub start: Arc<StandaloneStartRow>,
    pub attributes: Arc<AttributesRow>,
    pub outcome: Option<Arc<OutcomeRow>>,
}

impl Run {
    pub fn new(id: Uuid, start: StandaloneStartRow, attributes: AttributesRow) -> Run {
        Run {
            id,
            core: StandaloneRow { status: Status::Running as i32, ..StandaloneRow::default() },
            start: Arc::new(start),
            attributes: Arc::new(attributes),
            outcome: None,
        }
    }

    /// Reads a run back from its rows.
    pub fn decode(id: Uuid, core: &[u8], rows: &[(RowKey, Bytes)]) -> Result<Run, BadRow> {
        let bad = |error: prost::DecodeError| BadRow(format!("standalone activity: {error}"));
        let mut run = Run::new(id, StandaloneStartRow::default(), AttributesRow::default());
        run.core = StandaloneRow::decode(core).map_err(bad)?;
        for (key, bytes) in rows {
            let bytes = bytes.as_ref();
            match key.table {
                RowTable::Start => run.start = Arc::new(StandaloneStartRow::decode(bytes).map_err(bad)?),
                RowTable::Attributes => run.attributes = Arc::new(AttributesRow::decode(bytes).map_err(bad)?),
                RowTable::Outcome => {
                    run.outcome = Some(Arc::new(OutcomeRow::decode(bytes).map_err(bad)?));
                }
                table => return Err(BadRow(format!("a row of table {table:?} of a standalone activity"))),
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
            RowTable::Attributes => Some(Bytes::from(self.attributes.encode_to_vec())),
            RowTable::Outcome => self.outcome.as_ref().map(|outcome| Bytes::from(outcome.encode_to_vec())),
            _ => None,
        }
    }

    pub fn status(&self) -> Status {
        Status::try_from(self.core.status).unwrap_or_default()
    }

    pub fn is_open(&self) -> bool {
        matches!(self.status(), Status::Running | Status::Paused)
    }

    pub fn activity(&self) -> &ActivityRow {
        static NONE: std::sync::OnceLock<ActivityRow> = std::sync::OnceLock::new();
        self.core.activity.as_ref().unwrap_or_else(|| NONE.get_or_init(ActivityRow::default))
    }

    pub fn activity_mut(&mut self) -> &mut ActivityRow {
        self.core.activity.get_or_insert_default()
    }

    /// When this run wants to be woken next.
    pub fn alarm(&self) -> Option<Time> {
        if self.is_open() { activity_deadline(self.activity()) } else { None }
    }
}
