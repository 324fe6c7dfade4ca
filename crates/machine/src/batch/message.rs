//! What a batch asks of a target, as its message says it and as its row keeps it. `workflow/batch.rs` has the other end.

use steadfast_api::temporal::api::batch::v1::{
    BatchOperationCancellation, BatchOperationDeletion, BatchOperationReset, BatchOperationResetActivities,
    BatchOperationSignal, BatchOperationTermination, BatchOperationUnpauseActivities,
    BatchOperationUpdateActivityOptions, BatchOperationUpdateWorkflowExecutionOptions,
};

/// What is done. Field numbers are for ever.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Operation {
    #[prost(message, tag = "1")]
    Terminate(BatchOperationTermination),
    #[prost(message, tag = "2")]
    Signal(BatchOperationSignal),
    #[prost(message, tag = "3")]
    Cancel(BatchOperationCancellation),
    #[prost(message, tag = "4")]
    Delete(BatchOperationDeletion),
    #[prost(message, tag = "5")]
    Reset(BatchOperationReset),
    #[prost(message, tag = "6")]
    UpdateOptions(BatchOperationUpdateWorkflowExecutionOptions),
    #[prost(message, tag = "7")]
    UnpauseActivities(BatchOperationUnpauseActivities),
    #[prost(message, tag = "8")]
    ResetActivities(BatchOperationResetActivities),
    #[prost(message, tag = "9")]
    UpdateActivityOptions(BatchOperationUpdateActivityOptions),
}

impl Operation {
    /// Who asked for it.
    pub fn identity(&self) -> &str {
        match self {
            Operation::Terminate(operation) => &operation.identity,
            Operation::Signal(operation) => &operation.identity,
            Operation::Cancel(operation) => &operation.identity,
            Operation::Delete(operation) => &operation.identity,
            Operation::Reset(operation) => &operation.identity,
            Operation::UpdateOptions(operation) => &operation.identity,
            Operation::UnpauseActivities(operation) => &operation.identity,
            Operation::ResetActivities(operation) => &operation.identity,
            Operation::UpdateActivityOptions(operation) => &operation.identity,
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OperationRow {
    #[prost(oneof = "Operation", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
    pub operation: Option<Operation>,
}

/// To a target.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchOperation {
    #[prost(message, optional, tag = "1")]
    pub operation: Option<OperationRow>,
    #[prost(string, tag = "2")]
    pub reason: String,
    /// The same whenever this batch comes to this target.
    #[prost(string, tag = "3")]
    pub request_id: String,
    /// For a reset whose point is known: its event.
    #[prost(int64, tag = "4")]
    pub event_id: i64,
}

/// The answer of a target to which nothing was done: which run is meant, where none was named, or where the point of a reset is
/// in another run of its chain.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Target {
    #[prost(string, tag = "1")]
    pub workflow_id: String,
    #[prost(string, tag = "2")]
    pub run_id: String,
    /// The point of the reset, if it was looked for.
    #[prost(int64, tag = "3")]
    pub event_id: i64,
}
