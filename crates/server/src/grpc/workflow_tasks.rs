//! Workflow tasks and queries, from the worker's side.

use crate::call::Call;
use crate::frontend::Frontend;
use crate::status::Refusal;
use crate::{check, from_proto, to_proto};
use bytes::Bytes;
use std::sync::Arc;
use steadfast_api::v1::common::WorkerVersionCapabilities;
use steadfast_api::v1::deployment::WorkerDeploymentOptions;
use steadfast_api::v1::enums::{QueryResultType, TaskQueueKind};
use steadfast_api::v1::query::WorkflowQueryResult;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::{Hint, Poll, PollerInfo, WorkflowTaskPoll};
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::{QueueKey, QueueType, Reject, Time};

pub async fn poll_workflow_task_queue(
    frontend: &Frontend,
    call: Call,
    request: PollWorkflowTaskQueueRequest,
) -> Result<PollWorkflowTaskQueueResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let until = call.poll_until()?;
    check::identity(&request.identity, &frontend.limits)?;
    check::worker_key(&request.worker_instance_key, &frontend.limits)?;
    check::deployment(request.deployment_options.as_ref(), &frontend.limits)?;
    check::worker_version(request.worker_version_capabilities.as_ref())?;
    check::checksum(&request.binary_checksum, &frontend.limits)?;
    let queue = check::polled_queue(request.task_queue.as_ref(), &frontend.limits)?;
    let sticky = queue.kind == TaskQueueKind::Sticky as i32;
    let versioned =
        request.worker_version_capabilities.as_ref().is_some_and(|version| version.use_versioning)
            || request.deployment_options.is_some();
    if sticky && queue.normal_name.is_empty() && versioned {
        return Err(Reject::invalid(
            "NormalName must be set on sticky queue when UseVersioning is true or DeploymentOptions are set.",
        )
        .into());
    }
    let Some(until) = until else { return Ok(PollWorkflowTaskQueueResponse::default()) };
    let _waiting = frontend.long_call(namespace.id, &call)?;
    let mut info = poller(
        request.identity,
        request.worker_instance_key,
        request.deployment_options,
        request.worker_version_capabilities,
    );
    if info.build_id.is_empty() && info.deployment.is_none() {
        info.build_id = request.binary_checksum;
    }
    let poll = Poll {
        queue: QueueKey {
            namespace: namespace.id,
            name: Arc::from(queue.name.as_str()),
            kind: QueueType::Workflow,
        },
        sticky_of: sticky.then(|| queue.normal_name.clone()),
        info,
    };
    let polled = frontend.unless_stopping(frontend.engine.poll_workflow_task(poll, until)).await;
    let task = polled.transpose()?.flatten();
    Ok(match task {
        None => PollWorkflowTaskQueueResponse::default(),
        Some(WorkflowTaskPoll::Task { task, history, hint }) => {
            frontend.admission.handed(Time(task.task.scheduled_time), Time(task.task.started_time));
            to_proto::workflow_task(&frontend.tokens, namespace.id, *task, history, hint)
        }
        Some(WorkflowTaskPoll::Query(query)) => to_proto::query_task(&frontend.tokens, *query),
    })
}

/// Who polls: with the build id of its deployment if it has one, else with this older kind.
pub fn poller(
    identity: String,
    instance_key: String,
    deployment: Option<WorkerDeploymentOptions>,
    version: Option<WorkerVersionCapabilities>,
) -> PollerInfo {
    let (build_id, deployment_name) = match &deployment {
        Some(deployment) => (deployment.build_id.clone(), deployment.deployment_name.clone()),
        None => (version.as_ref().map(|version| version.build_id.clone()).unwrap_or_default(), String::new()),
    };
    PollerInfo {
        identity,
        instance_key,
        build_id,
        deployment_name,
        deployment,
        version,
        ..PollerInfo::default()
    }
}

pub async fn respond_workflow_task_completed(
    frontend: &Frontend,
    _: Call,
    request: RespondWorkflowTaskCompletedRequest,
) -> Result<RespondWorkflowTaskCompletedResponse, Refusal> {
    let token = frontend
        .tokens
        .open_workflow_task(&request.task_token)
        .map_err(|_| bad_token(&request.task_token))?;
    let namespace = frontend.token_namespace(&token.namespace, &request.namespace)?;
    let input = from_proto::complete_workflow_task(&token, request, &frontend.context(&namespace))?;
    let completed = frontend.complete_workflow_task(namespace.id, input).await?;
    let tokens = &frontend.tokens;
    let workflow_task = completed
        .new_task
        .map(|(task, history)| to_proto::workflow_task(tokens, namespace.id, task, history, Hint::default()));
    let of = (namespace.id, namespace.name.as_str());
    let activities = completed.activities.into_iter();
    let activity_tasks = activities
        .map(|(activity, scheduled)| {
            to_proto::activity_task(tokens, of, activity, scheduled, Hint::default())
        })
        .collect();
    let reset_history_event_id = completed.reset_history_event_id;
    Ok(RespondWorkflowTaskCompletedResponse { workflow_task, activity_tasks, reset_history_event_id })
}

pub async fn respond_workflow_task_failed(
    frontend: &Frontend,
    _: Call,
    request: RespondWorkflowTaskFailedRequest,
) -> Result<RespondWorkflowTaskFailedResponse, Refusal> {
    let token = frontend
        .tokens
        .open_workflow_task(&request.task_token)
        .map_err(|_| bad_token(&request.task_token))?;
    let namespace = frontend.token_namespace(&token.namespace, &request.namespace)?;
    let input = from_proto::fail_workflow_task(&token, request, &frontend.context(&namespace))?;
    frontend.apply(namespace.id, input).await?;
    Ok(RespondWorkflowTaskFailedResponse::default())
}

pub async fn respond_query_task_completed(
    frontend: &Frontend,
    _: Call,
    request: RespondQueryTaskCompletedRequest,
) -> Result<RespondQueryTaskCompletedResponse, Refusal> {
    let token =
        frontend.tokens.open_query_task(&request.task_token).map_err(|_| bad_token(&request.task_token))?;
    frontend.token_namespace(&token.namespace, &request.namespace)?;
    let result = if check::blob(request.query_result.as_ref(), &frontend.limits).is_err() {
        WorkflowQueryResult {
            result_type: QueryResultType::Failed as i32,
            error_message: "Blob data size exceeds limit.".into(),
            ..WorkflowQueryResult::default()
        }
    } else {
        WorkflowQueryResult {
            result_type: request.completed_type,
            answer: request.query_result,
            error_message: request.error_message,
            failure: request.failure,
        }
    };
    frontend.engine.respond_query(token.caller(), result).await?;
    Ok(RespondQueryTaskCompletedResponse::default())
}

pub async fn reset_sticky_task_queue(
    frontend: &Frontend,
    _: Call,
    request: ResetStickyTaskQueueRequest,
) -> Result<ResetStickyTaskQueueResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let (id, run) = check::execution(request.execution.as_ref())?;
    let input = Input { run, first_run: None, what: What::ResetSticky };
    frontend.apply(namespace.id, (id.into(), input)).await?;
    Ok(ResetStickyTaskQueueResponse::default())
}

/// Why a task token cannot be opened.
pub fn bad_token(token: &Bytes) -> Reject {
    let is_set = !token.is_empty();
    Reject::invalid(if is_set { "Error deserializing task token." } else { "Task token not set on request." })
}
