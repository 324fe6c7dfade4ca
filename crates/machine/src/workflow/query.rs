//! Queries. They change nothing that is stored, and see every event that was committed before they came.

use super::input::Query;
use super::reply::WorkflowReply;
use super::state::BufferedQuery;
use super::step::Step;
use crate::decision::{QueryTask, Reply};
use crate::env::Env;
use crate::key::{CallerId, Time};
use crate::reject::Reject;
use prost::Message as _;
use steadfast_api::v1::enums::{QueryRejectCondition, QueryResultType, WorkflowExecutionStatus as Status};
use steadfast_api::v1::query::{WorkflowQuery, WorkflowQueryResult};

pub fn apply(step: &mut Step, query: &Query, env: &Env<'_>) -> Result<Reply, Reject> {
    let status = step.run.status();
    let condition = QueryRejectCondition::try_from(query.reject_condition).unwrap_or_default();
    let rejected = match condition {
        QueryRejectCondition::NotOpen => status != Status::Running,
        QueryRejectCondition::NotCompletedCleanly => {
            !matches!(status, Status::Running | Status::Paused | Status::Completed)
        }
        _ => false,
    };
    if rejected || status == Status::Paused {
        return Ok(WorkflowReply::QueryRejected(status).into());
    }
    let known = step.run.core.last_completed_started_id != 0;
    if !step.run.is_open() {
        if !known {
            return Err(never_started());
        }
        return Ok(direct(step, query.caller, query.query.clone()));
    }
    let backoff = step.run.core.backoff_until;
    if backoff != 0 && step.run.core.task.is_none() && !known && Time(backoff) > query.deadline {
        return Err(Reject::WorkflowNotReady("Workflow task is not scheduled yet.".into()));
    }
    let limits = env.limits;
    if step.run.core.task.as_ref().is_some_and(|task| task.attempt >= limits.failing_attempts) {
        return Err(Reject::WorkflowNotReady(
            "Unable to query workflow due to Workflow Task in failed state.".into(),
        ));
    }
    if known && step.run.core.task.is_none() {
        return Ok(direct(step, query.caller, query.query.clone()));
    }
    if step.run.volatile.queries.len() >= limits.buffered_queries {
        return Err(Reject::busy(
            "consistent query buffer is full, this may be caused by too many queries and workflow not able to process query fast enough",
        ));
    }
    step.run.volatile.queries.push(BufferedQuery {
        caller: query.caller,
        id: query.caller.0.to_string(),
        query: query.query.clone(),
        sent: false,
    });
    Ok(Reply::Wait)
}

fn never_started() -> Reject {
    Reject::WorkflowNotReady("Workflow execution closed before WorkflowTaskStarted event".into())
}

fn direct(step: &mut Step, caller: CallerId, query: WorkflowQuery) -> Reply {
    step.queries.push(QueryTask { caller, run: step.key.clone(), query });
    Reply::Wait
}

/// The queries that wait ride with the task that starts.
pub fn send(step: &mut Step) {
    for query in &mut step.run.volatile.queries {
        query.sent = true;
    }
}

pub fn sent(step: &Step) -> Vec<(String, WorkflowQuery)> {
    let sent = step.run.volatile.queries.iter().filter(|query| query.sent);
    sent.map(|query| (query.id.clone(), query.query.clone())).collect()
}

/// The task failed: the queries ride with the next one.
pub fn unsend(step: &mut Step) {
    for query in &mut step.run.volatile.queries {
        query.sent = false;
    }
}

/// The worker's answers, by the ids that the queries were sent under.
pub fn answer(step: &mut Step, results: &[(String, WorkflowQueryResult)], env: &Env<'_>) {
    for (id, result) in results {
        let found = step.run.volatile.queries.iter().position(|query| query.id == *id && query.sent);
        if let Some(index) = found {
            let query = step.run.volatile.queries.remove(index);
            let size = result.answer.as_ref().map_or(0, |answer| answer.encoded_len());
            let reply = match size > env.limits.blob_bytes {
                true => Err(Reject::invalid("Blob data size exceeds limit.")),
                false => result_reply(result),
            };
            step.answer(query.caller, reply);
        }
    }
    unsend(step);
}

/// A worker's answer as the caller hears it.
pub fn result_reply(result: &WorkflowQueryResult) -> Result<Reply, Reject> {
    if result.result_type() == QueryResultType::Failed {
        return Err(Reject::QueryFailed {
            message: result.error_message.clone(),
            failure: result.failure.clone().map(Box::new),
        });
    }
    Ok(WorkflowReply::QueryResult(result.clone()).into())
}

/// No workflow task will come that the waiting queries could ride with: they go to a worker by themselves.
pub fn dispatch_rest(step: &mut Step) {
    for query in std::mem::take(&mut step.run.volatile.queries) {
        step.queries.push(QueryTask { caller: query.caller, run: step.key.clone(), query: query.query });
    }
}

/// The run closed. Who asked before any task completed cannot be answered; the others are answered by replay.
pub fn on_close(step: &mut Step) {
    if step.run.core.last_completed_started_id != 0 {
        return dispatch_rest(step);
    }
    for query in std::mem::take(&mut step.run.volatile.queries) {
        step.answer(query.caller, Err(never_started()));
    }
}

pub fn forget(step: &mut Step, caller: CallerId) {
    step.run.volatile.queries.retain(|query| query.caller != caller);
}
