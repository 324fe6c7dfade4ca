//! What a history says about a run: its events, folded into rows.
//!
//! Reset builds its run in this way, and tests compare the fold with the run that made the history. Not all of a run is
//! in its events: attempts, heartbeats, retries and what waits in a queue are not, nor are buffered events.

use super::callback;
use super::commands::merge;
use super::events::{self, Attributes};
use super::reset_points::{self, Build};
use super::rows::*;
use super::state::Run;
use crate::duration::known;
use crate::key::Time;
use crate::limits::Limits;
use prost::Message as _;
use std::sync::Arc;
use steadfast_api::v1::enums::{EventType, WorkflowExecutionStatus as Status};
use steadfast_api::v1::history::{
    ActivityTaskScheduledEventAttributes, HistoryEvent, WorkflowExecutionOptionsUpdatedEventAttributes,
    WorkflowExecutionStartedEventAttributes, WorkflowTaskCompletedEventAttributes,
    WorkflowTaskScheduledEventAttributes, WorkflowTaskStartedEventAttributes,
};
use uuid::Uuid;

/// The run that these events, from the first on, make. What its start fixed comes from the row of that.
pub fn fold<'a>(
    id: Uuid,
    start: &Arc<StartRow>,
    events: impl IntoIterator<Item = &'a HistoryEvent>,
    limits: &Limits,
) -> Run {
    let mut run = Run::new(id, StartRow::default(), AttributesRow::default());
    run.start = Arc::clone(start);
    for event in events {
        apply(&mut run, event, limits);
    }
    run
}

/// Adds one event; one without an id is still buffered.
pub fn apply(run: &mut Run, event: &HistoryEvent, limits: &Limits) {
    let time = event.event_time.as_ref().map_or(Time::UNSET, Time::from_timestamp);
    if event.event_id != 0 {
        run.core.next_event_id = event.event_id.saturating_add(1);
        run.core.last_event_time = run.core.last_event_time.max(time.0);
        run.core.history_bytes += event.encoded_len() as i64;
    }
    change(run, event, limits);
}

/// What the event does to the rows, without counting it.
pub fn change(run: &mut Run, event: &HistoryEvent, limits: &Limits) {
    let time = event.event_time.as_ref().map_or(Time::UNSET, Time::from_timestamp);
    let Some(attributes) = &event.attributes else { return };
    if closes(run, event.event_type(), time) {
        return;
    }
    let handled = task_event(run, event, attributes, time, limits)
        || activity_event(run, event, attributes, time)
        || child_event(run, event, attributes)
        || update_event(run, event, attributes);
    if !handled {
        other_event(run, event, attributes, time);
    }
}

fn closes(run: &mut Run, kind: EventType, time: Time) -> bool {
    let status = match kind {
        EventType::WorkflowExecutionCompleted => Status::Completed,
        EventType::WorkflowExecutionFailed => Status::Failed,
        EventType::WorkflowExecutionTimedOut => Status::TimedOut,
        EventType::WorkflowExecutionCanceled => Status::Canceled,
        EventType::WorkflowExecutionTerminated => Status::Terminated,
        EventType::WorkflowExecutionContinuedAsNew => Status::ContinuedAsNew,
        _ => return false,
    };
    run.core.status = status as i32;
    run.core.close_time = time.0;
    run.core.backoff_until = 0;
    run.core.task = None;
    run.timers.clear();
    run.timer_ids.clear();
    run.deadlines.clear();
    run.externals.clear();
    true
}

fn task_event(
    run: &mut Run,
    event: &HistoryEvent,
    attributes: &Attributes,
    time: Time,
    limits: &Limits,
) -> bool {
    match attributes {
        Attributes::WorkflowTaskScheduledEventAttributes(a) => scheduled(run, event.event_id, a, time),
        Attributes::WorkflowTaskStartedEventAttributes(a) => started(run, event.event_id, a, time),
        Attributes::WorkflowTaskCompletedEventAttributes(a) => {
            completed(run, event.event_id, a, time, limits);
        }
        Attributes::WorkflowTaskFailedEventAttributes(_)
        | Attributes::WorkflowTaskTimedOutEventAttributes(_) => run.core.task = None,
        _ => return false,
    }
    true
}

