//! Batch operations, as they are described and listed.

use super::time;
use steadfast_api::temporal::api::batch::v1::BatchOperationInfo;
use steadfast_api::v1::enums::{
    BatchOperationState as State, BatchOperationType as Type, WorkflowExecutionStatus as Status,
};
use steadfast_api::v1::workflowservice::DescribeBatchOperationResponse;
use steadfast_machine::batch::{Operation, Run};
use steadfast_machine::{RunKey, Time};
use steadfast_storage::VisibilityRow;

pub fn described_batch(job_id: &str, run: &Run) -> DescribeBatchOperationResponse {
    let core = &run.core;
    DescribeBatchOperationResponse {
        operation_type: run.operation().map_or(Type::Unspecified, operation_type) as i32,
        job_id: job_id.to_owned(),
        state: state(core.status) as i32,
        start_time: time(Time(core.start_time)),
        close_time: time(Time(core.close_time)),
        total_operation_count: core.total,
        complete_operation_count: core.succeeded,
        failure_operation_count: core.failed,
        identity: run.start.identity.clone(),
        reason: run.start.reason.clone(),
        ..DescribeBatchOperationResponse::default()
    }
}

pub fn listed_batch(key: &RunKey, row: &VisibilityRow) -> BatchOperationInfo {
    BatchOperationInfo {
        job_id: key.entity.id.to_string(),
        state: state(row.status) as i32,
        start_time: time(row.start_time),
        close_time: row.close_time.and_then(time),
        ..BatchOperationInfo::default()
    }
}

/// The numbers that the reference gives; later ones mean the same.
fn operation_type(operation: &Operation) -> Type {
    match operation {
        Operation::Terminate(_) => Type::Terminate,
        Operation::Signal(_) => Type::Signal,
        Operation::Cancel(_) => Type::Cancel,
        Operation::Delete(_) => Type::Delete,
        Operation::Reset(_) => Type::Reset,
        Operation::UpdateOptions(_) => Type::UpdateExecutionOptions,
        Operation::UnpauseActivities(_) => Type::UnpauseActivity,
        Operation::ResetActivities(_) => Type::ResetActivity,
        Operation::UpdateActivityOptions(_) => Type::UpdateActivityOptions,
    }
}

fn state(status: i32) -> State {
    match Status::try_from(status).unwrap_or_default() {
        Status::Running => State::Running,
        Status::Completed => State::Completed,
        _ => State::Failed,
    }
}
