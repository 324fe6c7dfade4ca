//! A run as lists show it.

use bytes::Bytes;
use prost::Message as _;
use steadfast_api::v1::common::SearchAttributes;
use steadfast_api::v1::enums::{ActivityExecutionStatus, WorkflowExecutionStatus};
use steadfast_machine::workflow::activity::INTERNAL_QUEUE;
use steadfast_machine::workflow::state::Run;
use steadfast_machine::{AnyRun, Time, batch, standalone_activity};
use steadfast_query::{Schema, Value, attribute, values};
use steadfast_storage::VisibilityRow;

/// `id` is that of the run's entity.
pub fn row(id: &str, run: &AnyRun, schema: &dyn Schema) -> VisibilityRow {
    match run {
        AnyRun::Workflow(run) => workflow(run, schema),
        AnyRun::Activity(run) => activity(run, schema),
        AnyRun::Batch(run) => batch_operation(id, run, schema),
    }
}

fn activity(run: &standalone_activity::Run, schema: &dyn Schema) -> VisibilityRow {
    let (core, activity) = (&run.core, run.activity());
    let attributes = run.attributes.search_attributes.as_ref();
    VisibilityRow {
        workflow_type: activity.activity_type.clone(),
        task_queue: activity.task_queue.clone(),
        status: as_workflow_status(run.status()),
        start_time: Time(core.start_time),
        execution_time: Time(core.start_time).plus(core.start_delay),
        close_time: Time(core.close_time).if_set(),
        transitions: core.transitions,
        search_attributes: attributes.map_or_else(Bytes::new, |a| a.encode_to_vec().into()),
        indexed: attributes.map(|attributes| indexed(attributes, schema)).unwrap_or_default(),
        ..VisibilityRow::default()
    }
}

fn batch_operation(id: &str, run: &batch::Run, schema: &dyn Schema) -> VisibilityRow {
    let core = &run.core;
    let attributes = batch::listed::search_attributes(run);
    VisibilityRow {
        workflow_type: batch::listed::WORKFLOW_TYPE.into(),
        task_queue: INTERNAL_QUEUE.into(),
        status: core.status,
        start_time: Time(core.start_time),
        execution_time: Time(core.start_time),
        close_time: Time(core.close_time).if_set(),
        transitions: core.transitions,
        root_workflow_id: id.to_owned(),
        root_run_id: run.id.to_string(),
        memo: batch::listed::memo(run).encode_to_vec().into(),
        search_attributes: attributes.encode_to_vec().into(),
        indexed: indexed(&attributes, schema),
        ..VisibilityRow::default()
    }
}

/// Lists number all statuses as those of workflows, because queries name them so.
fn as_workflow_status(status: ActivityExecutionStatus) -> i32 {
    match status {
        ActivityExecutionStatus::TimedOut => WorkflowExecutionStatus::TimedOut as i32,
        ActivityExecutionStatus::Paused => WorkflowExecutionStatus::Paused as i32,
        status => status as i32,
    }
}

fn workflow(run: &Run, schema: &dyn Schema) -> VisibilityRow {
    let core = &run.core;
    let parent = run.start.parent.as_ref();
    let attributes = run.attributes.search_attributes.as_ref();
    VisibilityRow {
        workflow_type: run.start.workflow_type.clone(),
        task_queue: run.start.task_queue.clone(),
        status: core.status,
        start_time: Time(core.start_time),
        execution_time: Time(core.execution_time),
        close_time: Time(core.close_time).if_set(),
        history_length: core.next_event_id - 1,
        history_bytes: core.history_bytes,
        transitions: core.transitions,
        root_workflow_id: run.start.root_workflow_id.clone(),
        root_run_id: run.start.root_run_id.clone(),
        parent_workflow_id: parent.map(|parent| parent.workflow_id.clone()),
        parent_run_id: parent.map(|parent| parent.run_id.clone()),
        memo: run.attributes.memo.as_ref().map_or_else(Bytes::new, |memo| memo.encode_to_vec().into()),
        search_attributes: attributes.map_or_else(Bytes::new, |a| a.encode_to_vec().into()),
        indexed: attributes.map(|attributes| indexed(attributes, schema)).unwrap_or_default(),
    }
}

/// What can be found by a query. A value that no longer fits its attribute's type is shown, but not found.
fn indexed(attributes: &SearchAttributes, schema: &dyn Schema) -> Vec<(String, Vec<Value>)> {
    let mut indexed: Vec<(String, Vec<Value>)> = attributes
        .indexed_fields
        .iter()
        .filter_map(|(name, payload)| {
            let attribute_type = attribute::find_predefined(name)
                .map(|predefined| predefined.attribute_type)
                .or_else(|| schema.custom(name))?;
            let encoding = payload.metadata.get("encoding").map(|bytes| bytes.as_ref()).unwrap_or_default();
            let value = values::decode(name, attribute_type, encoding, &payload.data).ok()??;
            Some((name.clone(), value.rows()))
        })
        .collect();
    indexed.sort_by(|a, b| a.0.cmp(&b.0));
    indexed
}
