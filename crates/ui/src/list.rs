//! The list of workflows: a page of rows, the counts by status, and what a pasted id leads to.

use crate::backend::Backend;
use crate::error::Problem;
use crate::history::Run;
use crate::proto_json::ProtoJson;
use crate::status_filter;
use crate::workflow::Described;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use steadfast_api::v1::common::{Payload, WorkflowExecution};
use steadfast_api::v1::workflowservice::{
    CountWorkflowExecutionsRequest, DescribeWorkflowExecutionRequest, ListWorkflowExecutionsRequest,
};

/// Rows of one page. 60 fill the tallest screen; more only makes the first visit heavier.
const PAGE_ROWS: i32 = 60;
/// The longest query that is passed on, in bytes.
const QUERY_BYTES: usize = 16 << 10;

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ListParams {
    #[serde(default)]
    pub query: String,
    /// Where the page starts: what the page before it gave as `next`. Empty for the first.
    #[serde(default)]
    pub page: String,
}

/// One page of the list with its counts. `version` changes when anything in it does.
pub(crate) async fn load(
    backend: &dyn Backend,
    namespace: &str,
    params: &ListParams,
) -> Result<Value, Problem> {
    if params.query.len() > QUERY_BYTES {
        return Err(Problem::bad_request("the query is longer than 16 KiB"));
    }
    let filter = status_filter::split(&params.query);
    let (rows, counts, failing) = tokio::join!(
        rows(backend, namespace, params),
        counts(backend, namespace, filter.rest),
        failing(backend, namespace, filter.rest),
    );
    let (mut rows, next) = rows?;
    troubles(backend, namespace, &mut rows).await;
    let mut page = json!({
        "query": params.query,
        "status": filter.status,
        "rest": filter.rest,
        "rows": rows,
        "next": next,
        "page": params.page,
        // A server that cannot count (or not by status) still has a list.
        "counts": counts.unwrap_or(Value::Null),
        "failing": failing,
    });
    let mut hasher = DefaultHasher::new();
    page.to_string().hash(&mut hasher);
    page["version"] = json!(format!("{:x}", hasher.finish()));
    Ok(page)
}

async fn rows(
    backend: &dyn Backend,
    namespace: &str,
    params: &ListParams,
) -> Result<(Vec<Value>, String), Problem> {
    let token =
        URL_SAFE_NO_PAD.decode(&params.page).map_err(|_| Problem::bad_request("that page does not exist"))?;
    let request = ListWorkflowExecutionsRequest {
        namespace: namespace.to_owned(),
        page_size: PAGE_ROWS,
        next_page_token: token.into(),
        query: params.query.clone(),
    };
    let answer = backend.list_workflow_executions(request).await?;
    let json = ProtoJson::new();
    let rows = answer.executions.iter().map(|info| {
        let mut row = json.message("temporal.api.workflow.v1.WorkflowExecutionInfo", info);
        if let Some(row) = row.as_object_mut() {
            trim(row);
        }
        row
    });
    Ok((rows.collect(), URL_SAFE_NO_PAD.encode(answer.next_page_token)))
}

/// Leaves only what a row shows.
fn trim(row: &mut Map<String, Value>) {
    const SHOWN: &[&str] = &[
        "execution",
        "type",
        "status",
        "startTime",
        "executionTime",
        "closeTime",
        "historyLength",
        "taskQueue",
    ];
    let problems = row.get("searchAttributes").and_then(|all| all.get("TemporalReportedProblems")).cloned();
    let paused = row.get("searchAttributes").and_then(|all| all.get("TemporalPauseInfo")).is_some();
    row.retain(|key, _| SHOWN.contains(&key.as_str()));
    if let Some(problems) = problems {
        row.insert("problems".into(), problems);
    }
    if paused {
        row.insert("paused".into(), json!(true));
    }
}

