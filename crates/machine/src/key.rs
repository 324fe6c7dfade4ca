//! Names of things: entities, runs, queues, tasks, rows, and moments.

use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// A moment of wall time in nanoseconds since 1970, the resolution of the API's timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// The zero value, used in rows for "not set".
    pub const UNSET: Time = Time(0);

    pub fn plus(self, nanos: i64) -> Time {
        Time(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this moment; negative when it is later.
    pub fn since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    pub fn is_set(self) -> bool {
        self.0 != 0
    }

    pub fn if_set(self) -> Option<Time> {
        self.is_set().then_some(self)
    }

    pub fn timestamp(self) -> prost_types::Timestamp {
        prost_types::Timestamp {
            seconds: self.0.div_euclid(1_000_000_000),
            nanos: self.0.rem_euclid(1_000_000_000) as i32,
        }
    }

    /// Saturates at the range of nanoseconds (year 2262).
    pub fn from_timestamp(timestamp: &prost_types::Timestamp) -> Time {
        Time(timestamp.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(timestamp.nanos)))
    }
}

/// The kinds of durable things, each with a machine of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    Workflow = 1,
    Activity = 2,
    Schedule = 3,
    Batch = 4,
    NexusOperation = 5,
}

impl Kind {
    pub fn from_number(number: u8) -> Option<Kind> {
        [Kind::Workflow, Kind::Activity, Kind::Schedule, Kind::Batch, Kind::NexusOperation]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// The unit of order: everything that happens to one entity happens one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey {
    pub namespace: Uuid,
    pub kind: Kind,
    pub id: Arc<str>,
}

impl EntityKey {
    pub fn workflow(namespace: Uuid, id: &str) -> EntityKey {
        EntityKey { namespace, kind: Kind::Workflow, id: Arc::from(id) }
    }

    pub fn run(&self, run: Uuid) -> RunKey {
        RunKey { entity: self.clone(), run }
    }

    /// The shard that owns this entity. Fixed for the life of a database: never change the function.
    pub fn shard(&self, count: u32) -> u32 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut eat = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        eat(self.namespace.as_bytes());
        eat(&[self.kind as u8]);
        eat(self.id.as_bytes());
        ((hash ^ (hash >> 32)) % u64::from(count.max(1))) as u32
    }
}

/// One run of an entity. Run ids are UUIDv7 and rise within an entity, so the current run is the one with the highest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    pub entity: EntityKey,
    pub run: Uuid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QueueType {
    Workflow = 1,
    Activity = 2,
    Nexus = 3,
}

/// A task queue of one type. A sticky queue is an ordinary queue whose name a worker made up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueKey {
    pub namespace: Uuid,
    pub name: Arc<str>,
    pub kind: QueueType,
}

/// A task's row, in the order in which a queue hands its tasks out: lower priority numbers first, then oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    pub queue: QueueKey,
    pub priority: u8,
    /// Rises within a process; the run makes it unique.
    pub order: i64,
    pub run: Uuid,
}

/// The tables of rows that a run has beside its core row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RowTable {
    /// What the start fixed for good; one row.
    Start = 1,
    /// Memo and search attributes; one row.
    Attributes = 2,
    /// Auto-reset points; one row.
    ResetPoints = 3,
    Activity = 4,
    Timer = 5,
    Child = 6,
    /// A signal or a cancel request to another workflow.
    External = 7,
    Update = 8,
    /// An event that waits for the started workflow task to end.
    Buffered = 9,
    RequestId = 10,
    SignalId = 11,
    NexusOperation = 12,
    Callback = 13,
    /// How a standalone activity ended; one row.
    Outcome = 14,
    /// The targets of a batch operation that it works on; one row.
    Page = 15,
}

impl RowTable {
    pub fn from_number(number: u8) -> Option<RowTable> {
        use RowTable::*;
        [
            Start,
            Attributes,
            ResetPoints,
            Activity,
            Timer,
            Child,
            External,
            Update,
            Buffered,
            RequestId,
            SignalId,
            NexusOperation,
            Callback,
            Outcome,
            Page,
        ]
        .into_iter()
        .find(|table| *table as u8 == number)
    }
}

/// A row's place within its run. Numeric keys are big-endian, so that the order of the bytes is the order of the ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    pub table: RowTable,
    pub key: bytes::Bytes,
}

impl RowKey {
    pub fn single(table: RowTable) -> RowKey {
        RowKey { table, key: bytes::Bytes::new() }
    }

    pub fn number(table: RowTable, id: i64) -> RowKey {
        RowKey { table, key: bytes::Bytes::copy_from_slice(&id.to_be_bytes()) }
    }

    pub fn text(table: RowTable, id: &str) -> RowKey {
        RowKey { table, key: bytes::Bytes::copy_from_slice(id.as_bytes()) }
    }
}

/// Names somebody who waits for an answer that comes with a later input (a query, an update).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entity.id, self.run)
    }
}
