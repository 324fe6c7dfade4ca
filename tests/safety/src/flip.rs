//! Single bits of a database file flipped: each is noticed (the server does not start, an answer is an error that says so,
//! or the check of the database finds it), or changes nothing that anybody sees. No wrong history is ever served.

use crate::check::database_command;
use crate::client::{Client, NAMESPACE};
use crate::kill::QUEUE;
use crate::load::Load;
use crate::plan::Plan;
use crate::report::Report;
use crate::server::Setup;
use crate::worker::Worker;
use anyhow::{Result, bail};
use prost::Message;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use steadfast_api::v1::history::History;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::workflow::WorkflowExecutionInfo;
use steadfast_api::v1::workflowservice::{GetWorkflowExecutionHistoryRequest, ListWorkflowExecutionsRequest};
use test_process::free_port;
use tonic::{Code, Request, Status};

/// For how long the database is filled.
const FILL: Duration = Duration::from_millis(600);
const LANES: usize = 6;
/// Open runs beside the closed ones.
const OPEN: usize = 4;
/// A server that does not start on a damaged file says so before this.
const PATIENCE: Duration = Duration::from_secs(20);
const TRY: Duration = Duration::from_secs(5);
const TRIES: usize = 4;

/// What a server shows of a database.
#[derive(Default)]
struct Shown {
    /// By workflow and run.
    histories: BTreeMap<(String, String), Result<Vec<HistoryEvent>, Status>>,
    list: Option<Result<Vec<WorkflowExecutionInfo>, Status>>,
}

/// What became of a flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    NotStarted,
    ErrorTold,
    FoundByCheck,
    Harmless,
}

/// Flips so many bits, one at a time, each in a fresh copy.
///
/// # Errors
/// A server does neither start nor end; broken promises are in the report.
pub async fn bits(flips: usize, seed: u64) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(folder.path())?;
    let mut random = fastrand::Rng::with_seed(seed);
    fill(&setup, seed).await?;
    let intact = std::fs::read(&setup.database)?;
    let mut report = Report::new("single bits flipped in the file");
    let (sound, said) = database_command(&setup.database)?;
    if !sound {
        report.wrong.push(format!("the check of the intact file: {said}"));
    }
    let runs = runs_of(&setup).await?;
    let truth = show(&setup, &runs).await?;
    let Some(truth) = truth else { bail!("the server does not start on the intact file") };

    let began = Instant::now();
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    for flip in 0..flips {
        let bit = random.usize(..intact.len() * 8);
        let mut damaged = intact.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let place = tempfile::tempdir()?;
        let own = Setup { database: place.path().join("steadfast.db"), port: free_port()?, ..setup.clone() };
        std::fs::write(&own.database, &damaged)?;
        let (sound, said) = database_command(&own.database)?;
        std::fs::write(&own.database, &damaged)?;
        let name = format!("flip {flip}, bit {} of byte {} (page {})", bit % 8, bit / 8, bit / 8 / 4096 + 1);
        let fate = match show(&own, &runs).await? {
            None => Fate::NotStarted,
            Some(shown) => {
                let (different, told) = compare(&truth, &shown);
                match (different, told, sound) {
                    (Some(wrong), _, _) if wrong.served => {
                        report.wrong.push(format!("{name}: {} (the check: {said})", wrong.what));
                        continue;
                    }
                    (Some(wrong), _, true) => {
                        report.wrong.push(format!("{name}: {}, and the check finds nothing", wrong.what));
                        continue;
                    }
                    (Some(_), _, false) => Fate::FoundByCheck,
                    (None, true, _) => Fate::ErrorTold,
                    (None, false, false) => Fate::FoundByCheck,
                    (None, false, true) => Fate::Harmless,
                }
            }
        };
        *fates.entry(fate).or_default() += 1;
    }
    let count = |fate| fates.get(&fate).copied().unwrap_or_default();
    report.figure("flips, each in a fresh copy", flips);
    report.figure("seed", seed);
    report.figure("took", format!("{:.0} s", began.elapsed().as_secs_f64()));
    report.figure("bytes of the file, runs in it", format!("{}, {}", intact.len(), runs.len()));
    report.figure("the server did not start, and said why", count(Fate::NotStarted));
    report.figure("an answer was an error that said so", count(Fate::ErrorTold));
    report.figure("found by the check alone", count(Fate::FoundByCheck));
    report.figure("harmless", count(Fate::Harmless));
    report.figure("wrong histories served", report.wrong.len());
    Ok(report)
}

