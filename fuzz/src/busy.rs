//! How long this thread has worked. Time on a clock passes also while others have the processor, or the machine is stopped.

use std::time::Duration;

/// From here on.
pub struct Busy(Option<Duration>);

impl Busy {
    pub fn begin() -> Busy {
        Busy(worked())
    }

    /// Fails if the thread has worked longer than this since.
    ///
    /// # Panics
    /// If so.
    pub fn at_most(&self, longest: Duration) {
        if let (Some(before), Some(after)) = (self.0, worked()) {
            assert!(after - before < longest, "it took {:?}", after - before);
        }
    }
}

/// What Linux says of the thread; other systems are not asked.
fn worked() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
