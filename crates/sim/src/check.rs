//! What has to hold when everything has come to its end.

use crate::board::Board;
use crate::worker::count_result;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use steadfast_api::v1::enums::{CallbackState, TimeoutType, WorkflowExecutionStatus as Status};
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_machine::workflow::state::Run;
use steadfast_machine::{RunKey, Time};

/// Why the open runs are not at rest yet; empty when they are.
pub fn unsettled(world: &World) -> Vec<String> {
    let audit = world.disk.audit();
    let mut why = Vec::new();
    if !audit.tasks.is_empty() {
        why.push(format!("{} tasks wait", audit.tasks.len()));
    }
    if !audit.messages.is_empty() {
        why.push(format!("{} messages wait", audit.messages.len()));
    }
    let batches = audit.batches.iter().filter(|(_, open)| **open);
    why.extend(batches.map(|(key, _)| format!("{key}: a batch operation runs")));
    let open = audit.open_runs();
    drop(audit);
    why.extend(untold(world));
    for key in open {
        let Some(run) = world.disk.run(&key) else { continue };
        if run.core.task.is_some() {
            why.push(format!("{key}: a workflow task is pending: {:?}", run.core.task));
        }
        if !run.activities.is_empty() || !run.timers.is_empty() || !run.buffered.is_empty() {
            let (activities, timers) = (run.activities.len(), run.timers.len());
            why.push(format!(
                "{key}: {activities} activities, {timers} timers, {} buffered",
                run.buffered.len()
            ));
        }
        if !run.externals.is_empty() || run.children.values().any(|child| child.run_id.is_empty()) {
            why.push(format!("{key}: signals, cancel requests or starts of children have no end"));
        }
        if run.core.backoff_until != 0 {
            why.push(format!("{key}: it waits for its first task"));
        }
    }
    why
}

/// The closed runs that somebody still has to be told of.
pub fn untold(world: &World) -> Vec<String> {
    let closed = world.disk.audit().all_runs().into_iter().filter_map(|key| {
        let run = world.disk.run(&key).filter(|run| !run.is_open() && run.alarm().is_some())?;
        Some(format!("{key}: somebody waits to be told of its end: {:?}", run.callbacks))
    });
    closed.collect()
}

/// Everything that was acknowledged against everything that is stored.
pub fn all(world: &World) {
    let runs = world.disk.audit().all_runs();
    let mut histories: BTreeMap<RunKey, (Run, Vec<HistoryEvent>)> = BTreeMap::new();
    for key in runs {
        if let Some(run) = world.disk.run(&key) {
            let history = world.disk.history(&run);
            if let Err(wrong) = one_history(&world.board, &run, &history) {
                world.board.violation(format!("{key}: {wrong}"));
            }
            histories.insert(key, (run, history));
        }
    }
    acknowledged(world, &histories);
    told(world, &histories);
    batches(world, &histories);
}

/// Whoever wanted to know how a run ends was told, and nobody counts as told who was not.
fn told(world: &World, histories: &BTreeMap<RunKey, (Run, Vec<HistoryEvent>)>) {
    let ledger = world.ledger();
    for (key, (run, _)) in histories {
        let goes_on = run.status() == Status::ContinuedAsNew || !run.core.reset_run_id.is_empty();
        for row in run.callbacks.values().filter(|_| !run.is_open() && !goes_on) {
            let broken = |what: &str| world.board.violation(format!("{key}: {what}: {row:?}"));
            match CallbackState::try_from(row.state) {
                Ok(CallbackState::Succeeded) if !ledger.told.contains(key) => broken("nobody was told"),
                Ok(CallbackState::Succeeded | CallbackState::Failed) => {}
                _ => broken("somebody waits to be told"),
            }
        }
    }
}

