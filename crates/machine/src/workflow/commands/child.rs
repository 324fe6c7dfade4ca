//! StartChildWorkflowExecution.

use super::{Completion, Done, Trouble};
use crate::env::Env;
use crate::workflow::step::Step;
use steadfast_api::v1::command::{Command, StartChildWorkflowExecutionCommandAttributes};
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;

pub fn start(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &StartChildWorkflowExecutionCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let _ = (step, completion, command, attributes, env);
    Err(Trouble::fail(Cause::FeatureDisabled, "child workflows are not built yet"))
}
