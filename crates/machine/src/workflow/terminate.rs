//! Somebody ends the workflow, whatever it is doing.

use super::close;
use super::input::Terminate;
use super::step::Step;
use crate::decision::Reply;
use crate::env::Env;
use crate::reject::Reject;

pub fn apply(step: &mut Step, request: &Terminate, env: &mut Env<'_>) -> Result<Reply, Reject> {
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    let reason = or(&request.reason, "terminated by user via frontend");
    let identity = or(&request.identity, "frontend-service");
    close::terminate(step, reason, request.details.clone(), identity, request.links.clone(), env);
    Ok(Reply::Done)
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}
