//! Refusals: what a caller is told when nothing, or not what was asked for, is done. One table in the server maps them
//! to gRPC and HTTP.

use steadfast_api::v1::enums::{ResourceExhaustedCause, ResourceExhaustedScope};
use steadfast_api::v1::failure::Failure;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq)]
pub enum Reject {
    InvalidArgument(String),
    /// A workflow, run, task, activity or update that is not there, or no longer.
    NotFound(String),
    NamespaceNotFound(String),
    AlreadyStarted {
        message: String,
        start_request_id: String,
        run_id: Uuid,
    },
    /// A standalone activity of that id.
    ActivityAlreadyStarted {
        message: String,
        start_request_id: String,
        run_id: Uuid,
    },
    /// Something other than a workflow execution exists already.
    AlreadyExists(String),
    FailedPrecondition(String),
    /// The workflow cannot answer queries or updates yet, or because its workflow task fails.
    WorkflowNotReady(String),
    QueryFailed {
        message: String,
        failure: Option<Box<Failure>>,
    },
    ResourceExhausted {
        message: String,
        cause: ResourceExhaustedCause,
        scope: ResourceExhaustedScope,
    },
    PermissionDenied(String),
    Unimplemented(String),
    Unavailable(String),
    DeadlineExceeded(String),
    /// It came at a bad moment: the caller may try again.
    Aborted(String),
    /// An operation of a multi-operation that is not at fault.
    OperationAborted,
    /// The operations of an ExecuteMultiOperation, in their order; `Ok` for one that succeeded.
    MultiOperation {
        message: String,
        operations: Vec<Result<(), Reject>>,
    },
}

impl Reject {
    pub fn invalid(message: impl Into<String>) -> Reject {
        Reject::InvalidArgument(message.into())
    }

    pub fn not_found(message: impl Into<String>) -> Reject {
        Reject::NotFound(message.into())
    }

    pub fn closed() -> Reject {
        Reject::NotFound("workflow execution already completed".into())
    }

    pub fn no_task() -> Reject {
        Reject::NotFound("Workflow task not found.".into())
    }

    pub fn no_activity() -> Reject {
        Reject::NotFound(
            "invalid activityID or activity already timed out or invoking workflow is completed".into(),
        )
    }

    /// There is no workflow of this id, or not the run of it that was named.
    pub fn no_workflow(id: &str, run: Option<Uuid>) -> Reject {
        Reject::NotFound(match run {
            None => format!("workflow not found for ID: {id}"),
            Some(run) => {
                format!("workflow execution not found for workflow ID \"{id}\" and run ID \"{run}\"")
            }
        })
    }

    /// The run closed, and an update that no worker had accepted went with it.
    pub fn closed_over_update() -> Reject {
        Reject::not_found("workflow update was aborted by closing workflow")
    }

    pub fn closing() -> Reject {
        Reject::busy("workflow operation can not be applied because workflow is closing")
    }

    pub fn busy(message: impl Into<String>) -> Reject {
        Reject::ResourceExhausted {
            message: message.into(),
            cause: ResourceExhaustedCause::BusyWorkflow,
            scope: ResourceExhaustedScope::Namespace,
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Reject::InvalidArgument(m)
            | Reject::NotFound(m)
            | Reject::NamespaceNotFound(m)
            | Reject::AlreadyExists(m)
            | Reject::FailedPrecondition(m)
            | Reject::WorkflowNotReady(m)
            | Reject::PermissionDenied(m)
            | Reject::Unimplemented(m)
            | Reject::Unavailable(m)
            | Reject::DeadlineExceeded(m)
            | Reject::Aborted(m) => m,
            Reject::OperationAborted => "Operation was aborted.",
            Reject::AlreadyStarted { message, .. }
            | Reject::ActivityAlreadyStarted { message, .. }
            | Reject::QueryFailed { message, .. }
            | Reject::ResourceExhausted { message, .. }
            | Reject::MultiOperation { message, .. } => message,
        }
    }
}
