//! What is let in when more comes than can be done.
//!
//! New work (starts and signals) is refused before it costs anything, so that workers, whose calls bring what was
//! begun to its end, go on at full speed. There is no rate to configure: the calls that end at a commit tell how long
//! they took, and the fastest of a tenth of a second says whether there is a queue that does not drain. While there is,
//! fewer calls of new work may run at once; as soon as there is none, more may. With few of them at once nothing is
//! ever refused.
//!
//! What it does not see yet: starts of few at once are quick while workers, who share the processors with them, fall
//! behind, and what was begun piles up (docs/reliability.md, the last results).
//!
//! A call costs two or three relaxed atomic operations here: no lock, no allocation.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use steadfast_api::v1::enums::{ResourceExhaustedCause as Cause, ResourceExhaustedScope as Scope};
use steadfast_machine::Reject;

/// The span over which the fastest call is looked for.
const WINDOW: Duration = Duration::from_millis(100);

/// So many windows in a row have to be slow before anything is refused: a burst is not an overload.
const PATIENCE: u32 = 5;

/// A fastest call up to this long is no queue, whatever is usual.
const SLOW: Duration = Duration::from_millis(25);

/// A fastest call is slow if it takes so many times as long as with few calls.
const SLOWER: u64 = 8;

/// Calls of new work that may run at once however slow everything is: with so few they are not the reason.
const FEWEST: usize = 64;

/// With so many calls of new work at once, or fewer, it is seen how long a call takes when there is no queue.
const FEW: usize = 8;

/// Calls of new work that may run at once when nothing is slow.
const MOST: usize = 20_000;

/// What a call is to the admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It begins something: refused first.
    NewWork,
    /// A worker brings something to its end: never refused here.
    Progress,
    /// It reads, or waits: it says nothing about how fast commits are.
    Other,
}

impl Kind {
    /// By the name of its RPC.
    pub fn of(rpc: &str) -> Kind {
        match rpc {
            "StartWorkflowExecution"
            | "SignalWithStartWorkflowExecution"
            | "SignalWorkflowExecution"
            | "StartActivityExecution" => Kind::NewWork,
            "RespondWorkflowTaskCompleted"
            | "RespondWorkflowTaskFailed"
            | "RespondActivityTaskCompleted"
            | "RespondActivityTaskFailed"
            | "RespondActivityTaskCanceled"
            | "RecordActivityTaskHeartbeat" => Kind::Progress,
            _ => Kind::Other,
        }
    }
}

#[derive(Debug)]
pub struct Admission {
    began: Instant,
    /// Calls of new work that run, and how many may.
    running: AtomicUsize,
    limit: AtomicUsize,
    /// The window that is measured now, counted from `began`, and the fastest call in it, in microseconds.
    window: AtomicU64,
    fastest: AtomicU64,
    /// Slow windows in a row.
    slow: AtomicU32,
    /// The fastest call of a window in which few ran: microseconds, smoothed; 0 until there was one.
    usual: AtomicU64,
    refused: AtomicU64,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission {
            began: Instant::now(),
            running: AtomicUsize::new(0),
            limit: AtomicUsize::new(MOST),
            window: AtomicU64::new(0),
            fastest: AtomicU64::new(u64::MAX),
            slow: AtomicU32::new(0),
            usual: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

/// A call that was let in, until it is dropped.
#[derive(Debug)]
pub struct Admitted<'a> {
    admission: &'a Admission,
    kind: Kind,
    since: Instant,
}

impl Admission {
    /// # Errors
    /// Refused with RESOURCE_EXHAUSTED: clients wait, and try again.
    pub fn enter(&self, kind: Kind, now: Instant) -> Result<Admitted<'_>, Reject> {
        if kind == Kind::NewWork && self.running.fetch_add(1, Relaxed) >= self.limit.load(Relaxed) {
            self.running.fetch_sub(1, Relaxed);
            self.refused.fetch_add(1, Relaxed);
            return Err(Reject::ResourceExhausted {
                message: "service is overloaded, please retry".into(),
                cause: Cause::SystemOverloaded,
                scope: Scope::System,
            });
        }
        Ok(Admitted { admission: self, kind, since: now })
    }

