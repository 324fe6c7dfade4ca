//! The commands that close a run. Continue-as-new has a file of its own.

use super::{Completion, Done, Trouble, check_payloads, check_size};
use crate::env::Env;
use crate::workflow::close::{self, Closing};
use crate::workflow::step::Step;
use prost::Message as _;
use steadfast_api::v1::command::{
    CancelWorkflowExecutionCommandAttributes, Command, CompleteWorkflowExecutionCommandAttributes,
    FailWorkflowExecutionCommandAttributes,
};
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;

/// A run does not close over events that its workflow has not seen.
pub(super) fn nothing_unseen(completion: &Completion<'_>) -> Done {
    if !completion.unseen {
        return Ok(());
    }
    Err(Trouble::fail(Cause::UnhandledCommand, ""))
}

pub fn complete(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &CompleteWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    nothing_unseen(completion)?;
    check_payloads(
        // The reference's name for it.
        Cause::BadScheduleActivityAttributes,
        "CompleteWorkflowExecutionCommandAttributes.Result",
        attributes.result.as_ref(),
        env,
    )?;
    let closing = Closing::Completed { result: attributes.result.clone() };
    close::by_command(step, closing, completion.completed_event_id, command.user_metadata.clone(), env);
    Ok(())
}

pub fn fail(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &FailWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    nothing_unseen(completion)?;
    let cause = Cause::BadFailWorkflowExecutionAttributes;
    let Some(failure) = attributes.failure.clone() else {
        return Err(Trouble::fail(cause, "Failure is not set on FailWorkflowExecutionCommand."));
    };
    check_size(cause, "FailWorkflowExecutionCommandAttributes.Failure", failure.encoded_len(), env)?;
    let closing = Closing::Failed { failure };
    close::by_command(step, closing, completion.completed_event_id, command.user_metadata.clone(), env);
    Ok(())
}

pub fn cancel(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &CancelWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    nothing_unseen(completion)?;
    // The reference takes details of any size here.
    let closing = Closing::Canceled { details: attributes.details.clone() };
    close::by_command(step, closing, completion.completed_event_id, command.user_metadata.clone(), env);
    Ok(())
}
