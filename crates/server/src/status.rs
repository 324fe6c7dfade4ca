//! The one table from refusals to gRPC statuses. SDKs decode the typed details, a bare code is not enough for them.

use crate::limits::{STATUS_DETAIL_BYTES, STATUS_MESSAGE_BYTES};
use bytes::Bytes;
use prost::Message;
use prost_types::Any;
use steadfast_api::google::rpc;
use steadfast_api::v1::enums::{NamespaceState, ResourceExhaustedCause, ResourceExhaustedScope};
use steadfast_api::v1::errordetails as details;
use steadfast_api::v1::failure::MultiOperationExecutionAborted;
use steadfast_engine::Failure;
use steadfast_machine::Reject;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// What a caller is told instead of a reply: the machine's refusals, and those that only the rim knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    Reject(Reject),
    /// The store or the engine cannot serve now; a repeat may succeed.
    Unavailable(String),
    /// By the name or id that was asked for.
    NoNamespace(String),
    NamespaceExists(String),
    NamespaceState {
        namespace: String,
        state: NamespaceState,
        allowed: Vec<NamespaceState>,
    },
    ClientVersion {
        client: String,
        version: String,
        supported: String,
    },
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Refusal {
        Refusal::Reject(reject)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        match failure {
            Failure::Reject(reject) => Refusal::Reject(reject),
            Failure::Unavailable(why) => Refusal::Unavailable(why),
        }
    }
}

/// A status before it is put on a wire: also an operation's part of a multi-operation, and the body of an HTTP error.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub code: Code,
    pub message: String,
    pub details: Vec<Any>,
    pub exhausted: Option<(ResourceExhaustedCause, ResourceExhaustedScope)>,
}

impl Told {
    fn bare(code: Code, message: impl Into<String>) -> Told {
        Told { code, message: message.into(), details: Vec::new(), exhausted: None }
    }

    /// `name` is the detail's message name within temporal.api.errordetails.v1.
    fn with(code: Code, message: impl Into<String>, name: &str, detail: &impl Message) -> Told {
        let type_url = format!("type.googleapis.com/temporal.api.errordetails.v1.{name}");
        let any = Any { type_url, value: detail.encode_to_vec() };
        Told { details: vec![any], ..Told::bare(code, message) }
    }
}

impl From<&Refusal> for Told {
    fn from(refusal: &Refusal) -> Told {
        match refusal {
            Refusal::Reject(reject) => Told::from(reject),
            Refusal::Unavailable(why) => Told::bare(Code::Unavailable, why),
            Refusal::NoNamespace(namespace) => no_namespace(namespace),
            Refusal::NamespaceExists(namespace) => Told::with(
                Code::AlreadyExists,
                format!("Namespace \"{namespace}\" already exists"),
                "NamespaceAlreadyExistsFailure",
                &details::NamespaceAlreadyExistsFailure {},
            ),
            Refusal::NamespaceState { namespace, state, allowed } => {
                namespace_state(namespace, *state, allowed)
            }
            Refusal::ClientVersion { client, version, supported } => Told::with(
                Code::FailedPrecondition,
                format!(
                    "Client version {version} is not supported. Server supports {client} versions: {supported}"
                ),
                "ClientVersionNotSupportedFailure",
                &details::ClientVersionNotSupportedFailure {
                    client_version: version.clone(),
                    client_name: client.clone(),
                    supported_versions: supported.clone(),
                },
            ),
        }
    }
}

