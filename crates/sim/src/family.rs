//! What has to hold between runs once everything is at rest: parents know how their children ended, children what their
//! parents wanted, and lists know of every run.

use crate::disk::now;
use crate::world::{NAMESPACE, World};
use std::collections::BTreeMap;
use steadfast_api::v1::enums::{ParentClosePolicy, WorkflowExecutionStatus as Status};
use steadfast_machine::workflow::state::Run;
use steadfast_machine::{Kind, RunKey};
use steadfast_query::{AttributeType, Schema};
use steadfast_storage::Store as _;
use uuid::Uuid;

/// A namespace without attributes of its own.
struct Plain;

impl Schema for Plain {
    fn custom(&self, _: &str) -> Option<AttributeType> {
        None
    }
}

type Everything = BTreeMap<Uuid, (RunKey, Run)>;

/// What is still missing; empty when everybody knows everything.
pub fn unsettled(world: &World) -> Vec<String> {
    let keys = world.disk.audit().all_runs();
    let runs = keys.into_iter().filter_map(|key| Some((key.run, (key.clone(), world.disk.run(&key)?))));
    let runs: Everything = runs.collect();
    let mut why = Vec::new();
    for (key, run) in runs.values() {
        if run.is_open() {
            children_ended(world, &runs, key, run, &mut why);
            parent_closed(world, &runs, key, run, &mut why);
        }
    }
    listed(world, &runs, &mut why);
    why
}

/// An open run has no child whose chain has come to its end.
fn children_ended(world: &World, runs: &Everything, key: &RunKey, run: &Run, why: &mut Vec<String>) {
    if world.is_rough(&key.entity.id) {
        return;
    }
    for child in run.children.values().filter(|child| !child.run_id.is_empty()) {
        let last = runs.values().rfind(|(_, other)| other.start.first_run_id == child.run_id);
        if let Some((closed, _)) = last.filter(|(_, last)| !last.is_open()) {
            why.push(format!("{key}: its child {closed} has closed, and it was not told"));
        }
    }
}

/// An open child has an open parent, or one that let it go.
fn parent_closed(world: &World, runs: &Everything, key: &RunKey, run: &Run, why: &mut Vec<String>) {
    let Some(known) = &run.start.parent else { return };
    if world.is_rough(&known.workflow_id) || world.is_rough(&key.entity.id) {
        return;
    }
    let Some((_, parent)) = Uuid::parse_str(&known.run_id).ok().and_then(|run| runs.get(&run)) else {
        return;
    };
    let Some(row) = parent.children.get(&known.initiated_event_id).filter(|_| !parent.is_open()) else {
        return;
    };
    let kept = match ParentClosePolicy::try_from(row.parent_close_policy).unwrap_or_default() {
        ParentClosePolicy::Abandon => true,
        // It may have gone on as a new run, which is not asked again.
        ParentClosePolicy::RequestCancel => runs.values().any(|(_, other)| {
            other.start.first_run_id == run.start.first_run_id && other.core.cancel_requested
        }),
        _ => false,
    };
    if !kept {
        why.push(format!("{key}: its parent {} has closed, and it goes on as if not", known.workflow_id));
    }
}

/// A list shows every run as it is, and the counts are those of the list.
fn listed(world: &World, runs: &Everything, why: &mut Vec<String>) {
    let store = world.disk.stored();
    let Some(all) =
        steadfast_query::parse("").ok().and_then(|query| steadfast_query::resolve(query, &Plain).ok())
    else {
        return;
    };
    let Ok(page) = now(store.list(NAMESPACE, Kind::Workflow, &all, None, usize::MAX)) else { return };
    let shown: BTreeMap<Uuid, i32> = page.rows.iter().map(|(key, row)| (key.run, row.status)).collect();
    let mut counts: BTreeMap<i32, u64> = BTreeMap::new();
    for (id, (key, run)) in runs {
        *counts.entry(run.status() as i32).or_default() += 1;
        match shown.get(id) {
            None => why.push(format!("{key}: no list shows it")),
            Some(status) if *status != run.status() as i32 => {
                let status = Status::try_from(*status);
                why.push(format!("{key}: a list shows it as {status:?}, and it is {:?}", run.status()));
            }
            Some(_) => {}
        }
    }
    if shown.len() != runs.len() {
        why.push(format!("a list shows {} runs, there are {}", shown.len(), runs.len()));
    }
    let Ok(counted) = now(store.count_by_status(NAMESPACE, Kind::Workflow, &all)) else { return };
    if counted.iter().copied().collect::<BTreeMap<i32, u64>>() != counts {
        why.push(format!("the counts are {counted:?}, and should be {counts:?}"));
    }
}
