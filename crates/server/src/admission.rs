//! What is let in when more comes than can be done.
//!
//! New work (starts and signals) is refused before it costs anything, so that workers, whose calls bring what was
//! begun to its end, go on at full speed. There is no rate to configure: a tenth of a second shows whether more comes
//! than gets done, and while it does, fewer calls of new work may run at once; as soon as it does not, more may. Two
//! things show it:
//! - Commits queue: the fastest call of the window that ends at one was slow. With few calls at once nothing is refused
//!   for that.
//! - Tasks grow old: workers poll, and what they are handed has waited for more than half a second, while this process has no
//!   time left. If it has, the workers are what is slow; their backlog may be as long as it likes, and nothing is refused.
//!
//! A call costs two or three relaxed atomic operations here: no lock, no allocation.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use steadfast_api::v1::enums::{ResourceExhaustedCause as Cause, ResourceExhaustedScope as Scope};
use steadfast_machine::{Reject, Time};
use tokio::runtime::Handle;

/// The span over which calls and tasks are looked at.
const WINDOW: Duration = Duration::from_millis(100);

/// So many windows in a row have to be slow before anything is refused: a burst is not an overload.
const PATIENCE: u32 = 5;

/// A fastest call up to this long is no queue, whatever is usual.
const SLOW: Duration = Duration::from_millis(25);

/// A fastest call is slow if it takes so many times as long as with few calls.
const SLOWER: u64 = 8;

/// Calls of new work that may run at once however slow commits are: with so few they are not the reason.
const FEWEST: usize = 64;

/// A task that waited for longer, in microseconds, is old.
const OLD: u64 = 500_000;

/// This process has no time left if its threads were at work for so much of a window, in percent.
const BUSY: u64 = 75;

/// After so many windows in which nothing ended, nothing is known, and everything is let in.
const FORGOTTEN: u64 = 50;

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
    /// The window that is measured now, counted from `began`; in it the fastest call, and the longest that a task had
    /// waited when it was handed out. In microseconds, like what follows.
    window: AtomicU64,
    fastest: AtomicU64,
    oldest: AtomicU64,
    /// The same of the last window in which a task was handed out.
    was_oldest: AtomicU64,
    /// How long the threads of this process had been at work when the window began.
    worked: AtomicU64,
    /// Slow windows in a row.
    slow: AtomicU32,
    /// The fastest call of a window in which few ran: smoothed; 0 until there was one.
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
            oldest: AtomicU64::new(0),
            was_oldest: AtomicU64::new(0),
            worked: AtomicU64::new(0),
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

    /// A worker is handed a task that was there since `scheduled`.
    pub fn handed(&self, scheduled: Time, started: Time) {
        let waited = u64::try_from(started.since(scheduled) / 1_000).unwrap_or(0);
        self.oldest.fetch_max(waited.max(1), Relaxed);
    }

    fn took(&self, span: Duration, now: Instant) {
        self.fastest.fetch_min(micros(span), Relaxed);
        let window = (now.duration_since(self.began).as_millis() / WINDOW.as_millis()) as u64;
        let measured = self.window.load(Relaxed);
        if window > measured && self.window.compare_exchange(measured, window, Relaxed, Relaxed).is_ok() {
            let ended = Window {
                number: window - measured,
                fastest: self.fastest.swap(u64::MAX, Relaxed),
                oldest: self.oldest.swap(0, Relaxed),
                busy: self.busy((window - measured) * micros(WINDOW)),
            };
            self.close(&ended);
        }
    }

    /// How much of so many microseconds the threads that answer calls were at work, in percent.
    fn busy(&self, span: u64) -> u64 {
        let Ok(runtime) = Handle::try_current() else { return 0 };
        let runtime = runtime.metrics();
        let threads = runtime.num_workers();
        let worked = (0..threads).map(|thread| micros(runtime.worker_total_busy_duration(thread))).sum();
        let before = self.worked.swap(worked, Relaxed);
        worked.saturating_sub(before) * 100 / (span * threads as u64).max(1)
    }

    /// The end of a window.
    fn close(&self, window: &Window) {
        let (running, limit) = (self.running.load(Relaxed), self.limit.load(Relaxed));
        let usual = self.usual.load(Relaxed);
        if running <= FEW {
            let fastest = window.fastest;
            let smoothed = if usual == 0 { fastest } else { usual - usual / 8 + fastest / 8 };
            self.usual.store(smoothed, Relaxed);
        }
        let slow = window.fastest > (micros(SLOW)).max(usual.saturating_mul(SLOWER));
        let was_oldest = self.was_oldest.load(Relaxed);
        // Nobody was handed anything: what they wait for has not become younger.
        let oldest = if window.oldest == 0 { was_oldest } else { window.oldest };
        self.was_oldest.store(oldest, Relaxed);
        let old = oldest > OLD && window.busy >= BUSY;
        let less = limit.min(running.max(1)) * 3 / 4;
        if window.number > FORGOTTEN {
            self.slow.store(0, Relaxed);
            self.was_oldest.store(window.oldest, Relaxed);
            self.limit.store(MOST, Relaxed);
        } else if old {
            // What was let in a while ago shows only now: while the tasks get younger it was few enough.
            if oldest >= was_oldest {
                self.limit.store(less.max(1), Relaxed);
            }
        } else if slow {
            if self.slow.fetch_add(1, Relaxed) + 1 >= PATIENCE {
                self.limit.store(less.max(FEWEST.min(limit)), Relaxed);
            }
        } else {
            self.slow.store(0, Relaxed);
            self.limit.store((limit + limit / 8 + 1).min(MOST), Relaxed);
        }
    }
}

