//! Retry policies: defaults, validity, and whether and when there is another attempt.

use crate::duration::{self, SECOND};
use crate::key::Time;
use prost_types::Duration;
use steadfast_api::v1::common::RetryPolicy;
use steadfast_api::v1::enums::{RetryState, TimeoutType};
use steadfast_api::v1::failure::{Failure, failure::FailureInfo};

/// How a list of what is not retried names a timeout.
const TIMEOUT_PREFIX: &str = "TemporalTimeout:";

/// Fills in what is not set: 1 s, doubling, at most 100 times the first interval, without end. What is wrong stays, for
/// [`check`] to refuse.
pub fn with_defaults(mut policy: RetryPolicy) -> RetryPolicy {
    let initial = match exact(policy.initial_interval.as_ref()) {
        0 => SECOND,
        given => given,
    };
    let longest = match exact(policy.maximum_interval.as_ref()) {
        0 => initial.saturating_mul(100),
        given => given,
    };
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = 2.0;
    }
    for (interval, nanos) in
        [(&mut policy.initial_interval, initial), (&mut policy.maximum_interval, longest)]
    {
        if duration::nanos(interval.as_ref()).is_ok() {
            *interval = duration::proto(nanos.min(duration::LONGEST));
        }
    }
    policy
}

/// Nanoseconds, negative ones too.
fn exact(given: Option<&Duration>) -> i64 {
    given.map_or(0, |given| given.seconds.saturating_mul(SECOND).saturating_add(i64::from(given.nanos)))
}

/// The reference's rules; a policy of one attempt is not looked at.
pub fn check(policy: &RetryPolicy) -> Result<(), String> {
    if policy.maximum_attempts == 1 {
        return Ok(());
    }
    let initial = duration::nanos(policy.initial_interval.as_ref())
        .map_err(|error| format!("invalid InitialInterval set on retry policy: {error}"))?;
    if policy.backoff_coefficient.is_nan() || policy.backoff_coefficient < 1.0 {
        return Err("BackoffCoefficient cannot be less than 1 on retry policy.".into());
    }
    let maximum = duration::nanos(policy.maximum_interval.as_ref())
        .map_err(|error| format!("invalid MaximumInterval set on retry policy: {error}"))?;
    if maximum > 0 && maximum < initial {
        return Err("MaximumInterval cannot be less than InitialInterval on retry policy.".into());
    }
    if policy.maximum_attempts < 0 {
        return Err("MaximumAttempts cannot be negative on retry policy.".into());
    }
    for kind in &policy.non_retryable_error_types {
        if let Some(name) = kind.strip_prefix(TIMEOUT_PREFIX)
            && !names_timeout(name)
        {
            return Err(format!("Invalid timeout type value: {name}."));
        }
    }
    Ok(())
}

/// `StartToClose` or `TIMEOUT_TYPE_START_TO_CLOSE`, and so on; only the short form has an effect.
fn names_timeout(name: &str) -> bool {
    let short = ["StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat"];
    short.contains(&name)
        || TimeoutType::from_str_name(name).is_some_and(|kind| kind != TimeoutType::Unspecified)
}

/// Whether a failure of this kind may be tried again under this policy.
pub fn is_retryable(failure: Option<&Failure>, policy: &RetryPolicy) -> bool {
    let Some(info) = failure.and_then(|failure| failure.failure_info.as_ref()) else { return true };
    match info {
        FailureInfo::TerminatedFailureInfo(_) | FailureInfo::CanceledFailureInfo(_) => false,
        FailureInfo::TimeoutFailureInfo(timeout) => match timeout.timeout_type() {
            kind @ (TimeoutType::StartToClose | TimeoutType::Heartbeat) => !policy
                .non_retryable_error_types
                .iter()
                .any(|listed| listed.strip_prefix(TIMEOUT_PREFIX) == Some(&format!("{kind:?}"))),
            _ => false,
        },
        FailureInfo::ServerFailureInfo(server) => !server.non_retryable,
        FailureInfo::ApplicationFailureInfo(application) => {
            !application.non_retryable && !policy.non_retryable_error_types.contains(&application.r#type)
        }
        _ => true,
    }
}

/// What the failure itself says about the next attempt.
fn requested_delay(failure: Option<&Failure>) -> Option<i64> {
    match failure?.failure_info.as_ref()? {
        FailureInfo::ApplicationFailureInfo(info) => {
            info.next_retry_delay.as_ref().map(|delay| duration::known(Some(delay)))
        }
        _ => None,
    }
}

/// Who tries again. The delay that a failure asks for counts as it is for an activity; for a workflow only up to the
/// policy's longest interval, and zero stands for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Activity,
    Workflow,
}

/// The wait before the attempt after `attempt`, in nanoseconds, or why there is none.
pub fn next_interval(
    whose: Whose,
    policy: &RetryPolicy,
    attempt: i32,
    failure: Option<&Failure>,
    now: Time,
    expiration: Option<Time>,
) -> Result<i64, RetryState> {
    if policy.maximum_attempts > 0 && attempt >= policy.maximum_attempts {
        return Err(RetryState::MaximumAttemptsReached);
    }
    let interval = match (requested_delay(failure), whose) {
        (Some(0), Whose::Activity) => return Err(RetryState::Timeout),
        (Some(delay), Whose::Activity) => delay,
        (Some(0), Whose::Workflow) => longest(policy),
        (Some(delay), Whose::Workflow) => delay.min(longest(policy)),
        (None, _) => backoff(policy, attempt),
    };
    if expiration.is_some_and(|expiration| now.plus(interval) > expiration) {
        return Err(RetryState::Timeout);
    }
    Ok(interval)
}

fn longest(policy: &RetryPolicy) -> i64 {
    match duration::known(policy.maximum_interval.as_ref()) {
        0 => duration::LONGEST,
        longest => longest,
    }
}

/// `initial × coefficient^(attempt − 1)`, capped, in nanoseconds.
pub fn backoff(policy: &RetryPolicy, attempt: i32) -> i64 {
    let initial = duration::known(policy.initial_interval.as_ref());
    let cap = longest(policy);
    let exact = initial as f64 * policy.backoff_coefficient.powi(attempt.saturating_sub(1).max(0));
    if exact.is_finite() && exact < cap as f64 { exact as i64 } else { cap }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_the_cap() {
        let policy = with_defaults(RetryPolicy::default());
        let seconds: Vec<i64> = (1..=9).map(|attempt| backoff(&policy, attempt) / SECOND).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
        assert_eq!(backoff(&policy, i32::MAX) / SECOND, 100);
    }

    #[test]
    fn a_policy_of_one_attempt_is_not_looked_at() {
        let nonsense =
            RetryPolicy { backoff_coefficient: 0.1, maximum_attempts: 1, ..RetryPolicy::default() };
        assert_eq!(check(&nonsense), Ok(()));
        assert!(check(&RetryPolicy { maximum_attempts: 2, ..nonsense }).is_err());
    }
}
