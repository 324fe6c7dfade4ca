//! A batch operation is started. Its id is taken for as long as anything is known of it.

use super::message::OperationRow;
use super::state::{BatchStartRow, PageRow, Run};
use super::{Start, Step};
use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::key::{EntityKey, RowTable};
use crate::reject::Reject;
use std::sync::Arc;

pub fn apply(
    entity: &EntityKey,
    current: Option<&Run>,
    start: &Start,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    if let Some(run) = current {
        return Err(taken(entity, run));
    }
    let row = BatchStartRow {
        operation: Some(OperationRow { operation: start.operation.clone() }),
        query: start.query.clone(),
        reason: start.reason.clone(),
        identity: start.identity.clone(),
        operations_per_second: start.operations_per_second,
        request_id: start.request_id.clone(),
    };
    let mut step = Step::on(entity, &Run::new(env.ids.run_id(env.now, None), row));
    step.put(RowTable::Start);
    step.visibility = true;
    step.run.core.start_time = env.now.0;
    step.run.core.last_time = env.now.0;
    if start.query.is_empty() {
        // The list is the only page.
        step.run.core.page = 1;
        step.run.core.total = start.targets.len() as i64;
        step.run.page = Arc::new(PageRow { targets: start.targets.clone() });
        step.put(RowTable::Page);
    }
    Ok(step.finish(Reply::Done, env))
}

fn taken(entity: &EntityKey, run: &Run) -> Reject {
    let (id, run_id) = (&entity.id, run.id);
    let message = if run.is_open() {
        format!("Workflow execution is already running. WorkflowId: {id}, RunId: {run_id}.")
    } else {
        format!(
            "Workflow execution already finished. WorkflowId: {id}, RunId: {run_id}. Workflow Id reuse policy: reject duplicate workflow Id."
        )
    };
    Reject::AlreadyStarted { message, start_request_id: run.start.request_id.clone(), run_id }
}
