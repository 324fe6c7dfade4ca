//! Auto-reset points: the first task that each build of the worker's code completed. The search attributes BuildIds and
//! BinaryChecksums name the same builds.

use super::payload;
use super::rows::{AttributesRow, ResetPointsRow};
use super::state::Run;
use super::step::Step;
use crate::env::Env;
use crate::key::Time;
use crate::limits::Limits;
use steadfast_api::v1::workflow::ResetPointInfo;

const BUILD_IDS: &str = "BuildIds";
const BINARY_CHECKSUMS: &str = "BinaryChecksums";

/// The worker that completed a task.
pub struct Build<'a> {
    pub build_id: &'a str,
    pub binary_checksum: &'a str,
}

pub fn add(step: &mut Step, build: &Build<'_>, completed_event_id: i64, env: &Env<'_>) {
    let now = step.now(env);
    let points = with(&step.run, build, completed_event_id, now, env.limits);
    let added = points.is_some();
    if let Some(points) = points {
        step.put_reset_points(points);
    }
    let attributes = naming_builds(&step.run, build, added);
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

/// The attributes with the builds that worked on this run and, when there is a new point, the binaries of all; `None` if
/// they name them already.
pub fn naming_builds(run: &Run, build: &Build<'_>, added: bool) -> Option<AttributesRow> {
    if !added && is_named(run, build) {
        return None;
    }
    let points = &run.reset_points;
    let own = run.id.to_string();
    let mut builds: Vec<String> = vec![unversioned("")];
    let of_run =
        points.points.iter().filter(|point| point.run_id == own).map(|point| point.build_id.as_str());
    for id in of_run.chain([build.build_id]).map(unversioned) {
        if !builds.contains(&id) {
            builds.push(id);
        }
    }
    let mut binaries: Vec<&str> = points.points.iter().map(|point| point.binary_checksum.as_str()).collect();
    binaries.retain(|checksum| added && !checksum.is_empty());
    let fields = run.attributes.search_attributes.as_ref().map(|attributes| &attributes.indexed_fields);
    let new = |name: &str, values: Vec<&str>| {
        let value = (!values.is_empty()).then(|| payload::keywords(values))?;
        (fields.and_then(|fields| fields.get(name)) != Some(&value)).then(|| (name.to_owned(), value))
    };
    let builds = new(BUILD_IDS, builds.iter().map(String::as_str).collect());
    let binaries = new(BINARY_CHECKSUMS, binaries);
    if builds.is_none() && binaries.is_none() {
        return None;
    }
    let mut row: AttributesRow = (*run.attributes).clone();
    let fields = &mut row.search_attributes.get_or_insert_default().indexed_fields;
    fields.extend(builds.into_iter().chain(binaries));
    Some(row)
}

/// A look that nearly always suffices: it is asked after every workflow task.
fn is_named(run: &Run, build: &Build<'_>) -> bool {
    let named = run.attributes.search_attributes.as_ref().and_then(|all| all.indexed_fields.get(BUILD_IDS));
    let quoted = format!("\"{}\"", unversioned(build.build_id));
    named.is_some_and(|named| named.data.windows(quoted.len()).any(|part| part == quoted.as_bytes()))
}

fn unversioned(build_id: &str) -> String {
    if build_id.is_empty() { "unversioned".to_owned() } else { format!("unversioned:{build_id}") }
}
