//! Failures that the server makes itself.

use prost::Message as _;
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::enums::TimeoutType;
use steadfast_api::v1::failure::{
    ApplicationFailureInfo, Failure, ServerFailureInfo, TimeoutFailureInfo, failure::FailureInfo,
};

pub fn server(message: impl Into<String>, non_retryable: bool) -> Failure {
    Failure {
        message: message.into(),
        source: "Server".into(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable })),
        ..Failure::default()
    }
}

/// Why the server failed a workflow task. Unlike its other failures this one names no source, as in the reference.
pub fn of_task(message: impl Into<String>) -> Failure {
    Failure { source: String::new(), ..server(message, false) }
}

pub fn application(message: impl Into<String>, kind: &str, non_retryable: bool) -> Failure {
    Failure {
        message: message.into(),
        source: "Server".into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.into(),
            non_retryable,
            ..ApplicationFailureInfo::default()
        })),
        ..Failure::default()
    }
}

pub fn timeout(
    message: impl Into<String>,
    kind: TimeoutType,
    last_heartbeat_details: Option<Payloads>,
    cause: Option<Failure>,
) -> Failure {
    Failure {
        message: message.into(),
        source: "Server".into(),
        cause: cause.map(Box::new),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: kind as i32,
            last_heartbeat_details,
        })),
        ..Failure::default()
    }
}

/// The failure itself, or one that says that it was too large, with as much of it as fits.
pub fn limited(failure: Failure, limit: usize) -> Failure {
    if failure.encoded_len() <= limit {
        return failure;
    }
    let mut short = truncated(&failure, limit / 2);
    short.cause = None;
    let mut outer = server("Failure exceeds size limit.", false);
    outer.cause = Some(Box::new(short));
    outer
}

fn truncated(failure: &Failure, limit: usize) -> Failure {
    let info = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: cut(&info.r#type, limit / 4),
                non_retryable: info.non_retryable,
                ..ApplicationFailureInfo::default()
            }))
        }
        other => other.clone().filter(|_| failure.encoded_len() < limit),
    };
    Failure {
        message: cut(&failure.message, limit / 2),
        source: cut(&failure.source, 100),
        stack_trace: cut(&failure.stack_trace, limit / 2),
        failure_info: info,
        ..Failure::default()
    }
}

/// At most `limit` bytes, ending on a character.
pub fn cut(text: &str, limit: usize) -> String {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
