//! The workflow machine. One file per thing that can happen; `apply` names them all.

pub mod activity;
pub(crate) mod activity_end;
pub mod activity_operations;
mod activity_start;
mod alarm;
mod batch;
pub mod callback;
mod cancel;
mod chain;
mod child;
mod child_start;
mod close;
mod commands;
mod completion;
mod delete;
mod events;
mod external;
pub mod failure;
mod inbox;
pub mod input;
mod links;
pub mod message;
mod multi_operation;
mod options;
mod pause;
pub(crate) mod payload;
pub mod projection;
mod query;
pub mod reply;
pub mod reset;
mod reset_messages;
mod reset_points;
pub mod retry;
pub mod rows;
mod rules;
mod signal;
mod signal_with_start;
mod start;
pub mod state;
mod step;
mod task;
mod task_failure;
mod task_start;
mod terminate;
mod update;
mod upkeep;

pub(crate) use commands::is_null as commands_is_null;
pub use delete::branches;
pub use options::check_mask as check_options_mask;
pub use query::result_reply as query_reply;
pub use reset::continued_as;
pub use task_start::synthetic_events;

use crate::decision::{Decision, Reply};
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;
use input::{Input, What};
use state::Run;
use step::Step;
use uuid::Uuid;

/// The runs of an entity that an input may be about.
#[derive(Clone, Copy, Debug)]
pub struct Runs<'a> {
    /// The run with the highest id, open or closed.
    pub current: Option<&'a Run>,
    /// The run that the input names; the current one where it names none.
    pub named: Option<&'a Run>,
}

/// History that `apply` needs beside the runs' rows. The engine loads it into `Env::fetched` first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Single events, by run and id.
    pub events: Vec<(Uuid, i64)>,
    /// The whole history of this run, and of those that continue it as new ([`continued_as`]), as far as they are there.
    pub chain: Option<Uuid>,
    /// From which branches the histories of all runs of the entity are read.
    pub branches: bool,
}

impl Needs {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.chain.is_none() && !self.branches
    }
}

/// What the input needs to have loaded.
pub fn needs(runs: Runs<'_>, input: &Input) -> Needs {
    let Some(named) = runs.named else { return Needs::default() };
    match &input.what {
        // A run that follows as this one was started: its input and the like are only in the first event.
        What::CompleteWorkflowTask(completion) if commands::may_end_chain(&completion.commands) => {
            first_event(named)
        }
        What::AlarmDue => first_event(named),
        What::Delete => Needs { branches: delete::shares(named), ..Needs::default() },
        What::Message(envelope) => batch::needs(runs, envelope),
        What::Reset(_) => Needs { chain: Some(named.id), ..Needs::default() },
        What::ResetActivity { selector, restore_original_options: true, .. } => {
            activity_operations::needs(named, selector)
        }
        What::UpdateActivityOptions(request) if request.restore_original => {
            match activity_operations::selector(request.activity.as_ref()) {
                Ok(selector) => activity_operations::needs(named, &selector),
                Err(_) => Needs::default(),
            }
        }
        _ => Needs::default(),
    }
}

/// The first event of a run that may be followed by one that starts as it did.
fn first_event(run: &Run) -> Needs {
    let events = if run.is_open() && chain::may_follow(run) { vec![(run.id, 1)] } else { Vec::new() };
    Needs { events, ..Needs::default() }
}

/// Decides what an input does. A `Reject` means that nothing changes at all.
pub fn apply(
    entity: &EntityKey,
    runs: Runs<'_>,
    input: &Input,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    // What may happen without a run, or chooses the run by rules of its own.
    match &input.what {
        What::Start(start) => return start::apply(entity, runs.current, start, env),
        What::SignalWithStart(both) => return signal_with_start::apply(entity, runs.current, both, env),
        What::UpdateWithStart { start, update } => {
            return multi_operation::apply(entity, runs.current, start, update, env);
        }
        What::Reset(_) if runs.named.is_none() => return Err(Reject::no_workflow(&entity.id, input.run)),
        What::Reset(reset) => return reset::apply(entity, runs, reset, env),
        What::Message(envelope) => return inbox::message(entity, runs, envelope, env),
        _ => {}
    }
    let run = match input.first_run {
        // A chain is addressed by its first run: the current run must be of that chain.
        Some(first) => {
            let current = runs.current.ok_or_else(|| Reject::no_workflow(&entity.id, None))?;
            if current.start.first_run_id != first.to_string() {
                match input.what {
                    // What is over has nothing to cancel, of whatever chain it was.
                    What::RequestCancel(_) if !current.is_open() => {}
                    What::Update(_) => return Err(Reject::not_found("workflow execution not found")),
                    _ if current.is_open() => return Err(Reject::not_found("workflow execution not found")),
                    _ => return Err(Reject::closed()),
                }
            }
            current
        }
        None => runs.named.ok_or_else(|| Reject::no_workflow(&entity.id, input.run))?,
    };
    let mut step = Step::on(entity, run);
    let reply = on_run(&mut step, input, env)?;
    Ok(upkeep::finish(run, step, reply, env))
}

