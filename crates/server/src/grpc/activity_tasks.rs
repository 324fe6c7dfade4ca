//! Activity tasks, from the worker's side: by task token, and by the activity's id.

use super::activity_executions;
use super::workflow_tasks::{bad_token, poller};
use crate::call::Call;
use crate::from_proto::{ActivityAddress, EntityName};
use crate::frontend::{Frontend, unexpected};
use crate::status::Refusal;
use crate::{check, from_proto, to_proto};
use bytes::Bytes;
use std::sync::Arc;
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::{NamespaceState, Poll, PollerInfo};
use steadfast_machine::workflow::input::ActivityEnd;
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::{AnyInput, EntityKey, QueueKey, QueueType, Reply, Time};

pub async fn poll_activity_task_queue(
    frontend: &Frontend,
    call: Call,
    request: PollActivityTaskQueueRequest,
) -> Result<PollActivityTaskQueueResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let until = call.poll_until()?;
    let queue = check::polled_queue(request.task_queue.as_ref(), &frontend.limits)?;
    check::identity(&request.identity, &frontend.limits)?;
    check::worker_key(&request.worker_instance_key, &frontend.limits)?;
    check::deployment(request.deployment_options.as_ref(), &frontend.limits)?;
    check::worker_version(request.worker_version_capabilities.as_ref())?;
    let Some(until) = until else { return Ok(PollActivityTaskQueueResponse::default()) };
    let _waiting = frontend.long_call(namespace.id, &call)?;
    let rate = request.task_queue_metadata.and_then(|metadata| metadata.max_tasks_per_second);
    let info = poller(
        request.identity,
        request.worker_instance_key,
        request.deployment_options,
        request.worker_version_capabilities,
    );
    let poll = Poll {
        queue: QueueKey {
            namespace: namespace.id,
            name: Arc::from(queue.name.as_str()),
            kind: QueueType::Activity,
        },
        sticky_of: None,
        info: PollerInfo { rate: rate.filter(|rate| *rate >= 0.0), ..info },
    };
    let polled = frontend.unless_stopping(frontend.engine.poll_activity_task(poll, until)).await;
    let task = polled.transpose()?.flatten();
    Ok(task.map_or_else(PollActivityTaskQueueResponse::default, |task| {
        let of = (namespace.id, namespace.name.as_str());
        frontend.admission.handed(Time(task.activity.activity.scheduled_time), task.activity.started_time);
        to_proto::activity_task(&frontend.tokens, of, *task.activity, task.scheduled, task.hint)
    }))
}

/// The activity that a token names, in the namespace that it was made in.
fn by_token(
    frontend: &Frontend,
    token: &Bytes,
    named: &str,
) -> Result<(Arc<NamespaceState>, ActivityAddress), Refusal> {
    let token = frontend.tokens.open_activity_task(token).map_err(|_| bad_token(token))?;
    let namespace = frontend.token_namespace(&token.namespace, named)?;
    Ok((namespace, ActivityAddress::from(&token)))
}

fn by_id(
    frontend: &Frontend,
    namespace: &str,
    workflow_id: String,
    run_id: &str,
    activity_id: String,
) -> Result<(Arc<NamespaceState>, ActivityAddress), Refusal> {
    let namespace = frontend.namespace(namespace)?;
    Ok((namespace, ActivityAddress::by_id(workflow_id, run_id, activity_id)?))
}

/// Ends an activity; gives back the failures that were put in the place of what was too large.
async fn end(
    frontend: &Frontend,
    (namespace, address): (Arc<NamespaceState>, ActivityAddress),
    identity: String,
    end: ActivityEnd,
) -> Result<Vec<Failure>, Refusal> {
    let context = frontend.context(&namespace);
    let (input, mut replaced) = from_proto::end_activity(address, identity, end, &context)?;
    if let Reply::Workflow(reply) = apply(frontend, &namespace, input).await?
        && let WorkflowReply::ActivityFailed { failures } = *reply
    {
        replaced.extend(failures);
    }
    Ok(replaced)
}

async fn apply(
    frontend: &Frontend,
    namespace: &NamespaceState,
    (name, input): (EntityName, AnyInput),
) -> Result<Reply, Refusal> {
    let key = if name.standalone {
        activity_executions::key(namespace, &name.id)
    } else {
        EntityKey::workflow(namespace.id, &name.id)
    };
    Ok(frontend.engine.apply(key, input).await?)
}

/// What a heartbeat tells the worker.
struct Beat {
    cancel_requested: bool,
    activity_paused: bool,
    activity_reset: bool,
}