/// A batch operation came to everything that was open when it began, unless that closed before, and to nothing twice.
fn batches(world: &World, histories: &BTreeMap<RunKey, (Run, Vec<HistoryEvent>)>) {
    let ledger = world.ledger();
    for (name, (entity, before)) in &ledger.batches {
        let signals = |history: &[HistoryEvent]| {
            count(history, |event| match event {
                Event::WorkflowExecutionSignaledEventAttributes(signal) => signal.signal_name == *name,
                _ => false,
            })
        };
        for (key, (_, history)) in histories {
            let times = signals(history);
            if times > 1 {
                world.board.violation(format!("{key}: {name} is {times} times in its history"));
            }
        }
        let keys: Vec<RunKey> =
            world.disk.audit().batches.keys().filter(|key| key.entity == *entity).cloned().collect();
        let Some(batch) = keys.first().and_then(|key| world.disk.batch(key)) else { continue };
        let core = &batch.core;
        if !core.in_flight.is_empty() || core.failed != 0 || batch.status() == Status::Failed {
            world.board.violation(format!("{}: {core:?}", entity.id));
        }
        // Where the clock is set nobody can say what was first.
        if batch.status() != Status::Completed || world.knobs.jumps != 0 {
            continue;
        }
        world.board.saw("a batch operation comes to its end");
        for key in before.iter().filter(|key| !world.is_rough(&key.entity.id)) {
            let Some((run, history)) = histories.get(key) else { continue };
            let closed_before = !run.is_open() && run.core.close_time <= core.close_time;
            if signals(history) == 0 && !closed_before {
                world.board.violation(format!("{key}: {name} did not come, and it was open all the time"));
            }
        }
    }
}

fn acknowledged(world: &World, histories: &BTreeMap<RunKey, (Run, Vec<HistoryEvent>)>) {
    let ledger = world.ledger();
    let broken = |what: String| world.board.violation(what);
    for (request_id, (entity, run)) in &ledger.starts {
        if world.is_rough(&entity.id) {
            continue;
        }
        let of_entity = histories.iter().filter(|(key, _)| key.entity == *entity);
        let made: Vec<(usize, &RunKey)> = of_entity
            .enumerate()
            .filter(|(_, (_, (run, _)))| {
                let own = run.start.continued_from.is_empty() && run.core.ancestry.is_empty();
                run.start.request_id == *request_id && own
            })
            .map(|(place, (key, _))| (place, key))
            .collect();
        // A request is known by the latest run only: with another in between it counts as a new one.
        if made.windows(2).any(|two| two[0].0 + 1 == two[1].0) {
            broken(format!("{}: {request_id} made two runs, one after the other", entity.id));
        }
        if let Some(run) = run
            && !made.iter().any(|(_, key)| key.run == *run)
        {
            broken(format!("{}: {request_id} was told to have started {run}, and did not", entity.id));
        }
    }
    for (name, (entity, acknowledged)) in &ledger.signals {
        let mut total = 0;
        for (key, (_, history)) in histories.iter().filter(|(key, _)| key.entity == *entity) {
            let count = count(history, |event| match event {
                Event::WorkflowExecutionSignaledEventAttributes(signal) => signal.signal_name == *name,
                _ => false,
            });
            if count > 1 {
                broken(format!("{key}: {name} is {count} times in its history"));
            }
            total += count;
        }
        if *acknowledged && total == 0 && !world.is_rough(&entity.id) {
            broken(format!("{}: {name} was acknowledged, and is in no history", entity.id));
        }
    }
    for (name, (key, acknowledged)) in &ledger.markers {
        let count = histories.get(key).map_or(0, |(_, history)| {
            count(history, |event| match event {
                Event::MarkerRecordedEventAttributes(marker) => marker.marker_name == *name,
                _ => false,
            })
        });
        let lost = *acknowledged && count == 0 && !ledger.deleted.contains(key);
        if count > 1 || lost {
            broken(format!("{key}: {name} is {count} times in its history, acknowledged: {acknowledged}"));
        }
    }
    for (result, (key, acknowledged)) in &ledger.results {
        let count =
            histories.get(key).map_or(0, |(_, history)| count_result(history.iter().cloned(), result));
        let lost = *acknowledged && count == 0 && !ledger.deleted.contains(key);
        if count > 1 || lost {
            broken(format!("{key}: {result} is {count} times in its history, acknowledged: {acknowledged}"));
        }
    }
    for (id, key) in &ledger.updates {
        let count = histories.get(key).map_or(0, |(_, history)| {
            count(history, |event| match event {
                Event::WorkflowExecutionUpdateCompletedEventAttributes(update) => {
                    update.meta.as_ref().is_some_and(|meta| meta.update_id == *id)
                }
                _ => false,
            })
        });
        if count != 1 {
            broken(format!("{key}: {id} was told as completed, and is {count} times in its history"));
        }
    }
    external_signals(world, histories);
    for key in &ledger.closed {
        if histories.get(key).is_none_or(|(run, _)| run.is_open()) && !ledger.deleted.contains(key) {
            broken(format!("{key}: it was told to be closed, and is not"));
        }
    }
}

