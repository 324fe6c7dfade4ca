//! Pure decisions: what an input does to a run.
//!
//! A machine takes the state of an entity and one input and says what changes: events, rows, tasks, messages to other
//! runs, and the reply. It has no clock, no randomness, no I/O and no runtime: time, ids and limits come in through
//! [`Env`]. The engine loads before it asks, and stores before anybody hears the answer.

// The API's deprecated fields are part of the contract: old SDKs read them.
#![allow(deprecated)]

pub mod any;
pub mod batch;
pub mod cron;
pub mod decision;
pub mod duration;
pub mod env;
pub mod key;
pub mod limits;
pub mod planted;
pub mod reject;
pub mod standalone_activity;
pub mod workflow;

pub use any::{AnyInput, AnyRun, AnyRuns};
pub use decision::{Answer, Batch, Decision, Message, Reply, RunChange, Task};
pub use env::{BadAttributes, Env, Ids, Namespace, PausingRule, RuledActivity};
pub use key::{CallerId, EntityKey, Kind, QueueKey, QueueType, RowKey, RowTable, RunKey, TaskKey, Time};
pub use limits::Limits;
pub use reject::Reject;
