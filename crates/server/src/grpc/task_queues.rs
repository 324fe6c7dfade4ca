//! Who polls a queue, what waits in it, and how fast it may go.

use crate::call::Call;
use crate::frontend::Frontend;
use crate::status::Refusal;
use crate::{check, to_proto};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use steadfast_api::v1::enums::{
    BuildIdTaskReachability, DescribeTaskQueueMode, TaskQueueKind, TaskQueueType,
};
use steadfast_api::v1::taskqueue::{
    TaskQueue, TaskQueueConfig, TaskQueuePartitionMetadata, TaskQueueTypeInfo, TaskQueueVersionInfo,
    TaskQueueVersionSelection,
};
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::{ConfigChange, NamespaceState, RateChange};
use steadfast_machine::{QueueKey, QueueType, Reject};
use update_task_queue_config_request::RateLimitUpdate;

/// Fairness weights that one request may set, or take away, and that a queue may have.
const WEIGHTS_PER_REQUEST: usize = 1000;
/// Bytes of a reason, or of who gives it.
const REASON_BYTES: usize = 1000;
/// Build ids that one request may ask the reachability of.
const BUILD_IDS_PER_REQUEST: usize = 5;
/// Build ids, and different types, that one request may ask anything of.
const MOST_BUILD_IDS: usize = 1000;
const MOST_TYPES: usize = 16;

/// The queue of this type; workflows' where the type is not known.
pub fn key(namespace: &NamespaceState, name: &str, kind: i32) -> QueueKey {
    let kind = match TaskQueueType::try_from(kind).unwrap_or_default() {
        TaskQueueType::Unspecified | TaskQueueType::Workflow => QueueType::Workflow,
        TaskQueueType::Activity => QueueType::Activity,
        TaskQueueType::Nexus => QueueType::Nexus,
    };
    QueueKey { namespace: namespace.id, name: Arc::from(name), kind }
}

fn named(queue: Option<&TaskQueue>) -> Result<&TaskQueue, Reject> {
    let queue = queue.ok_or_else(|| Reject::invalid("taskQueue is not set"))?;
    if queue.name.is_empty() {
        return Err(Reject::invalid("missing task queue name"));
    }
    Ok(queue)
}

/// The queue that a name stands for, which may be that of a partition in the reference, and whether it is one: here a
/// queue is its own only partition, and what is asked of another is answered by the queue.
fn root_name(name: &str) -> Result<(&str, bool), Reject> {
    let Some(partition) = name.strip_prefix(check::RESERVED_QUEUE) else { return Ok((name, false)) };
    match partition.rsplit_once('/') {
        Some((root, number)) if !root.is_empty() && number.parse::<u32>().is_ok_and(|number| number > 0) => {
            Ok((root, true))
        }
        _ => Err(Reject::invalid(format!("invalid task queue partition name {name}"))),
    }
}

pub async fn describe_task_queue(
    frontend: &Frontend,
    _: Call,
    request: DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let enhanced = request.api_mode != DescribeTaskQueueMode::Unspecified as i32;
    let queue = named(request.task_queue.as_ref())?;
    check::queue_name(&queue.name, &frontend.limits, enhanced)?;
    if enhanced {
        return describe_all_types(frontend, &namespace, queue, &request).await;
    }
    let (name, partition) = root_name(&queue.name)?;
    let sticky = queue.kind == TaskQueueKind::Sticky as i32;
    if (partition || sticky) && request.report_stats {
        return Err(
            Reject::invalid("DescribeTaskQueue stats are only supported for the root partition").into()
        );
    }
    let view = frontend.engine.describe_queue(&key(&namespace, name, request.task_queue_type)).await?;
    let now = frontend.engine.now();
    let stats = |level| to_proto::queue_stats(&level, &view, now);
    Ok(DescribeTaskQueueResponse {
        pollers: to_proto::pollers(&view),
        stats_by_priority_key: match request.report_stats {
            true => view.levels.iter().map(|level| (level.priority.into(), stats(*level))).collect(),
            false => HashMap::new(),
        },
        stats: request.report_stats.then(|| stats(view.total())),
        versioning_info: (!sticky).then(to_proto::no_versions),
        config: view.config.as_deref().filter(|_| request.report_config).cloned(),
        effective_rate_limit: Some(to_proto::effective_rate(&view)),
        task_queue_status: request.include_task_queue_status.then(|| to_proto::queue_status(&view)),
        versions_info: HashMap::new(),
    })
}

