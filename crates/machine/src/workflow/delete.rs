//! A run is removed: terminated first if it is open, then all of it goes.

use super::close;
use super::step::Step;
use crate::decision::Reply;
use crate::env::Env;
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;

pub fn apply(step: &mut Step, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if step.run.is_open() {
        close::terminate(step, "Delete workflow execution", None, "history-service", Vec::new(), env);
    }
    close::drop_tasks(step);
    step.drop_branch = !step.run.core.forked || is_planted(Planted::BranchFreedEarly);
    step.deleted = true;
    step.durable = true;
    Ok(Reply::Done)
}
