//! What workers are given: the history that goes with a task, and what becomes of a task when nobody is there to take it.

use crate::Engine;
use crate::entity::{Entity, events_in};
use crate::failure::Failure;
use crate::history::TaskHistory;
use crate::run::Answered;
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use std::collections::BTreeMap;
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_machine::standalone_activity;
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::reply::{StartedActivity, StartedWorkflowTask, WorkflowReply};
use steadfast_machine::{Batch, EntityKey, Kind, Reject, Reply};

/// Adds the history that goes with workflow tasks in a reply, where it is in memory.
pub fn with_history(entity: &Entity, reply: Reply) -> Reply {
    let Reply::Workflow(mut reply) = reply else { return reply };
    match &mut *reply {
        WorkflowReply::WorkflowTask(task) => add_history(entity, task),
        WorkflowReply::WorkflowTaskCompleted { new_task, activities, .. } => {
            new_task.iter_mut().for_each(|task| add_history(entity, task));
            add_events(entity, activities);
        }
        WorkflowReply::Started(started) => {
            if let Some(task) = &mut started.eager_task {
                add_history(entity, task);
            }
        }
        WorkflowReply::Activity(activity) => add_events(entity, std::slice::from_mut(activity)),
        _ => {}
    }
    Reply::Workflow(reply)
}

fn add_history(entity: &Entity, task: &mut StartedWorkflowTask) {
    let Some(loaded) = entity.runs.get(&task.run_id) else { return };
    let from = crate::history::first_event(task);
    let history = match from < task.next_event_id {
        // What came after it in the same commit is not part of the task.
        true => loaded.tail.between(from, task.next_event_id),
        false => Some(Bytes::new()),
    };
    task.history = history.map(|history| with_synthetic(history, task));
}

/// Appends the events of a task that is not in the history.
pub fn with_synthetic(history: Bytes, task: &StartedWorkflowTask) -> Bytes {
    if task.synthetic.is_empty() {
        return history;
    }
    let made = History { events: task.synthetic.clone() };
    let mut joined = BytesMut::from(history.as_ref());
    joined.extend_from_slice(&made.encode_to_vec());
    joined.freeze()
}

/// The same for activities of one run, and the events in which they were scheduled.
fn add_events(entity: &Entity, activities: &mut [StartedActivity]) {
    if let Some(first) = activities.first()
        && let Some(loaded) = entity.runs.get(&first.run_id)
    {
        give_events(activities, loaded.tail.batches());
    }
}

/// Gives the activities that have none the events of their scheduling that are among these batches.
fn give_events<'a>(activities: &mut [StartedActivity], batches: impl Iterator<Item = &'a Batch>) {
    let without = activities.iter_mut().filter(|activity| activity.scheduled_event.is_none());
    let mut without: BTreeMap<i64, &mut StartedActivity> =
        without.map(|activity| (activity.activity.scheduled_event_id, activity)).collect();
    for batch in batches {
        let ids = batch.first_event_id..batch.first_event_id + batch.events;
        if without.range(ids).next().is_none() {
            continue;
        }
        for event in events_in(batch) {
            if let Some(activity) = without.remove(&event.event_id) {
                activity.scheduled_event = Some(Box::new(event));
            }
        }
    }
}

/// What the completion of a workflow task hands out.
#[derive(Debug)]
pub struct CompletedWorkflowTask {
    pub new_task: Option<(StartedWorkflowTask, TaskHistory)>,
    /// Those that start eagerly, each with the event of its scheduling.
    pub activities: Vec<(StartedActivity, Box<HistoryEvent>)>,
    pub reset_history_event_id: i64,
}

