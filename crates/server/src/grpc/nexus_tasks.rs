//! Nexus tasks, from the worker's side. No operation is ever scheduled here yet, so a poll waits and brings nothing: a
//! worker that has handlers runs beside those that have none, and its polls end when it leaves.

use super::task_queues;
use super::workflow_tasks::poller;
use crate::call::Call;
use crate::check;
use crate::frontend::Frontend;
use crate::status::Refusal;
use steadfast_api::v1::enums::TaskQueueType;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::Poll;

pub async fn poll_nexus_task_queue(
    frontend: &Frontend,
    call: Call,
    request: PollNexusTaskQueueRequest,
) -> Result<PollNexusTaskQueueResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let until = call.poll_until()?;
    let queue = check::polled_queue(request.task_queue.as_ref(), &frontend.limits)?;
    check::identity(&request.identity, &frontend.limits)?;
    check::worker_key(&request.worker_instance_key, &frontend.limits)?;
    check::deployment(request.deployment_options.as_ref(), &frontend.limits)?;
    check::heartbeats(&request.worker_heartbeat, &frontend.limits)?;
    let Some(until) = until else { return Ok(PollNexusTaskQueueResponse::default()) };
    let _waiting = frontend.long_call(namespace.id, &call)?;
    for heartbeat in request.worker_heartbeat {
        frontend.engine.workers().record(namespace.id, heartbeat);
    }
    let info = poller(
        request.identity,
        request.worker_instance_key,
        request.deployment_options,
        request.worker_version_capabilities,
    );
    let poll = Poll {
        queue: task_queues::key(&namespace, &queue.name, TaskQueueType::Nexus as i32),
        sticky_of: None,
        info,
    };
    let polled = frontend.unless_stopping(frontend.engine.poll_activity_task(poll, until)).await;
    polled.transpose()?;
    Ok(PollNexusTaskQueueResponse::default())
}