fn scheduled(run: &mut Run, id: i64, a: &WorkflowTaskScheduledEventAttributes, time: Time) {
    run.core.backoff_until = 0;
    run.core.task = Some(WorkflowTaskRow {
        scheduled_event_id: id,
        attempt: a.attempt,
        scheduled_time: time.0,
        original_scheduled_time: time.0,
        timeout: known(a.start_to_close_timeout.as_ref()),
        ..WorkflowTaskRow::default()
    });
}

fn started(run: &mut Run, id: i64, a: &WorkflowTaskStartedEventAttributes, time: Time) {
    let Some(task) = &mut run.core.task else { return };
    task.started_event_id = id;
    task.started_time = time.0;
    task.identity.clone_from(&a.identity);
    task.request_id.clone_from(&a.request_id);
    task.history_bytes = a.history_size_bytes;
    task.suggest_continue = a.suggest_continue_as_new;
    task.suggest_reasons.clone_from(&a.suggest_continue_as_new_reasons);
}

fn completed(run: &mut Run, id: i64, a: &WorkflowTaskCompletedEventAttributes, time: Time, limits: &Limits) {
    let version = a.deployment_version.clone().unwrap_or_default();
    let build_id = match &a.worker_version {
        Some(stamp) if version.build_id.is_empty() => stamp.build_id.clone(),
        _ => version.build_id.clone(),
    };
    let core = &mut run.core;
    core.task = None;
    core.last_completed_started_id = a.started_event_id;
    core.last_build_id.clone_from(&build_id);
    core.versioning_behavior = a.versioning_behavior;
    core.deployment_name.clone_from(&a.worker_deployment_name);
    core.deployment_build_id = version.build_id;
    let build = Build { build_id: &build_id, binary_checksum: &a.binary_checksum };
    let points = reset_points::with(run, &build, id, time, limits);
    let added = points.is_some();
    if let Some(points) = points {
        run.reset_points = Arc::new(points);
    }
    if let Some(attributes) = reset_points::naming_builds(run, &build, added) {
        run.attributes = Arc::new(attributes);
    }
}

fn activity_event(run: &mut Run, event: &HistoryEvent, attributes: &Attributes, time: Time) -> bool {
    let change = |run: &mut Run, id: i64, change: &dyn Fn(&mut ActivityRow)| {
        if let Some(row) = run.activities.get(&id) {
            let mut row = (**row).clone();
            change(&mut row);
            run.hold_activity(row);
        }
    };
    match attributes {
        Attributes::ActivityTaskScheduledEventAttributes(a) => {
            run.hold_activity(activity(event.event_id, a, time));
        }
        Attributes::ActivityTaskStartedEventAttributes(a) => {
            change(run, a.scheduled_event_id, &|row| row.started_event_id = event.event_id);
        }
        Attributes::ActivityTaskCancelRequestedEventAttributes(a) => {
            change(run, a.scheduled_event_id, &|row| {
                row.cancel_requested = true;
                row.cancel_event_id = event.event_id;
            });
        }
        _ => match events::ends_activity(event) {
            Some(id) => drop(run.drop_activity(id)),
            None => return false,
        },
    }
    true
}

/// The row of an activity as it is when it was scheduled, before it was put in a queue.
pub fn activity(id: i64, a: &ActivityTaskScheduledEventAttributes, time: Time) -> ActivityRow {
    ActivityRow {
        scheduled_event_id: id,
        activity_id: a.activity_id.clone(),
        activity_type: a.activity_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
        task_queue: a.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default(),
        schedule_to_close: known(a.schedule_to_close_timeout.as_ref()),
        schedule_to_start: known(a.schedule_to_start_timeout.as_ref()),
        start_to_close: known(a.start_to_close_timeout.as_ref()),
        heartbeat: known(a.heartbeat_timeout.as_ref()),
        retry_policy: a.retry_policy.clone(),
        attempt: 1,
        scheduled_time: time.0,
        first_scheduled_time: time.0,
        event_time: time.0,
        priority: a.priority.clone(),
        ..ActivityRow::default()
    }
}