/// A signal to another workflow of which its sender was told that it arrived is there, and in no run twice.
fn external_signals(world: &World, histories: &BTreeMap<RunKey, (Run, Vec<HistoryEvent>)>) {
    for (key, (_, history)) in histories {
        for event in history {
            let Some(Event::ExternalWorkflowExecutionSignaledEventAttributes(told)) = &event.attributes
            else {
                continue;
            };
            let sent =
                history.get(told.initiated_event_id as usize - 1).and_then(|event| event.attributes.as_ref());
            let Some(Event::SignalExternalWorkflowExecutionInitiatedEventAttributes(sent)) = sent else {
                world.board.violation(format!("{key}: event {} is about nothing", event.event_id));
                continue;
            };
            let to = sent.workflow_execution.as_ref().map_or("", |target| &target.workflow_id);
            // An operator may have sent it again, or removed it.
            if world.is_rough(&key.entity.id) || world.is_rough(to) {
                continue;
            }
            // One that is sent again because its answer was lost may find another run than before; none finds it twice.
            let arrived = histories
                .values()
                .map(|(_, history)| {
                    count(history, |event| match event {
                        Event::WorkflowExecutionSignaledEventAttributes(signal) => {
                            signal.signal_name == sent.signal_name
                        }
                        _ => false,
                    })
                })
                .max()
                .unwrap_or(0);
            if arrived != 1 {
                world.board.violation(format!("{key}: {} arrived {arrived} times", sent.signal_name));
            }
        }
    }
}

fn count(history: &[HistoryEvent], which: impl Fn(&Event) -> bool) -> usize {
    history.iter().filter(|event| event.attributes.as_ref().is_some_and(&which)).count()
}

fn time(event: &HistoryEvent) -> Time {
    event.event_time.as_ref().map_or(Time(0), Time::from_timestamp)
}

fn saw(board: &Board, event: &HistoryEvent) {
    match &event.attributes {
        Some(Event::WorkflowExecutionContinuedAsNewEventAttributes(_)) => board.saw("a run continues as new"),
        Some(Event::WorkflowTaskTimedOutEventAttributes(end))
            if end.timeout_type == TimeoutType::ScheduleToStart as i32 =>
        {
            board.saw("a sticky task times out");
        }
        _ => {}
    }
}

