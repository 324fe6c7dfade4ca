//! Workers that come, tell of themselves, and go.

use super::task_queues;
use crate::call::Call;
use crate::check;
use crate::frontend::Frontend;
use crate::limits::LIST_PAGE;
use crate::status::Refusal;
use bytes::Bytes;
use std::sync::Arc;
use steadfast_api::v1::enums::TaskQueueType;
use steadfast_api::v1::worker::{WorkerHeartbeat, WorkerInfo, WorkerListInfo};
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::workers::WorkerSchema;
use steadfast_machine::{QueueKey, QueueType, Reject};
use steadfast_query::Filter;

/// A worker leaves: its polls end, tasks of its sticky queue go to the normal ones at once, and it is no longer listed.
pub async fn shutdown_worker(
    frontend: &Frontend,
    _: Call,
    request: ShutdownWorkerRequest,
) -> Result<ShutdownWorkerResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check::worker_key(&request.worker_instance_key, &frontend.limits)?;
    check::queue_name(&request.task_queue, &frontend.limits, false)?;
    check::queue_name(&request.sticky_task_queue, &frontend.limits, false)?;
    check::heartbeats(&request.worker_heartbeat, &frontend.limits)?;
    if !request.worker_instance_key.is_empty() {
        let kinds = [TaskQueueType::Workflow, TaskQueueType::Activity, TaskQueueType::Nexus].map(i32::from);
        let asked = &request.task_queue_types;
        let kinds = kinds.iter().filter(|kind| asked.is_empty() || asked.contains(kind));
        let mut queues: Vec<QueueKey> = Vec::new();
        if !request.task_queue.is_empty() {
            queues.extend(kinds.map(|kind| task_queues::key(&namespace, &request.task_queue, *kind)));
        }
        frontend.engine.dismiss_worker(namespace.id, &request.worker_instance_key, &queues);
    }
    if let Some(heartbeat) = request.worker_heartbeat {
        frontend.engine.workers().record(namespace.id, heartbeat);
    }
    if !request.sticky_task_queue.is_empty() {
        let queue = QueueKey {
            namespace: namespace.id,
            name: Arc::from(request.sticky_task_queue.as_str()),
            kind: QueueType::Workflow,
        };
        frontend.engine.shut_sticky(&queue).await;
    }
    Ok(ShutdownWorkerResponse::default())
}

pub async fn record_worker_heartbeat(
    frontend: &Frontend,
    _: Call,
    request: RecordWorkerHeartbeatRequest,
) -> Result<RecordWorkerHeartbeatResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check::heartbeats(&request.worker_heartbeat, &frontend.limits)?;
    for heartbeat in request.worker_heartbeat {
        frontend.engine.workers().record(namespace.id, heartbeat);
    }
    Ok(RecordWorkerHeartbeatResponse {})
}

/// A query on workers; none where it is empty.
fn filter(query: &str) -> Result<Option<Filter>, Reject> {
    if query.trim().is_empty() {
        return Ok(None);
    }
    let filter = steadfast_query::parse(query)
        .and_then(|query| steadfast_query::resolve(query, &WorkerSchema))
        .and_then(Filter::for_list)
        // What a worker does not say differs from everything, as on the reference.
        .map(Filter::missing_differs);
    filter.map(Some).map_err(|error| Reject::invalid(error.to_string()))
}

/// In the order of the workers' keys, which is also where the next page goes on.
pub async fn list_workers(
    frontend: &Frontend,
    _: Call,
    request: ListWorkersRequest,
) -> Result<ListWorkersResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let size = match usize::try_from(request.page_size) {
        Ok(0) | Err(_) => LIST_PAGE,
        Ok(size) => size.min(LIST_PAGE),
    };
    let filter = filter(&request.query)?;
    let after = page_after(&request.next_page_token)?;
    let workers = frontend.engine.workers();
    let mut page = workers.list(
        namespace.id,
        filter.as_ref(),
        after.as_deref(),
        request.include_system_workers,
        size + 1,
    );
    let more = page.len() > size;
    page.truncate(size);
    let last = page.last().filter(|_| more).map(|last| page_token(&last.worker_instance_key));
    #[allow(deprecated)]
    Ok(ListWorkersResponse {
        workers: page.iter().map(|heartbeat| in_list(heartbeat)).collect(),
        workers_info: page.into_iter().map(info).collect(),
        next_page_token: last.unwrap_or_default(),
    })
}

/// A page's token: the key of the last worker before it, in JSON, so that what is no token is seen to be none.
fn page_token(last: &str) -> Bytes {
    Bytes::from(serde_json::json!({ "after": last }).to_string())
}

fn page_after(token: &[u8]) -> Result<Option<String>, Reject> {
    if token.is_empty() {
        return Ok(None);
    }
    let token = serde_json::from_slice::<serde_json::Value>(token).ok();
    let after = token.as_ref().and_then(|token| token.get("after")?.as_str());
    after.map(|after| Some(after.to_owned())).ok_or_else(|| Reject::invalid("invalid next_page_token"))
}

pub async fn count_workers(
    frontend: &Frontend,
    _: Call,
    request: CountWorkersRequest,
) -> Result<CountWorkersResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let filter = filter(&request.query)?;
    let workers = frontend.engine.workers();
    let all = workers.list(namespace.id, filter.as_ref(), None, request.include_system_workers, usize::MAX);
    Ok(CountWorkersResponse { count: i64::try_from(all.len()).unwrap_or(i64::MAX) })
}

pub async fn describe_worker(
    frontend: &Frontend,
    _: Call,
    request: DescribeWorkerRequest,
) -> Result<DescribeWorkerResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let key = request.worker_instance_key;
    let found = frontend.engine.workers().find(namespace.id, &key);
    let found = found.ok_or_else(|| Reject::not_found(format!("Worker {key} not found")))?;
    Ok(DescribeWorkerResponse { worker_info: Some(info(found)) })
}

/// Workers cannot be commanded, as they cannot on the reference without its switch for it.
pub async fn fetch_worker_config(
    frontend: &Frontend,
    _: Call,
    request: FetchWorkerConfigRequest,
) -> Result<FetchWorkerConfigResponse, Refusal> {
    frontend.namespace(&request.namespace)?;
    Err(Reject::Unimplemented("FetchWorkerConfig command is not enabled.".into()).into())
}

/// The same.
pub async fn update_worker_config(
    _: &Frontend,
    _: Call,
    _: UpdateWorkerConfigRequest,
) -> Result<UpdateWorkerConfigResponse, Refusal> {
    Err(Reject::Unimplemented("UpdateWorkerConfig command is not enabled.".into()).into())
}

fn info(heartbeat: Arc<WorkerHeartbeat>) -> WorkerInfo {
    WorkerInfo { worker_heartbeat: Some((*heartbeat).clone()) }
}

fn in_list(heartbeat: &WorkerHeartbeat) -> WorkerListInfo {
    let host = heartbeat.host_info.clone().unwrap_or_default();
    WorkerListInfo {
        worker_instance_key: heartbeat.worker_instance_key.clone(),
        worker_identity: heartbeat.worker_identity.clone(),
        task_queue: heartbeat.task_queue.clone(),
        deployment_version: heartbeat.deployment_version.clone(),
        sdk_name: heartbeat.sdk_name.clone(),
        sdk_version: heartbeat.sdk_version.clone(),
        status: heartbeat.status,
        start_time: heartbeat.start_time,
        host_name: host.host_name,
        worker_grouping_key: host.worker_grouping_key,
        process_id: host.process_id,
        plugins: heartbeat.plugins.clone(),
        drivers: heartbeat.drivers.clone(),
    }
}
