//! What is kept, in domain words.
//!
//! A store knows entities, runs, history, tasks, messages, visibility and configuration; it knows nothing of what they
//! mean. One [`Commit`] is all or nothing, and is conditional on the shard's epoch. Everything that reads sees every
//! commit that ended as [`Outcome::Done`] before the read began.

pub mod commit;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod faulty;
pub mod memory;
pub mod rows;
pub mod store;

pub use commit::{Commit, HistoryChunk, Outcome, RunState, RunWrite, TaskChange, VisibilityRow};
pub use faulty::{CommitFault, Faults, FaultyStore, SeededFaults};
pub use memory::MemoryStore;
pub use rows::{BacklogPage, BranchPart, NamespaceRecord, PageKey, StoredRun, VisibilityPage};
pub use store::{Store, StoreError, StoreWork};
