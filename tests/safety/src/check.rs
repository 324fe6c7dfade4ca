//! The ledger against the histories: everything that was acknowledged is there, once, and nothing else is.

use crate::client::{Client, text};
use crate::load::{Entry, Ledger};
use crate::plan::{ACTIVITIES, CHILDREN, LINKS, Plan, child_id, link};
use crate::worker::Acknowledged;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use steadfast_api::v1::enums::{EventType, WorkflowExecutionStatus};
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::history::history_event::Attributes as Event;
use test_process::server_beside;
use tokio::task::JoinSet;

/// Histories that are read at once.
const READERS: usize = 8;

/// What was looked at, and what was wrong with it.
#[derive(Debug, Default)]
pub struct Findings {
    pub workflows: usize,
    pub runs: usize,
    pub events: usize,
    /// Calls that were acknowledged, of clients and workers.
    pub acknowledged: usize,
    /// How long after they were due timers fired.
    pub timer_delays: Vec<Duration>,
    /// Callbacks of runs that ended, and calls that were made for them.
    pub callbacks: usize,
    pub calls: usize,
    /// From when the listener was well until all callbacks had succeeded, each time.
    pub told_after: Vec<Duration>,
    /// Each breaks a promise.
    pub wrong: Vec<String>,
}

impl Findings {
    pub fn add(&mut self, other: Findings) {
        self.workflows += other.workflows;
        self.runs += other.runs;
        self.events += other.events;
        self.acknowledged += other.acknowledged;
        self.timer_delays.extend(other.timer_delays);
        self.callbacks += other.callbacks;
        self.calls += other.calls;
        self.told_after.extend(other.told_after);
        self.wrong.extend(other.wrong);
    }
}

/// One run, and what must be in its history.
struct Expected {
    plan: Plan,
    id: String,
    run: String,
    entry: Option<Entry>,
    tasks: Vec<i64>,
    /// Activity id and result.
    activities: Vec<(String, String)>,
}

