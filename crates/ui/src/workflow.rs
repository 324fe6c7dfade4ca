//! A run's page: what the server says of it, both ends of its history, and who polls the queues that it waits on.

use crate::backend::Backend;
use crate::error::Problem;
use crate::history::{self, Run};
use crate::proto_json::ProtoJson;
use crate::queue;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use steadfast_api::v1::enums::{TaskQueueType, WorkflowExecutionStatus};
use steadfast_api::v1::failure::{Failure, failure::FailureInfo};
use steadfast_api::v1::history::history_event::Attributes;
use steadfast_api::v1::workflowservice::{
    DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
};

const DESCRIBED: &str = "temporal.api.workflowservice.v1.DescribeWorkflowExecutionResponse";
/// Queues whose pollers are looked up for one page.
const QUEUES: usize = 8;
/// Characters of a failure's message in a list.
const TROUBLE_CHARS: usize = 200;
/// How far back the failure of a workflow task is looked for, for a list.
const TROUBLE_EVENTS: i32 = 10;

/// A run as the server describes it.
pub(crate) struct Described(DescribeWorkflowExecutionResponse);

impl Described {
    pub async fn load(backend: &dyn Backend, run: &Run) -> Result<Described, Problem> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: run.namespace.clone(),
            execution: Some(run.execution()),
        };
        Ok(Described(backend.describe_workflow_execution(request).await?))
    }

    pub fn run_id(&self) -> &str {
        let info = self.0.workflow_execution_info.as_ref();
        info.and_then(|info| info.execution.as_ref()).map_or("", |execution| &execution.run_id)
    }

    pub fn events(&self) -> i64 {
        self.0.workflow_execution_info.as_ref().map_or(0, |info| info.history_length)
    }

    pub fn running(&self) -> bool {
        let status = self.0.workflow_execution_info.as_ref().map(|info| info.status());
        matches!(status, Some(WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Paused))
    }

    pub fn to_json(&self) -> Value {
        ProtoJson::new().message(DESCRIBED, &self.0)
    }

    /// The worst of what keeps this run from going on, in a few words; what its page says at length.
    pub async fn trouble(&self, backend: &dyn Backend, run: &Run) -> Option<Value> {
        let task = self.0.pending_workflow_task.as_ref();
        if let Some(task) = task.filter(|task| task.attempt > 1) {
            let newest = history::newest(backend, run, Bytes::new(), TROUBLE_EVENTS).await;
            let events = newest.map(|page| page.events).unwrap_or_default();
            let failure = events.iter().rev().find_map(|event| match event.attributes.as_ref()? {
                Attributes::WorkflowTaskFailedEventAttributes(failed) => failed.failure.as_ref(),
                _ => None,
            });
            return Some(json!({ "attempt": task.attempt, "message": failure.map(root_message) }));
        }
        let failing = self.0.pending_activities.iter().filter(|activity| activity.last_failure.is_some());
        let worst = failing.max_by_key(|activity| activity.attempt)?;
        let name = worst.activity_type.as_ref().map_or("", |kind| &kind.name);
        let message = worst.last_failure.as_ref().map(root_message);
        Some(json!({ "activity": name, "attempt": worst.attempt, "message": message }))
    }

    /// The queues on which something of this run waits.
    fn queues(&self) -> BTreeSet<(String, bool)> {
        let mut queues = BTreeSet::new();
        if !self.running() {
            return queues;
        }
        let own = self.0.workflow_execution_info.as_ref().map_or("", |info| &info.task_queue);
        queues.insert((own.to_owned(), false));
        for activity in &self.0.pending_activities {
            let queue = activity.activity_options.as_ref().and_then(|options| options.task_queue.as_ref());
            queues.insert((queue.map_or(own, |queue| &queue.name).to_owned(), true));
        }
        queues.into_iter().filter(|(name, _)| !name.is_empty()).take(QUEUES).collect()
    }

    /// `{"workflow": {"<queue>": 2}, "activity": {…}}`: how many workers poll each queue that matters.
    pub async fn pollers(&self, backend: &dyn Backend, namespace: &str) -> Value {
        let asked = self.queues().into_iter().map(|(name, activity)| async move {
            let kind = if activity { TaskQueueType::Activity } else { TaskQueueType::Workflow };
            let pollers = queue::pollers(backend, namespace, &name, kind).await;
            (name, activity, pollers)
        });
        let (mut workflow, mut activity) = (Map::new(), Map::new());
        for (name, is_activity, pollers) in futures_util::future::join_all(asked).await {
            let half = if is_activity { &mut activity } else { &mut workflow };
            half.insert(name, pollers);
        }
        json!({ "workflow": workflow, "activity": activity })
    }
}

/// What went wrong first, in one line.
fn root_message(failure: &Failure) -> String {
    let mut root = failure;
    while let Some(cause) = &root.cause {
        root = cause;
    }
    let kind = match &root.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) if !info.r#type.is_empty() => {
            format!("{}: ", info.r#type)
        }
        _ => String::new(),
    };
    format!("{kind}{}", root.message.lines().next().unwrap_or_default()).chars().take(TROUBLE_CHARS).collect()
}

pub(crate) async fn load(backend: &dyn Backend, run: &Run) -> Result<Value, Problem> {
    let described = Described::load(backend, run).await?;
    // From here on by the run's own id, so that a new run between two calls mixes nothing.
    let run = Run { run_id: described.run_id().to_owned(), ..run.clone() };
    let (ends, pollers) =
        tokio::join!(history::both_ends(backend, &run), described.pollers(backend, &run.namespace));
    let (head, tail) = ends?;
    let json = ProtoJson::new();
    Ok(json!({
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "describe": described.to_json(),
        "head": head.to_json(&json),
        "tail": tail.to_json(&json),
        "pollers": pollers,
    }))
}
