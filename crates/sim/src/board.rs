//! Where everybody writes down what happens, and what must not happen.

use crate::clock::SimClock;
use crate::trace::Trace;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

pub struct Board {
    pub clock: Arc<SimClock>,
    trace: Mutex<Trace>,
    violations: Mutex<Vec<String>>,
    seen: Mutex<BTreeMap<&'static str, u64>>,
}

impl Board {
    pub fn new(clock: Arc<SimClock>, loud: bool) -> Board {
        Board {
            clock,
            trace: Mutex::new(Trace::new(loud)),
            violations: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    pub fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().expect("nothing panics while it holds this")
    }

    pub fn note(&self, what: std::fmt::Arguments<'_>) {
        self.trace().record(self.clock.millis(), what);
    }

    /// Something happened for the sake of which there is a simulator.
    pub fn saw(&self, what: &'static str) {
        *self.seen.lock().expect("nothing panics while it holds this").entry(what).or_insert(0) += 1;
    }

    pub fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.seen.lock().expect("nothing panics while it holds this").clone()
    }

    /// A promise was broken.
    pub fn violation(&self, what: String) {
        self.note(format_args!("VIOLATION {what}"));
        self.violations.lock().expect("nothing panics while it holds this").push(what);
    }

    pub fn is_broken(&self) -> bool {
        !self.violations.lock().expect("nothing panics while it holds this").is_empty()
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().expect("nothing panics while it holds this").clone()
    }
}
