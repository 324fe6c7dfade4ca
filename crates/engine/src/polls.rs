//! Workers ask for work.

use crate::Engine;
use crate::delivery::Delivery;
use crate::failure::Failure;
use crate::history::TaskHistory;
use crate::matching::{Handed, Hint, Polled, PollerInfo, Taken};
use crate::run::start_input;
use std::sync::Arc;
use std::time::Instant;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_machine::decision::QueryTask;
use steadfast_machine::planted::{Planted, is_planted};
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::reply::{StartedActivity, StartedWorkflowTask, WorkflowReply};
use steadfast_machine::{CallerId, QueueKey, Reject, Reply, RunKey};

#[derive(Clone, Debug)]
pub struct Poll {
    pub queue: QueueKey,
    /// For a sticky queue: the normal one that it belongs to.
    pub sticky_of: Option<String>,
    /// Who polls; the time is filled in.
    pub info: PollerInfo,
}

#[derive(Clone, Debug)]
pub enum WorkflowTaskPoll {
    Task { task: Box<StartedWorkflowTask>, history: TaskHistory, hint: Hint },
    Query(Box<QueryPoll>),
}

/// A query that goes to a worker without a workflow task.
#[derive(Clone, Debug)]
pub struct QueryPoll {
    pub run: RunKey,
    pub caller: CallerId,
    pub query: WorkflowQuery,
    pub workflow_type: String,
    pub task_queue: String,
    pub previous_started_event_id: i64,
    pub history: TaskHistory,
}

#[derive(Clone, Debug)]
pub struct ActivityTaskPoll {
    pub activity: Box<StartedActivity>,
    /// The event of its scheduling: input and header.
    pub scheduled: Box<HistoryEvent>,
    pub hint: Hint,
}

impl Engine {
    /// The next workflow task or query of the queue; `None` when the deadline comes first.
    pub async fn poll_workflow_task(
        &self,
        poll: Poll,
        deadline: Instant,
    ) -> Result<Option<WorkflowTaskPoll>, Failure> {
        let Poll { queue, sticky_of, info } = poll;
        let info = self.arrived(info);
        while let Some(polled) = self.next(&queue, &info, deadline).await {
            let hint = polled.hint;
            let reply = match polled.handed {
                Handed::Query(query) => {
                    // What is rare has a place of its own: a poll's future is as large as its largest branch, and is copied.
                    let query = Box::pin(self.query_poll(query, sticky_of.is_some())).await;
                    if let Some(query) = query {
                        return Ok(Some(WorkflowTaskPoll::Query(Box::new(query))));
                    }
                    None
                }
                Handed::Started(delivery) => delivery.accept(),
                Handed::Task(_) => {
                    Box::pin(self.start_taken(&info, polled.taken)).await?.and_then(Delivery::accept)
                }
            };
            if let Some(WorkflowReply::WorkflowTask(task)) = reply.map(|reply| *reply) {
                let history = self.task_history(&task).await?;
                return Ok(Some(WorkflowTaskPoll::Task { task: Box::new(task), history, hint }));
            }
        }
        Ok(None)
    }

    /// The next activity task of the queue; `None` when the deadline comes first.
    pub async fn poll_activity_task(
        &self,
        poll: Poll,
        deadline: Instant,
    ) -> Result<Option<ActivityTaskPoll>, Failure> {
        let Poll { queue, info, .. } = poll;
        let info = self.arrived(info);
        while let Some(polled) = self.next(&queue, &info, deadline).await {
            let hint = polled.hint;
            let delivery = match polled.handed {
                Handed::Query(_) => None,
                Handed::Started(delivery) => Some(delivery),
                Handed::Task(_) => Box::pin(self.start_taken(&info, polled.taken)).await?,
            };
            let Some(mut delivery) = delivery else { continue };
            let Some(activity) = delivery.activity() else { continue };
            let scheduled = self.scheduled_event(activity).await?;
            if let Some(WorkflowReply::Activity(activity)) = delivery.accept().map(|reply| *reply) {
                return Ok(Some(ActivityTaskPoll { activity: Box::new(activity), scheduled, hint }));
            }
        }
        Ok(None)
    }

    fn arrived(&self, info: PollerInfo) -> Arc<PollerInfo> {
        Arc::new(PollerInfo { at: self.now(), ..info })
    }

