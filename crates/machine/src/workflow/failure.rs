//! Failures that the server makes itself.

use prost::Message as _;
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::enums::TimeoutType;
use steadfast_api::v1::failure::{
    ApplicationFailureInfo, Failure, ServerFailureInfo, TimeoutFailureInfo, failure::FailureInfo,
};

/// As the reference's, it names no source.
pub fn server(message: impl Into<String>, non_retryable: bool) -> Failure {
    Failure {
        message: message.into(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable })),
        ..Failure::default()
    }
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

/// How many causes below it a failure keeps that is shortened.
const CAUSES_KEPT: usize = 20;

/// The failure as a worker gave it if it is at most `limit` bytes, else one that says that it was too large and is not to be
/// tried again, with `kept` bytes of it as its cause.
pub fn limited(failure: Failure, limit: usize, kept: usize) -> Failure {
    if failure.encoded_len() <= limit { failure } else { too_large(&failure, kept, true) }
}

/// The failure of an attempt as it is remembered for the next one.
pub fn remembered(failure: &Failure, limit: usize) -> Failure {
    if failure.encoded_len() <= limit { failure.clone() } else { too_large(failure, limit, false) }
}

fn too_large(failure: &Failure, kept: usize, non_retryable: bool) -> Failure {
    let mut outer = server("Failure exceeds size limit.", non_retryable);
    outer.cause = Some(Box::new(shortened(failure, &mut { kept }, CAUSES_KEPT)));
    outer
}

/// The beginning of a failure and of its causes. What comes first takes of the bytes first, and each part also what its
/// encoding costs. Kinds that say nothing about retries are left out.
fn shortened(failure: &Failure, bytes: &mut usize, causes: usize) -> Failure {
    let failure_info = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            let kind = part(&info.r#type, bytes);
            *bytes = bytes.saturating_sub(8);
            Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: kind,
                non_retryable: info.non_retryable,
                ..ApplicationFailureInfo::default()
            }))
        }
        Some(FailureInfo::ServerFailureInfo(info)) => {
            *bytes = bytes.saturating_sub(4);
            Some(FailureInfo::ServerFailureInfo(*info))
        }
        _ => None,
    };
    let source = part(&failure.source, bytes);
    let message = part(&failure.message, bytes);
    let stack_trace = part(&failure.stack_trace, bytes);
    *bytes = bytes.saturating_sub(4);
    let cause = failure.cause.as_deref().filter(|_| causes > 0 && *bytes > 0);
    let cause = cause.map(|cause| Box::new(shortened(cause, bytes, causes - 1)));
    Failure { message, source, stack_trace, cause, failure_info, ..Failure::default() }
}

fn part(text: &str, bytes: &mut usize) -> String {
    let part = cut(text, *bytes);
    if !part.is_empty() {
        *bytes = bytes.saturating_sub(part.len() + 4);
    }
    part
}

/// At most `limit` bytes, ending on a character.
fn cut(text: &str, limit: usize) -> String {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(message: &str, stack_trace: &str, cause: Option<Failure>) -> Failure {
        Failure {
            stack_trace: stack_trace.into(),
            cause: cause.map(Box::new),
            ..super::application(message, "T", true)
        }
    }

    /// The lengths that the reference keeps: its type, source, message and stack, then the same of its causes.
    #[test]
    fn a_large_failure_keeps_its_beginning_and_that_of_its_causes() {
        let below = Failure { message: "d".repeat(3000), ..Failure::default() };
        let cause = Failure { message: "c".repeat(100), cause: Some(Box::new(below)), ..Failure::default() };
        let mut failure = application(&"e".repeat(1000), &"y".repeat(900), Some(cause));
        failure.source = String::new();
        let kept = remembered(&failure, 4096);
        assert_eq!((kept.message.as_str(), kept.source.as_str()), ("Failure exceeds size limit.", ""));
        let kept = kept.cause.unwrap();
        assert!(kept.encoded_len() <= 4096 && kept.failure_info == failure.failure_info);
        assert_eq!((kept.message.len(), kept.stack_trace.len()), (1000, 900));
        let cause = kept.cause.unwrap();
        assert_eq!((cause.message.len(), cause.cause.unwrap().message.len()), (100, 2063));
    }

    #[test]
    fn only_twenty_causes_are_kept() {
        let leaf = Failure { message: "z".repeat(5000), ..Failure::default() };
        let deep = (0..30).fold(leaf, |cause, _| application("n", "", Some(cause)));
        let kept = limited(deep, 4096, 4096);
        let causes = std::iter::successors(kept.cause.as_deref(), |failure| failure.cause.as_deref());
        assert_eq!(causes.count(), 21);
    }
}