/// Compares what was acknowledged with all workflows whose id begins with `prefix`. All of them have ended.
///
/// # Errors
/// The server does not answer, or the list is damaged; what is only wrong is among the findings.
pub async fn compare(
    client: &Client,
    prefix: &str,
    ledger: Ledger,
    mut acknowledged: Acknowledged,
) -> Result<Findings> {
    // A client may see the end of a workflow before the worker hears that its answer was taken: what is from an earlier
    // comparison is not of this one.
    let own = format!("{prefix}-");
    acknowledged.tasks.retain(|task| task.id.starts_with(&own));
    acknowledged.activities.retain(|activity| activity.id.starts_with(&own));
    let mut findings = Findings { workflows: ledger.entries.len(), ..Findings::default() };
    findings.wrong.extend(ledger.trouble);
    findings.wrong.extend(acknowledged.trouble.into_iter().map(|trouble| format!("the worker: {trouble}")));
    findings.acknowledged = acknowledged.tasks.len()
        + acknowledged.activities.len()
        + ledger.entries.iter().map(|entry| 1 + entry.signals.len() + entry.updates.len()).sum::<usize>();

    // What must be there: the runs of each workflow id, and the acknowledged start among them.
    let mut wanted: BTreeMap<String, (Plan, usize, Option<Entry>)> = BTreeMap::new();
    for entry in ledger.entries {
        if entry.plan == Plan::Parent {
            for (index, plan) in [Plan::Activities, Plan::Timers].into_iter().enumerate() {
                wanted.insert(child_id(&entry.id, index), (plan, 1, None));
            }
        }
        let runs = if entry.plan == Plan::Chain { LINKS } else { 1 };
        wanted.insert(entry.id.clone(), (entry.plan, runs, Some(entry)));
    }
    let listed = client.list(&format!("WorkflowId STARTS_WITH '{prefix}-'")).await.context("the list")?;
    let mut runs: HashMap<String, Vec<(String, i32)>> = HashMap::new();
    for run in listed {
        let execution = run.execution.unwrap_or_default();
        runs.entry(execution.workflow_id).or_default().push((execution.run_id, run.status));
    }
    let mut tasks: HashMap<String, Vec<i64>> = HashMap::new();
    for task in acknowledged.tasks {
        tasks.entry(task.run).or_default().push(task.started_event_id);
    }
    let mut activities: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for done in acknowledged.activities {
        activities.entry(done.run).or_default().push((done.activity, done.result));
    }

    let mut expected = Vec::new();
    for (id, (plan, count, entry)) in wanted {
        let found = runs.remove(&id).unwrap_or_default();
        if found.len() != count {
            findings.wrong.push(format!("{id} has {} runs in the list instead of {count}", found.len()));
        }
        if let Some(entry) = &entry
            && !found.iter().any(|(run, _)| *run == entry.run)
        {
            findings.wrong.push(format!("{id}: the acknowledged run {} is not in the list", entry.run));
        }
        for (run, status) in found {
            if status == WorkflowExecutionStatus::Running as i32 {
                findings.wrong.push(format!("{id} (run {run}) is listed as running"));
            }
            let first = entry.as_ref().filter(|entry| entry.run == run).cloned();
            let (tasks, activities) =
                (tasks.remove(&run).unwrap_or_default(), activities.remove(&run).unwrap_or_default());
            expected.push(Expected { plan, id: id.clone(), run, entry: first, tasks, activities });
        }
    }
    for id in runs.keys() {
        findings.wrong.push(format!("{id} is in the list, and nobody started it"));
    }
    for run in tasks.keys().chain(activities.keys()) {
        findings.wrong.push(format!("answers were taken for the run {run}, which is not in the list"));
    }

    findings.runs = expected.len();
    let mut reading: JoinSet<(Expected, Result<Vec<HistoryEvent>, tonic::Status>)> = JoinSet::new();
    let mut left = expected.into_iter();
    loop {
        while reading.len() < READERS
            && let Some(next) = left.next()
        {
            let client = client.clone();
            reading.spawn(async move {
                let events = client.history(&next.id, &next.run).await;
                (next, events)
            });
        }
        let Some(read) = reading.join_next().await else { break };
        let (expected, events) = read?;
        match events {
            Ok(events) => {
                findings.events += events.len();
                let name = format!("{} (run {}, {})", expected.id, expected.run, expected.plan.name());
                let wrong = run_is_right(&expected, &events, &mut findings.timer_delays);
                findings.wrong.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
            }
            Err(status) => findings.wrong.push(format!("{}: no history: {status}", expected.id)),
        }
    }
    Ok(findings)
}

/// Has the database checked by the server's own command, as an operator would; the server does not run.
///
/// # Errors
/// The command cannot be run; what it finds is among the findings.
pub fn database(path: &Path, findings: &mut Findings) -> Result<()> {
    let (sound, said) = database_command(path)?;
    if !sound {
        findings.wrong.push(format!("the check of the database: {said}"));
    }
    Ok(())
}

/// Whether the check finds the database sound, and what it says.
pub fn database_command(path: &Path) -> Result<(bool, String)> {
    let output = Command::new(server_beside()?).args(["database", "check"]).arg(path).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).trim().to_owned()))
}