    async fn next(&self, queue: &QueueKey, info: &Arc<PollerInfo>, deadline: Instant) -> Option<Polled> {
        let mut shutdown = self.shutdown();
        tokio::select! {
            biased;
            found = self.inner.matching.poll(queue, info, deadline.into(), || self.now()) => found,
            _ = shutdown.wait_for(|down| *down) => None,
        }
    }

    /// Starts a task from the backlog. `None`: it was about something that is over, and the poll goes on.
    async fn start_taken(
        &self,
        info: &PollerInfo,
        taken: Option<Taken>,
    ) -> Result<Option<Delivery>, Failure> {
        let Some(taken) = taken else { return Ok(None) };
        let Some(task) = taken.task() else { return Ok(None) };
        let input = start_input(task, info, self.request_id());
        match self.apply(task.run.entity.clone(), input).await {
            Ok(Reply::Workflow(reply)) => {
                let delivery = Delivery::of(self, &task.run.entity, reply);
                if is_planted(Planted::DispatchTwice) {
                    drop(taken);
                } else {
                    taken.settle();
                }
                Ok(Some(delivery))
            }
            // Its run has too much to do just now: the task goes back.
            Err(busy @ Failure::Reject(Reject::ResourceExhausted { .. })) => Err(busy),
            // Stale, or its run is gone: nobody wants it any more.
            Ok(_) | Err(Failure::Reject(_)) => {
                self.inner.matching.void(task);
                taken.settle();
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn query_poll(&self, query: QueryTask, sticky: bool) -> Option<QueryPoll> {
        let run = self.describe(query.run.entity.clone(), Some(query.run.run)).await;
        let run = match run {
            Ok(run) => run,
            Err(failure) => {
                self.inner.callers.answer(query.caller, Err(failure));
                return None;
            }
        };
        let history = if sticky {
            Ok(TaskHistory::default())
        } else {
            self.first_page(&run.history_parts(), 1, run.core.next_event_id).await
        };
        match history {
            Ok(history) => Some(QueryPoll {
                workflow_type: run.start.workflow_type.clone(),
                task_queue: run.start.task_queue.clone(),
                previous_started_event_id: run.core.last_completed_started_id,
                caller: query.caller,
                query: query.query,
                run: query.run,
                history,
            }),
            Err(failure) => {
                self.inner.callers.answer(query.caller, Err(failure));
                None
            }
        }
    }

    /// The event in which an activity was scheduled.
    async fn scheduled_event(&self, activity: &mut StartedActivity) -> Result<Box<HistoryEvent>, Failure> {
        if let Some(event) = activity.scheduled_event.take() {
            return Ok(event);
        }
        let event_id = activity.activity.scheduled_event_id;
        let event = Box::pin(self.read_event(&activity.branches, event_id)).await?;
        event.map(Box::new).ok_or_else(|| Reject::no_activity().into())
    }

    /// Lets go of a sticky queue's pollers; what waits there goes to the normal queue at once.
    pub async fn shut_sticky(&self, queue: &QueueKey) {
        let (tasks, queries) = self.inner.matching.shut(queue);
        for task in tasks {
            let what =
                What::StickyUnavailable { scheduled_event_id: task.scheduled_event_id, stamp: task.stamp };
            self.tell(task.run.entity.clone(), Input::run(task.run.run, what));
        }
        for query in queries {
            let (entity, run) = (query.run.entity.clone(), query.run.run);
            self.tell(entity.clone(), Input::run(run, What::ResetSticky));
            let normal = self.describe(entity, Some(run)).await.map(|run| run.start.task_queue.clone());
            match normal {
                Ok(name) => self.offer_query(&QueueKey { name: name.into(), ..queue.clone() }, query),
                Err(failure) => {
                    self.inner.callers.answer(query.caller, Err(failure));
                }
            }
        }
    }

    /// A worker leaves: its polls of these queues end, and those that are still on their way get nothing.
    pub fn dismiss_worker(&self, namespace: uuid::Uuid, instance_key: &str, queues: &[QueueKey]) {
        self.inner.departed.put(namespace, instance_key);
        for queue in queues {
            self.inner.matching.dismiss(queue, instance_key);
        }
    }
}
