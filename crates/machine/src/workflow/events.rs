//! Facts about event types: their numbers, which are ends, and how a closing event finds its started event.

pub use steadfast_api::v1::history::history_event::Attributes;

use std::collections::BTreeMap;
use steadfast_api::v1::enums::EventType;
use steadfast_api::v1::history::HistoryEvent;

/// Event task ids rise strictly; clients only compare them.
pub const TASK_ID_BASE: i64 = 1 << 20;

macro_rules! event_types {
    ($($attributes:ident => $event_type:ident),* $(,)?) => {
        pub fn event_type(attributes: &Attributes) -> EventType {
            match attributes {
                $(Attributes::$attributes(_) => EventType::$event_type,)*
            }
        }
    };
}

event_types! {
    WorkflowExecutionStartedEventAttributes => WorkflowExecutionStarted,
    WorkflowExecutionCompletedEventAttributes => WorkflowExecutionCompleted,
    WorkflowExecutionFailedEventAttributes => WorkflowExecutionFailed,
    WorkflowExecutionTimedOutEventAttributes => WorkflowExecutionTimedOut,
    WorkflowTaskScheduledEventAttributes => WorkflowTaskScheduled,
    WorkflowTaskStartedEventAttributes => WorkflowTaskStarted,
    WorkflowTaskCompletedEventAttributes => WorkflowTaskCompleted,
    WorkflowTaskTimedOutEventAttributes => WorkflowTaskTimedOut,
    WorkflowTaskFailedEventAttributes => WorkflowTaskFailed,
    ActivityTaskScheduledEventAttributes => ActivityTaskScheduled,
    ActivityTaskStartedEventAttributes => ActivityTaskStarted,
    ActivityTaskCompletedEventAttributes => ActivityTaskCompleted,
    ActivityTaskFailedEventAttributes => ActivityTaskFailed,
    ActivityTaskTimedOutEventAttributes => ActivityTaskTimedOut,
    TimerStartedEventAttributes => TimerStarted,
    TimerFiredEventAttributes => TimerFired,
    ActivityTaskCancelRequestedEventAttributes => ActivityTaskCancelRequested,
    ActivityTaskCanceledEventAttributes => ActivityTaskCanceled,
    TimerCanceledEventAttributes => TimerCanceled,
    MarkerRecordedEventAttributes => MarkerRecorded,
    WorkflowExecutionSignaledEventAttributes => WorkflowExecutionSignaled,
    WorkflowExecutionTerminatedEventAttributes => WorkflowExecutionTerminated,
    WorkflowExecutionCancelRequestedEventAttributes => WorkflowExecutionCancelRequested,
    WorkflowExecutionCanceledEventAttributes => WorkflowExecutionCanceled,
    RequestCancelExternalWorkflowExecutionInitiatedEventAttributes => RequestCancelExternalWorkflowExecutionInitiated,
    RequestCancelExternalWorkflowExecutionFailedEventAttributes => RequestCancelExternalWorkflowExecutionFailed,
    ExternalWorkflowExecutionCancelRequestedEventAttributes => ExternalWorkflowExecutionCancelRequested,
    WorkflowExecutionContinuedAsNewEventAttributes => WorkflowExecutionContinuedAsNew,
    StartChildWorkflowExecutionInitiatedEventAttributes => StartChildWorkflowExecutionInitiated,
    StartChildWorkflowExecutionFailedEventAttributes => StartChildWorkflowExecutionFailed,
    ChildWorkflowExecutionStartedEventAttributes => ChildWorkflowExecutionStarted,
    ChildWorkflowExecutionCompletedEventAttributes => ChildWorkflowExecutionCompleted,
    ChildWorkflowExecutionFailedEventAttributes => ChildWorkflowExecutionFailed,
    ChildWorkflowExecutionCanceledEventAttributes => ChildWorkflowExecutionCanceled,
    ChildWorkflowExecutionTimedOutEventAttributes => ChildWorkflowExecutionTimedOut,
    ChildWorkflowExecutionTerminatedEventAttributes => ChildWorkflowExecutionTerminated,
    SignalExternalWorkflowExecutionInitiatedEventAttributes => SignalExternalWorkflowExecutionInitiated,
    SignalExternalWorkflowExecutionFailedEventAttributes => SignalExternalWorkflowExecutionFailed,
    ExternalWorkflowExecutionSignaledEventAttributes => ExternalWorkflowExecutionSignaled,
    UpsertWorkflowSearchAttributesEventAttributes => UpsertWorkflowSearchAttributes,
    WorkflowExecutionUpdateAcceptedEventAttributes => WorkflowExecutionUpdateAccepted,
    WorkflowExecutionUpdateRejectedEventAttributes => WorkflowExecutionUpdateRejected,
    WorkflowExecutionUpdateCompletedEventAttributes => WorkflowExecutionUpdateCompleted,
    WorkflowPropertiesModifiedExternallyEventAttributes => WorkflowPropertiesModifiedExternally,
    ActivityPropertiesModifiedExternallyEventAttributes => ActivityPropertiesModifiedExternally,
    WorkflowPropertiesModifiedEventAttributes => WorkflowPropertiesModified,
    WorkflowExecutionUpdateAdmittedEventAttributes => WorkflowExecutionUpdateAdmitted,
    NexusOperationScheduledEventAttributes => NexusOperationScheduled,
    NexusOperationStartedEventAttributes => NexusOperationStarted,
    NexusOperationCompletedEventAttributes => NexusOperationCompleted,
    NexusOperationFailedEventAttributes => NexusOperationFailed,
    NexusOperationCanceledEventAttributes => NexusOperationCanceled,
    NexusOperationTimedOutEventAttributes => NexusOperationTimedOut,
    NexusOperationCancelRequestedEventAttributes => NexusOperationCancelRequested,
    WorkflowExecutionOptionsUpdatedEventAttributes => WorkflowExecutionOptionsUpdated,
    NexusOperationCancelRequestCompletedEventAttributes => NexusOperationCancelRequestCompleted,
    NexusOperationCancelRequestFailedEventAttributes => NexusOperationCancelRequestFailed,
    WorkflowExecutionPausedEventAttributes => WorkflowExecutionPaused,
    WorkflowExecutionUnpausedEventAttributes => WorkflowExecutionUnpaused,
    WorkflowExecutionTimeSkippingTransitionedEventAttributes => WorkflowExecutionTimeSkippingTransitioned,
}