fn child_event(run: &mut Run, event: &HistoryEvent, attributes: &Attributes) -> bool {
    use Attributes::*;
    let namespace = |id: &str| Uuid::parse_str(id).map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    match attributes {
        StartChildWorkflowExecutionInitiatedEventAttributes(a) => {
            let row = ChildRow {
                initiated_event_id: event.event_id,
                namespace: a.namespace.clone(),
                namespace_id: namespace(&a.namespace_id),
                workflow_id: a.workflow_id.clone(),
                workflow_type: a.workflow_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
                parent_close_policy: a.parent_close_policy,
                ..ChildRow::default()
            };
            run.children.insert(event.event_id, Arc::new(row));
        }
        ChildWorkflowExecutionStartedEventAttributes(a) => {
            if let Some(row) = run.children.get(&a.initiated_event_id) {
                let run_id = a.workflow_execution.as_ref().map(|e| e.run_id.clone()).unwrap_or_default();
                let row = ChildRow { run_id, started_event_id: event.event_id, ..(**row).clone() };
                run.children.insert(a.initiated_event_id, Arc::new(row));
            }
        }
        SignalExternalWorkflowExecutionInitiatedEventAttributes(a) => {
            let target = a.workflow_execution.clone().unwrap_or_default();
            let row = ExternalRow {
                initiated_event_id: event.event_id,
                namespace: a.namespace.clone(),
                namespace_id: namespace(&a.namespace_id),
                workflow_id: target.workflow_id,
                run_id: target.run_id,
                control: a.control.clone(),
                ..ExternalRow::default()
            };
            run.externals.insert(event.event_id, Arc::new(row));
        }
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(a) => {
            let target = a.workflow_execution.clone().unwrap_or_default();
            let row = ExternalRow {
                initiated_event_id: event.event_id,
                cancel: true,
                namespace: a.namespace.clone(),
                namespace_id: namespace(&a.namespace_id),
                workflow_id: target.workflow_id,
                run_id: target.run_id,
                control: a.control.clone(),
                ..ExternalRow::default()
            };
            run.externals.insert(event.event_id, Arc::new(row));
        }
        SignalExternalWorkflowExecutionFailedEventAttributes(a) => {
            run.externals.remove(&a.initiated_event_id);
        }
        ExternalWorkflowExecutionSignaledEventAttributes(a) => {
            run.externals.remove(&a.initiated_event_id);
        }
        RequestCancelExternalWorkflowExecutionFailedEventAttributes(a) => {
            run.externals.remove(&a.initiated_event_id);
        }
        ExternalWorkflowExecutionCancelRequestedEventAttributes(a) => {
            run.externals.remove(&a.initiated_event_id);
        }
        _ => match events::ends_child(event) {
            Some(id) => drop(run.children.remove(&id)),
            None => return false,
        },
    }
    true
}

fn update_event(run: &mut Run, event: &HistoryEvent, attributes: &Attributes) -> bool {
    match attributes {
        Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(a) => {
            let Some(request) = &a.request else { return true };
            let row = UpdateRow {
                update_id: request.meta.as_ref().map(|meta| meta.update_id.clone()).unwrap_or_default(),
                admitted_event_id: event.event_id,
                name: request.input.as_ref().map(|input| input.name.clone()).unwrap_or_default(),
                ..UpdateRow::default()
            };
            run.updates.insert(row.update_id.clone(), Arc::new(row));
        }
        Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a) => {
            let mut row = match run.updates.get(&a.protocol_instance_id) {
                Some(row) => (**row).clone(),
                None => UpdateRow { update_id: a.protocol_instance_id.clone(), ..UpdateRow::default() },
            };
            row.accepted_event_id = event.event_id;
            if let Some(input) = a.accepted_request.as_ref().and_then(|request| request.input.as_ref()) {
                row.name.clone_from(&input.name);
            }
            run.core.updates += 1;
            run.updates.insert(row.update_id.clone(), Arc::new(row));
        }
        Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a) => {
            let id = a.meta.as_ref().map(|meta| meta.update_id.as_str()).unwrap_or_default();
            if let Some(row) = run.updates.get(id) {
                let row = UpdateRow {
                    completed_event_id: event.event_id,
                    outcome: a.outcome.clone(),
                    ..(**row).clone()
                };
                run.updates.insert(id.to_owned(), Arc::new(row));
            }
        }
        _ => return false,
    }
    true
}

