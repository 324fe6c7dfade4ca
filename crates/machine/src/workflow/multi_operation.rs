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
use steadfast_api::v1::common::link;
use steadfast_api::v1::enums::{EventType, WorkflowExecutionStatus};

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
        return only_update(entity, run, update, env);
    }
    let settled = start::settle(entity, current, start, env);
    let replaced = match settled.map_err(|reject| failed(Err(reject), Err(Reject::OperationAborted)))? {
        // A start that is known, of a run that closed since: nothing is left to be updated.
        Settled::Existing(_) if current.is_some_and(|run| !run.is_open()) => {
            return Err(failed(Err(Reject::OperationAborted), Err(Reject::closed())));
        }
        Settled::Existing(_) => {
            let Some(run) = current else { unreachable!("there is a run that is known") };
            return only_update(entity, run, update, env);
        }
        // Nothing but the update joins the run that is there.
        Settled::Attach(run) => return only_update(entity, run, update, env),
        Settled::Replace(old) => Some(old),
        Settled::New => None,
    };
    let mut step = start::begin(entity, start, current.map(|run| run.id), env);
    start::first_task(&mut step, start, env);
    let link = Some(links::to_event(&step.key, 1, EventType::WorkflowExecutionStarted, env));
    let reply = update::apply_with(&mut step, update, Some(WithStart { started: true, link }), env)
        .map_err(|reject| failed(Err(Reject::OperationAborted), Err(reject)))?;
    let new_run = step.key.run;
    let terminated = replaced.map(|old| start::terminate(entity, old, new_run, env));
    Ok(start::combine(terminated, step).finish(Ok(reply)))
}

/// The update alone, for a run that is there.
fn only_update(
    entity: &EntityKey,
    run: &Run,
    update: &Update,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let mut step = Step::on(entity, run);
    let over = run.updates.get(update::id(update)).is_some_and(|row| row.completed_event_id != 0);
    let mut link = links::to_event(&step.key, 1, EventType::WorkflowExecutionStarted, env);
    if let Some(link::Variant::WorkflowEvent(event)) = &mut link.variant {
        // The reference leaves it out here.
        event.namespace.clear();
    }
    let with = WithStart { started: false, link: (!over).then_some(link) };
    let reply = update::apply_with(&mut step, update, Some(with), env)
        .map_err(|reject| failed(Err(Reject::OperationAborted), Err(reject)))?;
    Ok(upkeep::finish(run, step, Ok(reply), env))
}

/// What the start of an update with start says, next to the update's answer: how it was when the update came.
pub fn started(step: &Step, with: &WithStart) -> super::reply::Started {
    let known = start::existing(&step.run, with.started, with.link.clone());
    let status = if with.link.is_some() { WorkflowExecutionStatus::Running } else { known.status };
    super::reply::Started { eager_task: None, status, ..known }
}

/// The update was refused after the start went well, or without a start.
pub fn refused(with: &WithStart, reject: Reject) -> Reject {
    failed(if with.started { Ok(()) } else { Err(Reject::OperationAborted) }, Err(reject))
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

fn failed(start: Result<(), Reject>, update: Result<(), Reject>) -> Reject {
    Reject::MultiOperation {
        message: "Update-with-Start could not be executed.".into(),
        operations: vec![start, update],
    }
}
