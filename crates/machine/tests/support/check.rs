//! What holds after every input, whatever it was. The world itself checks, as it stores a step, that event ids have no
//! gap and that the stored rows (and the indexes made of them) are the run in memory.

use super::world::World;
use std::collections::BTreeSet;
use steadfast_machine::workflow::rows::QueuedRow;
use steadfast_machine::workflow::state::{Run, activity_timeouts, task_deadline};
use steadfast_machine::workflow::{self, projection};
use steadfast_machine::{EntityKey, QueueKey, QueueType, TaskKey, Time};

pub fn check(world: &World) {
    let mut queued = BTreeSet::new();
    for (entity, runs) in world.runs() {
        let open = runs.iter().filter(|run| run.is_open()).count();
        assert!(open <= 1, "{}: {open} open runs", entity.id);
        for run in runs {
            what_waits(entity, run);
            alarm(run);
            history(world, run);
            for (row, kind) in queued_rows(run) {
                assert!(queued.insert(task_key(entity, run, row, kind)), "two things have one task");
            }
        }
    }
    let used: BTreeSet<_> = world.runs().flat_map(|(_, runs)| runs).flat_map(workflow::branches).collect();
    assert_eq!(world.branches(), used, "a branch of history is there as long as a run reads from it");
    let tasks: BTreeSet<TaskKey> = world.tasks.keys().cloned().collect();
    assert_eq!(queued, tasks, "each thing that is queued has one task, and there are no others");
}

fn what_waits(entity: &EntityKey, run: &Run) {
    let name = &entity.id;
    let core = &run.core;
    if !run.is_open() {
        assert!(core.task.is_none() && core.sticky.is_none(), "{name}: a closed run has a workflow task");
        let queued = run.activities.values().any(|row| row.queued.is_some());
        assert!(!queued && run.timers.is_empty(), "{name}: a closed run waits for something");
        assert!(run.externals.is_empty(), "{name}: a closed run waits for another");
    }
    let held_up = run.buffered.is_empty() || run.started_task().is_some();
    assert!(held_up, "{name}: events are buffered, and no worker has the workflow task");
    if let Some(task) = &core.task {
        let in_queue = task.queued.is_some();
        assert_eq!(in_queue, task.started_event_id == 0, "{name}: a workflow task is queued or started");
        assert!(!(run.is_paused() && in_queue), "{name}: a paused run has a task in a queue");
        // Events may come after a transient task was scheduled: it becomes a normal one when it starts.
        let settled = !task.transient || task.started_event_id != 0;
        let in_history = task.scheduled_event_id < core.next_event_id;
        assert!(!settled || in_history != task.transient, "{name}: the events of a transient task");
    }
    for row in run.activities.values() {
        let id = &row.activity_id;
        assert!(row.queued.is_none() || row.started_time == 0, "{name}: {id} is started and in a queue");
        let held = row.pause.is_some() || run.is_paused();
        assert!(!held || row.queued.is_none(), "{name}: {id} is paused and in a queue");
    }
}

/// The alarm is the earliest deadline.
fn alarm(run: &Run) {
    let core = &run.core;
    let mut deadlines = vec![core.run_expiry, core.execution_expiry, core.backoff_until];
    deadlines.extend(core.task.as_ref().map(task_deadline));
    deadlines.extend(run.timers.values().map(|row| row.due));
    for row in run.activities.values().filter(|row| row.pause.is_none()) {
        deadlines.extend(activity_timeouts(row).iter().map(|(time, _)| time.0));
        if row.started_time == 0 && row.queued.is_none() && !run.is_paused() {
            deadlines.push(row.scheduled_time);
        }
    }
    let earliest = deadlines.into_iter().filter(|time| *time != 0).min().map(Time);
    if !run.is_open() {
        let called = |sequence| run.volatile.calls.iter().any(|(called, _)| *called == sequence);
        let due = run.callbacks.values().filter(|row| row.due != 0).map(|row| Time(row.due)).min();
        assert_eq!(run.stored_alarm(), due, "the stored alarm");
        assert_eq!(run.alarm().is_some(), due.is_some(), "the alarm");
        assert!(run.callbacks.keys().any(|sequence| called(*sequence)) || run.alarm() == run.stored_alarm());
        return;
    }
    assert_eq!(run.alarm(), earliest, "the alarm");
}

/// Folding the events, and those that are buffered, gives the part of the run that events tell.
fn history(world: &World, run: &Run) {
    let batches = world.batches(run);
    let mut folded = projection::fold(run.id, &run.start, batches.iter().flatten(), &world.limits);
    for event in run.buffered.values().filter_map(|row| row.event.as_ref()) {
        projection::apply(&mut folded, event, &world.limits);
    }
    // What a reset set anew, no event says.
    if run.core.last_reset_time != 0 {
        folded.core.start_time = run.core.start_time;
        folded.core.execution_time = run.core.execution_time;
        folded.core.run_expiry = run.core.run_expiry;
        folded.core.execution_expiry = run.core.execution_expiry;
        folded.core.backoff_until = run.core.backoff_until;
        folded.reset_points = run.reset_points.clone();
    }
    let (told, folded) = (projection::derived(run), projection::derived(&folded));
    assert!(
        told == folded,
        "the history (-) tells another run than there is (+):\n{}",
        difference(&folded, &told)
    );
}

fn difference(one: &Run, other: &Run) -> String {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let (one, other): (BTreeSet<&str>, BTreeSet<&str>) = (one.lines().collect(), other.lines().collect());
    let only = |a: &BTreeSet<&str>, b: &BTreeSet<&str>, mark: &str| -> String {
        a.difference(b).map(|line| format!("{mark} {}\n", line.trim())).collect()
    };
    only(&one, &other, "-") + &only(&other, &one, "+")
}

fn queued_rows(run: &Run) -> Vec<(&QueuedRow, QueueType)> {
    let task = run.core.task.as_ref().and_then(|task| task.queued.as_ref());
    let activities = run.activities.values().filter_map(|row| row.queued.as_ref());
    let activities = activities.map(|row| (row, QueueType::Activity));
    task.map(|row| (row, QueueType::Workflow)).into_iter().chain(activities).collect()
}

fn task_key(entity: &EntityKey, run: &Run, row: &QueuedRow, kind: QueueType) -> TaskKey {
    TaskKey {
        queue: QueueKey { namespace: entity.namespace, name: row.queue.as_str().into(), kind },
        priority: row.priority as u8,
        order: row.order,
        run: run.id,
    }
}
