//! A run as DescribeWorkflowExecution shows it.

use super::{YEAR_ONE, execution, nanos, normal_queue, typed, workflow_type};
use std::sync::Arc;
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::common::{ActivityType, WorkerVersionStamp, WorkflowExecution};
use steadfast_api::v1::enums::{
    CallbackState, PendingActivityState, PendingWorkflowTaskState, TaskQueueKind,
};
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::workflow::pending_activity_info::pause_info::PausedBy;
use steadfast_api::v1::workflow::pending_activity_info::{PauseInfo, pause_info};
use steadfast_api::v1::workflow::{
    CallbackInfo, PendingActivityInfo, PendingChildExecutionInfo, PendingWorkflowTaskInfo, RequestIdInfo,
    ResetPoints, WorkflowExecutionConfig, WorkflowExecutionExtendedInfo, WorkflowExecutionInfo,
    WorkflowExecutionPauseInfo, WorkflowExecutionVersioningInfo, callback_info,
};
use steadfast_api::v1::workflowservice::DescribeWorkflowExecutionResponse;
use steadfast_machine::duration::SECOND;
use steadfast_machine::workflow::retry;
use steadfast_machine::workflow::rows::{ActivityRow, CallbackRow, PauseRow, WorkflowTaskRow};
use steadfast_machine::workflow::state::{Run, activity_timeouts};
use steadfast_machine::{Time, duration};
use steadfast_query::Schema;

pub fn describe(
    workflow_id: &str,
    run: &Run,
    schema: &dyn Schema,
    now: Time,
) -> DescribeWorkflowExecutionResponse {
    DescribeWorkflowExecutionResponse {
        execution_config: Some(config(run)),
        workflow_execution_info: Some(info(workflow_id, run, schema)),
        pending_activities: run.activities.values().map(|row| pending_activity(row, now)).collect(),
        pending_children: run
            .children
            .values()
            .map(|child| PendingChildExecutionInfo {
                workflow_id: child.workflow_id.clone(),
                run_id: child.run_id.clone(),
                workflow_type_name: child.workflow_type.clone(),
                initiated_id: child.initiated_event_id,
                parent_close_policy: child.parent_close_policy,
            })
            .collect(),
        pending_workflow_task: run
            .core
            .task
            .as_ref()
            .or(run.core.left_task.as_ref())
            .map(pending_workflow_task),
        callbacks: callbacks(run),
        pending_nexus_operations: Vec::new(),
        workflow_extended_info: Some(extended(run)),
    }
}

fn config(run: &Run) -> WorkflowExecutionConfig {
    let start = &run.start;
    WorkflowExecutionConfig {
        task_queue: normal_queue(&start.task_queue),
        workflow_execution_timeout: start.shown_execution_timeout(),
        workflow_run_timeout: start.shown_run_timeout(),
        default_workflow_task_timeout: duration::proto(start.task_timeout),
        user_metadata: start.user_metadata.clone(),
    }
}

