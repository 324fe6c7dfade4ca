//! Wall time of the simulated machine: the runtime's virtual time, and jumps as of a clock that is set.

use std::sync::atomic::{AtomicI64, Ordering};
use steadfast_engine::Clock;
use steadfast_machine::Time;
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600_000_000_000;

pub struct SimClock {
    began: Instant,
    jumped: AtomicI64,
}

impl SimClock {
    pub fn new() -> SimClock {
        SimClock { began: Instant::now(), jumped: AtomicI64::new(0) }
    }

    /// Sets the clock forward, or back. Nanoseconds.
    pub fn jump(&self, by: i64) {
        self.jumped.fetch_add(by, Ordering::Relaxed);
    }

    /// Virtual milliseconds since the simulation began: jumps do not count.
    pub fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for SimClock {
    fn default() -> SimClock {
        SimClock::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Time {
        let elapsed = i64::try_from(self.began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Time(EPOCH + elapsed + self.jumped.load(Ordering::Relaxed))
    }
}
