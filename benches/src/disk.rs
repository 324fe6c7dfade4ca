//! The time of one sync on the disk that holds the database: the physical floor of every durable answer, so the
//! latency goals are stated in it and every run prints it.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Enough for a stable median; 0.2 s on a disk with 1 ms a sync.
const PROBES: usize = 200;
/// A slow disk is not asked for longer than this.
const BUDGET: Duration = Duration::from_secs(2);
/// The size of a database page, which is what a small commit appends.
const BLOCK: [u8; 4096] = [0x5f; 4096];

/// The median time of appending one block and syncing it, in `directory`.
pub fn sync_time(directory: &Path) -> Result<Duration> {
    let path = directory.join("sync-probe");
    let measured = probe(&path).with_context(|| format!("measuring a sync in {}", directory.display()));
    // Left behind it would only be a small file in a scratch folder: not worth failing the run.
    let _ = fs::remove_file(&path);
    measured
}

fn probe(path: &Path) -> Result<Duration> {
    let mut file = File::create(path)?;
    let began = Instant::now();
    let mut times = Vec::with_capacity(PROBES);
    while times.len() < PROBES && began.elapsed() < BUDGET {
        let start = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}
