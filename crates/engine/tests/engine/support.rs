//! An engine on the in-memory store, and the shortest way to say what a client and a worker do with it.

use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::command::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes};
use steadfast_api::v1::common::{ActivityType, Priority};
use steadfast_api::v1::enums::CommandType;
use steadfast_api::v1::history::History;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_engine::{
    ActivityTaskPoll, Clock, CompletedWorkflowTask, Config, Engine, NamespaceState, Poll, PollerInfo,
    SystemClock, WorkflowTaskPoll,
};
use steadfast_machine::workflow::input::*;
use steadfast_machine::workflow::reply::{StartedWorkflowTask, WorkflowReply};
use steadfast_machine::{EntityKey, QueueKey, QueueType, Reply};
use steadfast_storage::{MemoryStore, Store};
use uuid::Uuid;

pub struct Setup {
    pub engine: Engine,
    pub key: EntityKey,
    pub namespace: Uuid,
}

pub async fn setup() -> Setup {
    setup_on(Arc::new(MemoryStore::new(4, Uuid::from_u128(1)))).await
}

/// The same on a store of the test's own, which may have been used before.
pub async fn setup_on(store: Arc<dyn Store>) -> Setup {
    setup_at(store, Arc::new(SystemClock)).await
}

pub async fn setup_at(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Setup {
    let engine = Engine::start(store, clock, Config::default()).await;
    let engine = engine.expect("the store opens");
    let namespace = Uuid::from_u128(7);
    if engine.namespaces().by_id(namespace).is_none() {
        engine.namespaces().register(NamespaceState::new(namespace, "default")).await.expect("it is new");
    }
    Setup { engine, key: EntityKey::workflow(namespace, "w"), namespace }
}

impl Setup {
    pub async fn start(&self) -> Uuid {
        self.start_as("w", None).await
    }

    pub async fn start_as(&self, id: &str, priority: Option<Priority>) -> Uuid {
        let start = Start {
            workflow_id: id.into(),
            priority,
            workflow_type: "Transfer".into(),
            task_queue: "q".into(),
            task_timeout: 10_000_000_000,
            request_id: "r".into(),
            ..Start::default()
        };
        let input = Input::current(What::Start(Box::new(start)));
        match self.engine.apply(EntityKey::workflow(self.namespace, id), input).await {
            Ok(Reply::Workflow(reply)) => match *reply {
                WorkflowReply::Started(started) => started.run_id,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub fn queue(&self, kind: QueueType) -> Poll {
        Poll {
            queue: QueueKey { namespace: self.namespace, name: "q".into(), kind },
            sticky_of: None,
            info: PollerInfo { identity: "worker".into(), ..PollerInfo::default() },
        }
    }

    pub async fn poll(&self) -> (StartedWorkflowTask, History) {
        use prost::Message as _;
        let deadline = (tokio::time::Instant::now() + Duration::from_secs(5)).into_std();
        let polled = self.engine.poll_workflow_task(self.queue(QueueType::Workflow), deadline).await;
        match polled {
            Ok(Some(WorkflowTaskPoll::Task { task, history, .. })) => {
                (*task, History::decode(history.encoded).expect("an encoded history"))
            }
            other => panic!("{other:?}"),
        }
    }

    pub async fn complete(
        &self,
        task: &StartedWorkflowTask,
        commands: Vec<Command>,
    ) -> CompletedWorkflowTask {
        let completion = CompleteWorkflowTask {
            token: WorkflowTaskToken {
                scheduled_event_id: task.task.scheduled_event_id,
                started_event_id: task.task.started_event_id,
                started_time: task.task.started_time,
                attempt: task.task.attempt,
            },
            commands,
            ..CompleteWorkflowTask::default()
        };
        let input = Input::run(task.run_id, What::CompleteWorkflowTask(Box::new(completion)));
        let key = EntityKey::workflow(self.namespace, &task.workflow_id);
        let completed = self.engine.complete_workflow_task(key, input).await;
        completed.expect("the completion is accepted")
    }

    pub async fn poll_activity(&self) -> Option<ActivityTaskPoll> {
        let deadline = (tokio::time::Instant::now() + Duration::from_secs(5)).into_std();
        let polled = self.engine.poll_activity_task(self.queue(QueueType::Activity), deadline).await;
        polled.expect("no failure")
    }
}

pub fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Command::default() }
}

pub fn activity(id: &str) -> Command {
    scheduling(id, false)
}

/// One that the worker who asks for it would have at once.
pub fn eager_activity(id: &str) -> Command {
    scheduling(id, true)
}

fn scheduling(id: &str, request_eager_execution: bool) -> Command {
    let activity = ScheduleActivityTaskCommandAttributes {
        request_eager_execution,
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "Withdraw".into() }),
        task_queue: Some(TaskQueue { name: "q".into(), ..TaskQueue::default() }),
        start_to_close_timeout: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    command(CommandType::ScheduleActivityTask, Attributes::ScheduleActivityTaskCommandAttributes(activity))
}