/// The grammar of one history, and that what its events leave pending is what the rows say.
fn one_history(board: &Board, run: &Run, history: &[HistoryEvent]) -> Result<(), String> {
    let mut timers: BTreeMap<i64, (String, Time)> = BTreeMap::new();
    let mut activities: BTreeSet<i64> = BTreeSet::new();
    let mut scheduled: Option<i64> = None;
    let mut started: Option<i64> = None;
    let mut closed = false;
    let (mut accepted, mut completed) = (BTreeSet::new(), BTreeSet::new());
    for (place, event) in history.iter().enumerate() {
        let id = event.event_id;
        saw(board, event);
        if id != place as i64 + 1 {
            return Err(format!("event {id} is at place {}", place + 1));
        }
        if closed {
            return Err(format!("event {id} comes after the end"));
        }
        let Some(attributes) = &event.attributes else { return Err(format!("event {id} is empty")) };
        match attributes {
            Event::WorkflowExecutionStartedEventAttributes(_) if id == 1 => {}
            _ if id == 1 => return Err("the first event is not Started".into()),
            Event::WorkflowTaskScheduledEventAttributes(_) => {
                if scheduled.replace(id).is_some() {
                    return Err(format!("workflow task {id} is scheduled while there is one"));
                }
            }
            Event::WorkflowTaskStartedEventAttributes(start) => {
                if scheduled != Some(start.scheduled_event_id) || started.replace(id).is_some() {
                    return Err(format!("workflow task {id} is started, scheduled is {scheduled:?}"));
                }
            }
            Event::WorkflowTaskCompletedEventAttributes(end) => {
                if started.take() != Some(end.started_event_id)
                    || scheduled.take() != Some(end.scheduled_event_id)
                {
                    return Err(format!("event {id} completes a workflow task that was not started"));
                }
            }
            Event::WorkflowTaskFailedEventAttributes(_) => {
                if started.take().is_none() || scheduled.take().is_none() {
                    return Err(format!("event {id} fails a workflow task that was not started"));
                }
            }
            Event::WorkflowTaskTimedOutEventAttributes(_) => {
                started.take();
                if scheduled.take().is_none() {
                    return Err(format!("event {id} times out a workflow task that was not scheduled"));
                }
            }
            Event::TimerStartedEventAttributes(timer) => {
                let wait = timer.start_to_fire_timeout.unwrap_or_default();
                let wait = wait.seconds * 1_000_000_000 + i64::from(wait.nanos);
                timers.insert(id, (timer.timer_id.clone(), time(event).plus(wait)));
            }
            Event::TimerFiredEventAttributes(fired) => match timers.remove(&fired.started_event_id) {
                Some((_, due)) if time(event) < due => {
                    return Err(format!("event {id} fires a timer early"));
                }
                Some(_) => {}
                None => return Err(format!("event {id} fires a timer that is not running")),
            },
            Event::TimerCanceledEventAttributes(canceled) => {
                if timers.remove(&canceled.started_event_id).is_none() {
                    return Err(format!("event {id} cancels a timer that is not running"));
                }
            }
            Event::ActivityTaskScheduledEventAttributes(_) => {
                activities.insert(id);
            }
            Event::ActivityTaskCompletedEventAttributes(end) => {
                ended(&mut activities, id, end.scheduled_event_id)?
            }
            Event::ActivityTaskFailedEventAttributes(end) => {
                ended(&mut activities, id, end.scheduled_event_id)?
            }
            Event::ActivityTaskTimedOutEventAttributes(end) => {
                ended(&mut activities, id, end.scheduled_event_id)?
            }
            Event::ActivityTaskCanceledEventAttributes(end) => {
                ended(&mut activities, id, end.scheduled_event_id)?
            }
            Event::WorkflowExecutionUpdateAcceptedEventAttributes(update) => {
                if !accepted.insert(update.protocol_instance_id.clone()) {
                    return Err(format!("event {id} accepts {} once more", update.protocol_instance_id));
                }
            }
            Event::WorkflowExecutionUpdateCompletedEventAttributes(update) => {
                let update = update.meta.as_ref().map_or("", |meta| &meta.update_id);
                if !completed.insert(update.to_owned()) {
                    return Err(format!("event {id} completes {update} once more"));
                }
            }
            Event::WorkflowExecutionCompletedEventAttributes(_)
            | Event::WorkflowExecutionFailedEventAttributes(_)
            | Event::WorkflowExecutionTimedOutEventAttributes(_)
            | Event::WorkflowExecutionCanceledEventAttributes(_)
            | Event::WorkflowExecutionTerminatedEventAttributes(_)
            | Event::WorkflowExecutionContinuedAsNewEventAttributes(_) => closed = true,
            _ => {}
        }
    }
    if closed == run.is_open() {
        return Err(format!("its status is {:?}, its history closed: {closed}", run.status()));
    }
    if run.is_open() && run.buffered.is_empty() {
        let rows: Vec<i64> = run.timers.keys().copied().collect();
        if rows != timers.keys().copied().collect::<Vec<_>>() {
            return Err(format!("the rows of timers are {rows:?}, the history leaves {timers:?}"));
        }
        let rows: Vec<i64> = run.activities.keys().copied().collect();
        if rows != activities.iter().copied().collect::<Vec<_>>() {
            return Err(format!("the rows of activities are {rows:?}, the history leaves {activities:?}"));
        }
    }
    Ok(())
}

fn ended(activities: &mut BTreeSet<i64>, id: i64, scheduled: i64) -> Result<(), String> {
    match activities.remove(&scheduled) {
        true => Ok(()),
        false => Err(format!("event {id} ends activity {scheduled}, which is not running")),
    }
}