/// What is wrong with any history: gaps, times that go back, pending things that never ended, or ended twice.
pub fn history_is_sound(events: &[HistoryEvent]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if event.event_id != index as i64 + 1 {
            wrong.push(format!("event {} is at place {}", event.event_id, index + 1));
        }
    }
    // What came while a workflow task was out is written after its end and keeps its own time: not before that task.
    let (mut latest, mut task_started) = (0, 0);
    for event in events {
        let (time, kind) = (time(event), event.event_type());
        let floor = if waits_for_task(kind) { task_started } else { latest };
        if time < floor {
            wrong.push(format!("event {} ({kind:?}) is before what came before it", event.event_id));
        }
        latest = latest.max(time);
        if kind == EventType::WorkflowTaskStarted {
            task_started = time;
        }
    }
    let closes = events.iter().filter(|event| is_close(event.event_type())).count();
    let last_is_close = events.last().is_some_and(|event| is_close(event.event_type()));
    if closes != 1 || !last_is_close {
        wrong.push(format!("{closes} close events, the last event is one: {last_is_close}"));
    }
    // Everything pending by the event that began it, and how often it ended.
    let mut pending: BTreeMap<i64, (&str, usize)> = BTreeMap::new();
    for event in events {
        match &event.attributes {
            Some(Event::TimerStartedEventAttributes(_)) => {
                pending.insert(event.event_id, ("timer", 0));
            }
            Some(Event::ActivityTaskScheduledEventAttributes(_)) => {
                pending.insert(event.event_id, ("activity", 0));
            }
            Some(Event::StartChildWorkflowExecutionInitiatedEventAttributes(_)) => {
                pending.insert(event.event_id, ("child", 0));
            }
            _ => {}
        }
        let ended = match &event.attributes {
            Some(Event::TimerFiredEventAttributes(fired)) => Some(fired.started_event_id),
            Some(Event::ActivityTaskCompletedEventAttributes(done)) => Some(done.scheduled_event_id),
            Some(Event::ActivityTaskTimedOutEventAttributes(done)) => Some(done.scheduled_event_id),
            Some(Event::ActivityTaskFailedEventAttributes(done)) => Some(done.scheduled_event_id),
            Some(Event::ChildWorkflowExecutionCompletedEventAttributes(done)) => {
                Some(done.initiated_event_id)
            }
            _ => None,
        };
        if let Some(began) = ended {
            match pending.get_mut(&began) {
                Some((_, ends)) => *ends += 1,
                None => wrong.push(format!("event {} ends {began}, which nothing began", event.event_id)),
            }
        }
    }
    for (began, (what, ends)) in pending {
        if ends != 1 {
            wrong.push(format!("the {what} of event {began} ended {ends} times"));
        }
    }
    wrong
}

fn run_is_right(
    expected: &Expected,
    events: &[HistoryEvent],
    timer_delays: &mut Vec<Duration>,
) -> Vec<String> {
    let mut wrong = history_is_sound(events);
    let count = |wanted| events.iter().filter(|event| event.event_type() == wanted).count();
    let close = events.last().map(HistoryEvent::event_type);
    let closes_as = match expected.plan {
        Plan::Chain if link(events) + 1 < LINKS => EventType::WorkflowExecutionContinuedAsNew,
        Plan::Terminated => EventType::WorkflowExecutionTerminated,
        Plan::Cancelled => EventType::WorkflowExecutionCanceled,
        _ => EventType::WorkflowExecutionCompleted,
    };
    if close != Some(closes_as) {
        wrong.push(format!("it closed as {close:?}"));
    }
    let happened = |kind, times: usize, wrong: &mut Vec<String>| {
        let found = count(kind);
        if found != times {
            wrong.push(format!("{found} events {kind:?} instead of {times}"));
        }
    };
    match expected.plan {
        Plan::Activities => happened(EventType::ActivityTaskScheduled, ACTIVITIES, &mut wrong),
        Plan::Timers => happened(EventType::TimerStarted, 2, &mut wrong),
        Plan::Parent => {
            happened(EventType::StartChildWorkflowExecutionInitiated, CHILDREN, &mut wrong);
            happened(EventType::ChildWorkflowExecutionStarted, CHILDREN, &mut wrong);
        }
        _ => {}
    }

    if let Some(entry) = &expected.entry {
        let signals = signals(events);
        if signals != entry.signals {
            wrong.push(format!("signals {signals:?}, acknowledged were {:?}", entry.signals));
        }
        for kind in [EventType::WorkflowExecutionUpdateAccepted, EventType::WorkflowExecutionUpdateCompleted]
        {
            let updates: Vec<&str> =
                events.iter().filter(|event| event.event_type() == kind).filter_map(update).collect();
            if updates != entry.updates {
                wrong.push(format!("{kind:?} of {updates:?}, acknowledged were {:?}", entry.updates));
            }
        }
    }
    let completed: Vec<i64> = events
        .iter()
        .filter_map(|event| match &event.attributes {
            Some(Event::WorkflowTaskCompletedEventAttributes(done)) => Some(done.started_event_id),
            _ => None,
        })
        .collect();
    let distinct: HashSet<i64> = completed.iter().copied().collect();
    if distinct.len() != completed.len() {
        wrong.push(format!("workflow tasks were completed twice: {completed:?}"));
    }
    for task in &expected.tasks {
        if !distinct.contains(task) {
            wrong.push(format!("the answer to the task started at event {task} was taken and is not there"));
        }
    }
    let results: HashSet<(String, String)> = activity_results(events).into_iter().collect();
    for (activity, result) in &expected.activities {
        if !results.contains(&(activity.clone(), result.clone())) {
            wrong.push(format!("the result {result} of activity {activity} was taken and is not there"));
        }
    }
    timers(events, timer_delays, &mut wrong);
    wrong
}

