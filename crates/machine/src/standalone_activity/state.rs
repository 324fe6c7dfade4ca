//! A standalone activity in memory and its rows. Field numbers are for ever; times are nanoseconds, 0 for "not set".

use crate::key::{RowKey, RowTable, Time};
use crate::workflow::rows::{ActivityRow, AttributesRow};
use crate::workflow::state::{ActivityTimeout, BadRow, activity_timeouts};
use bytes::Bytes;
use prost::Message as _;
use std::fmt;
use std::sync::Arc;
use steadfast_api::v1::activity::ActivityOptions;
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
    /// Set once and for ever when the first attempt starts.
    #[prost(int64, tag = "14")]
    pub last_started_time: i64,
    /// The last request of each kind, by which its echo is known.
    #[prost(string, tag = "15")]
    pub pause_request_id: String,
    #[prost(string, tag = "16")]
    pub unpause_request_id: String,
    #[prost(string, tag = "17")]
    pub reset_request_id: String,
    #[prost(string, tag = "18")]
    pub options_request_id: String,
    /// The reset that is put off until the attempt is over restores the options.
    #[prost(bool, tag = "19")]
    pub reset_restores: bool,
    /// The worker asked for the backoff that is waited for; the retry policy did not.
    #[prost(bool, tag = "20")]
    pub interval_by_worker: bool,
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
    /// The options at the start, with their defaults.
    #[prost(message, optional, tag = "7")]
    pub options: Option<ActivityOptions>,
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

/// Where an activity stands, in more detail than its status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Scheduled,
    Started,
    CancelRequested,
    PauseRequested,
    Paused,
    ResetRequested,
    Completed,
    Failed,
    Canceled,
    Terminated,
    TimedOut,
}

impl Phase {
    pub fn is_end(self) -> bool {
        use Phase::{Canceled, Completed, Failed, Terminated, TimedOut};
        matches!(self, Completed | Failed | Canceled | Terminated | TimedOut)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[derive(Clone, Debug, PartialEq)]
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

    pub fn phase(&self) -> Phase {
        let row = self.activity();
        match self.status() {
            Status::Completed => Phase::Completed,
            Status::Failed => Phase::Failed,
            Status::Canceled => Phase::Canceled,
            Status::Terminated => Phase::Terminated,
            Status::TimedOut => Phase::TimedOut,
            _ if row.cancel_requested => Phase::CancelRequested,
            _ if row.reset => Phase::ResetRequested,
            _ => match (row.started_time != 0, row.pause.is_some()) {
                (true, true) => Phase::PauseRequested,
                (true, false) => Phase::Started,
                (false, true) => Phase::Paused,
                (false, false) => Phase::Scheduled,
            },
        }
    }

    /// The end of the backoff after the last attempt, if there is one.
    pub fn retry_time(&self) -> Option<Time> {
        let row = self.activity();
        (row.current_interval > 0).then(|| Time(row.last_attempt_end).plus(row.current_interval))
    }

    /// The timeouts that run now, with their moments. Unlike an activity of a workflow, a paused one has them, except for
    /// the time that it may be in its queue.
    pub fn timeouts(&self) -> Vec<(Time, ActivityTimeout)> {
        let mut timeouts = activity_timeouts(self.activity());
        if self.activity().pause.is_some() {
            timeouts.retain(|(_, kind)| *kind != ActivityTimeout::ScheduleToStart);
        }
        timeouts
    }

    /// When this run wants to be woken next.
    pub fn alarm(&self) -> Option<Time> {
        if !self.is_open() {
            return None;
        }
        let row = self.activity();
        let waits = row.started_time == 0 && row.queued.is_none() && row.pause.is_none();
        let attempt = waits.then_some(Time(row.scheduled_time));
        self.timeouts().into_iter().map(|(time, _)| time).chain(attempt).filter(|time| time.0 != 0).min()
    }
}
