//! Three times as much as the server can do: most of what it can do gets done all the same, the rest is refused in a way
//! that tells clients to wait, and soon after the rush everything is as before.

use crate::client::{Client, IDENTITY, NAMESPACE, payloads, queue};
use crate::report::{Report, quantiles};
use crate::server::Setup;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use steadfast_api::v1::command::{
    Command, CompleteWorkflowExecutionCommandAttributes,
    command::Attributes::CompleteWorkflowExecutionCommandAttributes as Complete,
};
use steadfast_api::v1::common::WorkflowType;
use steadfast_api::v1::enums::CommandType;
use steadfast_api::v1::workflowservice::*;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};

const QUEUE: &str = "overload";
/// Polls that wait for workflow tasks.
const POLLERS: usize = 64;
/// Connections of the clients, and of the workers.
const CHANNELS: usize = 4;
/// Workflows under way while the peak is measured.
const IN_FLIGHT: usize = 64;
/// How many times the peak is asked for.
const TIMES: f64 = 3.0;
/// How much of the peak has to get done meanwhile, in percent.
const GOODPUT_GOAL: f64 = 80.0;
/// In which everything has to be as before.
const RECOVERY_GOAL: Duration = Duration::from_secs(5);
/// A start that takes longer is as good as refused, and breaks the promise.
const TRY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(5);

/// What the clients and the workers saw.
#[derive(Default)]
struct Counts {
    started: AtomicU64,
    completed: AtomicU64,
    refused: AtomicU64,
    /// Neither done nor refused as it should be.
    failed: AtomicU64,
}

/// Measures the peak, then asks for three times as much; each for so long.
///
/// # Errors
/// The server does not start, or ends; broken promises are in the report.
pub async fn rush(span: Duration) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(folder.path())?;
    let mut server = setup.start().await?;
    let counts = Arc::<Counts>::default();
    let mut workers = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..CHANNELS {
        clients.push(Client::new(setup.channel()?, QUEUE));
        let worker = Client::new(setup.channel()?, QUEUE);
        for _ in 0..POLLERS / CHANNELS {
            workers.spawn(work(worker.clone(), counts.clone()));
        }
    }
    // Once to warm up.
    peak(&clients, &counts, span / 4).await?;
    let peak = peak(&clients, &counts, span).await?;
    let mut report = Report::new("overload");
    report.figure("peak", format!("{peak:.0} workflows a second, {IN_FLIGHT} in flight"));

    let before = counts.completed.load(Relaxed);
    let began = Instant::now();
    let mut calls = JoinSet::new();
    let mut asked = 0;
    while began.elapsed() < span {
        tokio::time::sleep(TICK).await;
        let due = (began.elapsed().as_secs_f64() * peak * TIMES) as u64;
        for number in asked..due {
            let client = clients[number as usize % CHANNELS].clone();
            calls.spawn(one_start(client, format!("rush-{number}"), counts.clone()));
        }
        asked = asked.max(due);
    }
    let took = began.elapsed().as_secs_f64();
    let goodput = (counts.completed.load(Relaxed) - before) as f64 / took;
    let percent = 100.0 * goodput / peak;
    let (refused, failed) = (counts.refused.load(Relaxed), counts.failed.load(Relaxed));
    report.figure("asked for", format!("{:.0} starts a second", asked as f64 / took));
    report.figure("done meanwhile", format!("{goodput:.0} a second, {percent:.0} % of the peak"));
    report.figure("refused", refused);
    report.figure("failed otherwise", failed);
    if percent < GOODPUT_GOAL {
        report
            .wrong
            .push(format!("{percent:.0} % of the peak got done, and should have been {GOODPUT_GOAL} %"));
    }
    if refused == 0 {
        report.wrong.push("nothing was refused".into());
    }
    if failed > 0 {
        report.wrong.push(format!("{failed} starts failed otherwise than by RESOURCE_EXHAUSTED"));
    }

    calls.abort_all();
    let rush_ended = Instant::now();
    let times = recovered(&clients[0], rush_ended).await;
    match times {
        Some((after, times)) => {
            report.figure("as before after", format!("{:.1} s", after.as_secs_f64()));
            report.figure("starts after that", quantiles(&times));
        }
        None => report.wrong.push(format!("starts were not as before {RECOVERY_GOAL:?} after the rush")),
    }
    server.must_run()?;
    Ok(report)
}

