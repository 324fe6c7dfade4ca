//! What a machine may know beside the state: the time, a source of ids, the limits, the namespace, and what it asked
//! to have loaded.

use crate::key::{QueueKey, Time};
use crate::limits::Limits;
use std::collections::BTreeMap;
use std::collections::HashMap;
use steadfast_api::v1::common::{Priority, SearchAttributes};
use steadfast_api::v1::history::HistoryEvent;
use uuid::Uuid;

/// Where ids come from. Seeded, so that a simulation repeats itself.
pub trait Ids: Send {
    /// 64 random bits.
    fn random(&mut self) -> u64;

    /// A number that rises with every call in this process and follows the time: the place of a task in its queue.
    fn order(&mut self, now: Time) -> i64;

    /// The place of a task in its queue, among those of its priority: [`Ids::order`], or another where the fairness keys
    /// of tasks say so.
    fn place(&mut self, _queue: &QueueKey, _level: u8, _priority: Option<&Priority>, now: Time) -> i64 {
        self.order(now)
    }

    /// A random id that says nothing about when it was made.
    fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(
            ((u128::from(self.random()) << 64) | u128::from(self.random())).to_be_bytes(),
        )
        .into_uuid()
    }

    /// A run id that is higher than `after`, also when the clock went back since that one was made.
    fn run_id(&mut self, now: Time, after: Option<Uuid>) -> Uuid {
        let previous = after.map_or(0, |id| (id.as_u128() >> 80) as u64);
        let millis =
            ((now.0 / 1_000_000).max(0) as u64).max(previous.saturating_add(u64::from(after.is_some())));
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random().to_be_bytes());
        random[8..].copy_from_slice(&self.random().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// What a machine may ask of the namespace that an entity lives in.
pub trait Namespace: Send + Sync {
    fn id(&self) -> Uuid;
    fn name(&self) -> &str;
    /// The id of a namespace by its name, for commands about workflows of another one.
    fn find(&self, name: &str) -> Option<Uuid> {
        (name == self.name()).then(|| self.id())
    }
    /// Nanoseconds for which closed runs are kept.
    fn retention(&self) -> i64;
    /// Checks names, types and sizes; the text of the error is the caller's.
    fn check_search_attributes(&self, attributes: &SearchAttributes) -> Result<(), BadAttributes>;
    /// The attributes with the type of each in its payload's metadata, which is how events and lists show them.
    fn with_types(&self, attributes: SearchAttributes) -> SearchAttributes {
        attributes
    }
    /// The workflow rule that pauses this activity, if one does.
    fn pausing_rule(&self, activity: &RuledActivity<'_>, now: Time) -> Option<PausingRule>;
}

/// Why search attributes cannot be had; what commands make of it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAttributes {
    /// The namespace has none of this name.
    Unknown(String),
    /// A name that only the server sets, or a value of another type.
    Invalid(String),
    TooLarge(String),
}

impl BadAttributes {
    pub fn into_text(self) -> String {
        match self {
            BadAttributes::Unknown(text) | BadAttributes::Invalid(text) | BadAttributes::TooLarge(text) => {
                text
            }
        }
    }
}

/// What a workflow rule may ask about an activity and its workflow.
#[derive(Clone, Copy, Debug)]
pub struct RuledActivity<'a> {
    pub workflow_id: &'a str,
    pub workflow_type: &'a str,
    pub workflow_start: Time,
    /// Its short name, `Running` or `Paused`.
    pub workflow_status: &'a str,
    pub activity_id: &'a str,
    pub activity_type: &'a str,
    pub task_queue: &'a str,
    pub attempt: i32,
    /// Nanoseconds between the end of the last attempt and the moment from which this one may start.
    pub backoff: i64,
    /// When the attempt started, if it has.
    pub started: Option<Time>,
    /// Whether an attempt before this one failed with a message.
    pub failed: bool,
}

/// What is shown of a rule at an activity that it paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausingRule {
    pub id: String,
    /// Who made the rule, and why.
    pub identity: String,
    pub reason: String,
}

/// History that a machine named in its `needs` and the engine loaded: events by run and id.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    pub events: HashMap<(Uuid, i64), HistoryEvent>,
    /// Whole histories, for the few inputs that read one (reset): batches by run.
    pub histories: BTreeMap<Uuid, Vec<Vec<HistoryEvent>>>,
    /// Every run of the entity, with the branches that its history is read from.
    pub branches: BTreeMap<Uuid, Vec<Uuid>>,
}

pub struct Env<'a> {
    pub now: Time,
    pub ids: &'a mut dyn Ids,
    pub limits: &'a Limits,
    pub namespace: &'a dyn Namespace,
    pub fetched: &'a Fetched,
}
