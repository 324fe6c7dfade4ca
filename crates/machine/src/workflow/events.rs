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

/// For a started event: the id of the event that scheduled or initiated the thing.
pub fn starts(event: &HistoryEvent) -> Option<i64> {
    match event.attributes.as_ref()? {
        Attributes::ActivityTaskStartedEventAttributes(a) => Some(a.scheduled_event_id),
        Attributes::ChildWorkflowExecutionStartedEventAttributes(a) => Some(a.initiated_event_id),
        _ => None,
    }
}

/// Fills in the started event id of a closing event, whose started event got its id just now.
pub fn set_started_id(event: &mut HistoryEvent, started: &BTreeMap<i64, i64>) {
    use Attributes::*;
    let (origin, id) = match event.attributes.as_mut() {
        Some(ActivityTaskCompletedEventAttributes(a)) => (a.scheduled_event_id, &mut a.started_event_id),
        Some(ActivityTaskFailedEventAttributes(a)) => (a.scheduled_event_id, &mut a.started_event_id),
        Some(ActivityTaskTimedOutEventAttributes(a)) => (a.scheduled_event_id, &mut a.started_event_id),
        Some(ActivityTaskCanceledEventAttributes(a)) => (a.scheduled_event_id, &mut a.started_event_id),
        Some(ChildWorkflowExecutionCompletedEventAttributes(a)) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        Some(ChildWorkflowExecutionFailedEventAttributes(a)) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        Some(ChildWorkflowExecutionCanceledEventAttributes(a)) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        Some(ChildWorkflowExecutionTimedOutEventAttributes(a)) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        Some(ChildWorkflowExecutionTerminatedEventAttributes(a)) => {
            (a.initiated_event_id, &mut a.started_event_id)
        }
        _ => return,
    };
    if *id == 0
        && let Some(started_id) = started.get(&origin)
    {
        *id = *started_id;
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
