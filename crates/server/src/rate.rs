//! How many calls a second a namespace may make, where an operator has set a limit. There is none by default: what is
//! too much for this server it finds out by itself ([`crate::admission`]).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use steadfast_api::v1::enums::{ResourceExhaustedCause as Cause, ResourceExhaustedScope as Scope};
use steadfast_machine::Reject;
use uuid::Uuid;

/// A namespace that was quiet may make the calls of so many seconds at once, as the reference allows.
const BURST: u32 = 2;

/// Limits the calls of each namespace to the same rate.
pub struct Rate {
    /// The time that one call takes of its namespace's share; `None`: no limit.
    each: Option<Duration>,
    /// By namespace: when its calls so far are paid for.
    paid: Mutex<HashMap<Uuid, Instant>>,
}

impl Rate {
    /// Calls a second; 0 for no limit.
    pub fn new(calls: usize) -> Rate {
        let each = u32::try_from(calls).ok().and_then(|calls| Duration::from_secs(1).checked_div(calls));
        Rate { each, paid: Mutex::default() }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// The namespace has made more calls than it may.
    pub fn count(&self, namespace: Uuid, now: impl Fn() -> Instant) -> Result<(), Reject> {
        let Some(each) = self.each else { return Ok(()) };
        let now = now();
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let until = paid.entry(namespace).or_insert(now);
        let next = (*until).max(now) + each;
        if next > now + BURST * Duration::from_secs(1) {
            return Err(Reject::ResourceExhausted {
                message: "namespace rate limit exceeded".into(),
                cause: Cause::RpsLimit,
                scope: Scope::Namespace,
            });
        }
        *until = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_may_make_its_calls_and_a_burst() {
        let (rate, now, one) = (Rate::new(10), Instant::now(), Uuid::from_u128(1));
        let allowed = |from: Instant| (0..100).take_while(|_| rate.count(one, || from).is_ok()).count();
        assert_eq!(allowed(now), 20);
        assert_eq!(allowed(now + Duration::from_secs(1)), 10);
        assert!(rate.count(Uuid::from_u128(2), || now).is_ok(), "another namespace has its own share");
        let refused = rate.count(one, || now + Duration::from_secs(1));
        assert!(matches!(
            refused,
            Err(Reject::ResourceExhausted { cause: Cause::RpsLimit, scope: Scope::Namespace, .. })
        ));
    }

    #[test]
    fn no_limit_counts_nothing() {
        let rate = Rate::new(0);
        assert!((0..100_000).all(|_| rate.count(Uuid::nil(), Instant::now).is_ok()));
        assert!(rate.paid.lock().unwrap().is_empty());
    }
}
