//! Auto-reset points: the first task that each build of the worker's code completed. The search attribute BuildIds
//! names the same builds.

use super::payload;
use super::rows::{AttributesRow, ResetPointsRow};
use super::state::Run;
use super::step::Step;
use crate::env::Env;
use crate::key::Time;
use crate::limits::Limits;
use steadfast_api::v1::workflow::ResetPointInfo;

const BUILD_IDS: &str = "BuildIds";

/// The worker that completed a task.
pub struct Build<'a> {
    pub build_id: &'a str,
    pub binary_checksum: &'a str,
}

pub fn add(step: &mut Step, build: &Build<'_>, completed_event_id: i64, env: &Env<'_>) {
    let now = step.now(env);
    let Some(points) = with(&step.run, build, completed_event_id, now, env.limits) else { return };
    let attributes = naming_builds(&step.run, &points);
    step.put_reset_points(points);
    if let Some(attributes) = attributes {
        step.put_attributes(attributes);
    }
}

/// The points with one for this build, `None` if there is one already.
pub fn with(
    run: &Run,
    build: &Build<'_>,
    completed_event_id: i64,
    time: Time,
    limits: &Limits,
) -> Option<ResetPointsRow> {
    let mut points = run.reset_points.points.clone();
    let known = |point: &ResetPointInfo| {
        point.binary_checksum == build.binary_checksum && point.build_id == build.build_id
    };
    if points.iter().any(known) {
        return None;
    }
    if points.len() >= limits.auto_reset_points {
        points.remove(0);
    }
    points.push(ResetPointInfo {
        build_id: build.build_id.to_owned(),
        binary_checksum: build.binary_checksum.to_owned(),
        run_id: run.id.to_string(),
        first_workflow_task_completed_id: completed_event_id,
        create_time: Some(time.timestamp()),
        expire_time: None,
        resettable: run.children.is_empty() && run.externals.is_empty(),
    });
    Some(ResetPointsRow { points })
}

/// The attributes with the builds of these points, `None` if they name them already.
pub fn naming_builds(run: &Run, points: &ResetPointsRow) -> Option<AttributesRow> {
    let mut builds: Vec<String> = points.points.iter().map(|point| unversioned(&point.build_id)).collect();
    builds.dedup();
    let value = payload::keywords(builds.iter().map(String::as_str));
    let mut row: AttributesRow = (*run.attributes).clone();
    let attributes = row.search_attributes.get_or_insert_default();
    if attributes.indexed_fields.get(BUILD_IDS) == Some(&value) {
        return None;
    }
    attributes.indexed_fields.insert(BUILD_IDS.to_owned(), value);
    Some(row)
}

fn unversioned(build_id: &str) -> String {
    if build_id.is_empty() { "unversioned".to_owned() } else { format!("unversioned:{build_id}") }
}
