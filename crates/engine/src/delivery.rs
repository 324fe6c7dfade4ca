//! What workers are given: the history that goes with a task, and what becomes of a task when nobody is there to take it.

use crate::Engine;
use crate::entity::Entity;
use crate::run::Answered;
use bytes::{Bytes, BytesMut};
use prost::Message as _;
use steadfast_api::v1::history::History;
use steadfast_machine::standalone_activity;
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::reply::{StartedActivity, StartedWorkflowTask, WorkflowReply};
use steadfast_machine::{EntityKey, Kind, Reply};

/// Adds the history that goes with workflow tasks in a reply, where it is in memory.
pub fn with_history(entity: &Entity, reply: Reply) -> Reply {
    let Reply::Workflow(mut reply) = reply else { return reply };
    match &mut *reply {
        WorkflowReply::WorkflowTask(task) => add_history(entity, task),
        WorkflowReply::WorkflowTaskCompleted { new_task: Some(task), .. } => add_history(entity, task),
        WorkflowReply::Started(started) => {
            if let Some(task) = &mut started.eager_task {
                add_history(entity, task);
            }
        }
        WorkflowReply::Activity(activity) => add_event(entity, activity),
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

fn add_event(entity: &Entity, activity: &mut StartedActivity) {
    if activity.scheduled_event.is_none()
        && let Some(loaded) = entity.runs.get(&activity.run_id)
    {
        let event = loaded.tail.event(activity.activity.scheduled_event_id);
        activity.scheduled_event = event.map(Box::new);
    }
}

impl Engine {
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
        if let Some(WorkflowReply::Activity(started)) = self.reply.take().as_deref() {
            self.engine.give_back(&self.entity, started);
        }
    }
}
