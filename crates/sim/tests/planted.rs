//! The simulator finds bugs: each of those that are planted on purpose, within a bounded number of seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use steadfast_machine::planted::{Planted, plant};
use steadfast_sim::{Report, run};

/// Seeds within which each bug is found.
const SEEDS: u64 = 1_500;

struct Hunt {
    bug: Planted,
    found: Option<Report>,
    took: Duration,
}

fn hunt(bug: Planted) -> Hunt {
    let begun = Instant::now();
    plant(Some(bug));
    let found = (0..SEEDS).map(run).find(|report| !report.violations.is_empty());
    plant(None);
    Hunt { bug, found, took: begun.elapsed() }
}

/// `STEADFAST_BUG=…` hunts one of them alone.
#[test]
fn every_planted_bug_is_found() {
    let only = std::env::var("STEADFAST_BUG").ok();
    let wanted = |bug: &&Planted| only.as_ref().is_none_or(|only| *only == format!("{bug:?}"));
    let bugs: Vec<Planted> = Planted::ALL.iter().filter(wanted).copied().collect();
    let next = AtomicUsize::new(0);
    let hunts: Mutex<Vec<Hunt>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let hunt = hunt(*bug);
                    if let Some(report) = &hunt.found {
                        let took = hunt.took.as_secs_f64();
                        println!("{bug:?}: seed {} after {took:.1} s: {}", report.seed, report.violations[0]);
                    }
                    hunts.lock().expect("nobody panics").push(hunt);
                }
            });
        }
    });
    let mut hunts = hunts.into_inner().expect("nobody panics");
    hunts.sort_by_key(|hunt| hunt.took);
    if let Some(median) = hunts.get(hunts.len() / 2) {
        println!("{} bugs, median {:.1} s", hunts.len(), median.took.as_secs_f64());
    }
    let missed: Vec<Planted> =
        hunts.iter().filter(|hunt| hunt.found.is_none()).map(|hunt| hunt.bug).collect();
    assert_eq!(missed, [], "within {SEEDS} seeds");
}