fn other_event(run: &mut Run, event: &HistoryEvent, attributes: &Attributes, time: Time) {
    match attributes {
        Attributes::WorkflowExecutionStartedEventAttributes(a) => start(run, a, time),
        Attributes::TimerStartedEventAttributes(a) => run.hold_timer(TimerRow {
            started_event_id: event.event_id,
            timer_id: a.timer_id.clone(),
            due: time.plus(known(a.start_to_fire_timeout.as_ref())).0,
        }),
        Attributes::TimerFiredEventAttributes(a) => drop(run.drop_timer(a.started_event_id)),
        Attributes::TimerCanceledEventAttributes(a) => drop(run.drop_timer(a.started_event_id)),
        Attributes::WorkflowExecutionSignaledEventAttributes(a) => {
            run.core.signals += 1;
            if !a.request_id.is_empty() {
                run.signal_ids.insert(a.request_id.clone());
            }
        }
        Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => run.core.cancel_requested = true,
        Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(a) => {
            options(run, event.event_id, a);
            callback::add(run, &a.attached_completion_callbacks, &a.attached_request_id, time);
        }
        Attributes::UpsertWorkflowSearchAttributesEventAttributes(a) => {
            let mut row = (*run.attributes).clone();
            if let Some(upserted) = &a.search_attributes {
                let merged = row.search_attributes.get_or_insert_default();
                merge(&mut merged.indexed_fields, &upserted.indexed_fields);
            }
            run.attributes = Arc::new(row);
        }
        Attributes::WorkflowPropertiesModifiedEventAttributes(a) => {
            let mut row = (*run.attributes).clone();
            if let Some(upserted) = &a.upserted_memo {
                merge(&mut row.memo.get_or_insert_default().fields, &upserted.fields);
            }
            run.attributes = Arc::new(row);
        }
        Attributes::WorkflowExecutionPausedEventAttributes(a) => {
            run.core.status = Status::Paused as i32;
            run.core.pause = Some(PauseRow {
                time: time.0,
                identity: a.identity.clone(),
                reason: a.reason.clone(),
                request_id: a.request_id.clone(),
                ..PauseRow::default()
            });
        }
        Attributes::WorkflowExecutionUnpausedEventAttributes(_) => {
            run.core.status = Status::Running as i32;
            run.core.pause = None;
        }
        // The others leave no rows.
        _ => {}
    }
}

fn start(run: &mut Run, a: &WorkflowExecutionStartedEventAttributes, time: Time) {
    let backoff = known(a.first_workflow_task_backoff.as_ref());
    let core = &mut run.core;
    core.start_time = time.0;
    core.execution_time = time.plus(backoff).0;
    core.backoff_until = if backoff > 0 { core.execution_time } else { 0 };
    core.execution_expiry =
        a.workflow_execution_expiration_time.as_ref().map_or(0, |t| Time::from_timestamp(t).0);
    core.run_expiry = run_expiry(time.plus(backoff), run.start.run_timeout, core.execution_expiry);
    core.versioning_override.clone_from(&a.versioning_override);
    run.attributes =
        Arc::new(AttributesRow { memo: a.memo.clone(), search_attributes: a.search_attributes.clone() });
    if let Some(points) = &a.prev_auto_reset_points {
        run.reset_points = Arc::new(ResetPointsRow { points: points.points.clone() });
    }
    let request_id = run.start.request_id.clone();
    let event_type = EventType::WorkflowExecutionStarted as i32;
    callback::add(run, &a.completion_callbacks, &request_id, time);
    let row = RequestIdRow { request_id: request_id.clone(), event_type, event_id: 1 };
    run.request_ids.insert(request_id, Arc::new(row));
}

/// When a run that begins at `begin` times out, 0 for never.
pub fn run_expiry(begin: Time, run_timeout: i64, execution_expiry: i64) -> i64 {
    if run_timeout == 0 {
        return 0;
    }
    let expiry = begin.plus(run_timeout).0;
    if execution_expiry != 0 { expiry.min(execution_expiry) } else { expiry }
}

