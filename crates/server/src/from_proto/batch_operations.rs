//! The start of a batch operation.

use super::Context;
use crate::check;
use steadfast_api::temporal::api::batch::v1::{
    BatchOperationReset, batch_operation_reset_activities as of_reset,
    batch_operation_unpause_activities as of_unpause, batch_operation_update_activity_options as of_options,
};
use steadfast_api::v1::enums::ResetType;
use steadfast_api::v1::workflowservice::StartBatchOperationRequest;
use steadfast_api::v1::workflowservice::start_batch_operation_request::Operation as Asked;
use steadfast_machine::batch::{Operation, Start, TargetRow};
use steadfast_machine::{Limits, Reject};
use steadfast_query::{QueryErrorKind, parse};

/// The id of the job, and what it is to do.
pub fn start_batch(
    request: StartBatchOperationRequest,
    context: &Context<'_>,
) -> Result<(String, Start), Reject> {
    let limits = context.limits;
    let query = request.visibility_query;
    let incomplete = request.reason.is_empty() || (query.is_empty() && request.executions.is_empty());
    let Some(operation) = request.operation.and_then(known).filter(|_| !incomplete) else {
        return Err(Reject::invalid(
            "must provide required parameters: BatchType/Reason/Namespace/Query/Executions",
        ));
    };
    if request.job_id.is_empty() {
        return Err(Reject::invalid("JobId is not set on request."));
    }
    if !query.is_empty() && !request.executions.is_empty() {
        return Err(Reject::invalid("batch query and executions are mutually exclusive"));
    }
    sound(&operation)?;
    check_query(&query)?;
    check::new_workflow_id(&request.job_id, limits)?;
    check::reason(&request.reason, limits)?;
    check::identity(operation.identity(), limits)?;
    within_limits(&operation, limits)?;
    let targets = request
        .executions
        .into_iter()
        .map(|target| TargetRow { workflow_id: target.workflow_id, run_id: target.run_id });
    let start = Start {
        query: if query.is_empty() { query } else { narrowed(&query, &operation) },
        targets: targets.collect(),
        reason: request.reason,
        identity: operation.identity().to_owned(),
        operations_per_second: request.max_operations_per_second,
        request_id: (context.fresh_id)(),
        operation: Some(operation),
    };
    Ok((request.job_id, start))
}

/// Operations that the reference does not know are none.
fn known(asked: Asked) -> Option<Operation> {
    Some(match asked {
        Asked::TerminationOperation(operation) => Operation::Terminate(operation),
        Asked::SignalOperation(operation) => Operation::Signal(operation),
        Asked::CancellationOperation(operation) => Operation::Cancel(operation),
        Asked::DeletionOperation(operation) => Operation::Delete(operation),
        Asked::ResetOperation(operation) => Operation::Reset(operation),
        Asked::UpdateWorkflowOptionsOperation(operation) => Operation::UpdateOptions(operation),
        Asked::UnpauseActivitiesOperation(operation) => Operation::UnpauseActivities(operation),
        Asked::ResetActivitiesOperation(operation) => Operation::ResetActivities(operation),
        Asked::UpdateActivityOptionsOperation(operation) => Operation::UpdateActivityOptions(operation),
        Asked::CancelActivitiesOperation(_)
        | Asked::TerminateActivitiesOperation(_)
        | Asked::DeleteActivitiesOperation(_) => return None,
    })
}

const NEITHER: &str = "Either activity type must be set, or match all should be set to true";

