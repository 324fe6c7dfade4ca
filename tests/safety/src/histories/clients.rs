//! The clients of the histories: each makes one call after the other, chosen at random, to one of few workflow ids. None
//! is made again: a call that got no answer may have done what it was to do, or may do it later.

use super::model::{Act, Answer, Mark, RunId};
use super::record::Record;
use super::shown::{log_told, status, told};
use super::worker::FINISH;
use crate::client::{NAMESPACE, execution, payloads};
use crate::requests;
use prost::Message;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use steadfast_api::v1::enums::{WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse};
use steadfast_api::v1::history::History;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::update::outcome::Value;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::workflowservice::*;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// A call without an answer by then has none.
const TRY: Duration = Duration::from_secs(4);
/// After a call without an answer.
const PAUSE: Duration = Duration::from_millis(20);

/// A client, and what it shares with those that are cloned from it.
#[derive(Clone)]
pub struct Clients {
    pub rpc: WorkflowServiceClient<Channel>,
    queue: String,
    ids: Arc<Vec<String>>,
    record: Record,
    marks: Arc<AtomicU32>,
    /// Calls that are still to be answered.
    left: Arc<AtomicUsize>,
    /// What was used for each id not long ago, to be used again.
    recent: Arc<Vec<Mutex<Recent>>>,
}

/// Repeated on purpose: a request by its id, a run that has perhaps been replaced.
#[derive(Clone, Default)]
struct Recent {
    start: Option<Mark>,
    signal: Option<Mark>,
    update: Option<Mark>,
    run: Option<RunId>,
}

impl Clients {
    pub fn new(
        channel: Channel,
        queue: &str,
        ids: Vec<String>,
        record: Record,
        marks: Arc<AtomicU32>,
        calls: usize,
    ) -> Clients {
        let recent = ids.iter().map(|_| Mutex::default()).collect();
        Clients {
            rpc: WorkflowServiceClient::new(channel),
            queue: queue.into(),
            ids: Arc::new(ids),
            record,
            marks,
            left: Arc::new(AtomicUsize::new(calls)),
            recent: Arc::new(recent),
        }
    }

