//! Signal the running workflow, or start one that has the signal from the beginning.

use super::input::SignalWithStart;
use super::reply::WorkflowReply;
use super::start::{self, Settled};
use super::state::Run;
use super::step::Step;
use super::{signal, task, upkeep};
use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;
use steadfast_api::v1::enums::WorkflowIdConflictPolicy as Conflict;

pub fn apply(
    entity: &EntityKey,
    current: Option<&Run>,
    both: &SignalWithStart,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let running = current.filter(|run| run.is_open() && both.start.conflict != Conflict::TerminateExisting);
    if let Some(run) = running {
        let mut step = Step::on(entity, run);
        signal::check(&step, env)?;
        if !signal::is_repeated(&step, &both.signal) {
            signal::record(&mut step, &both.signal, env);
            // Unlike a plain signal this one does not wait for a start delay or a cron tick.
            task::ensure(&mut step, env);
        }
        return Ok(upkeep::finish(run, step, Ok(reply(run.id, false)), env));
    }
    // The run that it joined has closed since.
    if let Some(run) =
        current.filter(|run| !run.is_open() && run.signal_ids.contains(&both.signal.request_id))
    {
        return Ok(Decision::reply(reply(run.id, false)));
    }
    let (replaced, previous) = match start::settle(entity, current, &both.start, env)? {
        // The request is known: by the run that it started, which may have closed meanwhile. The reference starts another
        // run then; here whoever asks again because an answer was lost gets what the first call made.
        Settled::Existing(existing) => return Ok(Decision::reply(reply(existing.run_id, false))),
        Settled::Replace(old) => (Some(old), current.map(|run| run.id)),
        Settled::New => (None, current.map(|run| run.id)),
        Settled::Attach(_) => {
            return Err(Reject::invalid("conflict options cannot be used with signal-with-start"));
        }
    };
    let mut step = start::begin(entity, &both.start, previous, env);
    signal::record(&mut step, &both.signal, env);
    step.flush();
    start::first_task(&mut step, &both.start, env);
    let id = step.key.run;
    let terminated = replaced.map(|old| start::terminate(entity, old, id, env));
    Ok(start::combine(terminated, step).finish(Ok(reply(id, true))))
}

fn reply(run_id: uuid::Uuid, started: bool) -> Reply {
    WorkflowReply::SignalWithStart { run_id, started }.into()
}