impl From<&Reject> for Told {
    fn from(reject: &Reject) -> Told {
        let message = reject.message();
        match reject {
            Reject::InvalidArgument(_) => Told::bare(Code::InvalidArgument, message),
            Reject::NotFound(_) => {
                Told::with(Code::NotFound, message, "NotFoundFailure", &details::NotFoundFailure::default())
            }
            Reject::NamespaceNotFound(namespace) => no_namespace(namespace),
            Reject::AlreadyStarted { start_request_id, run_id, .. } => Told::with(
                Code::AlreadyExists,
                message,
                "WorkflowExecutionAlreadyStartedFailure",
                &details::WorkflowExecutionAlreadyStartedFailure {
                    start_request_id: start_request_id.clone(),
                    run_id: run_id.to_string(),
                    ..Default::default()
                },
            ),
            Reject::ActivityAlreadyStarted { start_request_id, run_id, .. } => Told::with(
                Code::AlreadyExists,
                message,
                "ActivityExecutionAlreadyStartedFailure",
                &details::ActivityExecutionAlreadyStartedFailure {
                    start_request_id: start_request_id.clone(),
                    run_id: run_id.to_string(),
                },
            ),
            Reject::AlreadyExists(_) => Told::bare(Code::AlreadyExists, message),
            Reject::FailedPrecondition(_) => Told::bare(Code::FailedPrecondition, message),
            Reject::WorkflowNotReady(_) => Told::with(
                Code::FailedPrecondition,
                message,
                "WorkflowNotReadyFailure",
                &details::WorkflowNotReadyFailure {},
            ),
            Reject::QueryFailed { failure, .. } => Told::with(
                Code::InvalidArgument,
                message,
                "QueryFailedFailure",
                &details::QueryFailedFailure { failure: failure.as_deref().cloned() },
            ),
            Reject::ResourceExhausted { cause, scope, .. } => Told {
                exhausted: Some((*cause, *scope)),
                ..Told::with(
                    Code::ResourceExhausted,
                    message,
                    "ResourceExhaustedFailure",
                    &details::ResourceExhaustedFailure { cause: *cause as i32, scope: *scope as i32 },
                )
            },
            Reject::PermissionDenied(_) => Told::with(
                Code::PermissionDenied,
                message,
                "PermissionDeniedFailure",
                &details::PermissionDeniedFailure::default(),
            ),
            Reject::Unimplemented(_) => Told::bare(Code::Unimplemented, message),
            Reject::Unavailable(_) => Told::bare(Code::Unavailable, message),
            Reject::DeadlineExceeded(_) => Told::bare(Code::DeadlineExceeded, message),
            Reject::Aborted(_) => Told::bare(Code::Aborted, message),
            Reject::OperationAborted => {
                let detail = MultiOperationExecutionAborted::default();
                let type_url =
                    "type.googleapis.com/temporal.api.failure.v1.MultiOperationExecutionAborted".into();
                let any = Any { type_url, value: detail.encode_to_vec() };
                Told { details: vec![any], ..Told::bare(Code::Aborted, message) }
            }
            Reject::MultiOperation { operations, .. } => multi_operation(message, operations),
        }
    }
}

/// The status of the call is that of the operation at fault; each operation's own is in the details.
fn multi_operation(message: &str, operations: &[Result<(), Reject>]) -> Told {
    use details::multi_operation_execution_failure::OperationStatus;
    let told: Vec<Option<Told>> = operations.iter().map(|one| one.as_ref().err().map(Told::from)).collect();
    let code = told
        .iter()
        .flatten()
        .map(|one| one.code)
        .find(|code| *code != Code::Aborted)
        .unwrap_or(Code::Aborted);
    let statuses = told
        .into_iter()
        .map(|one| match one {
            None => OperationStatus::default(),
            Some(one) => {
                OperationStatus { code: one.code as i32, message: one.message, details: one.details }
            }
        })
        .collect();
    Told::with(
        code,
        message,
        "MultiOperationExecutionFailure",
        &details::MultiOperationExecutionFailure { statuses },
    )
}

fn no_namespace(namespace: &str) -> Told {
    Told::with(
        Code::NotFound,
        format!("Namespace {namespace} is not found."),
        "NamespaceNotFoundFailure",
        &details::NamespaceNotFoundFailure { namespace: namespace.into() },
    )
}

fn namespace_state(namespace: &str, state: NamespaceState, allowed: &[NamespaceState]) -> Told {
    let title = |state: &NamespaceState| match state {
        NamespaceState::Unspecified => "Unspecified",
        NamespaceState::Registered => "Registered",
        NamespaceState::Deprecated => "Deprecated",
        NamespaceState::Deleted => "Deleted",
    };
    let names: Vec<&str> = allowed.iter().map(title).collect();
    Told::with(
        Code::FailedPrecondition,
        format!("Namespace has invalid state: {}. Must be {}.", title(&state), names.join(" or ")),
        "NamespaceInvalidStateFailure",
        &details::NamespaceInvalidStateFailure {
            namespace: namespace.into(),
            state: state as i32,
            allowed_states: allowed.iter().map(|state| *state as i32).collect(),
        },
    )
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        Told::from(&refusal).into()
    }
}

impl From<Told> for Status {
    fn from(told: Told) -> Status {
        let mut headers = MetadataMap::new();
        if let Some((cause, scope)) = told.exhausted {
            headers.insert("x-resource-exhausted-cause", MetadataValue::from_static(cause_name(cause)));
            headers.insert("x-resource-exhausted-scope", MetadataValue::from_static(scope_name(scope)));
        }
        let message = fitting(told.message);
        let encoded = if told.details.is_empty() {
            Bytes::new()
        } else {
            let mut status =
                rpc::Status { code: told.code as i32, message: message.clone(), details: told.details };
            if status.encoded_len() > STATUS_DETAIL_BYTES {
                status.details.clear();
            }
            status.encode_to_vec().into()
        };
        Status::with_details_and_metadata(told.code, message, encoded, headers)
    }
}

