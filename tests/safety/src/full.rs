//! A disk that fills up under load, and has room again: writes are refused as something that passes, reads go on,
//! nothing that was acknowledged is lost, and within seconds after there is room again all goes on by itself.

use crate::check::{self, Findings};
use crate::client::{Client, NAMESPACE, execution, payloads};
use crate::disk::Disk;
use crate::kill::{LANES, POLLERS, QUEUE, describe};
use crate::load::Load;
use crate::mount::Mounted;
use crate::report::{Report, quantiles};
use crate::server::Setup;
use crate::worker::Worker;
use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use steadfast_api::v1::workflowservice::{DescribeWorkflowExecutionRequest, SignalWorkflowExecutionRequest};
use tonic::{Code, Request, Status};

/// How long the disk stays full: long enough that everything has tried.
const FULL: Duration = Duration::from_millis(1500);
/// In which writes must be possible again once there is room.
const RESUMED_GOAL: Duration = Duration::from_secs(5);
/// A probe's patience with one call.
const TRY: Duration = Duration::from_secs(5);
/// The workflow that the probes signal.
const PROBE: &str = "full-probe";

/// Fills the disk so many times. While it is full the server is killed in one round of three, and stopped in order in
/// another: it must not need room to come back.
///
/// # Errors
/// There is no FUSE, or the server does not come back; broken promises are in the report.
pub async fn rounds(fills: usize, seed: u64) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let mount_point = folder.path().join("disk");
    std::fs::create_dir(&mount_point)?;
    let mut setup = Setup::new(folder.path())?;
    setup.database = mount_point.join("steadfast.db");
    let mounted = Mounted::new(Disk::new(), &mount_point)?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = setup.start().await?;
    let worker = Worker::start(setup.channel()?, QUEUE, POLLERS);
    let client = Client::new(setup.channel()?, QUEUE);
    // On a queue without workers it stays open until the end.
    Client::new(setup.channel()?, "nobody").start("probe", PROBE).await?;
    let mut findings = Findings::default();
    let (mut resumed, mut probes, mut signals) = (Vec::new(), 0, Vec::new());
    let (mut wrong, mut full) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for round in 0..fills {
        let prefix = format!("full{round}");
        let load = Load::start(&setup.channel()?, QUEUE, &prefix, LANES, seed + round as u64);
        tokio::time::sleep(Duration::from_millis(random.u64(100..600))).await;
        let room = random.u64(0..200_000);
        {
            let mut disk = mounted.disk();
            let used = disk.used();
            disk.set_capacity(Some(used + room));
        }
        let filled = Instant::now();
        let mut refused = 0;
        while filled.elapsed() < FULL || (refused == 0 && filled.elapsed() < 20 * FULL) {
            let mark = format!("{round}-{probes}");
            match signal(&client, &mark).await {
                Ok(()) => signals.push(mark),
                Err(status) if matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) => {
                    refused += 1;
                    if let Err(status) = describe_probe(&client).await {
                        wrong.push(format!("a read on a full disk: {status}"));
                    }
                }
                Err(status) => wrong.push(format!("a write on a full disk: {status}")),
            }
            probes += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        full.push(filled.elapsed());
        if refused == 0 {
            wrong.push(format!("round {round}: nothing was refused, the disk was never full"));
        }
        server.must_run().context("on a full disk")?;
        match round % 3 {
            1 => {
                server.kill()?;
                mounted.disk().set_capacity(None);
                server = setup.start().await.context("after kill -9 on a full disk")?;
            }
            2 => {
                server.stop()?;
                mounted.disk().set_capacity(None);
                server = setup.start().await.context("after a stop in order on a full disk")?;
            }
            _ => mounted.disk().set_capacity(None),
        }
        let emptied = Instant::now();
        let mark = format!("{round}-resumed");
        loop {
            match signal(&client, &mark).await {
                Ok(()) => break,
                Err(_) if emptied.elapsed() < 6 * RESUMED_GOAL => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err(status) => bail!("no write goes through after there is room again: {status}"),
            }
        }
        signals.push(mark);
        resumed.push(emptied.elapsed());
        let ledger = load.stop().await;
        findings.add(check::compare(&client, &prefix, ledger, worker.acknowledged()).await?);
    }
    // One whose outcome was not known may be there too, but none twice.
    let found = check::signals(&client.history(PROBE, "").await?);
    let distinct: HashSet<&String> = found.iter().collect();
    if distinct.len() != found.len() {
        wrong.push(format!("{} signals of the probe are there twice", found.len() - distinct.len()));
    }
    let lost = signals.iter().filter(|mark| !distinct.contains(mark)).count();
    if lost > 0 {
        wrong.push(format!("{lost} of {} acknowledged signals of the probe are lost", signals.len()));
    }
    drop(worker);
    server.stop()?;
    check::database(&setup.database, &mut findings)?;
    mounted.unmount()?;

    let mut report = Report::new("a full disk under load");
    report.figure("times full", fills);
    report.figure("seed", seed);
    report.figure("took", format!("{:.0} s", began.elapsed().as_secs_f64()));
    report.figure("full for", quantiles(&full));
    report.figure("probes, of which acknowledged", format!("{probes}, {}", signals.len()));
    describe(&mut report, findings);
    report.figure("writing again after", quantiles(&resumed));
    if resumed.iter().any(|time| *time > RESUMED_GOAL) {
        report.wrong.push(format!("writing again took {}", quantiles(&resumed)));
    }
    report.wrong.extend(wrong);
    Ok(report)
}

/// One try.
async fn signal(client: &Client, mark: &str) -> Result<(), Status> {
    let mut request = Request::new(SignalWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution(PROBE, "")),
        signal_name: "probe".into(),
        input: payloads(mark),
        request_id: mark.into(),
        ..Default::default()
    });
    request.set_timeout(TRY);
    client.rpc.clone().signal_workflow_execution(request).await.map(drop)
}

async fn describe_probe(client: &Client) -> Result<(), Status> {
    let mut request = Request::new(DescribeWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution(PROBE, "")),
    });
    request.set_timeout(TRY);
    client.rpc.clone().describe_workflow_execution(request).await.map(drop)
}