/// No timer fires early; how late each was is for the statistics.
fn timers(events: &[HistoryEvent], delays: &mut Vec<Duration>, wrong: &mut Vec<String>) {
    for event in events {
        let Some(Event::TimerFiredEventAttributes(fired)) = &event.attributes else { continue };
        let Some(began) = events.get(fired.started_event_id as usize - 1) else { continue };
        let Some(Event::TimerStartedEventAttributes(started)) = &began.attributes else { continue };
        let wait = started.start_to_fire_timeout.unwrap_or_default();
        let due = time(began) + i128::from(wait.seconds) * 1_000_000_000 + i128::from(wait.nanos);
        match u64::try_from(time(event) - due) {
            Ok(late) => delays.push(Duration::from_nanos(late)),
            Err(_) => wrong.push(format!("the timer of event {} fired early", began.event_id)),
        }
    }
}

/// Activity id and result of each activity that completed.
fn activity_results(events: &[HistoryEvent]) -> Vec<(String, String)> {
    let mut results = Vec::new();
    for event in events {
        let Some(Event::ActivityTaskCompletedEventAttributes(done)) = &event.attributes else { continue };
        let scheduled = events.get(done.scheduled_event_id as usize - 1);
        if let Some(Event::ActivityTaskScheduledEventAttributes(scheduled)) =
            scheduled.and_then(|event| event.attributes.as_ref())
        {
            results.push((scheduled.activity_id.clone(), text(done.result.as_ref())));
        }
    }
    results
}

/// The inputs of all signals of a history.
pub fn signals(events: &[HistoryEvent]) -> Vec<String> {
    events.iter().filter_map(signal).collect()
}

fn signal(event: &HistoryEvent) -> Option<String> {
    match &event.attributes {
        Some(Event::WorkflowExecutionSignaledEventAttributes(signal)) => Some(text(signal.input.as_ref())),
        _ => None,
    }
}

fn update(event: &HistoryEvent) -> Option<&str> {
    match &event.attributes {
        Some(Event::WorkflowExecutionUpdateAcceptedEventAttributes(accepted)) => {
            Some(&accepted.protocol_instance_id)
        }
        Some(Event::WorkflowExecutionUpdateCompletedEventAttributes(done)) => {
            done.meta.as_ref().map(|meta| meta.update_id.as_str())
        }
        _ => None,
    }
}

/// Events that come from outside, and are held back while a workflow task is out.
fn waits_for_task(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::WorkflowExecutionSignaled
            | EventType::WorkflowExecutionCancelRequested
            | EventType::ActivityTaskStarted
            | EventType::ActivityTaskCompleted
            | EventType::ActivityTaskFailed
            | EventType::ActivityTaskTimedOut
            | EventType::TimerFired
            | EventType::ChildWorkflowExecutionStarted
            | EventType::ChildWorkflowExecutionCompleted
    )
}

fn is_close(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::WorkflowExecutionCompleted
            | EventType::WorkflowExecutionFailed
            | EventType::WorkflowExecutionTimedOut
            | EventType::WorkflowExecutionCanceled
            | EventType::WorkflowExecutionTerminated
            | EventType::WorkflowExecutionContinuedAsNew
    )
}

/// Nanoseconds since 1970.
pub fn time(event: &HistoryEvent) -> i128 {
    let time = event.event_time.unwrap_or_default();
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}
