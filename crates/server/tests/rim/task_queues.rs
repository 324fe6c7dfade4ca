//! Queues as operators see and steer them.

#![allow(deprecated, reason = "clients still use the older forms")]

use crate::world::*;
use std::time::Duration;
use steadfast_api::v1::common::{Priority, WorkerVersionCapabilities};
use steadfast_api::v1::enums::{DescribeTaskQueueMode, RateLimitSource, TaskQueueKind, TaskQueueType};
use steadfast_api::v1::taskqueue::{RateLimit, TaskQueue, TaskQueueMetadata, TaskQueueVersionSelection};
use steadfast_api::v1::workflowservice::*;
use tonic::Code;
use update_task_queue_config_request::RateLimitUpdate;

const ACTIVITY: i32 = TaskQueueType::Activity as i32;
const WORKFLOW: i32 = TaskQueueType::Workflow as i32;

fn describe(name: &str) -> DescribeTaskQueueRequest {
    DescribeTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(name)),
        report_stats: true,
        report_config: true,
        ..Default::default()
    }
}

fn configure(kind: i32) -> UpdateTaskQueueConfigRequest {
    UpdateTaskQueueConfigRequest {
        namespace: NAMESPACE.into(),
        identity: "me".into(),
        task_queue: QUEUE.into(),
        task_queue_type: kind,
        ..Default::default()
    }
}

fn limit(rate: Option<f32>) -> Option<RateLimitUpdate> {
    let rate_limit = rate.map(|requests_per_second| RateLimit { requests_per_second });
    Some(RateLimitUpdate { rate_limit, reason: "because".into() })
}

async fn start(world: &mut World, id: &str, key: i32) {
    let priority = Some(Priority { priority_key: key, ..Default::default() });
    let request = StartWorkflowExecutionRequest { priority, ..crate::world::start(id) };
    world.client.start_workflow_execution(request).await.unwrap();
}

#[tokio::test]
async fn a_backlog_is_counted_by_priority_and_handed_out_in_its_order() {
    let mut world = World::new().await;
    for (id, key) in [("low", 5), ("plain", 0), ("high", 1), ("plain again", 3), ("clipped", 9)] {
        start(&mut world, id, key).await;
    }
    let mut client = world.client.clone();
    let described = client.describe_task_queue(describe(QUEUE)).await.unwrap().into_inner();
    let stats = described.stats.unwrap();
    assert_eq!(stats.approximate_backlog_count, 5);
    assert!(stats.tasks_add_rate > 0.0 && stats.tasks_dispatch_rate == 0.0);
    let age = stats.approximate_backlog_age.unwrap();
    assert!(age.nanos > 0 && age.seconds < 10, "{age:?}");
    let mut by_priority: Vec<(i32, i64)> = described
        .stats_by_priority_key
        .iter()
        .map(|(key, stats)| (*key, stats.approximate_backlog_count))
        .collect();
    by_priority.sort_unstable();
    assert_eq!(by_priority, [(1, 1), (3, 2), (5, 2)]);
    let mut order = Vec::new();
    for _ in 0..5 {
        let task = world.poll().await;
        order.push((task.workflow_execution.unwrap().workflow_id, task.backlog_count_hint));
    }
    let ids: Vec<&str> = order.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["high", "plain", "plain again", "low", "clipped"]);
    let hints: Vec<i64> = order.iter().map(|(_, hint)| *hint).collect();
    assert_eq!(hints, [4, 3, 2, 1, 0], "a task is told how many wait behind it");
    let described = client.describe_task_queue(describe(QUEUE)).await.unwrap().into_inner();
    let stats = described.stats.unwrap();
    assert_eq!(stats.approximate_backlog_count, 0);
    assert_eq!(stats.approximate_backlog_age, Some(Default::default()), "present, though zero");
    assert_eq!(described.stats_by_priority_key[&1].approximate_backlog_count, 0);
}

#[tokio::test]
async fn what_is_said_of_a_queue_that_nobody_uses() {
    let mut world = World::new().await;
    let request = DescribeTaskQueueRequest { include_task_queue_status: true, ..describe("empty") };
    let described = world.client.describe_task_queue(request).await.unwrap().into_inner();
    assert!(described.pollers.is_empty() && described.config.is_none());
    assert_eq!(described.stats_by_priority_key.keys().collect::<Vec<_>>(), [&3]);
    assert_eq!(described.versioning_info.unwrap().current_version, "__unversioned__");
    let rate = described.effective_rate_limit.unwrap();
    assert_eq!((rate.requests_per_second, rate.rate_limit_source()), (4000.0, RateLimitSource::System));
    let status = described.task_queue_status.unwrap();
    assert_eq!((status.backlog_count_hint, status.rate_per_second), (0, 4000.0));
}

