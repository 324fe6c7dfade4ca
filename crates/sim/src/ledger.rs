//! What clients and workers were told, and what they asked for: at the end it is held against what is stored.

use std::collections::{BTreeMap, BTreeSet};
use steadfast_machine::{EntityKey, RunKey};
use uuid::Uuid;

#[derive(Default)]
pub struct Ledger {
    /// By request id: the run that the answer named, if there was an answer.
    pub starts: BTreeMap<String, (EntityKey, Option<Uuid>)>,
    /// By name, which is also the request id: whether it was acknowledged.
    pub signals: BTreeMap<String, (EntityKey, bool)>,
    /// Batch operations by the name of the signal that they send, with the runs that were open before they began.
    pub batches: BTreeMap<String, (EntityKey, Vec<RunKey>)>,
    /// Markers of completions, by name.
    pub markers: BTreeMap<String, (RunKey, bool)>,
    /// Results of activities, by what they hold.
    pub results: BTreeMap<String, (RunKey, bool)>,
    /// Updates whose completion was told, by id.
    pub updates: BTreeMap<String, RunKey>,
    /// Runs that somebody was told are closed.
    pub closed: BTreeSet<RunKey>,
    /// Runs that somebody asked to delete.
    pub deleted: BTreeSet<RunKey>,
    /// Runs of whose end somebody outside was told.
    pub told: BTreeSet<RunKey>,
    /// Attempts that workers have got: run, scheduled event, attempt.
    pub activity_attempts: BTreeSet<(Uuid, i64, i32)>,
    /// Workflow tasks that workers have got: run, started event, attempt, started time.
    pub workflow_tasks: BTreeSet<(Uuid, i64, i32, i64)>,
    /// Timers that commands named, by run.
    pub timers: BTreeMap<Uuid, Vec<String>>,
}