/// Events that decide nothing for the workflow's code: a worker that is older than they are goes on.
pub fn worker_may_ignore(attributes: &Attributes) -> bool {
    matches!(
        attributes,
        Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
            | Attributes::WorkflowExecutionPausedEventAttributes(_)
            | Attributes::WorkflowExecutionUnpausedEventAttributes(_)
    )
}

/// The end of an activity, a child or a Nexus operation: written after the other buffered events.
pub fn is_end(event: &HistoryEvent) -> bool {
    use EventType::*;
    matches!(
        event.event_type(),
        ActivityTaskCompleted
            | ActivityTaskFailed
            | ActivityTaskTimedOut
            | ActivityTaskCanceled
            | ChildWorkflowExecutionCompleted
            | ChildWorkflowExecutionFailed
            | ChildWorkflowExecutionCanceled
            | ChildWorkflowExecutionTimedOut
            | ChildWorkflowExecutionTerminated
            | NexusOperationCompleted
            | NexusOperationFailed
            | NexusOperationCanceled
            | NexusOperationTimedOut
    )
}

/// For the end of an activity: its scheduled event id.
pub fn ends_activity(event: &HistoryEvent) -> Option<i64> {
    match event.attributes.as_ref()? {
        Attributes::ActivityTaskCompletedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ActivityTaskFailedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ActivityTaskTimedOutEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ActivityTaskCanceledEventAttributes(a) => Some(a.scheduled_event_id),
        _ => None,
    }
}

