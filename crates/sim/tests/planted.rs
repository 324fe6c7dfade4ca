//! The simulator finds bugs: each of those that are planted on purpose, within a bounded number of seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use steadfast_machine::planted::{Planted, plant};
use steadfast_sim::run;

/// Seeds within which each bug is found.
const SEEDS: u64 = 250;

#[test]
fn every_planted_bug_is_found() {
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(bug) = Planted::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    plant(Some(*bug));
                    let found = (0..SEEDS).map(run).find(|report| !report.violations.is_empty());
                    plant(None);
                    match found {
                        Some(report) => {
                            println!("{bug:?}: seed {}: {}", report.seed, report.violations[0]);
                        }
                        None => missed.lock().expect("nobody panics").push(*bug),
                    }
                }
            });
        }
    });
    assert_eq!(missed.into_inner().expect("nobody panics"), [], "within {SEEDS} seeds");
}