    /// Calls that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Calls of new work that may run at once now.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    fn took(&self, span: Duration, now: Instant) {
        self.fastest.fetch_min(u64::try_from(span.as_micros()).unwrap_or(u64::MAX), Relaxed);
        let window = (now.duration_since(self.began).as_millis() / WINDOW.as_millis()) as u64;
        let measured = self.window.load(Relaxed);
        if window > measured && self.window.compare_exchange(measured, window, Relaxed, Relaxed).is_ok() {
            self.close(self.fastest.swap(u64::MAX, Relaxed));
        }
    }

    /// The end of a window, in which the fastest call took so many microseconds.
    fn close(&self, fastest: u64) {
        let (running, limit) = (self.running.load(Relaxed), self.limit.load(Relaxed));
        let usual = self.usual.load(Relaxed);
        if running <= FEW {
            let smoothed = if usual == 0 { fastest } else { usual - usual / 8 + fastest / 8 };
            self.usual.store(smoothed, Relaxed);
        }
        if fastest > (SLOW.as_micros() as u64).max(usual.saturating_mul(SLOWER)) {
            if self.slow.fetch_add(1, Relaxed) + 1 >= PATIENCE {
                self.limit.store((limit.min(running) * 3 / 4).max(FEWEST), Relaxed);
            }
        } else {
            self.slow.store(0, Relaxed);
            self.limit.store((limit + limit / 8 + 1).min(MOST), Relaxed);
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        match self.kind {
            Kind::Other => return,
            Kind::NewWork => {
                self.admission.running.fetch_sub(1, Relaxed);
            }
            Kind::Progress => {}
        }
        let now = Instant::now();
        self.admission.took(now.duration_since(self.since), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many windows, in each of which the fastest call took so long while so many ran.
    fn windows(admission: &Admission, count: u32, running: usize, millis: u64) {
        admission.running.store(running, Relaxed);
        for _ in 0..count {
            admission.close(millis * 1000);
        }
        admission.running.store(0, Relaxed);
    }

    #[test]
    fn new_work_is_refused_while_a_queue_stands_and_only_new_work() {
        let admission = Admission::default();
        windows(&admission, 10, 4, 2);
        windows(&admission, PATIENCE - 1, 1_000, 60);
        assert_eq!(admission.limit(), MOST, "a burst");
        windows(&admission, 3, 1_000, 60);
        assert!(admission.limit() < 1_000, "{}", admission.limit());
        windows(&admission, 100, 1_000, 60);
        assert_eq!(admission.limit(), FEWEST);

        let now = Instant::now();
        let inside: Vec<_> =
            (0..FEWEST).map(|_| admission.enter(Kind::NewWork, now).expect("a few may always")).collect();
        let refused = admission.enter(Kind::NewWork, now).err();
        assert!(matches!(
            refused,
            Some(Reject::ResourceExhausted { cause: Cause::SystemOverloaded, scope: Scope::System, .. })
        ));
        assert!(admission.enter(Kind::Progress, now).is_ok());
        assert!(admission.enter(Kind::Other, now).is_ok());
        drop(inside);
        assert!(admission.enter(Kind::NewWork, now).is_ok());
        assert_eq!(admission.refused(), 1);
    }

    #[test]
    fn everything_is_let_in_again_within_seconds() {
        let admission = Admission::default();
        windows(&admission, 100, 1_000, 200);
        assert_eq!(admission.limit(), FEWEST);
        windows(&admission, 50, 10, 3);
        assert!(admission.limit() > 2_000, "{}", admission.limit());
    }

    #[test]
    fn a_slow_disk_is_no_queue() {
        let admission = Admission::default();
        windows(&admission, 10, 1, 40);
        windows(&admission, 20, 500, 90);
        assert_eq!(admission.limit(), MOST);
    }

    #[test]
    fn calls_are_measured_by_the_window() {
        let admission = Admission::default();
        let later = admission.began + WINDOW;
        admission.took(Duration::from_millis(7), admission.began);
        admission.took(Duration::from_millis(3), later);
        assert_eq!(admission.usual.load(Relaxed), 3_000);
        assert_eq!(admission.fastest.load(Relaxed), u64::MAX);
    }
}
