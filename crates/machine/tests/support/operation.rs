//! An operation of a batch, as a scenario writes it:
//!
//!     terminate     cancel     delete     signal name
//!     reset first|last|7|build=b [current-run] [legacy] [exclude=signals] [priority=]
//!     options mask=… [priority=]
//!     unpause-activities type=A|all     reset-activities type=A|all [restore]
//!     activity-options type=A|all restore | mask=… [close=]

use super::line::Line;
use super::operate::{mask, priority};
use steadfast_api::temporal::api::batch::v1::*;
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::common::{ResetOptions, reset_options::Target};
use steadfast_api::v1::enums::{ResetReapplyExcludeType, ResetType};
use steadfast_api::v1::workflow::post_reset_operation::{UpdateWorkflowOptions, Variant};
use steadfast_api::v1::workflow::{PostResetOperation, WorkflowExecutionOptions};
use steadfast_machine::batch::Operation;

pub fn operation(line: &mut Line) -> Result<Operation, String> {
    let identity = "operator".to_owned();
    Ok(match line.word()?.as_str() {
        "terminate" => Operation::Terminate(BatchOperationTermination { details: None, identity }),
        "cancel" => Operation::Cancel(BatchOperationCancellation { identity }),
        "delete" => Operation::Delete(BatchOperationDeletion { identity }),
        "signal" => Operation::Signal(BatchOperationSignal {
            signal: line.word()?,
            identity,
            ..BatchOperationSignal::default()
        }),
        "reset" => Operation::Reset(reset(line, identity)?),
        "options" => Operation::UpdateOptions(BatchOperationUpdateWorkflowExecutionOptions {
            identity,
            update_mask: mask(line),
            workflow_execution_options: Some(options(line)?),
        }),
        "unpause-activities" => Operation::UnpauseActivities(BatchOperationUnpauseActivities {
            identity,
            activity: Some(match line.field("type") {
                Some(name) => batch_operation_unpause_activities::Activity::Type(name),
                None => batch_operation_unpause_activities::Activity::MatchAll(line.flag("all")),
            }),
            ..BatchOperationUnpauseActivities::default()
        }),
        "reset-activities" => Operation::ResetActivities(BatchOperationResetActivities {
            identity,
            activity: Some(match line.field("type") {
                Some(name) => batch_operation_reset_activities::Activity::Type(name),
                None => batch_operation_reset_activities::Activity::MatchAll(line.flag("all")),
            }),
            restore_original_options: line.flag("restore"),
            ..BatchOperationResetActivities::default()
        }),
        "activity-options" => Operation::UpdateActivityOptions(BatchOperationUpdateActivityOptions {
            identity,
            activity: Some(match line.field("type") {
                Some(name) => batch_operation_update_activity_options::Activity::Type(name),
                None => batch_operation_update_activity_options::Activity::MatchAll(line.flag("all")),
            }),
            restore_original: line.flag("restore"),
            update_mask: mask(line),
            activity_options: Some(ActivityOptions {
                start_to_close_timeout: line.duration("close")?,
                ..ActivityOptions::default()
            }),
        }),
        other => return Err(format!("no operation {other}")),
    })
}

fn options(line: &mut Line) -> Result<WorkflowExecutionOptions, String> {
    Ok(WorkflowExecutionOptions { priority: priority(line)?, ..WorkflowExecutionOptions::default() })
}

fn reset(line: &mut Line, identity: String) -> Result<BatchOperationReset, String> {
    let point = line.field("build").map_or_else(|| line.word(), |build| Ok(format!("build {build}")))?;
    if line.flag("legacy") {
        let kind = if point == "first" { ResetType::FirstWorkflowTask } else { ResetType::LastWorkflowTask };
        return Ok(BatchOperationReset {
            identity,
            reset_type: kind as i32,
            ..BatchOperationReset::default()
        });
    }
    let target = match point.as_str() {
        "first" => Target::FirstWorkflowTask(()),
        "last" => Target::LastWorkflowTask(()),
        build if build.starts_with("build ") => Target::BuildId(build["build ".len()..].to_owned()),
        id => Target::WorkflowTaskId(id.parse().map_err(|_| format!("reset to {id}"))?),
    };
    let excluded = line.field("exclude").is_some_and(|kinds| kinds == "signals");
    let excluded = excluded.then_some(ResetReapplyExcludeType::Signal as i32);
    let mut later = Vec::new();
    if let Some(priority) = priority(line)? {
        later.push(PostResetOperation {
            variant: Some(Variant::UpdateWorkflowOptions(UpdateWorkflowOptions {
                update_mask: Some(prost_types::FieldMask { paths: vec!["priority".into()] }),
                workflow_execution_options: Some(WorkflowExecutionOptions {
                    priority: Some(priority),
                    ..WorkflowExecutionOptions::default()
                }),
            })),
        });
    }
    Ok(BatchOperationReset {
        identity,
        post_reset_operations: later,
        options: Some(ResetOptions {
            target: Some(target),
            current_run_only: line.flag("current-run"),
            reset_reapply_exclude_types: excluded.into_iter().collect(),
            ..ResetOptions::default()
        }),
        ..BatchOperationReset::default()
    })
}
