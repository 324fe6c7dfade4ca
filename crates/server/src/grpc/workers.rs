//! Workers that come and go.

use crate::call::Call;
use crate::check;
use crate::frontend::Frontend;
use crate::status::Refusal;
use std::sync::Arc;
use steadfast_api::v1::workflowservice::*;
use steadfast_machine::{QueueKey, QueueType};

/// A worker leaves: tasks of its sticky queue go to the normal ones at once.
pub async fn shutdown_worker(
    frontend: &Frontend,
    _: Call,
    request: ShutdownWorkerRequest,
) -> Result<ShutdownWorkerResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check::identity(&request.identity, &frontend.limits)?;
    if !request.sticky_task_queue.is_empty() {
        check::queue_name(&request.sticky_task_queue, &frontend.limits, true)?;
        let queue = QueueKey {
            namespace: namespace.id,
            name: Arc::from(request.sticky_task_queue.as_str()),
            kind: QueueType::Workflow,
        };
        frontend.engine.shut_sticky(&queue).await;
    }
    Ok(ShutdownWorkerResponse::default())
}

/// Heard and forgotten: there is no registry of workers yet, and the capability says so.
pub async fn record_worker_heartbeat(
    frontend: &Frontend,
    _: Call,
    request: RecordWorkerHeartbeatRequest,
) -> Result<RecordWorkerHeartbeatResponse, Refusal> {
    frontend.namespace(&request.namespace)?;
    Ok(RecordWorkerHeartbeatResponse {})
}
