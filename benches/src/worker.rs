//! A worker on the raw API: pollers of a task queue, of its sticky queue and of activities. Like in the SDKs, a poller
//! that got a task asks for the next one at once, and the task is worked on beside it.

use anyhow::{Context, Result};
use prost::Message;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use steadfast_api::v1::enums::{QueryResultType, TaskQueueKind};
use steadfast_api::v1::history::History;
use steadfast_api::v1::query::WorkflowQueryResult;
use steadfast_api::v1::taskqueue::{StickyExecutionAttributes, TaskQueue};
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::workflowservice::*;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::{Code, Request, Response, Status};

use crate::client::IDENTITY;
use crate::connection::Connection;
use crate::workflows::{Task, Workflow, decide, number_payload};

/// The SDKs' default: how long a task may wait on the sticky queue before any worker may have it.
const STICKY_TIMEOUT: prost_types::Duration = prost_types::Duration { seconds: 10, nanos: 0 };
/// Pause of a poller after an error, so that a server in trouble is not flooded.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// The deadline of a poll, as SDKs set it; the reference refuses polls without one.
const POLL_DEADLINE: Duration = Duration::from_secs(70);

/// How often an answer to a task is sent before it is given up.
const ATTEMPTS: u32 = 20;

/// How the worker polls.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Pollers of each kind: workflow tasks, sticky workflow tasks, activities.
    pub pollers: usize,
    /// Ask for activities in the reply to the decision that schedules them.
    pub eager: bool,
}

fn long_poll<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(POLL_DEADLINE);
    request
}

/// Works until it is dropped.
pub struct Worker {
    decisions: watch::Sender<u64>,
    trouble: Arc<Mutex<Option<String>>>,
    _pollers: JoinSet<()>,
}

struct Calls {
    /// Cloned for each call.
    rpc: WorkflowServiceClient<Connection>,
    namespace: String,
    queue: String,
    sticky: String,
    eager: bool,
    decisions: watch::Sender<u64>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Worker {
    pub fn start(connection: Connection, namespace: &str, queue: &str, options: WorkerOptions) -> Self {
        let origin = connection.origin.clone();
        let calls = Arc::new(Calls {
            rpc: WorkflowServiceClient::with_origin(connection, origin).max_decoding_message_size(usize::MAX),
            namespace: namespace.into(),
            queue: queue.into(),
            sticky: format!("{queue}-sticky"),
            eager: options.eager,
            decisions: watch::Sender::new(0),
            trouble: Arc::default(),
        });
        let mut pollers = JoinSet::new();
        for _ in 0..options.pollers {
            pollers.spawn(calls.clone().poll_workflow_tasks(calls.normal_queue()));
            pollers.spawn(calls.clone().poll_workflow_tasks(calls.sticky_queue()));
            pollers.spawn(calls.clone().poll_activity_tasks());
        }
        Worker { decisions: calls.decisions.clone(), trouble: calls.trouble.clone(), _pollers: pollers }
    }

    /// How many answers to workflow tasks the server has taken.
    pub fn decisions(&self) -> watch::Receiver<u64> {
        self.decisions.subscribe()
    }

    /// The first error that a poller or an answer met: the likely cause when workflows do not finish.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().expect("no code panics while it holds this lock").clone()
    }
}

impl Calls {
    fn normal_queue(&self) -> TaskQueue {
        TaskQueue { name: self.queue.clone(), kind: TaskQueueKind::Normal.into(), normal_name: String::new() }
    }

    fn sticky_queue(&self) -> TaskQueue {
        TaskQueue {
            name: self.sticky.clone(),
            kind: TaskQueueKind::Sticky.into(),
            normal_name: self.queue.clone(),
        }
    }

    fn rpc(&self) -> WorkflowServiceClient<Connection> {
        self.rpc.clone()
    }

    async fn poll_workflow_tasks(self: Arc<Self>, queue: TaskQueue) {
        loop {
            let request = PollWorkflowTaskQueueRequest {
                namespace: self.namespace.clone(),
                task_queue: Some(queue.clone()),
                identity: IDENTITY.into(),
                ..Default::default()
            };
            match self.rpc().poll_workflow_task_queue(long_poll(request)).await {
                Ok(reply) if reply.get_ref().task_token.is_empty() => {}
                Ok(reply) => self.beside(|calls| calls.do_workflow_tasks(Box::new(reply.into_inner()))),
                Err(status) => match self.carry_on("poll for workflow tasks", &status).await {
                    true => {}
                    false => return,
                },
            }
        }
    }

    async fn poll_activity_tasks(self: Arc<Self>) {
        loop {
            let request = PollActivityTaskQueueRequest {
                namespace: self.namespace.clone(),
                task_queue: Some(self.normal_queue()),
                identity: IDENTITY.into(),
                ..Default::default()
            };
            match self.rpc().poll_activity_task_queue(long_poll(request)).await {
                Ok(reply) if reply.get_ref().task_token.is_empty() => {}
                Ok(reply) => self.beside(|calls| calls.do_activity_task(reply.into_inner())),
                Err(status) => match self.carry_on("poll for activities", &status).await {
                    true => {}
                    false => return,
                },
            }
        }
    }

