//! Random ids from one seed, and the order of tasks.

use crate::matching::Matching;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use steadfast_api::v1::common::Priority;
use steadfast_machine::{Ids, QueueKey, Time};

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
        Source { ids: self, queues: None }
    }

    /// The same, for one that puts tasks into these queues.
    pub fn source_for<'a>(&'a self, queues: &'a Matching) -> Source<'a> {
        Source { ids: self, queues: Some(queues) }
    }
}

pub struct Source<'a> {
    ids: &'a EngineIds,
    queues: Option<&'a Matching>,
}

impl Ids for Source<'_> {
    fn random(&mut self) -> u64 {
        self.ids.random.lock().expect("nothing panics while it holds this").next_u64()
    }

    fn order(&mut self, now: Time) -> i64 {
        let next = |last: i64| Some(last.saturating_add(1).max(now.0));
        let last = self.ids.order.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.map_or(now.0, |last| last.saturating_add(1).max(now.0))
    }

    fn place(&mut self, queue: &QueueKey, level: u8, priority: Option<&Priority>, now: Time) -> i64 {
        let fresh = self.order(now);
        self.queues.map_or(fresh, |queues| queues.place(queue, level, priority, fresh))
    }
}
