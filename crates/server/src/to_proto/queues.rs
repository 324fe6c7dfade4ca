//! Task queues, as DescribeTaskQueue shows them.

use super::{YEAR_ONE, time};
use steadfast_api::v1::enums::RateLimitSource;
use steadfast_api::v1::taskqueue::{
    PollerInfo, PollerScalingDecision, TaskIdBlock, TaskQueueStats, TaskQueueStatus, TaskQueueVersioningInfo,
};
use steadfast_api::v1::workflowservice::describe_task_queue_response::EffectiveRateLimit;
use steadfast_engine::{Hint, LevelView, LimitSource, QueueView};
use steadfast_machine::{Time, duration};

/// Tasks per second of a poller that did not say: as the reference shows it.
const UNLIMITED_RATE: f64 = 100_000.0;

pub fn pollers(view: &QueueView) -> Vec<PollerInfo> {
    let pollers = view.pollers.iter().map(|poller| PollerInfo {
        last_access_time: time(poller.at),
        identity: poller.identity.clone(),
        rate_per_second: poller.rate.unwrap_or(UNLIMITED_RATE),
        deployment_options: poller.deployment.clone(),
        worker_version_capabilities: poller.version.clone(),
    });
    pollers.collect()
}

/// One priority's numbers, or those of all together. The age is there also when nothing waits.
pub fn queue_stats(level: &LevelView, view: &QueueView, now: Time) -> TaskQueueStats {
    let age = level.oldest.map_or(0, |oldest| now.since(oldest).max(0));
    TaskQueueStats {
        approximate_backlog_count: level.backlog,
        approximate_backlog_age: duration::proto(age),
        tasks_add_rate: level.add_rate,
        tasks_dispatch_rate: level.dispatch_rate,
        rate_limiting_active: view.held_back,
    }
}

/// Those of a version for which nothing waits.
pub fn no_stats() -> TaskQueueStats {
    TaskQueueStats { approximate_backlog_age: duration::proto(0), ..TaskQueueStats::default() }
}

pub fn effective_rate(view: &QueueView) -> EffectiveRateLimit {
    let source = match view.source {
        LimitSource::Api => RateLimitSource::Api,
        LimitSource::Worker => RateLimitSource::Worker,
        LimitSource::System => RateLimitSource::System,
    };
    EffectiveRateLimit { requests_per_second: view.rate as f32, rate_limit_source: source as i32 }
}

/// The deprecated form. Levels of reading and blocks of ids are the reference's way to store tasks, and mean nothing here.
pub fn queue_status(view: &QueueView) -> TaskQueueStatus {
    TaskQueueStatus {
        backlog_count_hint: view.total().backlog,
        rate_per_second: view.rate,
        task_id_block: Some(TaskIdBlock { start_id: 1, end_id: 100_000 }),
        ..TaskQueueStatus::default()
    }
}

/// No task is routed by version yet.
pub fn no_versions() -> TaskQueueVersioningInfo {
    TaskQueueVersioningInfo {
        current_version: "__unversioned__".into(),
        update_time: Some(YEAR_ONE),
        ..TaskQueueVersioningInfo::default()
    }
}

/// Absent where there is nothing to suggest: workers then hold what they have.
pub fn scaling(hint: Hint) -> Option<PollerScalingDecision> {
    (hint.more_polls != 0).then_some(PollerScalingDecision { poll_request_delta_suggestion: hint.more_polls })
}
