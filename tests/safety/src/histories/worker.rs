//! The worker of the histories: it answers an update, and a query, with all that it has seen of the run, and completes a run
//! that got the signal to finish.

use super::model::{Act, Answer as Told, Mark};
use super::record::Record;
use super::shown::{log_of, mark_of, run_of};
use crate::client::{IDENTITY, NAMESPACE, payloads, queue};
use crate::plan::{Answer, complete_with, update_of};
use anyhow::{Context, Result};
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use steadfast_api::v1::enums::{QueryResultType, TaskQueueKind};
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_api::v1::query::WorkflowQueryResult;
use steadfast_api::v1::taskqueue::{StickyExecutionAttributes, TaskQueue};
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_api::v1::workflowservice::*;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::Channel;

/// The name of the signal on which a run completes.
pub const FINISH: &str = "finish";
const POLL: Duration = Duration::from_secs(20);
const TRY: Duration = Duration::from_secs(5);
/// After an error, so that a server that is away is not flooded.
const PAUSE: Duration = Duration::from_millis(10);
const STICKY_TIMEOUT: prost_types::Duration = prost_types::Duration { seconds: 1, nanos: 0 };

#[derive(Clone)]
pub struct Worker {
    pub rpc: WorkflowServiceClient<Channel>,
    pub queue: String,
    pub record: Record,
    pub marks: Arc<AtomicU32>,
}

impl Worker {
    /// Works until what it returns is dropped.
    pub fn start(self, pollers: usize) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..pollers {
            tasks.spawn(self.clone().poll(queue(&self.queue)));
            tasks.spawn(self.clone().poll(self.sticky()));
        }
        tasks
    }

    fn sticky(&self) -> TaskQueue {
        TaskQueue {
            name: format!("{}-sticky", self.queue),
            kind: TaskQueueKind::Sticky.into(),
            normal_name: self.queue.clone(),
        }
    }

    async fn poll(self, from: TaskQueue) {
        loop {
            let mut request = Request::new(PollWorkflowTaskQueueRequest {
                namespace: NAMESPACE.into(),
                task_queue: Some(from.clone()),
                identity: IDENTITY.into(),
                ..Default::default()
            });
            request.set_timeout(POLL);
            match self.rpc.clone().poll_workflow_task_queue(request).await {
                Ok(reply) if reply.get_ref().task_token.is_empty() => {}
                // What becomes of the answer is seen by those who wait for it; a task that is lost comes again.
                Ok(reply) => drop(self.answer(reply.into_inner()).await),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn answer(&self, task: PollWorkflowTaskQueueResponse) -> Result<()> {
        let events = self.events(&task).await?;
        let log = log_of(&events);
        if task.query.is_some() {
            let request = RespondQueryTaskCompletedRequest {
                task_token: task.task_token,
                completed_type: QueryResultType::Answered.into(),
                query_result: payloads(&text_of(&log)),
                namespace: NAMESPACE.into(),
                ..Default::default()
            };
            self.rpc.clone().respond_query_task_completed(limited(request)).await?;
            return Ok(());
        }
        let queries = task.queries.keys().map(|id| {
            let result = WorkflowQueryResult {
                result_type: QueryResultType::Answered.into(),
                answer: payloads(&text_of(&log)),
                ..Default::default()
            };
            (id.clone(), result)
        });
        let queries = queries.collect();
        let mut seen = log;
        let mut answer = Answer::default();
        for message in &task.messages {
            let Some(update) = update_of(message) else { continue };
            let input = update.input.as_ref().and_then(|input| input.args.as_ref());
            seen.push(mark_of(input).context("an update without a mark")?);
            answer.accept(message, update, payloads(&text_of(&seen)));
        }
        let finish = events.iter().any(|event| match &event.attributes {
            Some(Event::WorkflowExecutionSignaledEventAttributes(signal)) => signal.signal_name == FINISH,
            _ => false,
        });
        let mark = self.marks.fetch_add(1, Ordering::Relaxed);
        if finish {
            answer.commands.push(complete_with(&mark.to_string()));
        }
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token,
            commands: answer.commands,
            messages: answer.messages,
            query_results: queries,
            identity: IDENTITY.into(),
            namespace: NAMESPACE.into(),
            sticky_attributes: Some(StickyExecutionAttributes {
                worker_task_queue: Some(self.sticky()),
                schedule_to_start_timeout: Some(STICKY_TIMEOUT),
            }),
            ..Default::default()
        };
        let mut rpc = self.rpc.clone();
        let done = async {
            let reply = rpc.respond_workflow_task_completed(limited(request)).await;
            reply.ok().map(|_| Told::Done)
        };
        if finish {
            let execution = task.workflow_execution.unwrap_or_default();
            let run = run_of(&events).context("a history without its beginning")?;
            self.record.call(&execution.workflow_id, Act::Complete { run, mark, seen }, done).await;
        } else {
            done.await;
        }
        Ok(())
    }

    /// All events up to the task: what it does not bring is fetched, as by a worker without a cache.
    async fn events(&self, task: &PollWorkflowTaskQueueResponse) -> Result<Vec<HistoryEvent>> {
        let mut events = History::decode(task.history.clone().unwrap_or_default())?.events;
        if events.first().is_some_and(|event| event.event_id == 1) && task.next_page_token.is_empty() {
            return Ok(events);
        }
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.into(),
            execution: task.workflow_execution.clone(),
            ..Default::default()
        };
        let reply = self.rpc.clone().get_workflow_execution_history(limited(request)).await?.into_inner();
        events = History::decode(reply.history.unwrap_or_default())?.events;
        if task.query.is_none() {
            events.retain(|event| event.event_id <= task.started_event_id);
        }
        Ok(events)
    }
}

fn limited<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TRY);
    request
}

/// A log as the text of a payload.
fn text_of(log: &[Mark]) -> String {
    let marks: Vec<String> = log.iter().map(Mark::to_string).collect();
    marks.join(",")
}
