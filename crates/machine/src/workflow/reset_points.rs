//! Auto-reset points: the first task that each build of the worker's code completed.

use super::input::CompleteWorkflowTask;
use super::rows::ResetPointsRow;
use super::step::Step;
use crate::env::Env;
use steadfast_api::v1::workflow::ResetPointInfo;

pub fn add(step: &mut Step, input: &CompleteWorkflowTask, completed_event_id: i64, env: &Env<'_>) {
    let points = &step.run.reset_points.points;
    let known = points
        .iter()
        .any(|point| point.binary_checksum == input.binary_checksum && point.build_id == input.build_id);
    if known {
        return;
    }
    let mut points = points.clone();
    if points.len() >= env.limits.auto_reset_points {
        points.remove(0);
    }
    points.push(ResetPointInfo {
        build_id: input.build_id.clone(),
        binary_checksum: input.binary_checksum.clone(),
        run_id: step.key.run.to_string(),
        first_workflow_task_completed_id: completed_event_id,
        create_time: Some(step.now(env).timestamp()),
        expire_time: None,
        resettable: step.run.children.is_empty() && step.run.externals.is_empty(),
    });
    step.put_reset_points(ResetPointsRow { points });
}
