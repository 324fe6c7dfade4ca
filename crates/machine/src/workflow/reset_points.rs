//! Auto-reset points: the first task that each build of the worker's code completed. The search attribute BuildIds
//! names the same builds.

use super::input::CompleteWorkflowTask;
use super::payload;
use super::rows::{AttributesRow, ResetPointsRow};
use super::step::Step;
use crate::env::Env;
use steadfast_api::v1::workflow::ResetPointInfo;

const BUILD_IDS: &str = "BuildIds";

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
    let builds: Vec<String> = points.iter().map(|point| unversioned(&point.build_id)).collect();
    step.put_reset_points(ResetPointsRow { points });
    name_builds(step, builds);
}

fn unversioned(build_id: &str) -> String {
    if build_id.is_empty() { "unversioned".to_owned() } else { format!("unversioned:{build_id}") }
}

fn name_builds(step: &mut Step, mut builds: Vec<String>) {
    builds.dedup();
    let value = payload::keywords(builds.iter().map(String::as_str));
    let mut row: AttributesRow = (*step.run.attributes).clone();
    let attributes = row.search_attributes.get_or_insert_default();
    if attributes.indexed_fields.get(BUILD_IDS) == Some(&value) {
        return;
    }
    attributes.indexed_fields.insert(BUILD_IDS.to_owned(), value);
    step.put_attributes(row);
}
