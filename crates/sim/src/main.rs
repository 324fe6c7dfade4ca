//! Simulates many seeds: `cargo run -p steadfast-sim --release -- --seeds 200000`.

use clap::Parser;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use steadfast_sim::{run, run_loud};

#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Only this one, and everything that happens in it is printed.
    #[arg(long)]
    replay: Option<u64>,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.replay {
        let report = run_loud(seed);
        eprintln!("{}", report.explain());
        return if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let begun = Instant::now();
    let (next, failed) = (AtomicU64::new(arguments.first), AtomicU64::new(0));
    let (millis, notes) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.first + arguments.seeds {
                        return;
                    }
                    let report = run(seed);
                    millis.fetch_add(report.millis, Ordering::Relaxed);
                    notes.fetch_add(report.notes, Ordering::Relaxed);
                    if !report.violations.is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("{}", report.line());
                    }
                }
            });
        }
    });
    println!(
        "{} seeds, {} failed, {:.1} simulated hours, {} notes, {:.1} s, {:.0} simulated hours a minute",
        arguments.seeds,
        failed.load(Ordering::Relaxed),
        millis.load(Ordering::Relaxed) as f64 / 3_600_000.0,
        notes.load(Ordering::Relaxed),
        begun.elapsed().as_secs_f64(),
        millis.load(Ordering::Relaxed) as f64 / 60_000.0 / begun.elapsed().as_secs_f64()
    );
    if failed.load(Ordering::Relaxed) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
