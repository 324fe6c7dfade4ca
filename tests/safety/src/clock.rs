//! The machine's clock set forward and back by an hour under load: timers fire once and none is lost, no history has a
//! time before the one before it, and work that needs no timer goes on at once.
//!
//! The clock that jumps is the wall clock of the server's process (by libfaketime); its monotonic clock goes on, as it
//! does on a machine whose clock is set.

use crate::check::{self, Findings};
use crate::client::Client;
use crate::kill::{LANES, POLLERS, QUEUE, describe};
use crate::load::Load;
use crate::plan::Plan;
use crate::report::{Report, quantiles};
use crate::server::Setup;
use crate::worker::Worker;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// In which a workflow that starts after a jump must be done. It has activities, of which one is retried.
const CANARY_GOAL: Duration = Duration::from_secs(10);
/// How long the clock stays as it is.
const STAY: std::ops::Range<u64> = 300..1200;
const HOUR: i64 = 3600;

/// Sets the clock so many times, and at the end to an hour after the latest time that it ever showed, so that all timers
/// fall due.
///
/// # Errors
/// There is no libfaketime, or the server fails; broken promises are in the report.
pub async fn jumps(jumps: usize, seed: u64) -> Result<Report> {
    let library = library()?;
    let folder = tempfile::tempdir()?;
    let clock = folder.path().join("clock");
    set(&clock, 0)?;
    let mut setup = Setup::new(folder.path())?;
    let shown = |path: &Path| path.display().to_string();
    setup.environment = vec![
        ("LD_PRELOAD".into(), shown(&library)),
        ("FAKETIME_TIMESTAMP_FILE".into(), shown(&clock)),
        ("FAKETIME_NO_CACHE".into(), "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC".into(), "1".into()),
        ("NO_FAKE_STAT".into(), "1".into()),
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = setup.start().await?;
    let worker = Worker::start(setup.channel()?, QUEUE, POLLERS);
    let client = Client::new(setup.channel()?, QUEUE);
    let load = Load::start(&setup.channel()?, QUEUE, "clock", LANES, seed);
    let mut canaries = Vec::new();
    let began = Instant::now();
    let mut offset = 0;
    for jump in 0..jumps {
        tokio::time::sleep(Duration::from_millis(random.u64(STAY))).await;
        // Forward or back from where it is, never twice the same way: one of an hour ago, now, and in an hour.
        offset = match offset {
            0 => *[-HOUR, HOUR].get(jump % 2).unwrap_or(&HOUR),
            _ => 0,
        };
        set(&clock, offset)?;
        let asked = Instant::now();
        let id = format!("canary-{jump}");
        let run = client.start(Plan::Activities.name(), &id).await?;
        let done = tokio::time::timeout(6 * CANARY_GOAL, client.closed(&id, &run)).await;
        match done {
            Ok(closed) => closed.map(drop)?,
            Err(_) => {
                bail!("{id} is not done after the clock was set to {offset} s:\n{}", server.last_words())
            }
        }
        canaries.push(asked.elapsed());
        server.must_run()?;
    }
    set(&clock, 3 * HOUR)?;
    let ledger = load.stop().await;
    let mut findings = Findings::default();
    findings.add(check::compare(&client, "clock", ledger, worker.acknowledged()).await?);
    drop(worker);
    server.stop().context("after the clock was set")?;
    check::database(&setup.database, &mut findings)?;

    let mut report = Report::new("the clock set by an hour under load");
    report.figure("jumps", jumps);
    report.figure("seed", seed);
    report.figure("took", format!("{:.0} s", began.elapsed().as_secs_f64()));
    // By the clock that jumps they mean nothing.
    let timers = std::mem::take(&mut findings.timer_delays).len();
    describe(&mut report, findings);
    report.figures.retain(|(what, _)| !what.starts_with("timers fired after"));
    report.figure("timers, all fired once", timers);
    report.figure("a workflow with activities after a jump took", quantiles(&canaries));
    if canaries.iter().any(|time| *time > CANARY_GOAL) {
        report.wrong.push(format!("after a jump a workflow took {}", quantiles(&canaries)));
    }
    Ok(report)
}

fn set(clock: &Path, offset: i64) -> Result<()> {
    // By a rename, so that the server never reads half of it.
    let next = clock.with_extension("next");
    std::fs::write(&next, format!("{offset:+}\n"))?;
    std::fs::rename(&next, clock)?;
    Ok(())
}

/// # Errors
/// It is not installed; with what installs it.
fn library() -> Result<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path());
    let mut places = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    places.find(|path| path.is_file()).context(
        "the clock of a process is set with libfaketime, and it is not there: apt-get install libfaketime",
    )
}
