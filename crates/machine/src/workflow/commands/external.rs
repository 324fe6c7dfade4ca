//! SignalExternalWorkflowExecution and RequestCancelExternalWorkflowExecution.

use super::{Completion, Done, Trouble};
use crate::env::Env;
use crate::workflow::step::Step;
use steadfast_api::v1::command::{
    Command, RequestCancelExternalWorkflowExecutionCommandAttributes,
    SignalExternalWorkflowExecutionCommandAttributes,
};
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;

pub fn signal(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &SignalExternalWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let _ = (step, completion, command, attributes, env);
    Err(Trouble::fail(Cause::FeatureDisabled, "signals to other workflows are not built yet"))
}

pub fn cancel(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &RequestCancelExternalWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let _ = (step, completion, command, attributes, env);
    Err(Trouble::fail(Cause::FeatureDisabled, "cancel requests to other workflows are not built yet"))
}
