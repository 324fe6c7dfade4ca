//! Who polls a queue, and what waits in it.

use crate::call::Call;
use crate::frontend::Frontend;
use crate::status::Refusal;
use crate::{check, to_proto};
use std::collections::HashMap;
use std::sync::Arc;
use steadfast_api::v1::enums::{DescribeTaskQueueMode, RateLimitSource, TaskQueueKind, TaskQueueType};
use steadfast_api::v1::taskqueue::{
    TaskQueuePartitionMetadata, TaskQueueStatus, TaskQueueTypeInfo, TaskQueueVersionInfo,
    TaskQueueVersioningInfo,
};
use steadfast_api::v1::workflowservice::describe_task_queue_response::EffectiveRateLimit;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::NamespaceState;
use steadfast_machine::{QueueKey, QueueType, Reject};

/// Tasks per second that a queue gives out when nobody limits it, as the reference shows it.
const SYSTEM_RATE: f32 = 4000.0;
/// The priority of a task that has none.
const DEFAULT_PRIORITY: i32 = 3;

fn key(namespace: &NamespaceState, name: &str, kind: TaskQueueType) -> Result<QueueKey, Reject> {
    let kind = match kind {
        TaskQueueType::Unspecified | TaskQueueType::Workflow => QueueType::Workflow,
        TaskQueueType::Activity => QueueType::Activity,
        TaskQueueType::Nexus => QueueType::Nexus,
    };
    Ok(QueueKey { namespace: namespace.id, name: Arc::from(name), kind })
}

pub async fn describe_task_queue(
    frontend: &Frontend,
    _: Call,
    request: DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let enhanced = request.api_mode == DescribeTaskQueueMode::Enhanced as i32;
    let queue = request.task_queue.as_ref().ok_or_else(|| Reject::invalid("taskQueue is not set"))?;
    if queue.name.is_empty() {
        return Err(Reject::invalid("missing task queue name").into());
    }
    check::queue_name(&queue.name, &frontend.limits, enhanced)?;
    if enhanced {
        if queue.kind == TaskQueueKind::Sticky as i32 {
            return Err(Reject::invalid(
                "Enhanced DescribeTaskQueue is not valid for a sticky queue, use api_mode=UNSPECIFIED or a normal queue.",
            )
            .into());
        }
        return describe_all_types(frontend, &namespace, &queue.name, &request);
    }
    let kind = TaskQueueType::try_from(request.task_queue_type).unwrap_or_default();
    let view = frontend.engine.describe_queue(&key(&namespace, &queue.name, kind)?);
    let stats = to_proto::queue_stats(&view, frontend.engine.now());
    Ok(DescribeTaskQueueResponse {
        pollers: to_proto::pollers(&view),
        stats_by_priority_key: if request.report_stats {
            HashMap::from([(DEFAULT_PRIORITY, stats)])
        } else {
            HashMap::new()
        },
        stats: request.report_stats.then_some(stats),
        versioning_info: Some(TaskQueueVersioningInfo {
            current_version: "__unversioned__".into(),
            update_time: Some(to_proto::YEAR_ONE),
            ..TaskQueueVersioningInfo::default()
        }),
        config: None,
        effective_rate_limit: Some(EffectiveRateLimit {
            requests_per_second: SYSTEM_RATE,
            rate_limit_source: RateLimitSource::System as i32,
        }),
        task_queue_status: request.include_task_queue_status.then(|| TaskQueueStatus {
            backlog_count_hint: view.backlog,
            rate_per_second: f64::from(SYSTEM_RATE),
            ..TaskQueueStatus::default()
        }),
        versions_info: HashMap::new(),
    })
}

/// The older form, which asks for several types at once.
fn describe_all_types(
    frontend: &Frontend,
    namespace: &NamespaceState,
    name: &str,
    request: &DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Refusal> {
    let both = [TaskQueueType::Workflow as i32, TaskQueueType::Activity as i32];
    let types = if request.task_queue_types.is_empty() { &both[..] } else { &request.task_queue_types };
    let mut types_info = HashMap::new();
    for number in types {
        let kind = TaskQueueType::try_from(*number).unwrap_or_default();
        let view = frontend.engine.describe_queue(&key(namespace, name, kind)?);
        types_info.insert(
            *number,
            TaskQueueTypeInfo {
                pollers: if request.report_pollers { to_proto::pollers(&view) } else { Vec::new() },
                stats: request.report_stats.then(|| to_proto::queue_stats(&view, frontend.engine.now())),
            },
        );
    }
    let info = TaskQueueVersionInfo { types_info, ..TaskQueueVersionInfo::default() };
    Ok(DescribeTaskQueueResponse {
        versions_info: HashMap::from([(String::new(), info)]),
        ..DescribeTaskQueueResponse::default()
    })
}

/// A queue has one partition of each type: itself.
pub async fn list_task_queue_partitions(
    frontend: &Frontend,
    _: Call,
    request: ListTaskQueuePartitionsRequest,
) -> Result<ListTaskQueuePartitionsResponse, Refusal> {
    frontend.namespace(&request.namespace)?;
    let name = request.task_queue.map(|queue| queue.name).unwrap_or_default();
    let partition = TaskQueuePartitionMetadata { key: name, owner_host_name: "localhost".into() };
    Ok(ListTaskQueuePartitionsResponse {
        activity_task_queue_partitions: vec![partition.clone()],
        workflow_task_queue_partitions: vec![partition],
    })
}