/// The beginning of a message, as much as headers can carry: what is not plain ASCII takes three bytes there for each of
/// its own. A name that was asked for may be a megabyte, and is told in the refusal.
fn fitting(mut message: String) -> String {
    const CUT: &str = "…";
    if message.len() <= STATUS_MESSAGE_BYTES / 3 {
        return message;
    }
    let mut room = STATUS_MESSAGE_BYTES - 3 * CUT.len();
    let fits = message.char_indices().find(|(_, c)| {
        let plain = c.is_ascii_graphic() && *c != '%' || *c == ' ';
        let bytes = if plain { 1 } else { 3 * c.len_utf8() };
        room.checked_sub(bytes).map(|left| room = left).is_none()
    });
    if let Some((end, _)) = fits {
        message.truncate(end);
        message.push_str(CUT);
    }
    message
}

/// As the headers spell it, which is not the spelling of the enum.
fn cause_name(cause: ResourceExhaustedCause) -> &'static str {
    match cause {
        ResourceExhaustedCause::Unspecified => "Unspecified",
        ResourceExhaustedCause::RpsLimit => "RpsLimit",
        ResourceExhaustedCause::ConcurrentLimit => "ConcurrentLimit",
        ResourceExhaustedCause::SystemOverloaded => "SystemOverloaded",
        ResourceExhaustedCause::PersistenceLimit => "PersistenceLimit",
        ResourceExhaustedCause::BusyWorkflow => "BusyWorkflow",
        _ => "Other",
    }
}

fn scope_name(scope: ResourceExhaustedScope) -> &'static str {
    match scope {
        ResourceExhaustedScope::Unspecified => "Unspecified",
        ResourceExhaustedScope::Namespace => "Namespace",
        ResourceExhaustedScope::System => "System",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn sent(reject: Reject) -> (Status, rpc::Status) {
        let status = Status::from(Refusal::Reject(reject));
        let details = rpc::Status::decode(status.details()).expect("the details are a google.rpc.Status");
        (status, details)
    }

    #[test]
    fn a_duplicate_start_names_the_run_that_is_there() {
        let (status, sent) = sent(Reject::AlreadyStarted {
            message: "Workflow execution is already running. WorkflowId: a, RunId: b.".into(),
            start_request_id: "first".into(),
            run_id: Uuid::from_u128(7),
        });
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(sent.code, Code::AlreadyExists as i32);
        let detail = &sent.details[0];
        assert!(
            detail.type_url.ends_with("/temporal.api.errordetails.v1.WorkflowExecutionAlreadyStartedFailure")
        );
        let failure =
            details::WorkflowExecutionAlreadyStartedFailure::decode(detail.value.as_slice()).unwrap();
        assert_eq!(failure.start_request_id, "first");
        assert_eq!(failure.run_id, Uuid::from_u128(7).to_string());
    }

    #[test]
    fn exhaustion_says_its_cause_in_headers_too() {
        let (status, _) = sent(Reject::closing());
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get("x-resource-exhausted-cause").unwrap(), "BusyWorkflow");
        assert_eq!(status.metadata().get("x-resource-exhausted-scope").unwrap(), "Namespace");
    }

    #[test]
    fn a_long_message_is_cut_so_that_headers_can_carry_it() {
        for long in ["x".repeat(1 << 20), "é%\n".repeat(1 << 18)] {
            let (status, told) = sent(Reject::NotFound(long));
            let mut headers = http::HeaderMap::new();
            status.add_header(&mut headers).expect("it can be sent");
            let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            assert!(bytes < 8 << 10, "{bytes} bytes of headers");
            assert!(status.message().ends_with('…') && told.message == status.message());
        }
        let (short, _) = sent(Reject::NotFound("é".into()));
        assert_eq!(short.message(), "é");
    }

    #[test]
    fn a_multi_operation_takes_the_code_of_the_operation_at_fault() {
        let (status, sent) = sent(Reject::MultiOperation {
            message: "Update-with-Start could not be executed.".into(),
            operations: vec![
                Err(Reject::OperationAborted),
                Err(Reject::invalid("Update name is not set on request.")),
            ],
        });
        assert_eq!(status.code(), Code::InvalidArgument);
        let failure =
            details::MultiOperationExecutionFailure::decode(sent.details[0].value.as_slice()).unwrap();
        let codes: Vec<i32> = failure.statuses.iter().map(|one| one.code).collect();
        assert_eq!(codes, [Code::Aborted as i32, Code::InvalidArgument as i32]);
        assert!(
            failure.statuses[0].details[0].type_url.ends_with(".failure.v1.MultiOperationExecutionAborted")
        );
    }

    #[test]
    fn every_missing_thing_has_the_detail_that_sdks_look_for() {
        for (reject, name) in [
            (Reject::no_workflow("x", None), "NotFoundFailure"),
            (Reject::NamespaceNotFound("x".into()), "NamespaceNotFoundFailure"),
            (Reject::WorkflowNotReady("x".into()), "WorkflowNotReadyFailure"),
            (Reject::PermissionDenied("x".into()), "PermissionDeniedFailure"),
        ] {
            let (_, sent) = sent(reject);
            assert!(sent.details[0].type_url.ends_with(name), "{name}");
        }
    }
}