#[tokio::test]
async fn the_older_form_tells_of_several_types_at_once() {
    let mut world = World::new().await;
    world.start("a").await;
    world.poll().await;
    let request = DescribeTaskQueueRequest {
        api_mode: DescribeTaskQueueMode::Enhanced as i32,
        report_pollers: true,
        ..describe(QUEUE)
    };
    let described = world.client.describe_task_queue(request.clone()).await.unwrap().into_inner();
    let types = &described.versions_info[""].types_info;
    assert_eq!(types[&WORKFLOW].pollers[0].identity, "worker");
    assert_eq!(types[&WORKFLOW].pollers[0].rate_per_second, 100_000.0);
    assert!(types[&ACTIVITY].pollers.is_empty() && types[&ACTIVITY].stats.is_some());
    let chosen = TaskQueueVersionSelection { build_ids: vec!["a".into()], ..Default::default() };
    let of_build = DescribeTaskQueueRequest { versions: Some(chosen), ..request.clone() };
    let described = world.client.describe_task_queue(of_build).await.unwrap().into_inner();
    assert_eq!(described.versions_info.keys().collect::<Vec<_>>(), ["a"]);
    let stats = described.versions_info["a"].types_info[&ACTIVITY].stats.unwrap();
    assert_eq!(stats.approximate_backlog_age, Some(Default::default()), "present, though nothing waits");
    // No build id is the version of those that have none; a type that nobody knows has nothing.
    let chosen = TaskQueueVersionSelection { build_ids: vec![String::new()], ..Default::default() };
    let of_none = DescribeTaskQueueRequest {
        versions: Some(chosen),
        task_queue_types: vec![WORKFLOW, 9],
        ..request.clone()
    };
    let described = world.client.describe_task_queue(of_none).await.unwrap().into_inner();
    let types = &described.versions_info[""].types_info;
    assert_eq!((types[&WORKFLOW].pollers.len(), types[&9].pollers.len()), (1, 0));

    let sticky = TaskQueue { name: QUEUE.into(), kind: TaskQueueKind::Sticky as i32, ..Default::default() };
    let many = TaskQueueVersionSelection { build_ids: vec!["x".into(); 6], ..Default::default() };
    for (bad, text) in [
        (
            DescribeTaskQueueRequest { task_queue: Some(sticky.clone()), ..request.clone() },
            "Enhanced DescribeTaskQueue is not valid for a sticky queue, use api_mode=UNSPECIFIED or a normal queue.",
        ),
        (
            DescribeTaskQueueRequest { task_queue: Some(queue("/_sys/q/1")), ..request.clone() },
            "task queue name cannot start with reserved prefix /_sys/",
        ),
        (
            DescribeTaskQueueRequest { versions: Some(many), report_task_reachability: true, ..request },
            "Too many build ids queried at once with ReportTaskReachability==true, limit: 5",
        ),
        (
            DescribeTaskQueueRequest { task_queue: Some(sticky.clone()), ..describe(QUEUE) },
            "DescribeTaskQueue stats are only supported for the root partition",
        ),
        (describe("/_sys/q/1"), "DescribeTaskQueue stats are only supported for the root partition"),
        (DescribeTaskQueueRequest { task_queue: None, ..describe("") }, "taskQueue is not set"),
        (describe(""), "missing task queue name"),
    ] {
        let refused = world.client.describe_task_queue(bad).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, text));
    }
}

#[tokio::test]
async fn a_queue_is_its_own_only_partition() {
    let mut world = World::new().await;
    let request = |task_queue| ListTaskQueuePartitionsRequest { namespace: NAMESPACE.into(), task_queue };
    let listed =
        world.client.list_task_queue_partitions(request(Some(queue("q")))).await.unwrap().into_inner();
    assert_eq!(listed.workflow_task_queue_partitions.len(), 1);
    assert_eq!(listed.activity_task_queue_partitions[0].key, "q");
    let refused = world.client.list_task_queue_partitions(request(None)).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "taskQueue is not set"));
}

#[tokio::test]
async fn limits_are_set_shown_and_taken_away() {
    let mut world = World::new().await;
    let set = UpdateTaskQueueConfigRequest {
        update_queue_rate_limit: limit(Some(5.0)),
        set_fairness_weight_overrides: [("a".to_owned(), 2.0)].into(),
        ..configure(ACTIVITY)
    };
    let config = world.client.update_task_queue_config(set).await.unwrap().into_inner().config.unwrap();
    let of_queue = config.queue_rate_limit.clone().unwrap();
    assert_eq!(of_queue.rate_limit.unwrap().requests_per_second, 5.0);
    let metadata = of_queue.metadata.unwrap();
    assert_eq!((metadata.reason.as_str(), metadata.update_identity.as_str()), ("because", "me"));
    assert!(metadata.update_time.is_some());
    let of_activities = DescribeTaskQueueRequest { task_queue_type: ACTIVITY, ..describe(QUEUE) };
    let described = world.client.describe_task_queue(of_activities.clone()).await.unwrap().into_inner();
    assert_eq!(described.config, Some(config));
    let rate = described.effective_rate_limit.unwrap();
    assert_eq!((rate.requests_per_second, rate.rate_limit_source()), (5.0, RateLimitSource::Api));
    let unset = UpdateTaskQueueConfigRequest { update_queue_rate_limit: limit(None), ..configure(ACTIVITY) };
    world.client.update_task_queue_config(unset).await.unwrap();
    let described = world.client.describe_task_queue(of_activities).await.unwrap().into_inner();
    assert_eq!(described.effective_rate_limit.unwrap().rate_limit_source(), RateLimitSource::System);
    let config = described.config.unwrap();
    assert!(config.queue_rate_limit.is_some_and(|limit| limit.rate_limit.is_none()));
    assert_eq!(config.fairness_weight_overrides["a"], 2.0);
}

