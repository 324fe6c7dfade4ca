//! Many seeds; one seed twice; one seed again, loudly.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use steadfast_sim::{Report, run, run_loud};

/// Seeds of one test run; `STEADFAST_SEEDS=…` for another number.
const SEEDS: u64 = 1_000;

/// Seeds that fail are printed up to this many.
const SHOWN: usize = 20;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

#[test]
fn nothing_acknowledged_is_lost() {
    let seeds = from_environment("STEADFAST_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let failed: Mutex<Vec<Report>> = Mutex::default();
    let is_enough = || failed.lock().expect("nothing panics while it holds this").len() >= SHOWN;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || is_enough() {
                        return;
                    }
                    let report = run(seed);
                    if !report.violations.is_empty() {
                        println!("{}", report.line());
                        failed.lock().expect("nothing panics while it holds this").push(report);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nothing panics while it holds this");
    if let Some(first) = failed.first() {
        panic!("{} of {seeds} seeds fail, among them:\n{}", failed.len(), first.explain());
    }
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..20 {
        let (first, second) = (run(seed), run(seed));
        assert_eq!((first.hash, first.notes), (second.hash, second.notes), "seed {seed}");
    }
}

/// What the simulator is for does happen in it, and not just once.
#[test]
fn what_can_go_wrong_does() {
    let mut seen = std::collections::BTreeMap::new();
    for report in (0..300).map(run) {
        for (what, times) in report.seen {
            *seen.entry(what).or_insert(0) += times;
        }
    }
    println!("{seen:#?}");
    for what in steadfast_sim::EXPECTED {
        assert!(seen.get(what).is_some_and(|times| *times >= 10), "{what}: {:?}", seen.get(what));
    }
}

/// `STEADFAST_SEED=… cargo test -p steadfast-sim replay -- --nocapture`
#[test]
fn replay() {
    let Some(seed) = from_environment("STEADFAST_SEED") else { return };
    let report = run_loud(seed);
    assert!(report.violations.is_empty(), "{}", report.explain());
}