    /// Works on a task while the poller goes on.
    fn beside<F>(self: &Arc<Self>, work: impl FnOnce(Arc<Calls>) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        // Boxed: it would be moved several times on its way.
        let work = Box::pin(work(self.clone()));
        let calls = self.clone();
        tokio::spawn(async move {
            if let Err(error) = work.await {
                calls.note(format!("{error:#}"));
            }
        });
    }

    /// One workflow task, and those that come back in the reply to it.
    async fn do_workflow_tasks(self: Arc<Self>, first: Box<PollWorkflowTaskQueueResponse>) -> Result<()> {
        let mut next = Some(first);
        while let Some(task) = next.take() {
            if task.query.is_some() {
                return self.answer_query(*task).await;
            }
            let answer = self.insist(self.decision(&task)?, async |mut rpc, request| {
                rpc.respond_workflow_task_completed(request).await.map(Response::into_inner)
            });
            let reply = match answer.await {
                Ok(reply) => reply,
                // The run was closed or moved on meanwhile: for a worker that is daily life.
                Err(status) if status.code() == Code::NotFound => return Ok(()),
                Err(status) => return Err(status).context("answer to a workflow task"),
            };
            self.decisions.send_modify(|count| *count += 1);
            for activity in reply.activity_tasks {
                self.beside(|calls| calls.do_activity_task(activity));
            }
            next = reply.workflow_task.filter(|task| !task.task_token.is_empty()).map(Box::new);
        }
        Ok(())
    }

    fn decision(&self, task: &PollWorkflowTaskQueueResponse) -> Result<RespondWorkflowTaskCompletedRequest> {
        let type_name = task.workflow_type.as_ref().map(|kind| kind.name.as_str()).unwrap_or_default();
        let workflow = Workflow::from_type_name(type_name)
            .with_context(|| format!("a task of the unknown workflow type `{type_name}`"))?;
        let history = History::decode(task.history.clone().unwrap_or_default())
            .context("the history of a workflow task")?;
        let answer = decide(&Task {
            workflow,
            workflow_id: task
                .workflow_execution
                .as_ref()
                .map(|run| run.workflow_id.as_str())
                .unwrap_or_default(),
            queue: &self.queue,
            eager: self.eager,
            events: &history.events,
            messages: &task.messages,
        });
        let answered = || WorkflowQueryResult {
            result_type: QueryResultType::Answered.into(),
            answer: Some(number_payload(1)),
            ..Default::default()
        };
        let query_results: HashMap<_, _> = task.queries.keys().map(|id| (id.clone(), answered())).collect();
        Ok(RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token.clone(),
            commands: answer.commands,
            messages: answer.messages,
            identity: IDENTITY.into(),
            namespace: self.namespace.clone(),
            sticky_attributes: Some(StickyExecutionAttributes {
                worker_task_queue: Some(self.sticky_queue()),
                schedule_to_start_timeout: Some(STICKY_TIMEOUT),
            }),
            return_new_workflow_task: true,
            query_results,
            ..Default::default()
        })
    }

    async fn answer_query(&self, task: PollWorkflowTaskQueueResponse) -> Result<()> {
        let request = RespondQueryTaskCompletedRequest {
            task_token: task.task_token,
            completed_type: QueryResultType::Answered.into(),
            query_result: Some(number_payload(1)),
            namespace: self.namespace.clone(),
            ..Default::default()
        };
        self.rpc().respond_query_task_completed(request).await.context("answer to a query")?;
        Ok(())
    }

    async fn do_activity_task(self: Arc<Self>, task: PollActivityTaskQueueResponse) -> Result<()> {
        let request = RespondActivityTaskCompletedRequest {
            task_token: task.task_token,
            result: task.input,
            identity: IDENTITY.into(),
            namespace: self.namespace.clone(),
            ..Default::default()
        };
        let answer = self.insist(request, async |mut rpc, request| {
            rpc.respond_activity_task_completed(request).await.map(drop)
        });
        answer.await.context("answer to an activity task")?;
        Ok(())
    }

    /// Makes a call again while its error is one that passes, as SDKs do: an answer that is lost is a task that waits for
    /// its timeout, and the measurement would be of that.
    async fn insist<M: Clone, R>(
        &self,
        message: M,
        call: impl AsyncFn(WorkflowServiceClient<Connection>, M) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match call(self.rpc(), message.clone()).await {
                Err(status) if left > 0 && passes(&status) => {
                    self.note(format!("an answer was refused at first: {status}"));
                    sleep(AFTER_ERROR).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Whether the poller should go on after this error.
    async fn carry_on(&self, call: &str, status: &Status) -> bool {
        // An idle poll may end with its deadline instead of an empty reply.
        if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) {
            return true;
        }
        self.note(format!("{call}: {:?}: {}", status.code(), status.message()));
        sleep(AFTER_ERROR).await;
        status.code() != Code::Unimplemented
    }

    fn note(&self, trouble: String) {
        self.trouble.lock().expect("no code panics while it holds this lock").get_or_insert(trouble);
    }
}

fn passes(status: &Status) -> bool {
    let passing = [Code::Unavailable, Code::ResourceExhausted, Code::Aborted, Code::Internal, Code::Unknown];
    passing.contains(&status.code())
}
