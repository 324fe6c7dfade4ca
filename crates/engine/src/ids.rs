//! Random ids from one seed, and the order of tasks.

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use steadfast_machine::{Ids, Time};

pub struct EngineIds {
    random: Mutex<SmallRng>,
    order: AtomicI64,
}

impl EngineIds {
    pub fn new(seed: u64) -> EngineIds {
        EngineIds { random: Mutex::new(SmallRng::seed_from_u64(seed)), order: AtomicI64::new(0) }
    }

    /// A source for one step.
    pub fn source(&self) -> Source<'_> {
        Source(self)
    }
}

pub struct Source<'a>(&'a EngineIds);

impl Ids for Source<'_> {
    fn random(&mut self) -> u64 {
        self.0.random.lock().expect("nothing panics while it holds this").next_u64()
    }

    fn order(&mut self, now: Time) -> i64 {
        let next = |last: i64| Some(last.saturating_add(1).max(now.0));
        let last = self.0.order.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.map_or(now.0, |last| last.saturating_add(1).max(now.0))
    }
}
