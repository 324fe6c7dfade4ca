//! A worker on the raw API that outlives any number of servers, and remembers which of its answers were taken.

use crate::client::{Client, IDENTITY, NAMESPACE, insist, payloads, queue, text};
use crate::plan::{Plan, Task, decide};
use anyhow::{Context, Result};
use prost::Message;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use steadfast_api::v1::enums::TaskQueueKind;
use steadfast_api::v1::failure::failure::FailureInfo;
use steadfast_api::v1::failure::{ApplicationFailureInfo, Failure};
use steadfast_api::v1::history::History;
use steadfast_api::v1::taskqueue::{StickyExecutionAttributes, TaskQueue};
use steadfast_api::v1::workflowservice::*;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How long a poll waits. Short enough that a poll whose connection died in silence is soon another.
const POLL: Duration = Duration::from_secs(20);
/// After an error, so that a server that is away is not flooded.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a task may wait on the sticky queue before any worker may have it.
const STICKY_TIMEOUT: prost_types::Duration = prost_types::Duration { seconds: 2, nanos: 0 };

/// An answer to a workflow task that the server took.
#[derive(Clone, Debug)]
pub struct TaskDone {
    pub id: String,
    pub run: String,
    pub started_event_id: i64,
}

/// A result of an activity that the server took.
#[derive(Clone, Debug)]
pub struct ActivityDone {
    pub id: String,
    pub run: String,
    pub activity: String,
    /// Differs with every attempt.
    pub result: String,
}

/// What the server acknowledged to the worker.
#[derive(Debug, Default)]
pub struct Acknowledged {
    pub tasks: Vec<TaskDone>,
    pub activities: Vec<ActivityDone>,
    /// What should not have happened to a worker.
    pub trouble: Vec<String>,
}

/// Works until it is dropped.
pub struct Worker {
    acknowledged: Arc<Mutex<Acknowledged>>,
    _pollers: JoinSet<()>,
}

#[derive(Clone)]
struct Hands {
    client: Client,
    queue: String,
    acknowledged: Arc<Mutex<Acknowledged>>,
}

impl Worker {
    /// With so many pollers of each kind: workflow tasks, sticky workflow tasks, activities.
    pub fn start(channel: Channel, queue: &str, pollers: usize) -> Worker {
        let acknowledged = Arc::<Mutex<Acknowledged>>::default();
        let hands = Hands {
            client: Client::new(channel, queue),
            queue: queue.into(),
            acknowledged: acknowledged.clone(),
        };
        let mut tasks = JoinSet::new();
        for _ in 0..pollers {
            tasks.spawn(hands.clone().poll_workflow_tasks(hands.normal()));
            tasks.spawn(hands.clone().poll_workflow_tasks(hands.sticky()));
            tasks.spawn(hands.clone().poll_activities());
        }
        Worker { acknowledged, _pollers: tasks }
    }

