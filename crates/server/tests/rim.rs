//! Drives a whole server in this process over gRPC, on the store in memory. One file per subject in `rim/`.

#[path = "rim/activities.rs"]
mod activities;
#[path = "rim/activity_executions.rs"]
mod activity_executions;
#[path = "rim/activity_operations.rs"]
mod activity_operations;
#[path = "rim/batch_operations.rs"]
mod batch_operations;
#[path = "rim/callbacks.rs"]
mod callbacks;
#[path = "rim/described.rs"]
mod described;
#[path = "rim/history.rs"]
mod history;
#[path = "rim/metrics.rs"]
mod metrics;
#[path = "rim/multi_operation.rs"]
mod multi_operation;
#[path = "rim/namespaces.rs"]
mod namespaces;
#[path = "rim/operators.rs"]
mod operators;
#[path = "rim/parity.rs"]
mod parity;
#[path = "rim/protocol.rs"]
mod protocol;
#[path = "rim/queries.rs"]
mod queries;
#[path = "rim/refusals.rs"]
mod refusals;
#[path = "rim/rules.rs"]
mod rules;
#[path = "rim/start.rs"]
mod start;
#[path = "rim/task_queues.rs"]
mod task_queues;
#[path = "rim/visibility.rs"]
mod visibility;
#[path = "rim/workers.rs"]
mod workers;
#[path = "rim/world.rs"]
mod world;
