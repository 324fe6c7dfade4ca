//! What a history shows of a run, in the words of the model.

use super::model::{Mark, RunId, Status, Told};
use crate::client::text;
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::enums::{EventType, WorkflowExecutionStatus};
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::history::history_event::Attributes as Event;

pub fn mark_of(payloads: Option<&Payloads>) -> Option<Mark> {
    text(payloads).parse().ok()
}

/// The marks of a worker's answer.
pub fn log_told(payloads: Option<&Payloads>) -> Option<Vec<Mark>> {
    text(payloads).split(',').map(|mark| mark.parse().ok()).collect()
}

pub fn log_of(events: &[HistoryEvent]) -> Vec<Mark> {
    let logged = |event: &HistoryEvent| match &event.attributes {
        Some(Event::WorkflowExecutionStartedEventAttributes(started)) => mark_of(started.input.as_ref()),
        Some(Event::WorkflowExecutionSignaledEventAttributes(signal)) => mark_of(signal.input.as_ref()),
        Some(Event::WorkflowExecutionUpdateAcceptedEventAttributes(accepted)) => {
            let input = accepted.accepted_request.as_ref().and_then(|request| request.input.as_ref());
            mark_of(input.and_then(|input| input.args.as_ref()))
        }
        _ => None,
    };
    events.iter().filter_map(logged).collect()
}

/// The run that a history is of.
pub fn run_of(events: &[HistoryEvent]) -> Option<RunId> {
    match events.first()?.attributes.as_ref()? {
        Event::WorkflowExecutionStartedEventAttributes(started) => {
            started.original_execution_run_id.parse().ok()
        }
        _ => None,
    }
}

/// A whole history. None if it has no beginning.
pub fn told(events: &[HistoryEvent]) -> Option<Told> {
    let (status, closed_by) = match &events.last()?.attributes {
        Some(Event::WorkflowExecutionCompletedEventAttributes(done)) => {
            (Status::Completed, mark_of(done.result.as_ref()))
        }
        Some(Event::WorkflowExecutionTerminatedEventAttributes(done)) => {
            (Status::Terminated, done.reason.parse().ok())
        }
        _ => (Status::Open, None),
    };
    let last_of_task = events.iter().rev().map(HistoryEvent::event_type).find(|kind| {
        matches!(
            kind,
            EventType::WorkflowTaskScheduled
                | EventType::WorkflowTaskStarted
                | EventType::WorkflowTaskCompleted
                | EventType::WorkflowTaskFailed
                | EventType::WorkflowTaskTimedOut
        )
    });
    // The second try of a task is not in the history until it is completed.
    let task_out = matches!(
        last_of_task,
        Some(
            EventType::WorkflowTaskStarted | EventType::WorkflowTaskFailed | EventType::WorkflowTaskTimedOut
        )
    );
    Some(Told { run: run_of(events)?, status, closed_by, log: log_of(events), task_out })
}

pub fn status(status: i32) -> Status {
    match WorkflowExecutionStatus::try_from(status) {
        Ok(WorkflowExecutionStatus::Running) => Status::Open,
        Ok(WorkflowExecutionStatus::Completed) => Status::Completed,
        Ok(WorkflowExecutionStatus::Terminated) => Status::Terminated,
        _ => Status::Other(status),
    }
}
