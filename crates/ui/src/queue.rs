//! Who polls a task queue.

use crate::backend::Backend;
use crate::error::Problem;
use crate::proto_json::ProtoJson;
use serde_json::{Value, json};
use steadfast_api::v1::enums::TaskQueueType;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::workflowservice::DescribeTaskQueueRequest;

const DESCRIBED: &str = "temporal.api.workflowservice.v1.DescribeTaskQueueResponse";

/// Pollers and backlog of both halves of a queue.
pub(crate) async fn load(backend: &dyn Backend, namespace: &str, name: &str) -> Result<Value, Problem> {
    let (workflow, activity) = tokio::join!(
        half(backend, namespace, name, TaskQueueType::Workflow, true),
        half(backend, namespace, name, TaskQueueType::Activity, true),
    );
    Ok(json!({ "name": name, "workflow": workflow?, "activity": activity? }))
}

/// How many workers poll one half of a queue; `null` where the server does not tell.
pub(crate) async fn pollers(
    backend: &dyn Backend,
    namespace: &str,
    name: &str,
    kind: TaskQueueType,
) -> Value {
    match half(backend, namespace, name, kind, false).await {
        Ok(half) => json!(half["pollers"].as_array().map_or(0, Vec::len)),
        Err(_) => Value::Null,
    }
}

async fn half(
    backend: &dyn Backend,
    namespace: &str,
    name: &str,
    kind: TaskQueueType,
    stats: bool,
) -> Result<Value, Problem> {
    let request = DescribeTaskQueueRequest {
        namespace: namespace.to_owned(),
        task_queue: Some(TaskQueue { name: name.to_owned(), ..Default::default() }),
        task_queue_type: kind as i32,
        report_stats: stats,
        ..Default::default()
    };
    let answer = backend.describe_task_queue(request).await?;
    Ok(ProtoJson::new().message(DESCRIBED, &answer))
}
