//! Power cuts under load: what was not synced is lost, whole or in parts, and so are names that their folder was not
//! synced for. The server starts on what is left, and everything that it acknowledged is there.

use crate::callbacks::{self, Open};
use crate::check::{self, Findings};
use crate::client::Client;
use crate::disk::{Disk, Loss, Lost};
use crate::kill::{LANES, POLLERS, QUEUE, describe};
use crate::listener::Listener;
use crate::load::Load;
use crate::mount::Mounted;
use crate::report::{Report, quantiles};
use crate::server::{Server, Setup};
use crate::worker::Worker;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// After so many cuts the load rests, what was acknowledged is compared with what is there, and the disk is a new one: so
/// that the first moments of a database are among those that are cut.
const ROUNDS_OF_A_CHAPTER: usize = 10;
/// The power is on for a random time between these while the server serves.
const LIFE: std::ops::Range<u64> = 20..700;
/// One cut of so many comes while the server starts: after a random time of these, counted from the start of the process.
const EARLY: u8 = 4;
const START: std::ops::Range<u64> = 1..150;

/// Cuts the power so many times.
///
/// # Errors
/// There is no FUSE, the server does not come back, or does not answer; broken promises are in the report.
pub async fn rounds(cuts: usize, seed: u64) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let mount_point = folder.path().join("disk");
    std::fs::create_dir(&mount_point)?;
    let listener = Listener::start(seed).await?;
    let mut setup = Setup::new(folder.path())?;
    setup.flags = listener.flags();
    setup.database = mount_point.join("steadfast.db");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut findings, mut serving, mut losses) = (Findings::default(), Vec::new(), Vec::new());
    let began = Instant::now();
    let mut done = 0;
    while done < cuts {
        let chapter = ROUNDS_OF_A_CHAPTER.min(cuts - done);
        let prefix = format!("cut{done}");
        let worker = Worker::start(setup.channel()?, QUEUE, POLLERS);
        let client = Client::new(setup.channel()?, QUEUE);
        listener.set_ill(true);
        let open = Open::start(&client, &listener, &prefix);
        let (channel, port) = (setup.channel()?, Some(listener.port()));
        let load = Load::start_calling(&channel, QUEUE, &prefix, LANES, seed + done as u64, port);
        let mut disk = Disk::new();
        for _ in 0..chapter {
            let mounted = Mounted::new(disk, &mount_point)?;
            let early = random.u8(..EARLY) == 0;
            let server = if early { setup.spawn()? } else { start(&setup, &mut serving).await? };
            let life = random.u64(if early { START } else { LIFE });
            tokio::time::sleep(Duration::from_millis(life)).await;
            // From here on the server can acknowledge nothing that it has not synced.
            mounted.disk().power_off();
            server.kill()?;
            let loss = Loss::ALL[random.usize(..Loss::ALL.len())];
            let lost;
            (disk, lost) = mounted.after_power_cut(loss, &mut random)?;
            losses.push(lost);
        }
        done += chapter;
        let mounted = Mounted::new(disk, &mount_point)?;
        let mut server = start(&setup, &mut serving).await?;
        let ledger = load.stop().await;
        listener.set_ill(false);
        findings.add(callbacks::compare(&client, &listener, &prefix, &ledger.entries, open).await?);
        findings.add(check::compare(&client, &prefix, ledger, worker.acknowledged()).await?);
        drop(worker);
        server.must_run()?;
        server.stop()?;
        check::database(&setup.database, &mut findings)?;
        mounted.unmount()?;
    }

    let mut report = Report::new("power cuts under load");
    report.figure("cuts", cuts);
    report.figure("seed", seed);
    report.figure("took", format!("{:.0} s", began.elapsed().as_secs_f64()));
    let sum = |count: fn(&Lost) -> usize| losses.iter().map(count).sum::<usize>();
    report.figure("unsynced writes at the cuts", sum(|lost| lost.unsynced));
    report.figure("of these lost or torn", sum(|lost| lost.lost));
    report.figure("names that were lost", sum(|lost| lost.names));
    describe(&mut report, findings);
    report.figure("serving again after", quantiles(&serving));
    if cuts >= ROUNDS_OF_A_CHAPTER && sum(|lost| lost.lost) == 0 {
        report.wrong.push("no cut lost anything: this has tested nothing".into());
    }
    Ok(report)
}

async fn start(setup: &Setup, serving: &mut Vec<Duration>) -> Result<Server> {
    let server = setup.start().await.context("after a power cut")?;
    serving.push(server.serving_after());
    Ok(server)
}
