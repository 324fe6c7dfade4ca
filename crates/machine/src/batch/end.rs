//! How a batch operation ends. Messages that are under way then arrive all the same, and are counted.

use super::Step;
use super::state::PageRow;
use crate::decision::Reply;
use crate::env::Env;
use crate::key::RowTable;
use crate::reject::Reject;
use std::sync::Arc;
use steadfast_api::v1::enums::WorkflowExecutionStatus as Status;

pub fn close(step: &mut Step, status: Status, env: &Env<'_>) {
    step.run.core.status = status as i32;
    step.run.core.close_time = step.now(env).0;
    step.run.core.wake = 0;
    step.run.core.next = None;
    step.run.asked = None;
    step.visibility = true;
    // What is left of the targets is of no use to anybody.
    step.run.page = Arc::new(PageRow::default());
    step.put(RowTable::Page);
}

pub fn completed(step: &mut Step, env: &Env<'_>) {
    step.run.core.total = step.run.core.succeeded + step.run.core.failed;
    close(step, Status::Completed, env);
}

pub fn stop(step: &mut Step, identity: &str, reason: &str, env: &Env<'_>) -> Result<Reply, Reject> {
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    step.run.core.end_identity = identity.to_owned();
    step.run.core.end_reason = reason.to_owned();
    close(step, Status::Terminated, env);
    Ok(Reply::Done)
}

pub fn delete(step: &mut Step) -> Reply {
    step.deleted = true;
    step.durable = true;
    Reply::Done
}
