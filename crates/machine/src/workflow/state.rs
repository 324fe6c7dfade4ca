//! A run in memory: its rows, two indexes on them, and the volatile half that is never stored.

use super::rows::*;
use crate::key::{CallerId, RowKey, RowTable, Time};
use crate::planted::{Planted, is_planted};
use bytes::Bytes;
use imbl::{OrdMap, OrdSet};
use prost::Message as _;
use std::sync::Arc;
use steadfast_api::v1::common::Link;
use steadfast_api::v1::enums::WorkflowExecutionStatus as Status;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::update::Request as UpdateRequest;
use uuid::Uuid;

/// One run. Cloning it is cheap, whatever it holds: a step works on a clone, and dropping the clone undoes the step.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub id: Uuid,
    pub core: CoreRow,
    pub start: Arc<StartRow>,
    pub attributes: Arc<AttributesRow>,
    pub reset_points: Arc<ResetPointsRow>,
    /// By scheduled event id.
    pub activities: OrdMap<i64, Arc<ActivityRow>>,
    /// By started event id.
    pub timers: OrdMap<i64, Arc<TimerRow>>,
    /// By initiated event id.
    pub children: OrdMap<i64, Arc<ChildRow>>,
    /// By initiated event id.
    pub externals: OrdMap<i64, Arc<ExternalRow>>,
    pub updates: OrdMap<String, Arc<UpdateRow>>,
    /// By sequence.
    pub buffered: OrdMap<i64, Arc<BufferedRow>>,
    pub request_ids: OrdMap<String, Arc<RequestIdRow>>,
    pub signal_ids: OrdSet<String>,
    /// In the order in which they were attached.
    pub callbacks: OrdMap<i64, Arc<CallbackRow>>,
    /// Activity id to scheduled event id: derived.
    pub activity_ids: OrdMap<String, i64>,
    /// Timer id to started event id: derived.
    pub timer_ids: OrdMap<String, i64>,
    /// Deadlines of activities and timers, earliest first: derived.
    pub deadlines: OrdSet<(Time, Deadline)>,
    pub volatile: Volatile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    Timer(i64),
    /// The earliest deadline of the activity, or the moment at which its next attempt is due.
    Activity(i64),
}

/// What a restart may lose: queries, updates that were not accepted, and the speculative workflow task (which is
/// `core.task` with `speculative` set, and is left out of the stored row).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volatile {
    /// When the last speculative task that left no events was started, in nanoseconds since 1970.
    pub forgotten_task_started: i64,
    pub queries: Vec<BufferedQuery>,
    /// In the order of admission.
    pub updates: Vec<PendingUpdate>,
    /// Callers who wait for the outcome of an accepted update.
    pub update_waiters: Vec<UpdateWaiter>,
    /// Callbacks that are being called, by sequence, and since when. Not knowing only means calling once more.
    pub calls: Vec<(i64, Time)>,
}