impl Engine {
    /// Completes a workflow task.
    ///
    /// # Errors
    /// It is refused, or its outcome is not known; or it is done, and what goes with the answer cannot be read. Then the
    /// worker does not get the tasks, and what it would have started goes back to the queues.
    pub async fn complete_workflow_task(
        &self,
        key: EntityKey,
        input: Input,
    ) -> Result<CompletedWorkflowTask, Failure> {
        let reply = match self.apply(key.clone(), input).await? {
            Reply::Workflow(reply) => reply,
            other => return Err(Failure::unexpected(&other)),
        };
        let mut delivery = Delivery::of(self, &key, reply);
        let mut history = None;
        if let Some(WorkflowReply::WorkflowTaskCompleted { new_task, activities, .. }) =
            delivery.reply.as_deref_mut()
        {
            if let Some(task) = new_task {
                history = Some(self.task_history(task).await?);
            }
            if activities.iter().any(|activity| activity.scheduled_event.is_none()) {
                Box::pin(self.read_events(activities)).await?;
            }
        }
        let Some(reply) = delivery.accept() else { return Err(Failure::lost()) };
        match *reply {
            WorkflowReply::WorkflowTaskCompleted { new_task, activities, reset_history_event_id } => {
                let new_task = new_task.zip(history);
                let activities = activities.into_iter();
                let activities = activities
                    .filter_map(|mut activity| activity.scheduled_event.take().map(|event| (activity, event)))
                    .collect();
                Ok(CompletedWorkflowTask { new_task, activities, reset_history_event_id })
            }
            other => Err(Failure::unexpected(&Reply::Workflow(Box::new(other)))),
        }
    }

    /// Reads the events of activities that were scheduled together.
    async fn read_events(&self, activities: &mut [StartedActivity]) -> Result<(), Failure> {
        let ids = || activities.iter().map(|activity| activity.activity.scheduled_event_id);
        let (Some(first), Some(last)) = (ids().min(), ids().max()) else { return Ok(()) };
        let batches = self.read_batches(&activities[0].branches, first, last + 1).await?;
        give_events(activities, batches.iter());
        match activities.iter().all(|activity| activity.scheduled_event.is_some()) {
            true => Ok(()),
            false => Err(Reject::no_activity().into()),
        }
    }

    /// An answer that nobody was there to hear: the activities that it starts go back to their queues at once, instead
    /// of after their timeouts.
    pub(crate) fn unheard(&self, key: &EntityKey, answer: Answered) {
        let Ok(Reply::Workflow(reply)) = answer else { return };
        let activities = match *reply {
            WorkflowReply::Activity(activity) => vec![activity],
            WorkflowReply::WorkflowTaskCompleted { activities, .. } => activities,
            _ => return,
        };
        for activity in activities {
            self.give_back(key, &activity);
        }
    }

    fn give_back(&self, entity: &EntityKey, started: &StartedActivity) {
        let request_id = started.activity.request_id.clone();
        if entity.kind == Kind::Activity {
            let what = standalone_activity::What::Undelivered { request_id };
            return self.tell(entity.clone(), standalone_activity::Input::run(started.run_id, what));
        }
        let what = What::ActivityUndelivered {
            scheduled_event_id: started.activity.scheduled_event_id,
            attempt: started.attempt,
            request_id,
        };
        self.tell(entity.clone(), Input::run(started.run_id, what));
    }
}

/// A started task on its way to the poller that it was started for. One that does not arrive is taken back.
pub struct Delivery {
    engine: Engine,
    entity: EntityKey,
    reply: Option<Box<WorkflowReply>>,
}

impl Delivery {
    pub(crate) fn new(
        engine: &Engine,
        key: &EntityKey,
        entity: &Entity,
        reply: Box<WorkflowReply>,
    ) -> Delivery {
        match with_history(entity, Reply::Workflow(reply)) {
            Reply::Workflow(reply) => Delivery::of(engine, key, reply),
            _ => Delivery { engine: engine.clone(), entity: key.clone(), reply: None },
        }
    }

    pub fn of(engine: &Engine, entity: &EntityKey, reply: Box<WorkflowReply>) -> Delivery {
        Delivery { engine: engine.clone(), entity: entity.clone(), reply: Some(reply) }
    }

    /// What is in it, if it is an activity: it has not arrived before its event was read.
    pub fn activity(&mut self) -> Option<&mut StartedActivity> {
        match self.reply.as_deref_mut() {
            Some(WorkflowReply::Activity(activity)) => Some(activity),
            _ => None,
        }
    }

    /// It has arrived.
    pub fn accept(mut self) -> Option<Box<WorkflowReply>> {
        self.reply.take()
    }

    /// Nobody is there to take it.
    pub fn undelivered(self) {
        drop(self);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        // A workflow task has its started event already: its timeout brings it back.
        if let Some(reply) = self.reply.take() {
            self.engine.unheard(&self.entity, Ok(Reply::Workflow(reply)));
        }
    }
}