fn info(workflow_id: &str, run: &Run, schema: &dyn Schema) -> WorkflowExecutionInfo {
    let (core, start) = (&run.core, &run.start);
    let closed = core.close_time != 0;
    let parent = start.parent.as_ref();
    // Without a parent each run of a chain is its own root, though lists show the chain's first run.
    let root = match parent {
        None => execution(workflow_id, run.id),
        Some(_) => Some(WorkflowExecution {
            workflow_id: start.root_workflow_id.clone(),
            run_id: start.root_run_id.clone(),
        }),
    };
    let first_run_id =
        if start.first_run_id.is_empty() { run.id.to_string() } else { start.first_run_id.clone() };
    let memo = run.attributes.memo.clone();
    WorkflowExecutionInfo {
        execution: execution(workflow_id, run.id),
        r#type: workflow_type(&start.workflow_type),
        start_time: nanos(core.start_time),
        execution_time: nanos(core.execution_time),
        close_time: nanos(core.close_time),
        // Of a run that ended before it was to begin it is negative.
        execution_duration: closed.then(|| negatable(core.close_time - core.execution_time)),
        status: core.status,
        history_length: core.next_event_id - 1,
        history_size_bytes: core.history_bytes,
        state_transition_count: core.transitions,
        parent_namespace_id: parent.map_or_else(String::new, |parent| {
            uuid::Uuid::from_slice(&parent.namespace_id).map(|id| id.to_string()).unwrap_or_default()
        }),
        parent_execution: parent.map(|parent| WorkflowExecution {
            workflow_id: parent.workflow_id.clone(),
            run_id: parent.run_id.clone(),
        }),
        root_execution: root,
        first_run_id,
        memo: Some(memo.unwrap_or_default()),
        search_attributes: Some(typed(run.attributes.search_attributes.as_ref(), schema)),
        auto_reset_points: Some(ResetPoints { points: run.reset_points.points.clone() }),
        task_queue: start.task_queue.clone(),
        most_recent_worker_version_stamp: (!core.last_build_id.is_empty())
            .then(|| WorkerVersionStamp { build_id: core.last_build_id.clone(), use_versioning: false }),
        versioning_info: versioning(run),
        worker_deployment_name: core.deployment_name.clone(),
        priority: core.priority.clone().or_else(|| start.priority.clone()),
        ..WorkflowExecutionInfo::default()
    }
}

fn negatable(nanos: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: nanos / SECOND, nanos: (nanos % SECOND) as i32 }
}

fn versioning(run: &Run) -> Option<WorkflowExecutionVersioningInfo> {
    let core = &run.core;
    if core.versioning_behavior == 0 && core.versioning_override.is_none() {
        return None;
    }
    let version = steadfast_api::v1::deployment::WorkerDeploymentVersion {
        deployment_name: core.deployment_name.clone(),
        build_id: core.deployment_build_id.clone(),
    };
    Some(WorkflowExecutionVersioningInfo {
        behavior: core.versioning_behavior,
        deployment_version: (!core.deployment_build_id.is_empty()).then_some(version),
        versioning_override: core.versioning_override.clone(),
        ..WorkflowExecutionVersioningInfo::default()
    })
}

fn extended(run: &Run) -> WorkflowExecutionExtendedInfo {
    let core = &run.core;
    WorkflowExecutionExtendedInfo {
        execution_expiration_time: nanos(core.execution_expiry),
        run_expiration_time: nanos(core.run_expiry).or(Some(YEAR_ONE)),
        cancel_requested: core.cancel_requested,
        last_reset_time: nanos(core.last_reset_time),
        original_start_time: nanos(core.original_start_time).or_else(|| nanos(core.start_time)),
        reset_run_id: core.reset_run_id.clone(),
        request_id_infos: run
            .request_ids
            .iter()
            .map(|(id, row)| {
                let info = RequestIdInfo {
                    event_type: row.event_type,
                    event_id: row.event_id,
                    buffered: row.event_id == 0,
                };
                (id.clone(), info)
            })
            .collect(),
        pause_info: core.pause.as_ref().map(|pause| WorkflowExecutionPauseInfo {
            identity: pause.identity.clone(),
            paused_time: nanos(pause.time),
            reason: pause.reason.clone(),
        }),
        time_skipping_info: None,
    }
}

fn pending_workflow_task(task: &WorkflowTaskRow) -> PendingWorkflowTaskInfo {
    let state = if task.started_event_id == 0 {
        PendingWorkflowTaskState::Scheduled
    } else {
        PendingWorkflowTaskState::Started
    };
    PendingWorkflowTaskInfo {
        state: state as i32,
        scheduled_time: nanos(task.scheduled_time),
        original_scheduled_time: nanos(task.original_scheduled_time),
        started_time: nanos(task.started_time),
        attempt: task.attempt,
    }
}

