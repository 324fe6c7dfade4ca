//! A run is removed: terminated first if it is open, then all of it goes. Those who wanted to be called at its end are
//! not: there is nothing to tell of any more.
//!
//! A reset copies nothing: the new run reads the beginning of its history from the branch of the old one. So a branch goes
//! with the last run that reads from it, which need not be the run that wrote it.

use super::close;
use super::state::Run;
use super::step::Step;
use crate::decision::Reply;
use crate::env::Env;
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use uuid::Uuid;

pub fn apply(step: &mut Step, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if step.run.is_open() {
        close::terminate(step, "Delete workflow execution", None, "history-service", Vec::new(), env);
    }
    close::drop_tasks(step);
    step.branches_dropped = unused(step, env);
    if is_planted(Planted::BranchFreedEarly) {
        step.branches_dropped = vec![step.run.branch()];
    }
    step.deleted = true;
    step.durable = true;
    Ok(Reply::Done)
}

/// Whether other runs may read from the branches of this one.
pub fn shares(run: &Run) -> bool {
    run.core.forked || !run.core.ancestry.is_empty()
}

/// The branches of this run from which no other run reads.
fn unused(step: &Step, env: &Env<'_>) -> Vec<Uuid> {
    if !shares(&step.run) {
        return vec![step.run.branch()];
    }
    let others = || env.fetched.branches.iter().filter(|(run, _)| **run != step.key.run);
    let mut own = branches(&step.run);
    own.retain(|branch| !others().any(|(_, used)| used.contains(branch)));
    own
}

/// The branches that a run's history is read from.
pub fn branches(run: &Run) -> Vec<Uuid> {
    run.history_parts().into_iter().map(|(branch, _)| branch).collect()
}