/// Adds to each running row what is wrong with it, as `trouble`: a row that only says "Running" hides the one thing that
/// somebody who looks at a list wants to know. No search attribute tells of activities that keep failing, so each
/// running row is described; in the same process that costs some ten microseconds.
async fn troubles(backend: &dyn Backend, namespace: &str, rows: &mut [Value]) {
    let running = rows.iter_mut().filter(|row| row["status"] == "Running");
    let described = running.map(|row| async move {
        let name = |key: &str| row["execution"][key].as_str().unwrap_or_default().to_owned();
        let run =
            Run { namespace: namespace.to_owned(), workflow_id: name("workflowId"), run_id: name("runId") };
        if let Ok(described) = Described::load(backend, &run).await
            && let Some(trouble) = described.trouble(backend, &run).await
        {
            row["trouble"] = trouble;
        }
    });
    futures_util::future::join_all(described).await;
}

/// `{"Running": 3, …}` for all that match, without regard to the status that is picked.
async fn counts(backend: &dyn Backend, namespace: &str, query: &str) -> Result<Value, Problem> {
    let query = if query.is_empty() {
        "GROUP BY ExecutionStatus".into()
    } else {
        format!("{query} GROUP BY ExecutionStatus")
    };
    let request = CountWorkflowExecutionsRequest { namespace: namespace.to_owned(), query };
    let answer = backend.count_workflow_executions(request).await?;
    let groups = answer.groups.iter().filter_map(|group| {
        let name: String = serde_json::from_slice(&group.group_values.first()?.data).ok()?;
        Some((name, json!(group.count)))
    });
    Ok(Value::Object(groups.collect()))
}

/// How many running workflows have a workflow task that keeps failing; `null` where the server does not track it.
async fn failing(backend: &dyn Backend, namespace: &str, query: &str) -> Value {
    const FAILING: &str = crate::list::FAILING_QUERY;
    let query = if query.is_empty() { FAILING.into() } else { format!("({query}) AND {FAILING}") };
    let request = CountWorkflowExecutionsRequest { namespace: namespace.to_owned(), query };
    match backend.count_workflow_executions(request).await {
        Ok(answer) => json!(answer.count),
        Err(_) => Value::Null,
    }
}

/// The search attribute is the API's own way to say that a workflow task keeps failing.
pub(crate) const FAILING_QUERY: &str =
    r#"TemporalReportedProblems IN ("category=WorkflowTaskFailed", "category=WorkflowTaskTimedOut")"#;

/// What somebody means who pastes `text` into the box: a workflow (by its id or a run's id), or a query for a prefix.
pub(crate) async fn find(backend: &dyn Backend, namespace: &str, text: &str) -> Result<Value, Problem> {
    let text = text.trim();
    if text.is_empty() || text.len() > QUERY_BYTES {
        return Ok(json!({ "query": "" }));
    }
    let request = DescribeWorkflowExecutionRequest {
        namespace: namespace.to_owned(),
        execution: Some(WorkflowExecution { workflow_id: text.to_owned(), run_id: String::new() }),
    };
    if let Ok(found) = backend.describe_workflow_execution(request).await {
        let execution = found.workflow_execution_info.and_then(|info| info.execution).unwrap_or_default();
        return Ok(json!({ "workflowId": execution.workflow_id, "runId": execution.run_id }));
    }
    if uuid::Uuid::parse_str(text).is_ok() {
        let request = ListWorkflowExecutionsRequest {
            namespace: namespace.to_owned(),
            page_size: 1,
            query: format!("RunId = {}", quoted(text)),
            ..Default::default()
        };
        let found = backend.list_workflow_executions(request).await?;
        if let Some(execution) = found.executions.into_iter().next().and_then(|info| info.execution) {
            return Ok(json!({ "workflowId": execution.workflow_id, "runId": execution.run_id }));
        }
    }
    Ok(json!({ "query": format!("WorkflowId STARTS_WITH {}", quoted(text)) }))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A JSON payload as SDKs write it: the text goes through as it is.
pub(crate) fn json_payload(text: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), bytes::Bytes::from_static(b"json/plain"))].into(),
        data: text.to_owned().into(),
        ..Default::default()
    }
}