impl Volatile {
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.updates.is_empty() && self.update_waiters.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct BufferedQuery {
    pub caller: CallerId,
    /// The key under which the worker answers.
    pub id: String,
    pub query: WorkflowQuery,
    /// Given to the worker with the started workflow task.
    pub sent: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PendingUpdate {
    pub id: String,
    pub request: Arc<UpdateRequest>,
    /// The started event id of the workflow task that it was given to a worker with; 0 before.
    pub sent: i64,
    pub bytes: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct UpdateWaiter {
    pub caller: CallerId,
    pub update_id: String,
    /// `UpdateWorkflowExecutionLifecycleStage` that the caller waits for.
    pub stage: i32,
    /// For an update with start: the answer tells of both.
    pub with_start: Option<Arc<WithStart>>,
}

/// What the start of an update with start did.
#[derive(Clone, Debug, PartialEq)]
pub struct WithStart {
    /// The run was started by this very request.
    pub started: bool,
    /// To the run's start; `None` where the update was over before the request came.
    pub link: Option<Link>,
}

/// A stored row that does not decode, or an unknown table: the database is damaged or from a newer version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow(pub String);

impl Run {
    /// A run of which nothing is stored yet. Its first event has the id 1.
    pub fn new(id: Uuid, start: StartRow, attributes: AttributesRow) -> Run {
        let core = CoreRow {
            status: Status::Running as i32,
            next_event_id: 1,
            next_attempt: 1,
            branch: id.as_bytes().to_vec(),
            ..CoreRow::default()
        };
        Run {
            id,
            core,
            start: Arc::new(start),
            attributes: Arc::new(attributes),
            reset_points: Arc::default(),
            activities: OrdMap::new(),
            timers: OrdMap::new(),
            children: OrdMap::new(),
            externals: OrdMap::new(),
            updates: OrdMap::new(),
            buffered: OrdMap::new(),
            request_ids: OrdMap::new(),
            signal_ids: OrdSet::new(),
            callbacks: OrdMap::new(),
            activity_ids: OrdMap::new(),
            timer_ids: OrdMap::new(),
            deadlines: OrdSet::new(),
            volatile: Volatile::default(),
        }
    }

    /// Reads a run back from its rows.
    pub fn decode(id: Uuid, core: &[u8], rows: &[(RowKey, Bytes)]) -> Result<Run, BadRow> {
        fn row<M: prost::Message + Default>(what: &str, bytes: &[u8]) -> Result<M, BadRow> {
            M::decode(bytes).map_err(|error| BadRow(format!("{what}: {error}")))
        }
        let mut run = Run::new(id, StartRow::default(), AttributesRow::default());
        run.core = row("core", core)?;
        for (key, bytes) in rows {
            match key.table {
                RowTable::Start => run.start = Arc::new(row("start", bytes)?),
                RowTable::Attributes => run.attributes = Arc::new(row("attributes", bytes)?),
                RowTable::ResetPoints => run.reset_points = Arc::new(row("reset points", bytes)?),
                RowTable::Activity => run.hold_activity(row("activity", bytes)?),
                RowTable::Timer => run.hold_timer(row("timer", bytes)?),
                RowTable::Child => {
                    let child: ChildRow = row("child", bytes)?;
                    run.children.insert(child.initiated_event_id, Arc::new(child));
                }
                RowTable::External => {
                    let external: ExternalRow = row("external", bytes)?;
                    run.externals.insert(external.initiated_event_id, Arc::new(external));
                }
                RowTable::Update => {
                    let update: UpdateRow = row("update", bytes)?;
                    run.updates.insert(update.update_id.clone(), Arc::new(update));
                }
                RowTable::Buffered => {
                    let buffered: BufferedRow = row("buffered event", bytes)?;
                    run.buffered.insert(buffered.sequence, Arc::new(buffered));
                }
                RowTable::RequestId => {
                    let request: RequestIdRow = row("request id", bytes)?;
                    run.request_ids.insert(request.request_id.clone(), Arc::new(request));
                }
                RowTable::SignalId => {
                    let id =
                        std::str::from_utf8(&key.key).map_err(|_| BadRow("signal id: not UTF-8".into()))?;
                    run.signal_ids.insert(id.to_owned());
                }
                RowTable::Callback => {
                    let callback: CallbackRow = row("callback", bytes)?;
                    run.callbacks.insert(callback.sequence, Arc::new(callback));
                }
                RowTable::NexusOperation | RowTable::Outcome | RowTable::Page => {
                    return Err(BadRow(format!("a row of table {:?}", key.table)));
                }
            }
        }
        super::callback::take_over(&mut run);
        Ok(run)
    }

    /// The core row as it is stored: without a speculative workflow task.
    pub fn encode_core(&self) -> Bytes {
        if self.core.task.as_ref().is_some_and(|task| task.speculative) {
            let stored = CoreRow { task: None, ..self.core.clone() };
            return Bytes::from(stored.encode_to_vec());
        }
        Bytes::from(self.core.encode_to_vec())
    }

    /// The row of this key as it is stored, `None` if there is none (any more).
    pub fn encode_row(&self, key: &RowKey) -> Option<Bytes> {
        fn bytes(row: &impl prost::Message) -> Option<Bytes> {
            Some(Bytes::from(row.encode_to_vec()))
        }
        let number = || <[u8; 8]>::try_from(key.key.as_ref()).map(i64::from_be_bytes).unwrap_or(0);
        let text = || std::str::from_utf8(&key.key).unwrap_or_default();
        match key.table {
            RowTable::Start => bytes(&*self.start),
            RowTable::Attributes => bytes(&*self.attributes),
            RowTable::ResetPoints => bytes(&*self.reset_points),
            RowTable::Activity => bytes(&**self.activities.get(&number())?),
            RowTable::Timer => bytes(&**self.timers.get(&number())?),
            RowTable::Child => bytes(&**self.children.get(&number())?),
            RowTable::External => bytes(&**self.externals.get(&number())?),
            RowTable::Update => bytes(&**self.updates.get(text())?),
            RowTable::Buffered => bytes(&**self.buffered.get(&number())?),
            RowTable::RequestId => bytes(&**self.request_ids.get(text())?),
            RowTable::SignalId => self.signal_ids.contains(text()).then(Bytes::new),
            RowTable::Callback => bytes(&**self.callbacks.get(&number())?),
            RowTable::NexusOperation | RowTable::Outcome | RowTable::Page => None,
        }
    }

    /// Bytes that the row of this key takes as it is stored.
    pub fn row_bytes(&self, key: &RowKey) -> usize {
        fn bytes<M: prost::Message>(row: Option<&Arc<M>>) -> usize {
            row.map_or(0, |row| row.encoded_len())
        }
        let number = || <[u8; 8]>::try_from(key.key.as_ref()).map(i64::from_be_bytes).unwrap_or(0);
        let text = || std::str::from_utf8(&key.key).unwrap_or_default();
        let row = match key.table {
            RowTable::Start => self.start.encoded_len(),
            RowTable::Attributes => self.attributes.encoded_len(),
            RowTable::ResetPoints => self.reset_points.encoded_len(),
            RowTable::Activity => bytes(self.activities.get(&number())),
            RowTable::Timer => bytes(self.timers.get(&number())),
            RowTable::Child => bytes(self.children.get(&number())),
            RowTable::External => bytes(self.externals.get(&number())),
            RowTable::Update => bytes(self.updates.get(text())),
            RowTable::Buffered => bytes(self.buffered.get(&number())),
            RowTable::RequestId => bytes(self.request_ids.get(text())),
            RowTable::SignalId => usize::from(self.signal_ids.contains(text())),
            RowTable::Callback => bytes(self.callbacks.get(&number())),
            RowTable::NexusOperation | RowTable::Outcome | RowTable::Page => 0,
        };
        if row == 0 { 0 } else { row + key.key.len() }
    }

    pub fn status(&self) -> Status {
        Status::try_from(self.core.status).unwrap_or(Status::Unspecified)
    }

    /// Running or paused.
    pub fn is_open(&self) -> bool {
        matches!(self.status(), Status::Running | Status::Paused)
    }

    pub fn is_paused(&self) -> bool {
        self.status() == Status::Paused
    }

    pub fn branch(&self) -> Uuid {
        Uuid::from_slice(&self.core.branch).unwrap_or(self.id)
    }

    /// The started workflow task, if one is.
    pub fn started_task(&self) -> Option<&WorkflowTaskRow> {
        self.core.task.as_ref().filter(|task| task.started_event_id != 0)
    }

    /// Where the history is: ancestors first, each with the last event id that is read from it, then the own branch.
    pub fn history_parts(&self) -> Vec<(Uuid, i64)> {
        let own = (self.branch(), i64::MAX);
        let ancestors = self
            .core
            .ancestry
            .iter()
            .map(|part| (Uuid::from_slice(&part.branch).unwrap_or_default(), part.last_event_id));
        ancestors.chain([own]).collect()
    }

    /// When this run wants to be woken next.
    pub fn alarm(&self) -> Option<Time> {
        if !self.is_open() {
            return super::callback::alarm(self, true);
        }
        let task = self.core.task.as_ref().map(task_deadline);
        let fixed = [self.core.run_expiry, self.core.execution_expiry, self.core.backoff_until];
        let pending = if self.is_paused() { self.paused_deadline() } else { self.first_deadline() };
        fixed.into_iter().chain(task).chain(pending).filter(|time| *time != 0).min().map(Time)
    }

    fn first_deadline(&self) -> Option<i64> {
        self.deadlines.get_min().map(|(time, _)| time.0)
    }

    /// While the run is paused no attempt begins, but timers fire and attempts time out.
    fn paused_deadline(&self) -> Option<i64> {
        let timers = self.timers.values().map(|row| row.due).min();
        let live = self.activities.values().filter(|row| row.pause.is_none());
        let timeouts = live.filter_map(|row| activity_timeouts(row).first().map(|(time, _)| time.0)).min();
        timers.into_iter().chain(timeouts).min()
    }

    /// The alarm as it is stored: a speculative workflow task is not, and neither is its deadline, nor which callbacks
    /// are being called.
    pub fn stored_alarm(&self) -> Option<Time> {
        if !self.is_open() {
            return super::callback::alarm(self, false);
        }
        if !self.core.task.as_ref().is_some_and(|task| task.speculative) {
            return self.alarm();
        }
        let mut stored = self.clone();
        stored.core.task = None;
        stored.alarm()
    }

    pub(crate) fn hold_activity(&mut self, row: ActivityRow) {
        self.drop_activity(row.scheduled_event_id);
        let id = row.scheduled_event_id;
        if let Some(time) = activity_deadline(&row) {
            self.deadlines.insert((time, Deadline::Activity(id)));
        }
        self.activity_ids.insert(row.activity_id.clone(), id);
        self.activities.insert(id, Arc::new(row));
    }

    pub(crate) fn drop_activity(&mut self, scheduled_event_id: i64) -> Option<Arc<ActivityRow>> {
        let row = self.activities.remove(&scheduled_event_id)?;
        if let Some(time) = activity_deadline(&row) {
            self.deadlines.remove(&(time, Deadline::Activity(scheduled_event_id)));
        }
        self.activity_ids.remove(&row.activity_id);
        Some(row)
    }

    pub(crate) fn hold_timer(&mut self, row: TimerRow) {
        self.deadlines.insert((Time(row.due), Deadline::Timer(row.started_event_id)));
        self.timer_ids.insert(row.timer_id.clone(), row.started_event_id);
        self.timers.insert(row.started_event_id, Arc::new(row));
    }

    pub(crate) fn drop_timer(&mut self, started_event_id: i64) -> Option<Arc<TimerRow>> {
        let row = self.timers.remove(&started_event_id)?;
        self.deadlines.remove(&(Time(row.due), Deadline::Timer(started_event_id)));
        self.timer_ids.remove(&row.timer_id);
        Some(row)
    }
}

/// When the workflow task times out as it stands; 0 for never.
pub fn task_deadline(task: &WorkflowTaskRow) -> i64 {
    if task.started_event_id != 0 { task.started_time + task.timeout } else { task.start_deadline }
}

/// The next moment at which something is to be done about an activity.
pub fn activity_deadline(row: &ActivityRow) -> Option<Time> {
    // A paused activity has no live timers, not even while its last attempt runs on.
    if row.pause.is_some() || (is_planted(Planted::ActivityTimeoutLost) && row.started_time != 0) {
        return None;
    }
    let retry = (row.started_time == 0 && row.queued.is_none()).then_some(row.scheduled_time);
    activity_timeouts(row)
        .into_iter()
        .map(|(time, _)| time.0)
        .chain(retry)
        .filter(|time| *time != 0)
        .min()
        .map(Time)
}

/// The kinds of an activity's timeouts, in the order in which those of one moment are looked at. An attempt can start in
/// the very moment of its scheduling here, so the two that are as long as each other end at once: then it is the
/// activity that timed out, as it would be if the start had taken any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActivityTimeout {
    ScheduleToStart,
    ScheduleToClose,
    StartToClose,
    Heartbeat,
}

/// The timeouts that run now, with their moments.
pub fn activity_timeouts(row: &ActivityRow) -> Vec<(Time, ActivityTimeout)> {
    let mut timeouts = Vec::with_capacity(4);
    let mut add = |base: i64, duration: i64, kind| {
        if duration > 0 {
            timeouts.push((Time(base.saturating_add(duration)), kind));
        }
    };
    add(row.first_scheduled_time, row.schedule_to_close, ActivityTimeout::ScheduleToClose);
    if row.started_time == 0 {
        add(row.scheduled_time, row.schedule_to_start, ActivityTimeout::ScheduleToStart);
    } else {
        add(row.started_time, row.start_to_close, ActivityTimeout::StartToClose);
        add(row.started_time.max(row.last_heartbeat_time), row.heartbeat, ActivityTimeout::Heartbeat);
    }
    timeouts.sort();
    timeouts
}
