//! Tasks as workers get them.

use super::{execution, nanos, normal_queue, scaling, time, workflow_type};
use crate::token::{self, Tokens, bytes_of};
use bytes::Bytes;
use steadfast_api::v1::common::{ActivityType, WorkflowExecution};
use steadfast_api::v1::history::history_event::Attributes;
use steadfast_api::v1::history::{ActivityTaskScheduledEventAttributes, HistoryEvent};
use steadfast_api::v1::workflowservice::{PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse};
use steadfast_engine::{Hint, QueryPoll, TaskHistory};
use steadfast_machine::duration;
use steadfast_machine::workflow::reply::{StartedActivity, StartedWorkflowTask};
use uuid::Uuid;

pub fn workflow_task(
    tokens: &Tokens,
    namespace: Uuid,
    started: StartedWorkflowTask,
    history: TaskHistory,
    hint: Hint,
) -> PollWorkflowTaskQueueResponse {
    let task = &started.task;
    let task_token = tokens.workflow_task(token::WorkflowTask {
        namespace: bytes_of(namespace),
        workflow_id: started.workflow_id.clone(),
        run: bytes_of(started.run_id),
        scheduled_event_id: task.scheduled_event_id,
        started_event_id: task.started_event_id,
        started_time: task.started_time,
        attempt: task.attempt,
    });
    PollWorkflowTaskQueueResponse {
        task_token,
        workflow_execution: execution(&started.workflow_id, started.run_id),
        workflow_type: workflow_type(&started.workflow_type),
        previous_started_event_id: started.previous_started_event_id,
        started_event_id: task.started_event_id,
        attempt: task.attempt,
        backlog_count_hint: hint.backlog,
        poller_scaling_decision: scaling(hint),
        next_page_token: next_page(tokens, started.run_id, history.next, started.next_event_id),
        history: Some(history.encoded),
        workflow_execution_task_queue: normal_queue(&started.task_queue),
        scheduled_time: nanos(task.scheduled_time),
        started_time: nanos(task.started_time),
        queries: started.queries.into_iter().collect(),
        messages: started.messages,
        ..PollWorkflowTaskQueueResponse::default()
    }
}

/// A query without a workflow task: its token is of another kind, and nothing was started.
pub fn query_task(tokens: &Tokens, poll: QueryPoll) -> PollWorkflowTaskQueueResponse {
    let entity = &poll.run.entity;
    let task_token = tokens.query_task(token::QueryTask::new(
        entity.namespace,
        entity.id.to_string(),
        poll.run.run,
        poll.caller,
    ));
    PollWorkflowTaskQueueResponse {
        task_token,
        workflow_execution: execution(&entity.id, poll.run.run),
        workflow_type: workflow_type(&poll.workflow_type),
        previous_started_event_id: poll.previous_started_event_id,
        attempt: 1,
        next_page_token: next_page(tokens, poll.run.run, poll.history.next, 0),
        history: Some(poll.history.encoded),
        query: Some(poll.query),
        workflow_execution_task_queue: normal_queue(&poll.task_queue),
        ..PollWorkflowTaskQueueResponse::default()
    }
}

fn next_page(tokens: &Tokens, run: Uuid, next: Option<i64>, until: i64) -> Bytes {
    next.map_or_else(Bytes::new, |event| {
        tokens.history_page(token::HistoryPage { run: bytes_of(run), event, reverse: false, until })
    })
}

pub fn activity_task(
    tokens: &Tokens,
    namespace: (Uuid, &str),
    started: StartedActivity,
    scheduled: Box<HistoryEvent>,
    hint: Hint,
) -> PollActivityTaskQueueResponse {
    let row = started.activity;
    let standalone = started.workflow_id.is_empty();
    let task_token = tokens.activity_task(token::ActivityTask {
        namespace: bytes_of(namespace.0),
        workflow_id: started.workflow_id.clone(),
        run: bytes_of(started.run_id),
        scheduled_event_id: row.scheduled_event_id,
        attempt: started.attempt,
        activity_id: if standalone { row.activity_id.clone() } else { String::new() },
    });
    let event = match scheduled.attributes {
        Some(Attributes::ActivityTaskScheduledEventAttributes(attributes)) => attributes,
        _ => ActivityTaskScheduledEventAttributes::default(),
    };
    PollActivityTaskQueueResponse {
        task_token,
        workflow_namespace: namespace.1.into(),
        workflow_type: workflow_type(&started.workflow_type).filter(|_| !standalone),
        workflow_execution: match standalone {
            true => Some(WorkflowExecution::default()),
            false => execution(&started.workflow_id, started.run_id),
        },
        activity_run_id: if standalone { started.run_id.to_string() } else { String::new() },
        activity_type: Some(ActivityType { name: row.activity_type }),
        activity_id: row.activity_id,
        header: event.header,
        input: event.input,
        heartbeat_details: started.heartbeat_details,
        scheduled_time: scheduled.event_time.or_else(|| nanos(row.first_scheduled_time)),
        current_attempt_scheduled_time: nanos(row.scheduled_time),
        started_time: time(started.started_time),
        attempt: started.attempt,
        // Present also when zero: an SDK tells the two apart.
        schedule_to_close_timeout: duration::proto(row.schedule_to_close),
        start_to_close_timeout: duration::proto(row.start_to_close),
        heartbeat_timeout: duration::proto(row.heartbeat),
        retry_policy: row.retry_policy,
        priority: row.priority,
        poller_scaling_decision: scaling(hint),
        ..PollActivityTaskQueueResponse::default()
    }
}