fn options(run: &mut Run, event_id: i64, a: &WorkflowExecutionOptionsUpdatedEventAttributes) {
    if a.versioning_override.is_some() || a.unset_versioning_override {
        run.core.versioning_override.clone_from(&a.versioning_override);
        run.core.priority = Some(a.priority.clone().unwrap_or_default());
    }
    if !a.attached_request_id.is_empty() {
        let row = RequestIdRow {
            request_id: a.attached_request_id.clone(),
            event_type: EventType::WorkflowExecutionOptionsUpdated as i32,
            event_id,
        };
        run.request_ids.insert(row.request_id.clone(), Arc::new(row));
    }
}

/// The part of a run that its events tell: all the rest is as in a new run. Two runs with the same history (and buffered
/// events) are equal in this.
pub fn derived(run: &Run) -> Run {
    let mut told = Run::new(run.id, StartRow::default(), AttributesRow::default());
    let core = &run.core;
    told.core = CoreRow {
        // It may end while the run is paused, and then no workflow task tells so.
        backoff_until: if core.pause.is_some() { 0 } else { core.backoff_until },
        transitions: 0,
        sticky: None,
        close_attempted: false,
        next_attempt: 1,
        next_message: 0,
        next_buffered: 0,
        buffered_bytes: 0,
        new_run_id: String::new(),
        reset_run_id: String::new(),
        reset_request_id: String::new(),
        made_by_request: String::new(),
        last_reset_time: 0,
        original_start_time: 0,
        stamps: 0,
        problems: 0,
        task_failure: None,
        signal_external_pending: 0,
        cancel_external_pending: 0,
        forked: false,
        state_bytes: 0,
        left_task: None,
        ancestry: Vec::new(),
        branch: Vec::new(),
        task: core.task.as_ref().filter(|task| !task.transient).map(|task| WorkflowTaskRow {
            scheduled_event_id: task.scheduled_event_id,
            started_event_id: task.started_event_id,
            ..WorkflowTaskRow::default()
        }),
        ..core.clone()
    };
    let mut attributes = (*run.attributes).clone();
    if let Some(search) = &mut attributes.search_attributes {
        search.indexed_fields.remove(super::task_failure::REPORTED_PROBLEMS);
        search.indexed_fields.remove(super::pause::PAUSE_INFO);
    }
    attributes.search_attributes =
        attributes.search_attributes.filter(|search| !search.indexed_fields.is_empty());
    told.attributes = Arc::new(attributes);
    let mut points = (*run.reset_points).clone();
    for point in points.points.iter_mut().filter(|point| point.run_id == run.id.to_string()) {
        // It is set as the next run begins, whose first event tells it.
        point.expire_time = None;
    }
    told.reset_points = Arc::new(points);
    // What a closed run left pending is for readers only, and an end that was still buffered then is in no event.
    let open = run.is_open();
    for row in run.activities.values().filter(|_| open) {
        told.activities.insert(
            row.scheduled_event_id,
            Arc::new(ActivityRow {
                scheduled_event_id: row.scheduled_event_id,
                activity_id: row.activity_id.clone(),
                activity_type: row.activity_type.clone(),
                started_event_id: row.started_event_id,
                cancel_requested: row.cancel_requested,
                cancel_event_id: row.cancel_event_id,
                event_time: row.event_time,
                ..ActivityRow::default()
            }),
        );
    }
    told.timers = run.timers.clone();
    for row in run.children.values().filter(|_| open) {
        let row = ChildRow { request_id: String::new(), message: 0, ..(**row).clone() };
        told.children.insert(row.initiated_event_id, Arc::new(row));
    }
    for row in run.externals.values() {
        let row = ExternalRow {
            request_id: String::new(),
            namespace: String::new(),
            message: 0,
            ..(**row).clone()
        };
        told.externals.insert(row.initiated_event_id, Arc::new(row));
    }
    // One that was only admitted may have been rejected since, without an event.
    told.updates = run
        .updates
        .iter()
        .filter(|(_, row)| row.accepted_event_id != 0)
        .map(|(id, row)| (id.clone(), Arc::clone(row)))
        .collect();
    told.request_ids = run.request_ids.clone();
    told.signal_ids = run.signal_ids.clone();
    // How far it came with calling is in no event, and neither is the order of those that were attached in the buffer.
    for callback in callback::of(run) {
        callback::add(&mut told, &[callback], "", Time::UNSET);
    }
    told
}