/// For the end of a child, or of the attempt to start one: the id of the event that initiated it.
pub fn ends_child(event: &HistoryEvent) -> Option<i64> {
    match event.attributes.as_ref()? {
        Attributes::StartChildWorkflowExecutionFailedEventAttributes(a) => Some(a.initiated_event_id),
        Attributes::ChildWorkflowExecutionCompletedEventAttributes(a) => Some(a.initiated_event_id),
        Attributes::ChildWorkflowExecutionFailedEventAttributes(a) => Some(a.initiated_event_id),
        Attributes::ChildWorkflowExecutionCanceledEventAttributes(a) => Some(a.initiated_event_id),
        Attributes::ChildWorkflowExecutionTimedOutEventAttributes(a) => Some(a.initiated_event_id),
        Attributes::ChildWorkflowExecutionTerminatedEventAttributes(a) => Some(a.initiated_event_id),
        _ => None,
    }
}

/// For a started event: the id of the event that scheduled or initiated the thing.
pub fn starts(event: &HistoryEvent) -> Option<i64> {
    match event.attributes.as_ref()? {
        Attributes::ActivityTaskStartedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ChildWorkflowExecutionStartedEventAttributes(a) => Some(a.initiated_event_id),
        _ => None,
    }
}

/// For the end of an activity or a child: what it is the end of, and the id of its started event.
fn started_id(event: &mut HistoryEvent) -> Option<(i64, &mut i64)> {
    use Attributes::*;
    match event.attributes.as_mut()? {
        ActivityTaskCompletedEventAttributes(a) => Some((a.scheduled_event_id, &mut a.started_event_id)),
        ActivityTaskFailedEventAttributes(a) => Some((a.scheduled_event_id, &mut a.started_event_id)),
        ActivityTaskTimedOutEventAttributes(a) => Some((a.scheduled_event_id, &mut a.started_event_id)),
        ActivityTaskCanceledEventAttributes(a) => Some((a.scheduled_event_id, &mut a.started_event_id)),
        ChildWorkflowExecutionCompletedEventAttributes(a) => {
            Some((a.initiated_event_id, &mut a.started_event_id))
        }
        ChildWorkflowExecutionFailedEventAttributes(a) => {
            Some((a.initiated_event_id, &mut a.started_event_id))
        }
        ChildWorkflowExecutionCanceledEventAttributes(a) => {
            Some((a.initiated_event_id, &mut a.started_event_id))
        }
        ChildWorkflowExecutionTimedOutEventAttributes(a) => {
            Some((a.initiated_event_id, &mut a.started_event_id))
        }
        ChildWorkflowExecutionTerminatedEventAttributes(a) => {
            Some((a.initiated_event_id, &mut a.started_event_id))
        }
        _ => None,
    }
}

/// Fills in the started event id of a closing event, whose started event got its id just now.
pub fn set_started_id(event: &mut HistoryEvent, started: &BTreeMap<i64, i64>) {
    if let Some((origin, id)) = started_id(event)
        && *id == 0
        && let Some(started) = started.get(&origin)
    {
        *id = *started;
    }
}

/// The same for an event that comes from another history.
pub fn replace_started_id(event: &mut HistoryEvent, started: &BTreeMap<i64, i64>) {
    if let Some((origin, id)) = started_id(event) {
        *id = started.get(&origin).copied().unwrap_or(0);
    }
}

/// The request id by which DescribeWorkflowExecution finds the event.
pub fn request_id(event: &HistoryEvent) -> Option<String> {
    match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(a) => Some(a.attached_request_id.clone()),
        Attributes::WorkflowExecutionSignaledEventAttributes(a) => Some(a.request_id.clone()),
        _ => None,
    }
    .filter(|id| !id.is_empty())
}
