//! A batch operation comes to one of its targets: it does what a client would have asked for.

use super::inbox::answer;
use super::input::{ActivitySelector, Input, RequestCancel, Reset, Signal, Terminate, What};
use super::message::{Content, Envelope};
use super::state::Run;
use super::{Needs, Runs};
use crate::batch::{BatchOperation, Operation, Target};
use crate::decision::Decision;
use crate::duration;
use crate::env::Env;
use crate::key::EntityKey;
use crate::reject::Reject;
use prost::Message as _;
use steadfast_api::temporal::api::batch::v1::{
    BatchOperationReset, batch_operation_reset_activities as of_reset,
    batch_operation_unpause_activities as of_unpause, batch_operation_update_activity_options as of_options,
};
use steadfast_api::v1::common::{ResetOptions, reset_options};
use steadfast_api::v1::enums::{EventType, ResetType};
use steadfast_api::v1::workflowservice::{
    UpdateActivityOptionsRequest, UpdateWorkflowExecutionOptionsRequest,
    update_activity_options_request::Activity,
};

/// What the operation needs to have loaded.
pub fn needs(runs: Runs<'_>, envelope: &Envelope) -> Needs {
    let Some(Content::BatchOperation(operation)) = &envelope.body.content else { return Needs::default() };
    if envelope.body.to_run.is_empty() {
        return Needs::default();
    }
    let run = runs.named.map(|run| run.id);
    match asked(operation, operation.event_id) {
        Ok(what) => super::needs(runs, &Input { run, first_run: None, what }),
        Err(_) => Needs::default(),
    }
}

/// Nothing is done to a run that is not named: a copy of the message could come when another one is the current run. The
/// answer says which run is meant, and the batch comes again with its name.
pub fn apply(
    entity: &EntityKey,
    runs: Runs<'_>,
    envelope: &Envelope,
    operation: &BatchOperation,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let Some(run) = runs.named else { return Err(Reject::no_workflow(&entity.id, None)) };
    let elsewhere = |target: Target| {
        let target = Target { workflow_id: entity.id.to_string(), ..target };
        Ok(Decision::reply(answer(Some(Content::BatchTarget(target)))))
    };
    if envelope.body.to_run.is_empty() {
        return elsewhere(Target { run_id: run.id.to_string(), ..Target::default() });
    }
    let mut event_id = operation.event_id;
    if let (0, Some(Operation::Reset(reset))) = (event_id, kind(operation)) {
        let point = point(run, reset, env)?;
        if point.run_id != run.id.to_string() {
            return elsewhere(point);
        }
        event_id = point.event_id;
    }
    let input = Input::run(run.id, asked(operation, event_id)?);
    super::apply(entity, runs, &input, env)
}

fn kind(operation: &BatchOperation) -> Option<&Operation> {
    operation.operation.as_ref()?.operation.as_ref()
}

/// The operation as the input that a client's request would be. `event_id` is the point of a reset.
fn asked(operation: &BatchOperation, event_id: i64) -> Result<What, Reject> {
    let request_id = operation.request_id.clone();
    let kind = kind(operation).ok_or_else(|| Reject::invalid("a batch operation without an operation"))?;
    Ok(match kind.clone() {
        Operation::Terminate(terminate) => What::Terminate(Terminate {
            reason: operation.reason.clone(),
            details: terminate.details,
            identity: terminate.identity,
            links: Vec::new(),
        }),
        Operation::Signal(signal) => What::Signal(Box::new(Signal {
            name: signal.signal,
            input: signal.input,
            header: signal.header,
            identity: signal.identity,
            request_id,
            ..Signal::default()
        })),
        Operation::Cancel(cancel) => What::RequestCancel(RequestCancel {
            identity: cancel.identity,
            request_id,
            ..RequestCancel::default()
        }),
        Operation::Delete(_) => What::Delete,
        Operation::Reset(reset) => {
            let operations = &reset.post_reset_operations;
            let mut input = Reset {
                request_id,
                reason: operation.reason.clone(),
                identity: reset.identity.clone(),
                finish_event_id: event_id,
                post_operations: operations.iter().map(|one| one.encode_to_vec().into()).collect(),
                ..Reset::default()
            };
            match &reset.options {
                Some(options) => {
                    input.exclude(options.reset_reapply_type, &options.reset_reapply_exclude_types)?;
                }
                None => input.exclude(reset.reset_reapply_type, &[])?,
            }
            What::Reset(Box::new(input))
        }
        Operation::UpdateOptions(update) => {
            What::UpdateOptions(Box::new(UpdateWorkflowExecutionOptionsRequest {
                workflow_execution_options: update.workflow_execution_options,
                update_mask: update.update_mask,
                identity: update.identity,
                ..UpdateWorkflowExecutionOptionsRequest::default()
            }))
        }
        Operation::UnpauseActivities(unpause) => What::UnpauseActivity {
            selector: match unpause.activity {
                Some(of_unpause::Activity::Type(name)) => ActivitySelector::Type(name),
                Some(of_unpause::Activity::MatchAll(_)) => ActivitySelector::All,
                None => return Err(no_activity()),
            },
            reset_attempts: unpause.reset_attempts,
            reset_heartbeat: unpause.reset_heartbeat,
            jitter: duration::known(unpause.jitter.as_ref()),
        },
        Operation::ResetActivities(reset) => What::ResetActivity {
            selector: match reset.activity {
                Some(of_reset::Activity::Type(name)) => ActivitySelector::Type(name),
                Some(of_reset::Activity::MatchAll(_)) => ActivitySelector::All,
                None => return Err(no_activity()),
            },
            reset_heartbeat: reset.reset_heartbeat,
            keep_paused: reset.keep_paused,
            restore_original_options: reset.restore_original_options,
            jitter: duration::known(reset.jitter.as_ref()),
        },
        Operation::UpdateActivityOptions(update) => {
            What::UpdateActivityOptions(Box::new(UpdateActivityOptionsRequest {
                activity: match update.activity {
                    Some(of_options::Activity::Type(name)) => Some(Activity::Type(name)),
                    Some(of_options::Activity::MatchAll(_)) => Some(Activity::MatchAll(true)),
                    None => return Err(no_activity()),
                },
                activity_options: update.activity_options,
                update_mask: update.update_mask,
                restore_original: update.restore_original,
                identity: update.identity,
                ..UpdateActivityOptionsRequest::default()
            }))
        }
    })
}