async fn beat(
    frontend: &Frontend,
    (namespace, address): (Arc<NamespaceState>, ActivityAddress),
    identity: String,
    details: Option<Payloads>,
) -> Result<Beat, Refusal> {
    let input = from_proto::heartbeat(address, identity, details, &frontend.context(&namespace))?;
    match apply(frontend, &namespace, input).await? {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::Heartbeat { cancel_requested, paused, reset } => {
                Ok(Beat { cancel_requested, activity_paused: paused, activity_reset: reset })
            }
            // Its details were too large, and it was ended: the worker is to stop.
            WorkflowReply::ActivityFailed { .. } => Ok(STOP),
            other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
        },
        Reply::Done => Ok(STOP),
        other => Err(unexpected(&other)),
    }
}

const STOP: Beat = Beat { cancel_requested: true, activity_paused: false, activity_reset: false };

pub async fn respond_activity_task_completed(
    frontend: &Frontend,
    _: Call,
    request: RespondActivityTaskCompletedRequest,
) -> Result<RespondActivityTaskCompletedResponse, Refusal> {
    let of = by_token(frontend, &request.task_token, &request.namespace)?;
    end(frontend, of, request.identity, ActivityEnd::Completed(request.result)).await?;
    Ok(RespondActivityTaskCompletedResponse::default())
}

pub async fn respond_activity_task_completed_by_id(
    frontend: &Frontend,
    _: Call,
    request: RespondActivityTaskCompletedByIdRequest,
) -> Result<RespondActivityTaskCompletedByIdResponse, Refusal> {
    let of = by_id(frontend, &request.namespace, request.workflow_id, &request.run_id, request.activity_id)?;
    end(frontend, of, request.identity, ActivityEnd::Completed(request.result)).await?;
    Ok(RespondActivityTaskCompletedByIdResponse::default())
}

pub async fn respond_activity_task_failed(
    frontend: &Frontend,
    _: Call,
    request: RespondActivityTaskFailedRequest,
) -> Result<RespondActivityTaskFailedResponse, Refusal> {
    let of = by_token(frontend, &request.task_token, &request.namespace)?;
    let failed =
        ActivityEnd::Failed { failure: request.failure, last_heartbeat: request.last_heartbeat_details };
    let failures = end(frontend, of, request.identity, failed).await?;
    Ok(RespondActivityTaskFailedResponse { failures })
}

pub async fn respond_activity_task_failed_by_id(
    frontend: &Frontend,
    _: Call,
    request: RespondActivityTaskFailedByIdRequest,
) -> Result<RespondActivityTaskFailedByIdResponse, Refusal> {
    let of = by_id(frontend, &request.namespace, request.workflow_id, &request.run_id, request.activity_id)?;
    let failed =
        ActivityEnd::Failed { failure: request.failure, last_heartbeat: request.last_heartbeat_details };
    let failures = end(frontend, of, request.identity, failed).await?;
    Ok(RespondActivityTaskFailedByIdResponse { failures })
}

pub async fn respond_activity_task_canceled(
    frontend: &Frontend,
    _: Call,
    request: RespondActivityTaskCanceledRequest,
) -> Result<RespondActivityTaskCanceledResponse, Refusal> {
    let of = by_token(frontend, &request.task_token, &request.namespace)?;
    end(frontend, of, request.identity, ActivityEnd::Canceled(request.details)).await?;
    Ok(RespondActivityTaskCanceledResponse::default())
}

pub async fn respond_activity_task_canceled_by_id(
    frontend: &Frontend,
    _: Call,
    request: RespondActivityTaskCanceledByIdRequest,
) -> Result<RespondActivityTaskCanceledByIdResponse, Refusal> {
    let of = by_id(frontend, &request.namespace, request.workflow_id, &request.run_id, request.activity_id)?;
    end(frontend, of, request.identity, ActivityEnd::Canceled(request.details)).await?;
    Ok(RespondActivityTaskCanceledByIdResponse::default())
}

pub async fn record_activity_task_heartbeat(
    frontend: &Frontend,
    _: Call,
    request: RecordActivityTaskHeartbeatRequest,
) -> Result<RecordActivityTaskHeartbeatResponse, Refusal> {
    let of = by_token(frontend, &request.task_token, &request.namespace)?;
    let Beat { cancel_requested, activity_paused, activity_reset } =
        beat(frontend, of, request.identity, request.details).await?;
    Ok(RecordActivityTaskHeartbeatResponse { cancel_requested, activity_paused, activity_reset })
}

pub async fn record_activity_task_heartbeat_by_id(
    frontend: &Frontend,
    _: Call,
    request: RecordActivityTaskHeartbeatByIdRequest,
) -> Result<RecordActivityTaskHeartbeatByIdResponse, Refusal> {
    let of = by_id(frontend, &request.namespace, request.workflow_id, &request.run_id, request.activity_id)?;
    let Beat { cancel_requested, activity_paused, activity_reset } =
        beat(frontend, of, request.identity, request.details).await?;
    Ok(RecordActivityTaskHeartbeatByIdResponse { cancel_requested, activity_paused, activity_reset })
}