    /// One client, until enough calls were answered.
    pub async fn run(self, mut random: fastrand::Rng) {
        while self.left.load(Ordering::Acquire) > 0 {
            let which = random.usize(..self.ids.len());
            let act = self.choose(which, &mut random);
            let finish = matches!(act, Act::Signal { .. }) && random.u8(..6) == 0;
            match self.call(&self.ids[which], act, finish).await {
                Some(answer) => {
                    if let Answer::Started(run) = answer {
                        self.recent(which, |recent| recent.run = Some(run));
                    }
                    let one_less = |left: usize| left.checked_sub(1);
                    // Nothing is left: then somebody else has made the last one.
                    let _ = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn recent<T>(&self, which: usize, with: impl FnOnce(&mut Recent) -> T) -> T {
        with(&mut self.recent[which].lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn mark(&self) -> Mark {
        self.marks.fetch_add(1, Ordering::Relaxed)
    }

    fn choose(&self, which: usize, random: &mut fastrand::Rng) -> Act {
        let mark = self.mark();
        let again = random.u8(..5) == 0;
        self.recent(which, |recent| {
            // A request that was made before, in one call of five.
            let request = |known: &mut Option<Mark>| match *known {
                Some(known) if again => known,
                _ => *known.insert(mark),
            };
            let run = recent.run.filter(|_| random.u8(..4) == 0);
            match random.u8(..100) {
                0..14 => Act::Start {
                    mark,
                    request: request(&mut recent.start),
                    conflict: [Conflict::Fail, Conflict::UseExisting, Conflict::TerminateExisting]
                        [[0, 0, 1, 1, 2][random.usize(..5)]],
                    reuse: [Reuse::AllowDuplicate, Reuse::AllowDuplicateFailedOnly, Reuse::RejectDuplicate]
                        [[0, 0, 0, 1, 2][random.usize(..5)]],
                },
                14..20 => Act::SignalWithStart { mark, signal: self.mark() },
                20..46 => Act::Signal { run, request: request(&mut recent.signal), mark },
                46..60 => Act::Update { id: request(&mut recent.update), mark },
                60..66 => Act::Terminate { run, mark },
                66..74 => Act::Query,
                74..82 => Act::Describe,
                82..94 => Act::History { run },
                _ => Act::List,
            }
        })
    }

    /// Makes the call and records it.
    pub async fn call(&self, id: &str, act: Act, finish: bool) -> Option<Answer> {
        let answer = self.ask(id, &act, finish);
        self.record.call(id, act.clone(), answer).await
    }

    /// None if the answer does not say whether it was done.
    async fn ask(&self, id: &str, act: &Act, finish: bool) -> Option<Answer> {
        let answer = match act {
            Act::Start { mark, request, conflict, reuse } => {
                self.start(id, *mark, *request, *conflict, *reuse).await
            }
            Act::SignalWithStart { mark, signal } => self.signal_with_start(id, *mark, *signal).await,
            Act::Signal { run, request, mark } => self.signal(id, *run, *request, *mark, finish).await,
            Act::Update { id: update, mark } => self.update(id, *update, *mark).await,
            Act::Terminate { run, mark } => self.terminate(id, *run, *mark).await,
            Act::Query => self.query(id).await,
            Act::Describe => self.describe(id).await,
            Act::History { run } => self.history(id, *run).await,
            Act::List => self.list(id).await,
            Act::Complete { .. } => Ok(None),
        };
        answer.unwrap_or_else(|status| match status.code() {
            // An update whose run closed under it says nothing of whether a run is open.
            Code::NotFound if status.message().contains("aborted") => None,
            Code::NotFound => Some(Answer::NotFound),
            Code::AlreadyExists => run_named(status.message()).map(Answer::AlreadyExists),
            _ => None,
        })
    }

    async fn start(
        &self,
        id: &str,
        mark: Mark,
        request: Mark,
        conflict: Conflict,
        reuse: Reuse,
    ) -> Result<Option<Answer>, Status> {
        let kept = requests::start(&self.queue, "log", id, request.to_string());
        let request = StartWorkflowExecutionRequest {
            input: payloads(&mark.to_string()),
            workflow_id_reuse_policy: reuse.into(),
            workflow_id_conflict_policy: conflict.into(),
            ..kept
        };
        let reply = self.rpc.clone().start_workflow_execution(limited(request)).await?.into_inner();
        Ok(started(&reply.run_id, reply.started))
    }

    async fn signal_with_start(&self, id: &str, mark: Mark, signal: Mark) -> Result<Option<Answer>, Status> {
        let start = requests::start(&self.queue, "log", id, signal.to_string());
        let start = StartWorkflowExecutionRequest { input: payloads(&mark.to_string()), ..start };
        let request = requests::signal_with_start(start, "mark", &signal.to_string());
        let reply =
            self.rpc.clone().signal_with_start_workflow_execution(limited(request)).await?.into_inner();
        Ok(started(&reply.run_id, reply.started))
    }

    async fn signal(
        &self,
        id: &str,
        run: Option<RunId>,
        request: Mark,
        mark: Mark,
        finish: bool,
    ) -> Result<Option<Answer>, Status> {
        let name = if finish { FINISH } else { "mark" };
        let request = requests::signal(id, &named(run), name, &mark.to_string(), request.to_string());
        self.rpc.clone().signal_workflow_execution(limited(request)).await?;
        Ok(Some(Answer::Done))
    }

    async fn update(&self, id: &str, update: Mark, mark: Mark) -> Result<Option<Answer>, Status> {
        let request = requests::update(id, &update.to_string(), &mark.to_string());
        let reply = self.rpc.clone().update_workflow_execution(limited(request)).await?.into_inner();
        Ok(match reply.outcome.and_then(|outcome| outcome.value) {
            Some(Value::Success(result)) => log_told(Some(&result)).map(Answer::Log),
            _ => None,
        })
    }

    async fn terminate(&self, id: &str, run: Option<RunId>, mark: Mark) -> Result<Option<Answer>, Status> {
        let request = requests::terminate(id, &named(run), &mark.to_string());
        self.rpc.clone().terminate_workflow_execution(limited(request)).await?;
        Ok(Some(Answer::Done))
    }

    async fn query(&self, id: &str) -> Result<Option<Answer>, Status> {
        let request = QueryWorkflowRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(id, "")),
            query: Some(WorkflowQuery { query_type: "log".into(), ..Default::default() }),
            ..Default::default()
        };
        let reply = self.rpc.clone().query_workflow(limited(request)).await?.into_inner();
        Ok(log_told(reply.query_result.as_ref()).map(Answer::Log))
    }

    async fn describe(&self, id: &str) -> Result<Option<Answer>, Status> {
        let request = requests::describe(id, "");
        let reply = self.rpc.clone().describe_workflow_execution(limited(request)).await?.into_inner();
        let info = reply.workflow_execution_info.unwrap_or_default();
        let run = info.execution.unwrap_or_default().run_id.parse().ok();
        Ok(run.map(|run| Answer::Described(run, status(info.status))))
    }

    async fn history(&self, id: &str, run: Option<RunId>) -> Result<Option<Answer>, Status> {
        let request = requests::history(id, &named(run));
        let reply = self.rpc.clone().get_workflow_execution_history(limited(request)).await?.into_inner();
        let history = History::decode(reply.history.unwrap_or_default());
        // Two pages are two calls, between which something may happen.
        let whole = history.ok().filter(|_| reply.next_page_token.is_empty());
        Ok(whole.and_then(|history| told(&history.events)).map(Answer::History))
    }

    async fn list(&self, id: &str) -> Result<Option<Answer>, Status> {
        let request = requests::list(&format!("WorkflowId = '{id}'"));
        let reply = self.rpc.clone().list_workflow_executions(limited(request)).await?.into_inner();
        if !reply.next_page_token.is_empty() {
            return Ok(None);
        }
        let mut runs = Vec::new();
        for run in reply.executions {
            let Ok(id) = run.execution.unwrap_or_default().run_id.parse() else { return Ok(None) };
            runs.push((id, status(run.status)));
        }
        Ok(Some(Answer::Listed(runs)))
    }
}

fn limited<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TRY);
    request
}

fn named(run: Option<RunId>) -> String {
    run.map_or(String::new(), |run| run.to_string())
}

fn started(run: &str, started: bool) -> Option<Answer> {
    let run = run.parse().ok()?;
    Some(if started { Answer::Started(run) } else { Answer::Existing(run) })
}

/// The run that a refusal names.
fn run_named(message: &str) -> Option<RunId> {
    let (_, rest) = message.split_once("RunId: ")?;
    rest.get(..36)?.parse().ok()
}