/// The older form, which asks for several types, and versions, at once.
async fn describe_all_types(
    frontend: &Frontend,
    namespace: &NamespaceState,
    queue: &TaskQueue,
    request: &DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Refusal> {
    if queue.kind == TaskQueueKind::Sticky as i32 {
        return Err(Reject::invalid(
            "Enhanced DescribeTaskQueue is not valid for a sticky queue, use api_mode=UNSPECIFIED or a normal queue.",
        )
        .into());
    }
    let (unversioned, build_ids) = match &request.versions {
        None => (true, &[][..]),
        Some(TaskQueueVersionSelection { build_ids, unversioned, .. }) => {
            // No build id at all is the version of those that have none.
            (*unversioned || build_ids.iter().any(String::is_empty), &build_ids[..])
        }
    };
    if build_ids.len() > MOST_BUILD_IDS {
        return Err(
            Reject::invalid(format!("Too many build ids queried at once, limit: {MOST_BUILD_IDS}")).into()
        );
    }
    if request.report_task_reachability && build_ids.len() + usize::from(unversioned) > BUILD_IDS_PER_REQUEST
    {
        return Err(Reject::invalid(format!(
            "Too many build ids queried at once with ReportTaskReachability==true, limit: {BUILD_IDS_PER_REQUEST}"
        ))
        .into());
    }
    let both = [TaskQueueType::Workflow as i32, TaskQueueType::Activity as i32];
    let asked = &request.task_queue_types[..];
    let types: BTreeSet<i32> = if asked.is_empty() { &both } else { asked }.iter().copied().collect();
    if types.len() > MOST_TYPES {
        return Err(Reject::invalid(format!("Too many task queue types, limit: {MOST_TYPES}")).into());
    }
    let reachability = |reachable: BuildIdTaskReachability| match request.report_task_reachability {
        true => reachable as i32,
        false => BuildIdTaskReachability::Unspecified as i32,
    };
    let mut versions_info = HashMap::new();
    // No task is routed by a build id here: such a version has no pollers of its own, and nothing waits for it.
    for build_id in build_ids.iter().filter(|build_id| !build_id.is_empty()) {
        let stats = request.report_stats.then(to_proto::no_stats);
        let nothing = TaskQueueTypeInfo { stats, ..TaskQueueTypeInfo::default() };
        let types_info = types.iter().map(|kind| (*kind, nothing.clone())).collect();
        let task_reachability = reachability(BuildIdTaskReachability::Unreachable);
        versions_info.insert(build_id.clone(), TaskQueueVersionInfo { types_info, task_reachability });
    }
    if unversioned {
        let mut types_info = HashMap::new();
        for kind in &types {
            if !matches!(TaskQueueType::try_from(*kind), Ok(known) if known != TaskQueueType::Unspecified) {
                types_info.insert(*kind, TaskQueueTypeInfo::default());
                continue;
            }
            let view = frontend.engine.describe_queue(&key(namespace, &queue.name, *kind)).await?;
            let now = frontend.engine.now();
            let pollers = if request.report_pollers { to_proto::pollers(&view) } else { Vec::new() };
            let stats = request.report_stats.then(|| to_proto::queue_stats(&view.total(), &view, now));
            types_info.insert(*kind, TaskQueueTypeInfo { pollers, stats });
        }
        let task_reachability = reachability(BuildIdTaskReachability::Reachable);
        versions_info.insert(String::new(), TaskQueueVersionInfo { types_info, task_reachability });
    }
    Ok(DescribeTaskQueueResponse { versions_info, ..DescribeTaskQueueResponse::default() })
}

/// A queue has one partition of each type: itself.
pub async fn list_task_queue_partitions(
    frontend: &Frontend,
    _: Call,
    request: ListTaskQueuePartitionsRequest,
) -> Result<ListTaskQueuePartitionsResponse, Refusal> {
    frontend.namespace(&request.namespace)?;
    let queue = named(request.task_queue.as_ref())?;
    check::queue_name(&queue.name, &frontend.limits, true)?;
    let partition =
        TaskQueuePartitionMetadata { key: queue.name.clone(), owner_host_name: "localhost".into() };
    Ok(ListTaskQueuePartitionsResponse {
        activity_task_queue_partitions: vec![partition.clone()],
        workflow_task_queue_partitions: vec![partition],
    })
}

pub async fn update_task_queue_config(
    frontend: &Frontend,
    _: Call,
    request: UpdateTaskQueueConfigRequest,
) -> Result<UpdateTaskQueueConfigResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    // A queue without a name is taken for one like any other, as on the reference.
    if root_name(&request.task_queue)?.1 {
        return Err(Reject::invalid(format!(
            "task queue family name cannot have prefix {} {}",
            check::RESERVED_QUEUE,
            request.task_queue
        ))
        .into());
    }
    check::queue_name(&request.task_queue, &frontend.limits, true)?;
    let queue = key(&namespace, &request.task_queue, request.task_queue_type);
    if request.identity.len() > REASON_BYTES {
        return Err(Reject::invalid("Identity field too long (max 1000 characters).").into());
    }
    let change = ConfigChange {
        queue_rate: rate(&queue, QUEUE_LIMIT, request.update_queue_rate_limit)?,
        fairness_key_rate: rate(
            &queue,
            "UpdateFairnessKeyRateLimitDefault",
            request.update_fairness_key_rate_limit_default,
        )?,
        set_weights: request.set_fairness_weight_overrides,
        unset_weights: request.unset_fairness_weight_overrides,
        identity: request.identity,
        now: frontend.engine.now(),
    };
    check_weights(&change, frontend)?;
    let set = frontend.engine.describe_queue(&queue).await?.config;
    check_count(&change, set.as_deref())?;
    let config = frontend.engine.configure_queue(&queue, change).await?;
    Ok(UpdateTaskQueueConfigResponse { config: Some((*config).clone()) })
}