/// Inputs to one run that exists. An `Ok(Err(reject))` refuses the caller, but what the step changed stays.
fn on_run(step: &mut Step, input: &Input, env: &mut Env<'_>) -> Result<Result<Reply, Reject>, Reject> {
    match &input.what {
        What::Signal(signal) => signal::apply(step, signal, env).map(Ok),
        What::RequestCancel(request) => cancel::apply(step, request, env).map(Ok),
        What::Terminate(request) => terminate::apply(step, request, env).map(Ok),
        What::Delete => delete::apply(step, env).map(Ok),
        What::StartWorkflowTask(start) => task_start::apply(step, start, env).map(Ok),
        What::CompleteWorkflowTask(completion) => completion::apply(step, completion, env),
        What::FailWorkflowTask(failed) => task_failure::apply(step, failed, env).map(Ok),
        What::StickyUnavailable { scheduled_event_id, stamp } => {
            Ok(Ok(task::sticky_unavailable(step, *scheduled_event_id, *stamp, env)))
        }
        What::ResetSticky => task::reset_sticky(step, env).map(Ok),
        What::StartActivity(start) => Ok(Ok(activity_start::apply(step, start, env))),
        What::ActivityUndelivered { scheduled_event_id, attempt, request_id } => {
            Ok(Ok(activity_start::undelivered(step, *scheduled_event_id, *attempt, request_id, env)))
        }
        What::EndActivity(end) => activity_end::apply(step, end, env).map(Ok),
        What::HeartbeatActivity(heartbeat) => activity::heartbeat(step, heartbeat, env).map(Ok),
        What::AlarmDue => Ok(Ok(alarm::apply(step, env))),
        What::Delivered(delivered) => inbox::delivered(step, delivered, env).map(Ok),
        What::Query(query) => query::apply(step, query, env).map(Ok),
        What::ForgetCaller(caller) => {
            query::forget(step, *caller);
            update::forget(step, *caller);
            Ok(Ok(Reply::Done))
        }
        What::Update(update) => update::apply(step, update, env).map(Ok),
        What::PollUpdate { caller, update_id, stage } => {
            update::poll(step, *caller, update_id, *stage).map(Ok)
        }
        What::Pause { identity, reason, request_id } => {
            pause::pause(step, identity, reason, request_id, env).map(Ok)
        }
        What::Unpause { identity, reason, request_id } => {
            pause::unpause(step, identity, reason, request_id, env).map(Ok)
        }
        What::UpdateOptions(request) => options::apply(step, request, env).map(Ok),
        What::PauseActivity { selector, identity, reason, request_id } => {
            activity_operations::pause(step, selector, identity, reason, request_id, env).map(Ok)
        }
        What::UnpauseActivity { selector, reset_attempts, reset_heartbeat, jitter } => {
            activity_operations::unpause(step, selector, *reset_attempts, *reset_heartbeat, *jitter, env)
                .map(Ok)
        }
        What::ResetActivity { selector, reset_heartbeat, keep_paused, restore_original_options, jitter } => {
            activity_operations::reset(
                step,
                selector,
                *reset_heartbeat,
                *keep_paused,
                *restore_original_options,
                *jitter,
                env,
            )
            .map(Ok)
        }
        What::UpdateActivityOptions(request) => {
            activity_operations::update_options(step, request, env).map(Ok)
        }
        What::CallbackEnded { sequence, attempt, end } => {
            Ok(Ok(callback::ended(step, *sequence, *attempt, end, env)))
        }
        What::Start(_)
        | What::SignalWithStart(_)
        | What::UpdateWithStart { .. }
        | What::Reset(_)
        | What::Message(_) => {
            unreachable!("handled before a run is looked for")
        }
    }
}
