//! Standalone activities as callers see them.

use super::{decoded, nanos, time, typed};
use bytes::Bytes;
use prost::Message as _;
use steadfast_api::v1::activity::activity_execution_outcome::Value;
use steadfast_api::v1::activity::{
    ActivityExecutionInfo, ActivityExecutionListInfo, ActivityExecutionOutcome,
};
use steadfast_api::v1::common::{ActivityType, Link, link};
use steadfast_api::v1::enums::{
    ActivityExecutionStatus as Status, PendingActivityState as State, WorkflowExecutionStatus,
};
use steadfast_api::v1::workflowservice::{
    DescribeActivityExecutionRequest, DescribeActivityExecutionResponse,
};
use steadfast_machine::standalone_activity::{Phase, Run};
use steadfast_machine::{RunKey, Time, duration};
use steadfast_query::Schema;
use steadfast_storage::VisibilityRow;
use uuid::Uuid;

pub fn activity_link(namespace: &str, activity_id: &str, run: Uuid) -> Link {
    Link {
        variant: Some(link::Variant::Activity(link::Activity {
            namespace: namespace.to_owned(),
            activity_id: activity_id.to_owned(),
            run_id: run.to_string(),
        })),
    }
}

pub fn activity_outcome(run: &Run) -> Option<ActivityExecutionOutcome> {
    let outcome = run.outcome.as_ref()?;
    let value = match &outcome.failure {
        Some(failure) => Value::Failure(failure.clone()),
        None => Value::Result(outcome.result.clone().unwrap_or_default()),
    };
    Some(ActivityExecutionOutcome { retry_state: outcome.retry_state, value: Some(value) })
}

pub fn described_activity(
    run: &Run,
    request: &DescribeActivityExecutionRequest,
    schema: &dyn Schema,
) -> DescribeActivityExecutionResponse {
    DescribeActivityExecutionResponse {
        run_id: run.id.to_string(),
        info: Some(info(run, schema)),
        input: run.start.input.clone().filter(|_| request.include_input),
        outcome: activity_outcome(run).filter(|_| request.include_outcome),
        // Where a next call may wait from, also when it is closed and nothing changes any more: as the reference.
        long_poll_token: long_poll_token(run),
        callbacks: Vec::new(),
    }
}

/// Names the run, and how far it was seen: its count of transitions.
fn long_poll_token(run: &Run) -> Bytes {
    let mut token = run.id.as_bytes().to_vec();
    token.extend(run.core.transitions.to_be_bytes());
    token.into()
}

fn run_state(run: &Run) -> State {
    let row = run.activity();
    match (row.cancel_requested, row.started_time != 0, row.pause.is_some()) {
        _ if !run.is_open() => State::Unspecified,
        (true, ..) => State::CancelRequested,
        (_, true, true) => State::PauseRequested,
        (_, true, false) => State::Started,
        (_, false, true) => State::Paused,
        (_, false, false) => State::Scheduled,
    }
}

/// Heartbeats and failures are told unasked, as clients that are older than the question expect.
fn info(run: &Run, schema: &dyn Schema) -> ActivityExecutionInfo {
    let (core, row) = (&run.core, run.activity());
    let backing_off = run.phase() == Phase::Scheduled && row.attempt > 1 && row.queued.is_none();
    let close = Time(core.close_time).if_set();
    ActivityExecutionInfo {
        activity_id: row.activity_id.clone(),
        run_id: run.id.to_string(),
        activity_type: Some(ActivityType { name: row.activity_type.clone() }),
        status: core.status,
        run_state: run_state(run) as i32,
        task_queue: row.task_queue.clone(),
        schedule_to_close_timeout: duration::proto(row.schedule_to_close),
        schedule_to_start_timeout: duration::proto(row.schedule_to_start),
        start_to_close_timeout: duration::proto(row.start_to_close),
        heartbeat_timeout: duration::proto(row.heartbeat),
        retry_policy: row.retry_policy.clone(),
        heartbeat_details: row.heartbeat_details.clone(),
        last_heartbeat_time: nanos(row.last_heartbeat_time),
        last_started_time: nanos(core.last_started_time),
        attempt: row.attempt,
        execution_duration: close.and_then(|close| duration::proto(close.since(Time(core.start_time)))),
        schedule_time: time(Time(core.start_time)),
        expiration_time: (row.schedule_to_close > 0)
            .then(|| Time(row.first_scheduled_time).plus(row.schedule_to_close).timestamp()),
        close_time: close.map(Time::timestamp),
        last_failure: row.last_failure.clone(),
        last_worker_identity: row.last_identity.clone(),
        current_retry_interval: duration::proto(row.current_interval).filter(|_| backing_off),
        last_attempt_complete_time: nanos(row.last_attempt_end),
        next_attempt_schedule_time: nanos(row.scheduled_time).filter(|_| backing_off),
        priority: row.priority.clone(),
        state_transition_count: core.transitions,
        state_size_bytes: core.encoded_len() as i64,
        search_attributes: Some(typed(run.attributes.search_attributes.as_ref(), schema)),
        header: run.start.header.clone(),
        user_metadata: run.start.user_metadata.clone(),
        canceled_reason: core.cancel_reason.clone(),
        links: run.start.links.clone(),
        total_heartbeat_count: core.heartbeats,
        start_delay: duration::proto(core.start_delay).filter(|_| core.start_delay > 0),
        execution_time: time(Time(core.start_time).plus(core.start_delay)),
        ..ActivityExecutionInfo::default()
    }
}

/// A row of a list. Lists number statuses as those of workflows, which queries name.
pub fn listed_activity(key: &RunKey, row: &VisibilityRow) -> ActivityExecutionListInfo {
    let status = match WorkflowExecutionStatus::try_from(row.status).unwrap_or_default() {
        WorkflowExecutionStatus::TimedOut => Status::TimedOut as i32,
        WorkflowExecutionStatus::Paused => Status::Paused as i32,
        _ => row.status,
    };
    ActivityExecutionListInfo {
        activity_id: key.entity.id.to_string(),
        run_id: key.run.to_string(),
        activity_type: Some(ActivityType { name: row.workflow_type.clone() }),
        schedule_time: time(row.start_time),
        close_time: row.close_time.map(Time::timestamp),
        status,
        search_attributes: Some(decoded(&row.search_attributes)),
        task_queue: row.task_queue.clone(),
        state_transition_count: row.transitions,
        execution_duration: row.close_time.and_then(|close| duration::proto(close.since(row.start_time))),
        execution_time: time(row.execution_time),
        ..ActivityExecutionListInfo::default()
    }
}
