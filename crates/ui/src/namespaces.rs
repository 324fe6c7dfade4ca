//! The namespaces of the server.

use crate::backend::Backend;
use crate::error::Problem;
use crate::proto_json::ProtoJson;
use serde_json::{Value, json};
use steadfast_api::v1::workflowservice::ListNamespacesRequest;

const DESCRIBED: &str = "temporal.api.workflowservice.v1.DescribeNamespaceResponse";
/// The most that are listed.
const NAMESPACES: i32 = 1000;

pub(crate) async fn load(backend: &dyn Backend) -> Result<Value, Problem> {
    let request = ListNamespacesRequest { page_size: NAMESPACES, ..Default::default() };
    let answer = backend.list_namespaces(request).await?;
    let json = ProtoJson::new();
    let all: Vec<Value> = answer.namespaces.iter().map(|one| json.message(DESCRIBED, one)).collect();
    Ok(json!({ "namespaces": all }))
}
