//! `kill -9` at random moments under load: nothing that was acknowledged is lost, nothing is there twice, timers and
//! retries that fell due meanwhile happen, every workflow ends, and the server serves again within a second.

use crate::callbacks::{self, Open};
use crate::check::{self, Findings};
use crate::client::Client;
use crate::listener::Listener;
use crate::load::Load;
use crate::report::{Report, quantile, quantiles};
use crate::server::{Server, Setup};
use crate::worker::Worker;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

pub const QUEUE: &str = "safety";
/// Workflows under way at once.
pub const LANES: usize = 12;
pub const POLLERS: usize = 3;
/// After so many kills the load rests, and what was acknowledged is compared with what is there.
const ROUNDS_OF_A_CHAPTER: usize = 25;
/// A server lives for a random time between these.
const LIFE: std::ops::Range<u64> = 20..700;
/// The goal for the time until a killed server serves again.
pub const SERVING_GOAL: Duration = Duration::from_secs(1);
/// From so many starts on, the goal is held to.
const MANY: usize = 100;

/// Kills so many times.
///
/// # Errors
/// The server does not come back, or does not answer; broken promises are in the report.
pub async fn rounds(kills: usize, seed: u64) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let listener = Listener::start(seed).await?;
    let mut setup = Setup::new(folder.path())?;
    setup.flags = listener.flags();
    let mut random = fastrand::Rng::with_seed(seed);
    let worker = Worker::start(setup.channel()?, QUEUE, POLLERS);
    let client = Client::new(setup.channel()?, QUEUE);
    let mut server = setup.start().await?;
    let (mut findings, mut serving) = (Findings::default(), Vec::new());
    let began = Instant::now();
    let mut killed = 0;
    while killed < kills {
        let chapter = ROUNDS_OF_A_CHAPTER.min(kills - killed);
        let prefix = format!("kill{killed}");
        listener.set_ill(true);
        let open = Open::start(&client, &listener, &prefix);
        let (channel, port) = (setup.channel()?, Some(listener.port()));
        let load = Load::start_calling(&channel, QUEUE, &prefix, LANES, seed + killed as u64, port);
        for _ in 0..chapter {
            tokio::time::sleep(Duration::from_millis(random.u64(LIFE))).await;
            server = again(server, &setup, &mut serving).await?;
        }
        killed += chapter;
        let ledger = load.stop().await;
        listener.set_ill(false);
        findings.add(callbacks::compare(&client, &listener, &prefix, &ledger.entries, open).await?);
        let found = check::compare(&client, &prefix, ledger, worker.acknowledged()).await?;
        findings.add(found);
        server.must_run()?;
    }
    drop(worker);
    // As the last kill leaves it, and as a stop does.
    server.kill()?;
    check::database(&setup.database, &mut findings)?;
    setup.start().await?.stop()?;
    check::database(&setup.database, &mut findings)?;

    let mut report = Report::new("kill -9 under load");
    report.figure("kills", kills);
    report.figure("seed", seed);
    report.figure("took", format!("{:.0} s", began.elapsed().as_secs_f64()));
    describe(&mut report, findings);
    report.figure("serving again after", quantiles(&serving));
    // A few starts are at the mercy of what else the machine does.
    if serving.len() >= MANY && quantile(&serving, 99) > SERVING_GOAL {
        report.wrong.push(format!("serving again took {}", quantiles(&serving)));
    }
    Ok(report)
}

async fn again(server: Server, setup: &Setup, serving: &mut Vec<Duration>) -> Result<Server> {
    server.kill()?;
    let server = setup.start().await.context("after kill -9")?;
    serving.push(server.serving_after());
    Ok(server)
}

/// The figures of a comparison, and what was wrong.
pub fn describe(report: &mut Report, findings: Findings) {
    report.figure("workflows", findings.workflows);
    report.figure("runs and events read back", format!("{}, {}", findings.runs, findings.events));
    report.figure("acknowledged calls, all found once", findings.acknowledged);
    report.figure("timers fired after they were due by", quantiles(&findings.timer_delays));
    if findings.callbacks > 0 {
        report.figure("callbacks, and calls for them", format!("{}, {}", findings.callbacks, findings.calls));
        report.figure("all had succeeded after", quantiles(&findings.told_after));
    }
    report.wrong.extend(findings.wrong);
}