/// A database with a bit of everything.
async fn fill(setup: &Setup, seed: u64) -> Result<()> {
    let server = setup.start().await?;
    let worker = Worker::start(setup.channel()?, QUEUE, 2);
    let load = Load::start(&setup.channel()?, QUEUE, "flip", LANES, seed);
    let client = Client::new(setup.channel()?, "nobody");
    for number in 0..OPEN {
        client.start(Plan::Signals.name(), &format!("open-{number}")).await?;
        client.signal(&format!("open-{number}"), "mark", "mark").await?;
    }
    tokio::time::sleep(FILL).await;
    let ledger = load.stop().await;
    drop(worker);
    server.stop()?;
    match ledger.trouble.first() {
        Some(trouble) => bail!("{trouble}"),
        None => Ok(()),
    }
}

async fn runs_of(setup: &Setup) -> Result<Vec<(String, String)>> {
    let server = setup.start().await?;
    let listed = Client::new(setup.channel()?, QUEUE).list("").await?;
    server.stop()?;
    let executions = listed.into_iter().filter_map(|run| run.execution);
    Ok(executions.map(|run| (run.workflow_id, run.run_id)).collect())
}

/// All that a server shows; None if it does not start, and says that it is for the damage.
async fn show(setup: &Setup, runs: &[(String, String)]) -> Result<Option<Shown>> {
    let server = match tokio::time::timeout(PATIENCE, setup.start()).await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) if says_damaged(&format!("{error:#}")) => return Ok(None),
        Ok(Err(error)) => bail!("the server does not say that the file is damaged: {error:#}"),
        Err(_) => bail!("the server neither starts nor ends on {}", setup.database.display()),
    };
    let client = Client::new(setup.channel()?, QUEUE);
    let mut shown = Shown { list: Some(list(&client).await), ..Shown::default() };
    for (id, run) in runs {
        let mut read = history(&client, id, run).await;
        for _ in 1..TRIES {
            // An answer that did not come in time: the machine may have other work.
            if !read
                .as_ref()
                .is_err_and(|status| matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded))
            {
                break;
            }
            read = history(&client, id, run).await;
        }
        shown.histories.insert((id.clone(), run.clone()), read);
    }
    server.kill()?;
    Ok(Some(shown))
}

fn says_damaged(text: &str) -> bool {
    ["damaged", "not a Steadfast database", "newer version", "missing"].iter().any(|word| text.contains(word))
}

/// One try at each page.
async fn history(client: &Client, id: &str, run: &str) -> Result<Vec<HistoryEvent>, Status> {
    /// More pages than any history here has: one that never ends is wrong as well.
    const MOST_PAGES: usize = 100;
    let mut message = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.into(),
        execution: Some(crate::client::execution(id, run)),
        ..Default::default()
    };
    let mut events = Vec::new();
    for _ in 0..MOST_PAGES {
        let mut request = Request::new(message.clone());
        request.set_timeout(TRY);
        let reply = client.rpc.clone().get_workflow_execution_history(request).await?.into_inner();
        let page = History::decode(reply.history.unwrap_or_default());
        events.extend(page.map_err(|error| Status::ok(format!("undecodable: {error}")))?.events);
        if reply.next_page_token.is_empty() {
            return Ok(events);
        }
        message.next_page_token = reply.next_page_token;
    }
    Err(Status::ok("a history without an end"))
}

async fn list(client: &Client) -> Result<Vec<WorkflowExecutionInfo>, Status> {
    let mut request = Request::new(ListWorkflowExecutionsRequest {
        namespace: NAMESPACE.into(),
        page_size: 1000,
        ..Default::default()
    });
    request.set_timeout(TRY);
    Ok(client.rpc.clone().list_workflow_executions(request).await?.into_inner().executions)
}

struct Difference {
    what: String,
    /// An answer that was no error was wrong: no check afterwards makes that good.
    served: bool,
}

/// The first answer that is another than on the intact file, if there is one; and whether any told of the damage.
fn compare(truth: &Shown, shown: &Shown) -> (Option<Difference>, bool) {
    let mut told = false;
    let mut different = None;
    for (run, right) in &truth.histories {
        let what = |is: &dyn std::fmt::Debug| format!("the history of {} is {is:?}", run.0);
        match (&shown.histories[run], right) {
            (Ok(events), Ok(right)) if events == right => {}
            (Err(status), _) if says_damaged(status.message()) => told = true,
            // It says that it does not find it: not a wrong history, but not the truth either.
            (Err(status), _) if status.code() != Code::Ok => {
                different.get_or_insert(Difference { what: what(status), served: false });
            }
            (other, _) => {
                different = Some(Difference { what: what(other), served: true });
                break;
            }
        }
    }
    match (&shown.list, &truth.list) {
        (Some(Ok(list)), Some(Ok(right))) if list == right => {}
        (Some(Err(status)), _) if says_damaged(status.message()) => told = true,
        (list, _) => {
            different.get_or_insert(Difference { what: format!("the list is {list:?}"), served: false });
        }
    }
    (different, told)
}