const QUEUE_LIMIT: &str = "UpdateQueueRateLimit";

fn rate(
    queue: &QueueKey,
    field: &str,
    update: Option<RateLimitUpdate>,
) -> Result<Option<RateChange>, Reject> {
    let Some(update) = update else { return Ok(None) };
    let rate = update.rate_limit.map(|limit| limit.requests_per_second);
    if rate.is_some() && queue.kind == QueueType::Workflow {
        let what = if field == QUEUE_LIMIT { "rate limit" } else { "fairness key rate limit" };
        return Err(Reject::invalid(format!("Setting {what} on workflow task queues is not allowed.")));
    }
    if rate.is_some_and(|rate| rate < 0.0 || !rate.is_finite()) {
        return Err(Reject::invalid(format!(
            "RequestsPerSecond for {field} rate limit must be non-negative."
        )));
    }
    if update.reason.len() > REASON_BYTES {
        return Err(Reject::invalid(format!("{field}.Reason field too long (max 1000 characters).")));
    }
    Ok(Some(RateChange { rate, reason: update.reason }))
}

/// What a queue has of them altogether is limited, too.
fn check_count(change: &ConfigChange, config: Option<&TaskQueueConfig>) -> Result<(), Reject> {
    if change.set_weights.is_empty() {
        return Ok(());
    }
    let stays = |key: &&String| !change.set_weights.contains_key(*key) && !change.unset_weights.contains(key);
    let old = config.map_or(0, |config| config.fairness_weight_overrides.keys().filter(stays).count());
    if old + change.set_weights.len() > WEIGHTS_PER_REQUEST {
        return Err(Reject::invalid("fairness weight overrides update rejected: exceeding maximum key size"));
    }
    Ok(())
}

fn check_weights(change: &ConfigChange, frontend: &Frontend) -> Result<(), Reject> {
    let (set, unset) = (&change.set_weights, &change.unset_weights);
    if set.len() + unset.len() > WEIGHTS_PER_REQUEST {
        return Err(Reject::invalid(format!(
            "too many fairness weight overrides in request: got {}, maximum {WEIGHTS_PER_REQUEST}",
            set.len() + unset.len()
        )));
    }
    // In the order of the keys, so that the same request hears of the same mistake.
    let mut keys: Vec<&String> = set.keys().chain(unset).collect();
    keys.sort();
    for key in keys {
        if key.is_empty() {
            return Err(Reject::invalid("fairness weight override key must not be empty"));
        }
        if key.len() > frontend.limits.fairness_key_bytes {
            return Err(Reject::invalid("fairness key length exceeds limit"));
        }
        match set.get(key) {
            Some(weight) if !(*weight > 0.0 && weight.is_finite()) => {
                return Err(Reject::invalid(format!(
                    "invalid fairness weight weight for key \"{key}\": must be greater than zero"
                )));
            }
            Some(_) if unset.contains(key) => {
                return Err(Reject::invalid(format!(
                    "fairness weight override key \"{key}\" present in both set and unset lists"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::root_name;

    #[test]
    fn a_partition_is_answered_by_its_queue() {
        assert_eq!(root_name("q"), Ok(("q", false)));
        assert_eq!(root_name("/_sys/q/1"), Ok(("q", true)));
        assert_eq!(root_name("/_sys/a/b/12"), Ok(("a/b", true)));
        for bad in ["/_sys/", "/_sys/q", "/_sys/q/x", "/_sys//1", "/_sys/q/0"] {
            let refused = root_name(bad).unwrap_err();
            assert_eq!(refused.message(), format!("invalid task queue partition name {bad}"));
        }
    }
}