fn no_activity() -> Reject {
    Reject::invalid("Either Activity.Id or Activity.Type should be set on request.")
}

/// The run and the event to which this run is to be reset.
fn point(run: &Run, reset: &BatchOperationReset, env: &Env<'_>) -> Result<Target, Reject> {
    let here = |event_id| Target { run_id: run.id.to_string(), event_id, ..Target::default() };
    match &reset.options {
        Some(options) => match &options.target {
            Some(reset_options::Target::FirstWorkflowTask(())) => task(run, true, env).map(here),
            Some(reset_options::Target::LastWorkflowTask(())) => task(run, false, env).map(here),
            Some(reset_options::Target::WorkflowTaskId(id)) => Ok(here(*id)),
            Some(reset_options::Target::BuildId(build_id)) => of_build(run, build_id, options),
            None => Err(Reject::invalid("batch reset missing target")),
        },
        None => match ResetType::try_from(reset.reset_type).unwrap_or_default() {
            ResetType::FirstWorkflowTask => task(run, true, env).map(here),
            ResetType::LastWorkflowTask => task(run, false, env).map(here),
            ResetType::Unspecified => {
                Err(Reject::invalid("provided reset type (Unspecified) is not supported."))
            }
        },
    }
}

/// The first or the last workflow task that was completed; the first that was scheduled where none was.
fn task(run: &Run, first: bool, env: &Env<'_>) -> Result<i64, Reject> {
    let events = || env.fetched.histories.get(&run.id).into_iter().flatten().flatten();
    let mut completed = events().filter(|event| event.event_type == EventType::WorkflowTaskCompleted as i32);
    let completed = if first { completed.next() } else { completed.last() };
    if let Some(event) = completed {
        return Ok(event.event_id);
    }
    let scheduled = events().find(|event| event.event_type == EventType::WorkflowTaskScheduled as i32);
    scheduled
        .map(|event| event.event_id + 1)
        .ok_or_else(|| Reject::FailedPrecondition("unable to find any scheduled or completed task".into()))
}

/// The first task that a build completed in the chain of this run.
fn of_build(run: &Run, build_id: &str, options: &ResetOptions) -> Result<Target, Reject> {
    let refused = |why: String| Reject::FailedPrecondition(why);
    let point = run.reset_points.points.iter().find(|point| point.build_id == build_id);
    let point = point.ok_or_else(|| refused(format!("Can't find reset point for {build_id}")))?;
    if !point.resettable {
        return Err(refused(format!("Reset point for {build_id} is not resettable")));
    }
    if options.current_run_only && point.run_id != run.id.to_string() {
        let why = format!("Reset point for {build_id} points to previous run and CurrentRunOnly is set");
        return Err(refused(why));
    }
    Ok(Target {
        run_id: point.run_id.clone(),
        event_id: point.first_workflow_task_completed_id,
        ..Target::default()
    })
}
