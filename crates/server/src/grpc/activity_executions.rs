//! Standalone activities: activities that no workflow owns.

use super::visibility;
use crate::call::Call;
use crate::from_proto::activity_execution_operations::{at_most, named_activity};
use crate::frontend::{Frontend, unexpected};
use crate::limits::{LONGEST_WAIT, TAIL};
use crate::status::Refusal;
use crate::{from_proto, to_proto};
use bytes::Bytes;
use std::sync::Arc;
use steadfast_api::v1::workflowservice::*;
use steadfast_engine::NamespaceState;
use steadfast_machine::standalone_activity::{Input, What};
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::{EntityKey, Kind, Reject, Reply};
use uuid::Uuid;

/// The name of an activity in an engine.
pub(super) fn key(namespace: &NamespaceState, activity_id: &str) -> EntityKey {
    EntityKey { namespace: namespace.id, kind: Kind::Activity, id: Arc::from(activity_id) }
}

fn named(
    frontend: &Frontend,
    namespace: &str,
    activity_id: &str,
    run_id: &str,
) -> Result<(Arc<NamespaceState>, EntityKey, Option<Uuid>), Refusal> {
    let namespace = frontend.namespace(namespace)?;
    let run = named_activity(activity_id, run_id, &frontend.limits)?;
    let key = key(&namespace, activity_id);
    Ok((namespace, key, run))
}

pub async fn start_activity_execution(
    frontend: &Frontend,
    _: Call,
    request: StartActivityExecutionRequest,
) -> Result<StartActivityExecutionResponse, Refusal> {
    // Unlike workflows they may begin in a namespace that is deprecated, as on the reference.
    let namespace = frontend.namespace(&request.namespace)?;
    let (id, start) = from_proto::start_activity(request, &frontend.context(&namespace))?;
    let input = Input::current(What::Start(Box::new(start)));
    match frontend.engine.apply(key(&namespace, &id), input).await? {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::Started(started) => Ok(StartActivityExecutionResponse {
                run_id: started.run_id.to_string(),
                started: started.started,
                link: Some(to_proto::activity_link(&namespace.name, &id, started.run_id)),
            }),
            other => Err(unexpected(&Reply::Workflow(Box::new(other)))),
        },
        other => Err(unexpected(&other)),
    }
}

/// How far a caller has seen this run of an activity: its count of transitions.
fn seen(token: &Bytes, run: Uuid) -> Result<i64, Reject> {
    let bad = || Reject::invalid("invalid long poll token");
    let (of, transitions) = token.split_first_chunk::<16>().ok_or_else(bad)?;
    let transitions = <[u8; 8]>::try_from(transitions).map_err(|_| bad())?;
    if Uuid::from_bytes(*of) != run {
        return Err(Reject::invalid("long poll token does not match execution"));
    }
    Ok(i64::from_be_bytes(transitions))
}

pub async fn describe_activity_execution(
    frontend: &Frontend,
    call: Call,
    request: DescribeActivityExecutionRequest,
) -> Result<DescribeActivityExecutionResponse, Refusal> {
    let (namespace, key, run) = named(frontend, &request.namespace, &request.activity_id, &request.run_id)?;
    let run = if request.long_poll_token.is_empty() {
        frontend.engine.describe_activity(key, run).await?
    } else {
        let Some(id) = run else {
            return Err(Reject::invalid("run id is required when long poll token is provided").into());
        };
        let seen = seen(&request.long_poll_token, id)?;
        let _waiting = frontend.long_call(namespace.id, &call)?;
        let until = call.wait_until(LONGEST_WAIT, TAIL);
        let waited = frontend.engine.wait_activity(key, run, seen, false, until).await?;
        if waited.core.transitions == seen {
            return Ok(DescribeActivityExecutionResponse::default());
        }
        waited
    };
    Ok(to_proto::described_activity(&run, &request, &*namespace))
}

pub async fn poll_activity_execution(
    frontend: &Frontend,
    call: Call,
    request: PollActivityExecutionRequest,
) -> Result<PollActivityExecutionResponse, Refusal> {
    let (namespace, key, run) = named(frontend, &request.namespace, &request.activity_id, &request.run_id)?;
    let _waiting = frontend.long_call(namespace.id, &call)?;
    let until = call.wait_until(LONGEST_WAIT, TAIL);
    let run = frontend.engine.wait_activity(key, run, 0, true, until).await?;
    if run.is_open() {
        return Ok(PollActivityExecutionResponse::default());
    }
    Ok(PollActivityExecutionResponse {
        run_id: run.id.to_string(),
        outcome: to_proto::activity_outcome(&run),
    })
}

pub async fn request_cancel_activity_execution(
    frontend: &Frontend,
    _: Call,
    request: RequestCancelActivityExecutionRequest,
) -> Result<RequestCancelActivityExecutionResponse, Refusal> {
    let (_, key, run) = named(frontend, &request.namespace, &request.activity_id, &request.run_id)?;
    at_most("request ID", &request.request_id, &frontend.limits)?;
    at_most("identity", &request.identity, &frontend.limits)?;
    let what = What::RequestCancel {
        identity: request.identity,
        request_id: request.request_id,
        reason: request.reason,
    };
    frontend.engine.apply(key, Input { run, what }).await?;
    Ok(RequestCancelActivityExecutionResponse::default())
}

pub async fn terminate_activity_execution(
    frontend: &Frontend,
    _: Call,
    request: TerminateActivityExecutionRequest,
) -> Result<TerminateActivityExecutionResponse, Refusal> {
    let (_, key, run) = named(frontend, &request.namespace, &request.activity_id, &request.run_id)?;
    at_most("request ID", &request.request_id, &frontend.limits)?;
    at_most("identity", &request.identity, &frontend.limits)?;
    let what = What::Terminate {
        identity: request.identity,
        request_id: request.request_id,
        reason: request.reason,
    };
    frontend.engine.apply(key, Input { run, what }).await?;
    Ok(TerminateActivityExecutionResponse::default())
}

pub async fn delete_activity_execution(
    frontend: &Frontend,
    _: Call,
    request: DeleteActivityExecutionRequest,
) -> Result<DeleteActivityExecutionResponse, Refusal> {
    let (_, key, run) = named(frontend, &request.namespace, &request.activity_id, &request.run_id)?;
    frontend.engine.apply(key, Input { run, what: What::Delete }).await?;
    Ok(DeleteActivityExecutionResponse::default())
}

pub async fn list_activity_executions(
    frontend: &Frontend,
    _: Call,
    request: ListActivityExecutionsRequest,
) -> Result<ListActivityExecutionsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let (rows, next_page_token) = visibility::rows(
        frontend,
        &namespace,
        Kind::Activity,
        &request.query,
        request.page_size,
        &request.next_page_token,
    )
    .await?;
    let executions = rows.iter().map(|(key, row)| to_proto::listed_activity(key, row)).collect();
    Ok(ListActivityExecutionsResponse { executions, next_page_token })
}

pub async fn count_activity_executions(
    frontend: &Frontend,
    _: Call,
    request: CountActivityExecutionsRequest,
) -> Result<CountActivityExecutionsResponse, Refusal> {
    let namespace = frontend.namespace(&request.namespace)?;
    let counted = visibility::counted(frontend, &namespace, Kind::Activity, &request.query).await?;
    let groups =
        counted.groups.into_iter().map(|group| count_activity_executions_response::AggregationGroup {
            group_values: group.group_values,
            count: group.count,
        });
    Ok(CountActivityExecutionsResponse { count: counted.count, groups: groups.collect() })
}