    /// Takes what was acknowledged since the last time.
    pub fn acknowledged(&self) -> Acknowledged {
        std::mem::take(&mut self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn long_poll<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(POLL);
    request
}

impl Hands {
    fn note(&self, write: impl FnOnce(&mut Acknowledged)) {
        write(&mut self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn normal(&self) -> TaskQueue {
        queue(&self.queue)
    }

    fn sticky(&self) -> TaskQueue {
        TaskQueue {
            name: format!("{}-sticky", self.queue),
            kind: TaskQueueKind::Sticky.into(),
            normal_name: self.queue.clone(),
        }
    }

    async fn poll_workflow_tasks(self, queue: TaskQueue) {
        loop {
            let request = PollWorkflowTaskQueueRequest {
                namespace: NAMESPACE.into(),
                task_queue: Some(queue.clone()),
                identity: IDENTITY.into(),
                ..Default::default()
            };
            match self.client.rpc.clone().poll_workflow_task_queue(long_poll(request)).await {
                Ok(reply) if reply.get_ref().task_token.is_empty() => {}
                Ok(reply) => {
                    let hands = self.clone();
                    tokio::spawn(async move {
                        if let Err(error) = hands.do_workflow_tasks(reply.into_inner()).await {
                            hands.note(|book| book.trouble.push(format!("a workflow task: {error:#}")));
                        }
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn poll_activities(self) {
        loop {
            let request = PollActivityTaskQueueRequest {
                namespace: NAMESPACE.into(),
                task_queue: Some(self.normal()),
                identity: IDENTITY.into(),
                ..Default::default()
            };
            match self.client.rpc.clone().poll_activity_task_queue(long_poll(request)).await {
                Ok(reply) if reply.get_ref().task_token.is_empty() => {}
                Ok(reply) => {
                    let hands = self.clone();
                    tokio::spawn(async move {
                        if let Err(error) = hands.do_activity(reply.into_inner()).await {
                            hands.note(|book| book.trouble.push(format!("an activity: {error:#}")));
                        }
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// One workflow task, and those that come back in the reply to it.
    async fn do_workflow_tasks(&self, first: PollWorkflowTaskQueueResponse) -> Result<()> {
        let mut next = Some(first);
        while let Some(task) = next.take() {
            let run = task.workflow_execution.clone().unwrap_or_default();
            let Some(request) = self.answer(&task).await? else { return Ok(()) };
            let answer = insist(&self.client.rpc, &request, async |mut rpc, request| {
                rpc.respond_workflow_task_completed(request).await
            });
            match answer.await {
                Ok(reply) => {
                    let done = TaskDone {
                        id: run.workflow_id,
                        run: run.run_id,
                        started_event_id: task.started_event_id,
                    };
                    self.note(|book| book.tasks.push(done));
                    next = reply.workflow_task.filter(|task| !task.task_token.is_empty());
                }
                Err(status) if is_late(&status) => return Ok(()),
                Err(status) => return Err(status).context("the answer to a workflow task"),
            }
        }
        Ok(())
    }

    /// None when the run is gone, or has moved on from this task.
    async fn answer(
        &self,
        task: &PollWorkflowTaskQueueResponse,
    ) -> Result<Option<RespondWorkflowTaskCompletedRequest>> {
        let name = task.workflow_type.as_ref().map(|kind| kind.name.as_str()).unwrap_or_default();
        let plan = Plan::of(name).with_context(|| format!("a task of the unknown workflow type {name:?}"))?;
        let run = task.workflow_execution.clone().unwrap_or_default();
        let mut events = History::decode(task.history.clone().unwrap_or_default())?.events;
        // A worker without a cache: what the task does not bring is fetched, as SDKs do for a run that they dropped.
        if events.first().is_none_or(|event| event.event_id != 1) || !task.next_page_token.is_empty() {
            let read = self.client.history(&run.workflow_id, &run.run_id).await;
            events = match read {
                Ok(events) => events,
                Err(status) if is_late(&status) => return Ok(None),
                Err(status) => return Err(status).context("the history of a workflow task"),
            };
            events.retain(|event| event.event_id <= task.started_event_id);
        }
        let answer = decide(&Task {
            plan,
            id: &run.workflow_id,
            queue: &self.queue,
            events: &events,
            messages: &task.messages,
        });
        Ok(Some(RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token.clone(),
            commands: answer.commands,
            messages: answer.messages,
            identity: IDENTITY.into(),
            namespace: NAMESPACE.into(),
            sticky_attributes: Some(StickyExecutionAttributes {
                worker_task_queue: Some(self.sticky()),
                schedule_to_start_timeout: Some(STICKY_TIMEOUT),
            }),
            return_new_workflow_task: true,
            ..Default::default()
        }))
    }

    async fn do_activity(&self, task: PollActivityTaskQueueResponse) -> Result<()> {
        let run = task.workflow_execution.clone().unwrap_or_default();
        if text(task.input.as_ref()) == "1" && task.attempt == 1 {
            let request = RespondActivityTaskFailedRequest {
                task_token: task.task_token,
                failure: Some(Failure {
                    message: "the first attempt always fails".into(),
                    failure_info: Some(
                        FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo::default()),
                    ),
                    ..Default::default()
                }),
                identity: IDENTITY.into(),
                namespace: NAMESPACE.into(),
                ..Default::default()
            };
            let answer = insist(&self.client.rpc, &request, async |mut rpc, request| {
                rpc.respond_activity_task_failed(request).await
            });
            return match answer.await {
                Ok(_) => Ok(()),
                Err(status) if is_late(&status) => Ok(()),
                Err(status) => Err(status).context("the failure of an activity"),
            };
        }
        let result = format!("{}-{:016x}", task.attempt, fastrand::u64(..));
        let request = RespondActivityTaskCompletedRequest {
            task_token: task.task_token,
            result: payloads(&result),
            identity: IDENTITY.into(),
            namespace: NAMESPACE.into(),
            ..Default::default()
        };
        let answer = insist(&self.client.rpc, &request, async |mut rpc, request| {
            rpc.respond_activity_task_completed(request).await
        });
        match answer.await {
            Ok(_) => {
                let done =
                    ActivityDone { id: run.workflow_id, run: run.run_id, activity: task.activity_id, result };
                self.note(|book| book.activities.push(done));
                Ok(())
            }
            Err(status) if is_late(&status) => Ok(()),
            Err(status) => Err(status).context("the result of an activity"),
        }
    }
}

/// The task timed out, or was answered by a try whose reply was lost: for a worker that is daily life.
fn is_late(status: &Status) -> bool {
    status.code() == Code::NotFound
}