/// Completed workflows a second, with as many in flight as the server likes.
async fn peak(clients: &[Client], counts: &Arc<Counts>, span: Duration) -> Result<f64> {
    let before = counts.completed.load(Relaxed);
    let began = Instant::now();
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut runs = JoinSet::new();
    let mut number = 0;
    while began.elapsed() < span {
        let slot = slots.clone().acquire_owned().await.context("the slots are never closed")?;
        let client = clients[number % CHANNELS].clone();
        let id = format!("peak-{:?}-{number}", began);
        number += 1;
        runs.spawn(async move {
            if let Ok(run) = client.start("noop", &id).await {
                // A workflow that does not close is seen as a lower peak.
                let _ = client.closed(&id, &run).await;
            }
            drop(slot);
        });
        while runs.try_join_next().is_some() {}
    }
    let rate = (counts.completed.load(Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    while runs.join_next().await.is_some() {}
    Ok(rate)
}

async fn one_start(client: Client, id: String, counts: Arc<Counts>) {
    let counter = match start(&client, id).await {
        Ok(()) => &counts.started,
        Err(status) if status.code() == Code::ResourceExhausted && !status.details().is_empty() => {
            &counts.refused
        }
        Err(_) => &counts.failed,
    };
    counter.fetch_add(1, Relaxed);
}

/// One try, without a second.
async fn start(client: &Client, id: String) -> Result<(), Status> {
    let mut request = Request::new(StartWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        request_id: format!("{id}-start"),
        workflow_id: id,
        workflow_type: Some(WorkflowType { name: "noop".into() }),
        task_queue: Some(queue(QUEUE)),
        identity: IDENTITY.into(),
        ..Default::default()
    });
    request.set_timeout(TRY);
    client.rpc.clone().start_workflow_execution(request).await.map(drop)
}

/// When a workflow is started and completed at once again, twenty times in a row; and how long those took.
async fn recovered(client: &Client, since: Instant) -> Option<(Duration, Vec<Duration>)> {
    const ROW: usize = 20;
    const AT_ONCE: Duration = Duration::from_millis(250);
    let (mut row, mut first) = (Vec::new(), since.elapsed());
    for number in 0.. {
        if since.elapsed() > RECOVERY_GOAL {
            return None;
        }
        let began = Instant::now();
        let id = format!("after-{number}");
        let done = async {
            start(client, id.clone()).await.ok()?;
            client.closed(&id, "").await.ok()
        };
        match tokio::time::timeout(AT_ONCE, done).await {
            Ok(Some(_)) => row.push(began.elapsed()),
            _ => {
                row.clear();
                first = since.elapsed();
            }
        }
        if row.len() == ROW {
            return Some((first, row));
        }
    }
    None
}

/// Completes every workflow at its first task.
async fn work(client: Client, counts: Arc<Counts>) {
    loop {
        let mut poll = Request::new(PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.into(),
            task_queue: Some(queue(QUEUE)),
            identity: IDENTITY.into(),
            ..Default::default()
        });
        poll.set_timeout(Duration::from_secs(20));
        let Ok(task) = client.rpc.clone().poll_workflow_task_queue(poll).await else {
            tokio::time::sleep(TICK).await;
            continue;
        };
        let task = task.into_inner();
        if task.task_token.is_empty() {
            continue;
        }
        let complete = CompleteWorkflowExecutionCommandAttributes { result: payloads("done") };
        let completion = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.into(),
            task_token: task.task_token,
            identity: IDENTITY.into(),
            commands: vec![Command {
                command_type: CommandType::CompleteWorkflowExecution as i32,
                attributes: Some(Complete(complete)),
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut answer = Request::new(completion);
        answer.set_timeout(TRY);
        if client.rpc.clone().respond_workflow_task_completed(answer).await.is_ok() {
            counts.completed.fetch_add(1, Relaxed);
        }
    }
}
