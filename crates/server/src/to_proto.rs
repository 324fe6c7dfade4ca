//! Replies and runs to responses. Tasks for workers are in `to_proto/tasks.rs`, descriptions of runs in
//! `to_proto/describe.rs`.

mod activity_executions;
mod batch_operations;
mod describe;
mod queues;
mod tasks;

pub use activity_executions::*;
pub use batch_operations::*;
pub use describe::*;
pub use queues::*;
pub use tasks::*;

use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;
use steadfast_api::v1::common::{Memo, SearchAttributes, WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::{TaskQueueKind, UpdateWorkflowExecutionLifecycleStage as Stage};
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::update::UpdateRef;
use steadfast_api::v1::workflow::WorkflowExecutionInfo;
use steadfast_api::v1::workflowservice::{
    PollWorkflowExecutionUpdateResponse, SignalWithStartWorkflowExecutionResponse,
    StartWorkflowExecutionResponse, UpdateWorkflowExecutionResponse,
};
use steadfast_machine::duration;
use steadfast_machine::workflow::reply::{Started, UpdateReply};
use steadfast_machine::{RunKey, Time};
use steadfast_query::Schema;
use steadfast_query::attribute::Attribute;
use steadfast_storage::VisibilityRow;
use uuid::Uuid;

/// What stands on the wire for a time that there is not: the zero of the reference's language, the year 1.
pub const YEAR_ONE: Timestamp = Timestamp { seconds: -62_135_596_800, nanos: 0 };

pub fn time(time: Time) -> Option<Timestamp> {
    time.if_set().map(Time::timestamp)
}

/// Nanoseconds since 1970, 0 for none.
pub fn nanos(time: i64) -> Option<Timestamp> {
    self::time(Time(time))
}

pub fn execution(workflow_id: &str, run: Uuid) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: workflow_id.into(), run_id: run.to_string() })
}

pub fn workflow_type(name: &str) -> Option<WorkflowType> {
    Some(WorkflowType { name: name.into() })
}

pub fn normal_queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue { name: name.into(), kind: TaskQueueKind::Normal as i32, normal_name: String::new() })
}

/// The eager task, if there is one, is added by the caller: its history must be read first.
pub fn started(started: &Started) -> StartWorkflowExecutionResponse {
    StartWorkflowExecutionResponse {
        run_id: started.run_id.to_string(),
        first_execution_run_id: started.first_run_id.clone(),
        started: started.started,
        status: started.status as i32,
        eager_workflow_task: None,
        link: started.link.clone(),
    }
}

pub fn signal_with_start(run: Uuid, started: bool) -> SignalWithStartWorkflowExecutionResponse {
    SignalWithStartWorkflowExecutionResponse {
        run_id: run.to_string(),
        started,
        ..SignalWithStartWorkflowExecutionResponse::default()
    }
}

fn update_ref(workflow_id: &str, update: &UpdateReply) -> Option<UpdateRef> {
    Some(UpdateRef {
        workflow_execution: execution(workflow_id, update.run_id),
        update_id: update.update_id.clone(),
    })
}

/// An outcome means completed, whatever stage was asked for.
fn stage(update: &UpdateReply) -> i32 {
    if update.outcome.is_some() { Stage::Completed as i32 } else { update.stage }
}

pub fn updated(workflow_id: &str, update: UpdateReply) -> UpdateWorkflowExecutionResponse {
    UpdateWorkflowExecutionResponse {
        update_ref: update_ref(workflow_id, &update),
        stage: stage(&update),
        outcome: update.outcome,
        link: None,
    }
}

pub fn update_polled(workflow_id: &str, update: UpdateReply) -> PollWorkflowExecutionUpdateResponse {
    PollWorkflowExecutionUpdateResponse {
        update_ref: update_ref(workflow_id, &update),
        stage: stage(&update),
        outcome: update.outcome,
    }
}

/// A row of a list. What only a closed run has for certain is left out of an open one's.
pub fn listed(key: &RunKey, row: &VisibilityRow) -> WorkflowExecutionInfo {
    let parent = match (&row.parent_workflow_id, &row.parent_run_id) {
        (Some(workflow_id), Some(run_id)) => {
            Some(WorkflowExecution { workflow_id: workflow_id.clone(), run_id: run_id.clone() })
        }
        _ => None,
    };
    let closed = row.close_time.is_some();
    WorkflowExecutionInfo {
        execution: execution(&key.entity.id, key.run),
        r#type: workflow_type(&row.workflow_type),
        start_time: time(row.start_time),
        execution_time: time(row.execution_time),
        close_time: row.close_time.map(Time::timestamp),
        status: row.status,
        history_length: if closed { row.history_length } else { 0 },
        history_size_bytes: if closed { row.history_bytes } else { 0 },
        state_transition_count: if closed { row.transitions } else { 0 },
        execution_duration: row.close_time.and_then(|close| duration::proto(close.since(row.execution_time))),
        parent_execution: parent,
        memo: Some(decoded::<Memo>(&row.memo)),
        search_attributes: Some(decoded::<SearchAttributes>(&row.search_attributes)),
        task_queue: row.task_queue.clone(),
        root_execution: Some(WorkflowExecution {
            workflow_id: row.root_workflow_id.clone(),
            run_id: row.root_run_id.clone(),
        }),
        ..WorkflowExecutionInfo::default()
    }
}

/// A stored message. What does not decode is shown as absent: a list with a damaged memo is better than no list.
fn decoded<M: Message + Default>(bytes: &Bytes) -> M {
    M::decode(bytes.clone()).unwrap_or_default()
}

/// Search attributes as they are returned: with the type of each in its payload's metadata.
pub fn typed(attributes: Option<&SearchAttributes>, schema: &dyn Schema) -> SearchAttributes {
    let mut attributes = attributes.cloned().unwrap_or_default();
    for (name, payload) in &mut attributes.indexed_fields {
        let known = Attribute::built_in(name).map(|attribute| attribute.attribute_type());
        if let Some(kind) = known.or_else(|| schema.custom(name)) {
            payload.metadata.insert("type".into(), Bytes::from_static(kind.name().as_bytes()));
        }
    }
    attributes
}