fn callbacks(run: &Run) -> Vec<CallbackInfo> {
    let trigger = callback_info::Trigger {
        variant: Some(callback_info::trigger::Variant::WorkflowClosed(callback_info::WorkflowClosed {})),
    };
    let info = |row: &Arc<CallbackRow>| {
        let backing_off = row.state == CallbackState::BackingOff as i32;
        CallbackInfo {
            callback: row.callback.clone(),
            trigger: Some(trigger.clone()),
            registration_time: nanos(row.registration_time),
            state: row.state,
            attempt: row.attempt,
            last_attempt_complete_time: nanos(row.last_attempt_time),
            last_attempt_failure: row.last_failure.clone(),
            next_attempt_schedule_time: if backing_off { nanos(row.due) } else { None },
            request_id: row.request_id.clone(),
            blocked_reason: String::new(),
        }
    };
    run.callbacks.values().map(info).collect()
}

fn pending_activity(row: &ActivityRow, now: Time) -> PendingActivityInfo {
    let started = row.started_time != 0;
    let state = match (row.cancel_requested, started, row.pause.is_some()) {
        (true, ..) => PendingActivityState::CancelRequested,
        (_, true, true) => PendingActivityState::PauseRequested,
        (_, true, false) => PendingActivityState::Started,
        (_, false, true) => PendingActivityState::Paused,
        (_, false, false) => PendingActivityState::Scheduled,
    };
    let waits = matches!(state, PendingActivityState::Scheduled | PendingActivityState::Paused);
    let backing_off = waits && now < Time(row.scheduled_time);
    let current_retry_interval = match (&row.retry_policy, backing_off) {
        (_, true) if row.last_attempt_end == 0 => None,
        (_, true) => duration::if_set(row.scheduled_time - row.last_attempt_end),
        // One that could be taken shows what it would wait if it were now that it failed.
        (Some(policy), false) if waits => duration::if_set(retry::backoff(policy, row.attempt)),
        _ => None,
    };
    let expires = activity_timeouts(row)
        .into_iter()
        .find(|(_, kind)| *kind == steadfast_machine::workflow::state::ActivityTimeout::ScheduleToClose)
        .map(|(time, _)| time.0);
    PendingActivityInfo {
        activity_id: row.activity_id.clone(),
        activity_type: Some(ActivityType { name: row.activity_type.clone() }),
        state: state as i32,
        heartbeat_details: row.heartbeat_details.clone(),
        last_heartbeat_time: nanos(row.last_heartbeat_time),
        last_started_time: nanos(row.started_time),
        attempt: row.attempt.max(1),
        maximum_attempts: row.retry_policy.as_ref().map_or(0, |policy| policy.maximum_attempts),
        scheduled_time: nanos(row.scheduled_time),
        expiration_time: expires.and_then(nanos),
        last_failure: row.last_failure.clone(),
        last_worker_identity: if started { row.identity.clone() } else { row.last_identity.clone() },
        current_retry_interval,
        last_attempt_complete_time: nanos(row.last_attempt_end),
        next_attempt_schedule_time: if backing_off { nanos(row.scheduled_time) } else { None },
        paused: row.pause.is_some(),
        priority: row.priority.clone(),
        pause_info: row.pause.as_ref().map(pause),
        activity_options: Some(options(row)),
        ..PendingActivityInfo::default()
    }
}

/// The queue is written here as the reference writes it: without a kind, and with its name twice.
fn options(row: &ActivityRow) -> ActivityOptions {
    let name = row.task_queue.clone();
    let queue = TaskQueue { normal_name: name.clone(), name, kind: TaskQueueKind::Unspecified as i32 };
    ActivityOptions { task_queue: Some(queue), ..row.options() }
}

fn pause(row: &PauseRow) -> PauseInfo {
    let (identity, reason) = (row.identity.clone(), row.reason.clone());
    let paused_by = if row.rule_id.is_empty() {
        PausedBy::Manual(pause_info::Manual { identity, reason })
    } else {
        PausedBy::Rule(pause_info::Rule { rule_id: row.rule_id.clone(), identity, reason })
    };
    PauseInfo { pause_time: nanos(row.time), paused_by: Some(paused_by) }
}
