//! What the rim asks of the engine. It stands in for the engine crate until that is there: every call is refused.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;
use steadfast_api::v1::common::SearchAttributes;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::query::{WorkflowQuery, WorkflowQueryResult};
use steadfast_machine::workflow::input::Input;
use steadfast_machine::workflow::reply::{StartedActivity, StartedWorkflowTask};
use steadfast_machine::workflow::state::Run;
use steadfast_machine::{CallerId, EntityKey, Namespace, QueueKey, Reject, Reply, RunKey, Time};
use steadfast_query::{AttributeType, Filter, Schema};
use steadfast_storage::{PageKey, VisibilityPage};
use uuid::Uuid;

/// Why the engine has no reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    Reject(Reject),
    Unavailable(String),
}

impl From<Reject> for Failure {
    fn from(reject: Reject) -> Failure {
        Failure::Reject(reject)
    }
}

/// A namespace as it is configured now.
#[derive(Clone, Debug, Default)]
pub struct NamespaceState {
    pub id: Uuid,
    pub name: String,
    /// `NamespaceState` of the API.
    pub state: i32,
    pub description: String,
    pub owner: String,
    pub data: BTreeMap<String, String>,
    /// Nanoseconds.
    pub retention: i64,
    pub attributes: BTreeMap<String, AttributeType>,
}

impl Schema for NamespaceState {
    fn custom(&self, name: &str) -> Option<AttributeType> {
        self.attributes.get(name).copied()
    }
}

impl Namespace for NamespaceState {
    fn id(&self) -> Uuid {
        self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn retention(&self) -> i64 {
        self.retention
    }
    fn check_search_attributes(&self, _: &SearchAttributes) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    all: HashMap<String, Arc<NamespaceState>>,
}

impl Namespaces {
    /// By name, or by id.
    pub fn get(&self, name_or_id: &str) -> Option<Arc<NamespaceState>> {
        self.all.get(name_or_id).cloned()
    }
    pub fn list(&self) -> Vec<Arc<NamespaceState>> {
        self.all.values().cloned().collect()
    }
    pub async fn register(&self, _: NamespaceState) -> Result<(), Failure> {
        Err(absent())
    }
    /// Changes a namespace; the closure may run again when another process was faster.
    pub async fn change(
        &self,
        _: Uuid,
        _: impl Fn(&mut NamespaceState) -> Result<(), Reject> + Send,
    ) -> Result<Arc<NamespaceState>, Failure> {
        Err(absent())
    }
    /// Drops a custom search attribute and its values. One that is not there is no error.
    pub async fn remove_attribute(&self, _: Uuid, _: &str) -> Result<(), Failure> {
        Err(absent())
    }
    /// Renames it, and removes it with all that is in it; gives back the name that it has meanwhile.
    pub async fn delete(&self, _: Uuid) -> Result<String, Failure> {
        Err(absent())
    }
}

#[derive(Clone, Debug)]
pub struct Poll {
    pub queue: QueueKey,
    /// For a sticky queue: the normal one that it belongs to.
    pub sticky_of: Option<String>,
    pub identity: String,
    pub build_id: String,
    pub deployment_name: String,
    /// Tasks per second that this worker allows the queue, if it says so.
    pub rate: Option<f64>,
}

#[derive(Clone, Debug)]
pub enum WorkflowTaskPoll {
    Task { task: Box<StartedWorkflowTask>, history: TaskHistory, backlog: i64 },
    Query(Box<QueryPoll>),
}

/// The first page of the history that goes with a task.
#[derive(Clone, Debug, Default)]
pub struct TaskHistory {
    pub encoded: Bytes,
    /// The first event of the next page, if there is one.
    pub next: Option<i64>,
}

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
    pub scheduled: HistoryEvent,
}

#[derive(Clone, Debug)]
pub struct HistoryPage {
    pub run: Uuid,
    pub encoded: Bytes,
    /// The first event after the page (of a reverse page: the last before it).
    pub next_event_id: i64,
    /// Nothing is left to read now.
    pub end: bool,
    pub open: bool,
    /// Events that are not in the history but belong behind it, for SDKs.
    pub transient: Vec<HistoryEvent>,
}

#[derive(Clone, Debug, Default)]
pub struct QueueView {
    pub pollers: Vec<PollerView>,
    pub backlog: i64,
    pub oldest: Option<Time>,
    pub add_rate: f32,
    pub dispatch_rate: f32,
}

#[derive(Clone, Debug)]
pub struct PollerView {
    pub identity: String,
    pub last_access: Time,
    pub rate: Option<f64>,
}

fn absent() -> Failure {
    Failure::Unavailable("the engine is not there yet".into())
}

#[derive(Clone, Debug, Default)]
pub struct Engine {
    namespaces: Arc<Namespaces>,
}

impl Engine {
    pub fn now(&self) -> Time {
        Time::UNSET
    }
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }
    pub async fn apply(&self, _: EntityKey, _: Input) -> Result<Reply, Failure> {
        Err(absent())
    }
    pub fn caller(&self) -> CallerId {
        CallerId(0)
    }
    pub async fn wait(
        &self,
        _: CallerId,
        _: EntityKey,
        _: Input,
        _: Instant,
    ) -> Result<Option<Reply>, Failure> {
        Err(absent())
    }
    pub async fn poll_workflow_task(&self, _: Poll, _: Instant) -> Result<Option<WorkflowTaskPoll>, Failure> {
        Err(absent())
    }
    pub async fn poll_activity_task(&self, _: Poll, _: Instant) -> Result<Option<ActivityTaskPoll>, Failure> {
        Err(absent())
    }
    pub async fn respond_query(&self, _: CallerId, _: WorkflowQueryResult) -> Result<(), Failure> {
        Err(absent())
    }
    pub async fn task_history(&self, _: Uuid, _: &StartedWorkflowTask) -> Result<TaskHistory, Failure> {
        Err(absent())
    }
    pub async fn scheduled_event(&self, _: Uuid, _: &StartedActivity) -> Result<HistoryEvent, Failure> {
        Err(absent())
    }
    pub async fn history(
        &self,
        _: EntityKey,
        _: Option<Uuid>,
        _from_event: i64,
        _max_batches: usize,
        _reverse: bool,
    ) -> Result<HistoryPage, Failure> {
        Err(absent())
    }
    pub async fn wait_history(
        &self,
        _: EntityKey,
        _: Option<Uuid>,
        _beyond_event: i64,
        _close_only: bool,
        _: Instant,
    ) -> Result<Option<()>, Failure> {
        Err(absent())
    }
    pub async fn describe(&self, _: EntityKey, _: Option<Uuid>) -> Result<Arc<Run>, Failure> {
        Err(absent())
    }
    pub async fn list(
        &self,
        _namespace: Uuid,
        _filter: Filter,
        _after: Option<PageKey>,
        _limit: usize,
    ) -> Result<VisibilityPage, Failure> {
        Err(absent())
    }
    pub async fn count(&self, _namespace: Uuid, _filter: Filter) -> Result<u64, Failure> {
        Err(absent())
    }
    pub async fn count_by_status(
        &self,
        _namespace: Uuid,
        _filter: Filter,
    ) -> Result<Vec<(i32, u64)>, Failure> {
        Err(absent())
    }
    pub fn describe_queue(&self, _: &QueueKey) -> QueueView {
        QueueView::default()
    }
    pub async fn shut_sticky(&self, _: &QueueKey) {}
}