/// The rules of each operation, in the reference's words.
fn sound(operation: &Operation) -> Result<(), Reject> {
    let refuse = |refused: bool, why: &str| if refused { Err(Reject::invalid(why)) } else { Ok(()) };
    match operation {
        Operation::Terminate(_) | Operation::Cancel(_) | Operation::Delete(_) => Ok(()),
        Operation::Signal(signal) => refuse(signal.signal.is_empty(), "must provide signal name"),
        Operation::Reset(reset) => reset_target(reset),
        Operation::UpdateOptions(update) => {
            refuse(update.workflow_execution_options.is_none(), "must provide UpdateOptions")?;
            refuse(update.update_mask.is_none(), "must provide UpdateMask")
        }
        Operation::UnpauseActivities(unpause) => match &unpause.activity {
            None => Err(Reject::invalid("activity filter must be set")),
            Some(of_unpause::Activity::Type(name)) => refuse(name.is_empty(), NEITHER),
            Some(of_unpause::Activity::MatchAll(all)) => refuse(!all, NEITHER),
        },
        Operation::ResetActivities(reset) => match &reset.activity {
            None => Err(Reject::invalid("must provide ActivityType or MatchAll")),
            Some(of_reset::Activity::Type(name)) => refuse(name.is_empty(), NEITHER),
            Some(of_reset::Activity::MatchAll(all)) => refuse(!all, NEITHER),
        },
        Operation::UpdateActivityOptions(update) => {
            let (given, restore) = (update.activity_options.is_some(), update.restore_original);
            refuse(given && restore, "cannot set both activity options and restore original")?;
            refuse(
                !given && !restore,
                "Either activity type must be set, or restore original should be set to true",
            )?;
            match &update.activity {
                Some(of_options::Activity::Type(name)) => refuse(name.is_empty(), NEITHER),
                Some(of_options::Activity::MatchAll(all)) => refuse(!all, NEITHER),
                None => Ok(()),
            }
        }
    }
}

fn reset_target(reset: &BatchOperationReset) -> Result<(), Reject> {
    match &reset.options {
        Some(options) if options.target.is_none() => Err(Reject::invalid("batch reset missing target")),
        Some(_) => Ok(()),
        None => match ResetType::try_from(reset.reset_type) {
            Ok(ResetType::Unspecified) => Err(Reject::invalid("unknown batch reset type Unspecified")),
            Ok(_) => Ok(()),
            Err(_) => Err(Reject::invalid(format!("unknown batch reset type {}", reset.reset_type))),
        },
    }
}

/// What is no query at all is refused here. One that means nothing in its namespace makes the job fail, as attributes may
/// come and go while it runs.
fn check_query(query: &str) -> Result<(), Reject> {
    if query.is_empty() {
        return Ok(());
    }
    if query.trim().is_empty() {
        let end = query.chars().count() + 1;
        return Err(Reject::invalid(format!("invalid visibility query: syntax error at position {end}")));
    }
    match parse(query) {
        Err(error) if error.kind() == QueryErrorKind::Malformed => {
            Err(Reject::invalid(format!("invalid visibility query: {}", error.message())))
        }
        _ => Ok(()),
    }
}

/// What every target would be refused for, is refused once.
fn within_limits(operation: &Operation, limits: &Limits) -> Result<(), Reject> {
    match operation {
        Operation::Terminate(terminate) => check::blob(terminate.details.as_ref(), limits),
        Operation::Signal(signal) => {
            check::signal_name(&signal.signal, limits)?;
            check::blob(signal.input.as_ref(), limits)?;
            check::header(signal.header.as_ref(), limits)
        }
        Operation::UpdateOptions(update) => {
            let options = update.workflow_execution_options.as_ref();
            check::priority(options.and_then(|options| options.priority.as_ref()), limits)
        }
        Operation::UnpauseActivities(unpause) => {
            check::timeout("Jitter", unpause.jitter.as_ref()).map(|_| ())
        }
        Operation::ResetActivities(reset) => check::timeout("Jitter", reset.jitter.as_ref()).map(|_| ()),
        Operation::UpdateActivityOptions(update) => {
            let options = update.activity_options.as_ref();
            check::priority(options.and_then(|options| options.priority.as_ref()), limits)
        }
        Operation::Cancel(_) | Operation::Delete(_) | Operation::Reset(_) => Ok(()),
    }
}

/// The query that finds the targets: what only makes sense for open workflows is only done to them.
fn narrowed(query: &str, operation: &Operation) -> String {
    let running = |query: &str| format!("({query}) AND (ExecutionStatus='Running')");
    match operation {
        Operation::Delete(_) | Operation::Reset(_) => query.to_owned(),
        Operation::UnpauseActivities(unpause) => match &unpause.activity {
            // Whatever was asked for, as in the reference: all that have such an activity.
            Some(of_unpause::Activity::Type(name)) => {
                let name = name.replace('\\', "\\\\").replace('\'', "''");
                running(&format!("TemporalPauseInfo = 'property:activityType={name}'"))
            }
            _ => running(query),
        },
        _ => running(query),
    }
}
