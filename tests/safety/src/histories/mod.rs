//! Calls of many clients to few workflow ids, recorded with their times and held against what they could have been answered
//! one after the other: start, signal, update, terminate and what reads, calm and with `kill -9` in the midst.
//!
//! `clients.rs` makes the calls and `worker.rs` works, `record.rs` has what they were answered, `model.rs` says what the
//! answers may be, `linear.rs` looks for an order, and `shown.rs` translates histories.

mod clients;
pub mod linear;
pub mod model;
pub mod record;
mod shown;
#[cfg(test)]
mod tests;
mod worker;

use self::clients::Clients;
use self::model::{Act, Answer, RunId};
use self::record::{Outcome, Record};
use self::worker::Worker;
use crate::client::Client;
use crate::report::Report;
use crate::server::{Server, Setup};
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use tokio::task::JoinSet;

const QUEUE: &str = "histories";
/// Workflow ids of one history, and clients that call them.
const IDS: usize = 4;
const CLIENTS: usize = 7;
const POLLERS: usize = 3;
/// In every other history the server lives for a random time of these milliseconds, again and again.
const LIFE: std::ops::Range<u64> = 50..1_000;
/// In so many histories some kill comes between a call's effect and its answer.
const MANY: usize = 20;
/// How long a history may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Records so many histories of so many calls, and checks them.
///
/// # Errors
/// The server does not come back, or does not answer; broken promises are in the report.
pub async fn runs(runs: usize, calls: usize, seed: u64) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(folder.path())?;
    let mut server = setup.start().await?;
    let began = Instant::now();
    let mut report = Report::new("histories of calls are linearizable");
    let (mut kills, mut checking) = (0, Duration::ZERO);
    let mut sum = Outcome::default();
    for run in 0..runs {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(run as u64));
        let before = kills;
        let record;
        (server, record) = one(server, &setup, run, calls, run % 2 == 1, &mut random, &mut kills).await?;
        let mut checks = JoinSet::new();
        let check_began = Instant::now();
        for (id, operations) in record.take() {
            checks.spawn_blocking(move || record::check(&id, operations));
        }
        while let Some(outcome) = checks.join_next().await {
            let outcome = outcome?;
            sum.answered += outcome.answered;
            sum.unknown += outcome.unknown;
            sum.took_effect += outcome.took_effect;
            sum.runs += outcome.runs;
            let killed = kills - before;
            report.wrong.extend(outcome.wrong.map(|wrong| format!("{killed} kills, {wrong}")));
        }
        checking += check_began.elapsed();
    }
    server.stop()?;
    report.figure("histories", runs);
    report.figure("seed", seed);
    report.figure("took", format!("{:.0} s", began.elapsed().as_secs_f64()));
    report.figure("of this the search for an order", format!("{:.1} s", checking.as_secs_f64()));
    report.figure("kills", kills);
    report.figure("calls that were answered", sum.answered);
    report.figure("calls without an answer", sum.unknown);
    report.figure("of these took effect", sum.took_effect);
    report.figure("runs", sum.runs);
    if runs >= MANY && (kills == 0 || sum.took_effect == 0) {
        report
            .wrong
            .push("no kill left a call that took effect without an answer: this has tested little".into());
    }
    Ok(report)
}

/// One history: calls until enough were answered, then the end of every run and a look at each.
async fn one(
    mut server: Server,
    setup: &Setup,
    number: usize,
    calls: usize,
    killed: bool,
    random: &mut fastrand::Rng,
    kills: &mut usize,
) -> Result<(Server, Record)> {
    let record = Record::default();
    let marks = Arc::new(AtomicU32::new(1));
    let ids: Vec<String> = (0..IDS).map(|id| format!("history-{number}-{id}")).collect();
    let (channel, queue) = (setup.channel()?, format!("{QUEUE}-{number}"));
    let worker = Worker {
        rpc: WorkflowServiceClient::new(channel.clone()),
        queue: queue.clone(),
        record: record.clone(),
        marks: marks.clone(),
    };
    let pollers = worker.start(POLLERS);
    let clients = Clients::new(channel.clone(), &queue, ids.clone(), record.clone(), marks, calls);
    let mut calling = JoinSet::new();
    for _ in 0..CLIENTS {
        // A connection each, as clients have.
        let mut own = clients.clone();
        own.rpc = WorkflowServiceClient::new(setup.channel()?);
        calling.spawn(own.run(random.fork()));
    }
    let began = Instant::now();
    while !calling.is_empty() {
        if began.elapsed() > PATIENCE {
            bail!("only {} of {calls} calls were answered in {PATIENCE:?}", record.answered());
        }
        let life = Duration::from_millis(random.u64(LIFE));
        let all = async { while calling.join_next().await.is_some() {} };
        if tokio::time::timeout(life, all).await.is_err() && killed {
            server.kill()?;
            *kills += 1;
            server = setup.start().await.context("after kill -9")?;
        }
    }
    server.must_run()?;
    drop(pollers);
    let reader = Client::new(channel, &queue);
    for id in &ids {
        end(&clients, &reader, id).await?;
    }
    Ok((server, record))
}

/// Closes the workflow and reads all its runs.
async fn end(clients: &Clients, reader: &Client, id: &str) -> Result<()> {
    let began = Instant::now();
    // What the worker asked for last may still be done now: only a closed run stays as it is.
    while clients.call(id, Act::Terminate { run: None, mark: clients.mark() }, false).await.is_none() {
        if began.elapsed() > PATIENCE {
            bail!("{id} cannot be terminated");
        }
    }
    clients.call(id, Act::List, false).await;
    let listed = reader.list(&format!("WorkflowId = '{id}'")).await?;
    for run in listed {
        let run: RunId = run.execution.unwrap_or_default().run_id.parse()?;
        let read = clients.call(id, Act::History { run: Some(run) }, false).await;
        if !matches!(read, Some(Answer::History(_))) {
            bail!("the run {run} of {id} is in the list and cannot be read: {read:?}");
        }
    }
    Ok(())
}
