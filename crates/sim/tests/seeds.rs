//! Many seeds; one seed twice; one seed again, loudly.

use std::sync::atomic::{AtomicU64, Ordering};
use steadfast_sim::{run, run_loud};

/// Seeds of one test run.
const SEEDS: u64 = 1_000;

fn from_environment() -> Option<u64> {
    std::env::var("STEADFAST_SEED").ok().and_then(|seed| seed.parse().ok())
}

#[test]
fn nothing_acknowledged_is_lost() {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        return;
                    }
                    let report = run(seed);
                    assert!(report.violations.is_empty(), "{}", report.explain());
                }
            });
        }
    });
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..20 {
        let (first, second) = (run(seed), run(seed));
        assert_eq!((first.hash, first.notes), (second.hash, second.notes), "seed {seed}");
    }
}

/// `STEADFAST_SEED=… cargo test -p steadfast-sim replay -- --nocapture`
#[test]
fn replay() {
    let Some(seed) = from_environment() else { return };
    let report = run_loud(seed);
    assert!(report.violations.is_empty(), "{}", report.explain());
}
