//! A batch operation as lists show it: as the workflow that it is in the reference, in a division of its own.

use super::message::Operation;
use super::state::Run;
use crate::workflow::payload;
use steadfast_api::v1::common::{Memo, Payload, SearchAttributes};
use steadfast_api::v1::enums::WorkflowExecutionStatus as Status;

/// The division that hides batch operations from lists of workflows.
pub const DIVISION: &str = "TemporalBatcher";

pub const WORKFLOW_TYPE: &str = "temporal-sys-batch-workflow-protobuf";

impl Operation {
    /// As it is called in memos.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Terminate(_) => "terminate",
            Operation::Signal(_) => "signal",
            Operation::Cancel(_) => "cancel",
            Operation::Delete(_) => "delete",
            Operation::Reset(_) => "reset",
            Operation::UpdateOptions(_) => "update_options",
            Operation::UnpauseActivities(_) => "unpause_activities",
            Operation::ResetActivities(_) => "reset_activities",
            Operation::UpdateActivityOptions(_) => "update_activity_options",
        }
    }
}

pub fn search_attributes(run: &Run) -> SearchAttributes {
    let keyword = |text: &str| payload::json(payload::quoted(text), &[("type", "Keyword")]);
    SearchAttributes {
        indexed_fields: [
            ("BatcherUser".to_owned(), keyword(&run.start.identity)),
            ("TemporalNamespaceDivision".to_owned(), keyword(DIVISION)),
        ]
        .into(),
    }
}

pub fn memo(run: &Run) -> Memo {
    let text = |text: &str| payload::json(payload::quoted(text), &[]);
    let mut fields: Vec<(&str, Payload)> = vec![
        ("batch_operation_type", text(run.operation().map_or("", Operation::name))),
        ("batch_operation_reason", text(&run.start.reason)),
    ];
    if run.status() == Status::Completed {
        let (succeeded, failed) = (run.core.succeeded, run.core.failed);
        let stats = format!("{{\"NumSuccess\":{succeeded},\"NumFailure\":{failed}}}");
        fields.push(("batch_operation_stats", payload::json(stats, &[])));
    }
    Memo { fields: fields.into_iter().map(|(name, payload)| (name.to_owned(), payload)).collect() }
}
