//! Update with start: an update for the run that is there, or for one that is started for it, in one step.

use super::input::{Start, Update};
use super::reply::WorkflowReply;
use super::start::{self, Settled};
use super::state::{Run, WithStart};
use super::step::Step;
use super::{links, update, upkeep};
use crate::decision::Decision;
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;
use steadfast_api::v1::enums::EventType;

pub fn apply(
    entity: &EntityKey,
    current: Option<&Run>,
    start: &Start,
    update: &Update,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    // The update itself is known: the start does not matter, not even whether the run is open.
    let id = update::id(update);
    if let Some(run) = current.filter(|run| update::is_told(run, id)) {
        return only_update(entity, run, update, None, env);
    }
    let settled = start::settle(entity, current, start, env);
    let replaced = match settled.map_err(|reject| failed(Err(reject), Err(aborted())))? {
        // A start that is known, of a run that closed since: nothing is left to be updated.
        Settled::Existing(_) if current.is_some_and(|run| !run.is_open()) => {
            return Err(failed(Err(aborted()), Err(Reject::closed())));
        }
        Settled::Existing(known) => {
            let Some(run) = current else { unreachable!("there is a run that is known") };
            return only_update(entity, run, update, Some(known.started), env);
        }
        Settled::Attach(run) => {
            let mut step = Step::on(entity, run);
            start::attach_to(&mut step, start, env).map_err(|reject| failed(Err(reject), Err(aborted())))?;
            return finish(run, step, update, false, env);
        }
        Settled::Replace(old) => Some(old),
        Settled::New => None,
    };
    let mut step = start::begin(entity, start, current.map(|run| run.id), env);
    start::first_task(&mut step, start, env);
    let with = with_start(&step, true, env);
    let reply = update::apply_with(&mut step, update, Some(with), env)
        .map_err(|reject| failed(Err(aborted()), Err(reject)))?;
    let new_run = step.key.run;
    let terminated = replaced.map(|old| start::terminate(entity, old, new_run, env));
    Ok(start::combine(terminated, step).finish(Ok(reply)))
}

fn only_update(
    entity: &EntityKey,
    run: &Run,
    update: &Update,
    started: Option<bool>,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    finish(run, Step::on(entity, run), update, started.unwrap_or(false), env)
}

fn finish(
    run: &Run,
    mut step: Step,
    update: &Update,
    started: bool,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let with = with_start(&step, started, env);
    let reply = update::apply_with(&mut step, update, Some(with), env)
        .map_err(|reject| failed(Err(aborted()), Err(reject)))?;
    Ok(upkeep::finish(run, step, Ok(reply), env))
}

fn with_start(step: &Step, started: bool, env: &Env<'_>) -> WithStart {
    WithStart { started, link: links::to_event(&step.key, 1, EventType::WorkflowExecutionStarted, env) }
}

/// What the start of an update with start says, next to the update's answer.
pub fn started(step: &Step, with: &WithStart) -> super::reply::Started {
    let known = start::existing(&step.run, with.started, Some(with.link.clone()));
    super::reply::Started { eager_task: None, ..known }
}

/// The update was refused after the start went well, or without a start.
pub fn refused(with: &WithStart, reject: Reject) -> Reject {
    failed(if with.started { Ok(()) } else { Err(aborted()) }, Err(reject))
}

pub fn reply(
    step: &Step,
    with: Option<&WithStart>,
    update: super::reply::UpdateReply,
) -> crate::decision::Reply {
    match with {
        Some(with) => WorkflowReply::UpdateWithStart { started: started(step, with), update }.into(),
        None => WorkflowReply::Update(update).into(),
    }
}

fn aborted() -> Reject {
    Reject::Aborted("Operation was aborted.".into())
}

fn failed(start: Result<(), Reject>, update: Result<(), Reject>) -> Reject {
    Reject::MultiOperation {
        message: "Update-with-Start could not be executed.".into(),
        operations: vec![start, update],
    }
}
