//! What a person can do to a run from its page.

use crate::backend::Backend;
use crate::error::Problem;
use crate::history::Run;
use crate::list::json_payload;
use crate::proto_json::ProtoJson;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use steadfast_api::v1::common::Payloads;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::workflowservice::*;

const IDENTITY: &str = "steadfast-ui";

#[derive(Debug, Deserialize)]
pub(crate) struct Signal {
    name: String,
    /// The arguments, each as JSON source text, which goes to the workflow byte by byte as it was written.
    #[serde(default)]
    input: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reason {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    name: String,
    #[serde(default)]
    input: Vec<String>,
}

/// Refuses what is no JSON, naming the argument.
fn payloads(input: &[String]) -> Result<Option<Payloads>, Problem> {
    for (index, text) in input.iter().enumerate() {
        serde_json::from_str::<&RawValue>(text)
            .map_err(|error| Problem::bad_request(format!("argument {} is not JSON: {error}", index + 1)))?;
    }
    let payloads: Vec<_> = input.iter().map(|text| json_payload(text)).collect();
    Ok((!payloads.is_empty()).then_some(Payloads { payloads }))
}

pub(crate) async fn signal(
    backend: &dyn Backend,
    run: &Run,
    body: Signal,
    request_id: String,
) -> Result<Value, Problem> {
    let request = SignalWorkflowExecutionRequest {
        namespace: run.namespace.clone(),
        workflow_execution: Some(run.execution()),
        signal_name: body.name,
        input: payloads(&body.input)?,
        identity: IDENTITY.into(),
        request_id,
        ..Default::default()
    };
    backend.signal_workflow_execution(request).await?;
    Ok(json!({}))
}

pub(crate) async fn cancel(
    backend: &dyn Backend,
    run: &Run,
    body: Reason,
    request_id: String,
) -> Result<Value, Problem> {
    let request = RequestCancelWorkflowExecutionRequest {
        namespace: run.namespace.clone(),
        workflow_execution: Some(run.execution()),
        reason: body.reason,
        identity: IDENTITY.into(),
        request_id,
        ..Default::default()
    };
    backend.request_cancel_workflow_execution(request).await?;
    Ok(json!({}))
}

pub(crate) async fn terminate(backend: &dyn Backend, run: &Run, body: Reason) -> Result<Value, Problem> {
    let request = TerminateWorkflowExecutionRequest {
        namespace: run.namespace.clone(),
        workflow_execution: Some(run.execution()),
        reason: body.reason,
        identity: IDENTITY.into(),
        ..Default::default()
    };
    backend.terminate_workflow_execution(request).await?;
    Ok(json!({}))
}

pub(crate) async fn query(backend: &dyn Backend, run: &Run, body: Query) -> Result<Value, Problem> {
    let request = QueryWorkflowRequest {
        namespace: run.namespace.clone(),
        execution: Some(run.execution()),
        query: Some(WorkflowQuery {
            query_type: body.name,
            query_args: payloads(&body.input)?,
            header: None,
        }),
        ..Default::default()
    };
    let answer = backend.query_workflow(request).await?;
    Ok(ProtoJson::new().message("temporal.api.workflowservice.v1.QueryWorkflowResponse", &answer))
}
