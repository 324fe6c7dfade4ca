//! Drives the engine as the rim does, without gRPC. One file per subject in `engine/`.

#[path = "engine/broken_off.rs"]
mod broken_off;
#[path = "engine/lifecycle.rs"]
mod lifecycle;
#[path = "engine/queues.rs"]
mod queues;
#[path = "engine/step_cost.rs"]
mod step_cost;
#[path = "engine/support.rs"]
mod support;