/// What a window showed. Times in microseconds.
struct Window {
    /// How many windows after the one before it ended: 1, unless nothing happened for a while.
    number: u64,
    fastest: u64,
    /// 0 if no task was handed out.
    oldest: u64,
    /// In percent.
    busy: u64,
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
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

    const CALM: Window = Window { number: 1, fastest: 2_000, oldest: 10_000, busy: 40 };

    /// So many windows, in each of which the fastest call took so long while so many ran.
    fn windows(admission: &Admission, count: u32, running: usize, millis: u64) {
        admission.running.store(running, Relaxed);
        for _ in 0..count {
            admission.close(&Window { fastest: millis * 1000, ..CALM });
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

    /// Windows in which tasks were handed out that had waited for so many milliseconds each.
    fn ages(admission: &Admission, busy: u64, ages: impl IntoIterator<Item = u64>) -> usize {
        admission.running.store(40, Relaxed);
        ages.into_iter().for_each(|age| admission.close(&Window { oldest: age * 1000, busy, ..CALM }));
        admission.running.store(0, Relaxed);
        admission.limit()
    }

    #[test]
    fn tasks_that_grow_old_at_a_busy_server_keep_new_work_out() {
        let admission = Admission::default();
        assert_eq!(ages(&admission, 99, [200, 400, 490]), MOST, "half a second is not old");
        let few = ages(&admission, 99, [1_100, 1_200]);
        assert!(few < 40, "{few}");
        assert_eq!(ages(&admission, 99, [1_190, 1_180]), few, "they get younger: it is few enough");
        assert_eq!(ages(&admission, 99, (12..40).map(|tenths| tenths * 100)), 1);
        assert!(admission.enter(Kind::NewWork, Instant::now()).is_ok(), "one may always");
        assert_eq!(ages(&admission, 99, [0; 5]), 1, "nothing was handed out: they wait still");
        assert!(ages(&admission, 99, [400; 40]) > 100);
    }

    #[test]
    fn a_backlog_of_slow_workers_is_theirs() {
        assert_eq!(ages(&Admission::default(), 20, (2_000..2_100).map(|second| second * 1000)), MOST);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let admission = Admission::default();
        assert_eq!(ages(&admission, 99, (20..60).map(|tenths| tenths * 100)), 1);
        admission.close(&Window { number: FORGOTTEN + 1, oldest: 0, ..CALM });
        assert_eq!(admission.limit(), MOST);
        admission.close(&Window { busy: 99, oldest: 0, ..CALM });
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