#[tokio::test]
async fn bad_limits_are_refused() {
    let mut world = World::new().await;
    let of = || configure(ACTIVITY);
    let long = "x".repeat(1001);
    let set = |key: &str, weight| UpdateTaskQueueConfigRequest {
        set_fairness_weight_overrides: [(key.to_owned(), weight)].into(),
        ..of()
    };
    let reason = Some(RateLimitUpdate { reason: long.clone(), ..limit(Some(1.0)).unwrap() });
    for (request, text) in [
        (
            UpdateTaskQueueConfigRequest { update_queue_rate_limit: limit(Some(-1.0)), ..of() },
            "RequestsPerSecond for UpdateQueueRateLimit rate limit must be non-negative.",
        ),
        (
            UpdateTaskQueueConfigRequest { update_queue_rate_limit: reason, ..of() },
            "UpdateQueueRateLimit.Reason field too long (max 1000 characters).",
        ),
        (
            UpdateTaskQueueConfigRequest { identity: long.clone(), ..of() },
            "Identity field too long (max 1000 characters).",
        ),
        (
            UpdateTaskQueueConfigRequest { update_queue_rate_limit: limit(Some(1.0)), ..configure(WORKFLOW) },
            "Setting rate limit on workflow task queues is not allowed.",
        ),
        (
            UpdateTaskQueueConfigRequest { task_queue: "/_sys/q/1".into(), ..of() },
            "task queue family name cannot have prefix /_sys/ /_sys/q/1",
        ),
        (set("", 1.0), "fairness weight override key must not be empty"),
        (set(&long, 1.0), "fairness key length exceeds limit"),
        (set("x", 0.0), "invalid fairness weight weight for key \"x\": must be greater than zero"),
        (
            UpdateTaskQueueConfigRequest {
                unset_fairness_weight_overrides: vec!["x".into()],
                ..set("x", 1.0)
            },
            "fairness weight override key \"x\" present in both set and unset lists",
        ),
        (
            UpdateTaskQueueConfigRequest {
                set_fairness_weight_overrides: (0..1001).map(|number| (number.to_string(), 1.0)).collect(),
                ..of()
            },
            "too many fairness weight overrides in request: got 1001, maximum 1000",
        ),
    ] {
        let refused = world.client.update_task_queue_config(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, text));
    }
    // All that a queue has is counted together.
    let many = |prefix: &str| UpdateTaskQueueConfigRequest {
        set_fairness_weight_overrides: (0..600).map(|number| (format!("{prefix}{number}"), 1.0)).collect(),
        ..of()
    };
    world.client.update_task_queue_config(many("a")).await.unwrap();
    world.client.update_task_queue_config(many("a")).await.expect("the same keys again");
    let refused = world.client.update_task_queue_config(many("b")).await.unwrap_err();
    assert_eq!(refused.message(), "fairness weight overrides update rejected: exceeding maximum key size");
    // Unsetting what was never set is allowed, on any type.
    let unset = UpdateTaskQueueConfigRequest { update_queue_rate_limit: limit(None), ..configure(WORKFLOW) };
    world.client.update_task_queue_config(unset).await.unwrap();
}

#[tokio::test]
async fn a_worker_may_limit_its_queue_and_is_seen_there() {
    let mut world = World::new().await;
    let request = PollActivityTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        identity: "slow".into(),
        task_queue_metadata: Some(TaskQueueMetadata { max_tasks_per_second: Some(7.0) }),
        worker_version_capabilities: Some(WorkerVersionCapabilities {
            build_id: "b1".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let poll = within(request, Duration::from_millis(2100));
    world.client.poll_activity_task_queue(poll).await.unwrap();
    let of_activities = DescribeTaskQueueRequest { task_queue_type: ACTIVITY, ..describe(QUEUE) };
    let described = world.client.describe_task_queue(of_activities).await.unwrap().into_inner();
    assert_eq!((described.pollers[0].identity.as_str(), described.pollers[0].rate_per_second), ("slow", 7.0));
    let version = described.pollers[0].worker_version_capabilities.as_ref();
    assert_eq!(version.map(|version| version.build_id.as_str()), Some("b1"));
    let rate = described.effective_rate_limit.unwrap();
    assert_eq!((rate.requests_per_second, rate.rate_limit_source()), (7.0, RateLimitSource::Worker));
}
