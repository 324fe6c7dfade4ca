//! Batch operations: something is done to every workflow that a query finds, or that a list names.

use super::visibility;
use crate::call::Call;
use crate::frontend::Frontend;
use crate::status::Refusal;
use crate::{check, from_proto, to_proto};
use std::sync::Arc;
use steadfast_api::v1::enums::{ResourceExhaustedCause, ResourceExhaustedScope};
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::NamespaceState;
use steadfast_machine::batch::listed::DIVISION;
use steadfast_machine::batch::{Input, What};
use steadfast_machine::{EntityKey, Kind, Reject};

fn key(namespace: &NamespaceState, job_id: &str) -> EntityKey {
    EntityKey { namespace: namespace.id, kind: Kind::Batch, id: Arc::from(job_id) }
}

fn of_batches() -> String {
    format!("TemporalNamespaceDivision = '{DIVISION}'")
}

fn check_enabled(frontend: &Frontend) -> Result<(), Reject> {
    if frontend.limits.batches {
        return Ok(());
    }
    Err(Reject::PermissionDenied("Batch operation feature are disabled on this namespace.".into()))
}

pub async fn start_batch_operation(
    frontend: &Frontend,
    _: Call,
    request: StartBatchOperationRequest,
) -> Result<StartBatchOperationResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check_enabled(frontend)?;
    let (job_id, start) = from_proto::start_batch(request, &frontend.context(&namespace))?;
    // One after the other: what this one starts is counted by the next.
    let _turn = frontend.batch_starts.lock().await;
    let open = format!("{} AND ExecutionStatus = 'Running'", of_batches());
    let running = visibility::counted(frontend, &namespace, Kind::Batch, &open).await?.count;
    if usize::try_from(running).is_ok_and(|running| running >= frontend.limits.batches_at_once) {
        return Err(Reject::ResourceExhausted {
            message: "Max concurrent batch operations is reached".into(),
            cause: ResourceExhaustedCause::ConcurrentLimit,
            scope: ResourceExhaustedScope::Namespace,
        }
        .into());
    }
    let input = Input::current(What::Start(Box::new(start)));
    frontend.engine.apply(key(&namespace, &job_id), input).await?;
    Ok(StartBatchOperationResponse {})
}

/// A job that exists.
fn named(job_id: &str) -> Result<(), Reject> {
    if job_id.is_empty() {
        return Err(Reject::invalid("JobId is not set on request."));
    }
    check::no_nul(job_id)
}

pub async fn stop_batch_operation(
    frontend: &Frontend,
    _: Call,
    request: StopBatchOperationRequest,
) -> Result<StopBatchOperationResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    named(&request.job_id)?;
    if request.reason.is_empty() {
        return Err(Reject::invalid("Reason is not set on request.").into());
    }
    check_enabled(frontend)?;
    check::reason(&request.reason, &frontend.limits)?;
    check::identity(&request.identity, &frontend.limits)?;
    let what = What::Stop { identity: request.identity, reason: request.reason };
    frontend.engine.apply(key(&namespace, &request.job_id), Input::current(what)).await?;
    Ok(StopBatchOperationResponse {})
}

pub async fn describe_batch_operation(
    frontend: &Frontend,
    _: Call,
    request: DescribeBatchOperationRequest,
) -> Result<DescribeBatchOperationResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    named(&request.job_id)?;
    check_enabled(frontend)?;
    let run = frontend.engine.describe_batch(key(&namespace, &request.job_id)).await?;
    Ok(to_proto::described_batch(&request.job_id, &run))
}

pub async fn list_batch_operations(
    frontend: &Frontend,
    _: Call,
    request: ListBatchOperationsRequest,
) -> Result<ListBatchOperationsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    check_enabled(frontend)?;
    let (size, token) = (request.page_size, &request.next_page_token);
    let (rows, next_page_token) =
        visibility::rows(frontend, &namespace, Kind::Batch, &of_batches(), size, token).await?;
    let operation_info = rows.iter().map(|(key, row)| to_proto::listed_batch(key, row)).collect();
    Ok(ListBatchOperationsResponse { operation_info, next_page_token })
}
