//! Scripted workers: they poll, decide by chance, and now and then fail, fall silent, answer late, or answer twice.

use crate::client::{payloads, text};
use crate::disk::Life;
use crate::random::Random;
use crate::script::{self, Script};
use crate::world::{Phase, QUEUE, World, deadline};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::enums::{QueryResultType, WorkflowTaskFailedCause};
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::history::{History, HistoryEvent};
use steadfast_api::v1::query::WorkflowQueryResult;
use steadfast_engine::{Failure, Poll, PollerInfo, WorkflowTaskPoll};
use steadfast_machine::duration::SECOND;
use steadfast_machine::workflow::input::*;
use steadfast_machine::workflow::reply::{StartedActivity, StartedWorkflowTask, WorkflowReply};
use steadfast_machine::{QueueType, Reply, RunKey};

/// One loop of polls. `sticky` is the worker's own queue, for a loop that polls that.
fn a_poll(world: &World, kind: QueueType, sticky: Option<&str>) -> Poll {
    Poll {
        queue: world.queue(sticky.unwrap_or(QUEUE), kind),
        sticky_of: sticky.map(|_| QUEUE.to_owned()),
        info: PollerInfo { identity: "worker".into(), ..PollerInfo::default() },
    }
}

/// One worker after the other, each with a sticky queue of its own.
pub async fn generations(world: Arc<World>, mut random: Random, number: u64) {
    let mut generation = 0;
    while world.phase() < Phase::Over && !world.board.is_broken() {
        let own = world.knobs.sticky.then(|| format!("sticky-{number}-{generation}"));
        let life = Arc::new(Life::default());
        let loops = [Some(own.clone()).filter(|own| own.is_some()), Some(None)];
        for polls_own in loops.into_iter().flatten().map(|own: Option<String>| own.is_some()) {
            let polls = poll_workflow_tasks(world.clone(), random.fork(), polls_own, own.clone());
            tokio::spawn(while_alive(life.clone(), polls));
        }
        tokio::spawn(while_alive(life.clone(), poll_activity_tasks(world.clone(), random.fork())));
        if !world.knobs.mortal_workers {
            return;
        }
        tokio::time::sleep(random.millis(2_000, 40_000)).await;
        if world.phase() > Phase::Calm {
            return;
        }
        world.board.note(format_args!("worker {number}-{generation} dies"));
        world.board.saw("a worker dies");
        life.end();
        generation += 1;
        tokio::time::sleep(random.millis(0, 3_000)).await;
    }
}

/// Whatever a worker is at ends with it.
async fn while_alive(life: Arc<Life>, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = life.over() => {}
        () = work => {}
    }
}

/// `own` is the sticky queue that this worker names in its completions.
pub async fn poll_workflow_tasks(
    world: Arc<World>,
    mut random: Random,
    polls_own: bool,
    own: Option<String>,
) {
    while world.phase() < Phase::Over && !world.board.is_broken() {
        let sticky = own.as_deref().filter(|_| polls_own);
        let poll = a_poll(&world, QueueType::Workflow, sticky);
        let patience = world.patience(&mut random);
        let until = deadline(random.between(1_000, 20_000));
        let polled = world
            .call(&mut random, patience, async |engine| engine.poll_workflow_task(poll, until).await)
            .await;
        match polled {
            None | Some(Err(_)) => tokio::time::sleep(random.millis(10, 300)).await,
            Some(Ok(None)) => {}
            Some(Ok(Some(WorkflowTaskPoll::Task { task, history, .. }))) => {
                match History::decode(history.encoded) {
                    Ok(history) => {
                        check_task(&world, &task, &history.events, history_is_whole(&history.events))
                    }
                    Err(_) => world.board.violation("the history of a task does not decode".into()),
                }
                work(&world, &mut random, *task, own.as_deref()).await;
            }
            Some(Ok(Some(WorkflowTaskPoll::Query(query)))) => {
                if world.phase() <= Phase::Calm && random.percent(world.knobs.bad_workers) {
                    continue;
                }
                let result = answer(&query.query.query_type);
                world
                    .call(&mut random, None, async |engine| engine.respond_query(query.caller, result).await)
                    .await;
            }
        }
    }
}

fn history_is_whole(events: &[HistoryEvent]) -> bool {
    events.first().is_some_and(|event| event.event_id == 1)
}

fn answer(query_type: &str) -> WorkflowQueryResult {
    WorkflowQueryResult {
        result_type: QueryResultType::Answered as i32,
        answer: Some(payloads(query_type)),
        ..WorkflowQueryResult::default()
    }
}

/// Events that somebody was shown are in the store, as they were shown.
pub fn seen(world: &World, key: &RunKey, events: &[HistoryEvent]) {
    let Some(run) = world.disk.run(key) else {
        if world.ledger().deleted.contains(key) {
            return;
        }
        return world.board.violation(format!("{key}: its history was shown, and it is not stored"));
    };
    let stored = world.disk.history(&run);
    for event in events {
        let place = usize::try_from(event.event_id - 1).ok();
        if place.and_then(|place| stored.get(place)) != Some(event) {
            return world
                .board
                .violation(format!("{key}: event {} was shown, and is not stored so", event.event_id));
        }
    }
}

fn check_task(world: &World, task: &StartedWorkflowTask, events: &[HistoryEvent], whole: bool) {
    let key = world.key(&task.workflow_id).run(task.run_id);
    let first = if task.partial { task.previous_started_event_id + 1 } else { 1 };
    let last = (task.next_event_id - 1).max(task.synthetic.last().map_or(0, |event| event.event_id));
    let expected: Vec<i64> = (first..=last).collect();
    let given: Vec<i64> = events.iter().map(|event| event.event_id).collect();
    // A batch that begins earlier is given whole.
    let complete = whole && given.len() as i64 == last;
    // What was deleted in the same moment may be gone in part.
    if world.ledger().deleted.contains(&key) {
        return;
    }
    if !complete && !given.ends_with(&expected) {
        world
            .board
            .violation(format!("{key}: a worker got the events {given:?}, and should have got {expected:?}"));
    }
    let durable: Vec<HistoryEvent> =
        events.iter().filter(|event| event.event_id < task.next_event_id).cloned().collect();
    seen(world, &key, &durable);
}

/// A worker has this task.
pub async fn work(world: &Arc<World>, random: &mut Random, task: StartedWorkflowTask, own: Option<&str>) {
    let mut next = Some(task);
    while let Some(task) = next.take() {
        next = work_once(world, random, task, own).await;
    }
}

async fn work_once(
    world: &Arc<World>,
    random: &mut Random,
    task: StartedWorkflowTask,
    own: Option<&str>,
) -> Option<StartedWorkflowTask> {
    let key = world.key(&task.workflow_id).run(task.run_id);
    let row = &task.task;
    world.board.note(format_args!(
        "{key} a worker has workflow task {}/{} attempt {}",
        row.scheduled_event_id, row.started_event_id, row.attempt
    ));
    let handed = (key.run, row.started_event_id, row.attempt, row.started_time);
    // While the clock is behind the last event, a task can look like a speculative one of the process before.
    if !row.speculative && !world.ledger().workflow_tasks.insert(handed) {
        world.board.violation(format!("{key}: workflow task {} was given to two", row.started_event_id));
    }
    let token = WorkflowTaskToken {
        scheduled_event_id: row.scheduled_event_id,
        started_event_id: row.started_event_id,
        started_time: row.started_time,
        attempt: row.attempt,
    };
    let mut twice = false;
    if world.phase() <= Phase::Calm {
        let longest = *random.pick(&[0, 50, 900]);
        tokio::time::sleep(random.millis(0, longest)).await;
        if random.percent(world.knobs.bad_workers) {
            match random.below(4) {
                0 => return None,
                1 => {
                    fail(world, random, &key, token).await;
                    return None;
                }
                2 => {
                    tokio::time::sleep(
                        Duration::from_nanos(row.timeout.unsigned_abs()) + random.millis(0, 2_000),
                    )
                    .await
                }
                _ => twice = true,
            }
        }
    }
    let script = script::decide(world, random, &key, &task);
    let completion = complete(world, random, &task, token, &script, own);
    let answer = respond(world, random, &key, &script, &completion).await?;
    if twice {
        let again = respond_once(world, random, &key, &completion).await;
        if let Some(Ok(_)) = again {
            world
                .board
                .violation(format!("{key}: workflow task {} was completed twice", row.started_event_id));
        }
    }
    let WorkflowReply::WorkflowTaskCompleted { new_task, activities, .. } = answer else { return None };
    for activity in activities {
        let (world, random) = (world.clone(), random.fork());
        tokio::spawn(async move { act(&world, random, activity).await });
    }
    new_task
}

fn complete(
    world: &World,
    random: &mut Random,
    task: &StartedWorkflowTask,
    token: WorkflowTaskToken,
    script: &Script,
    own: Option<&str>,
) -> CompleteWorkflowTask {
    let queries = task.queries.iter().map(|(id, query)| (id.clone(), answer(&query.query_type)));
    CompleteWorkflowTask {
        token,
        commands: script.commands.clone(),
        messages: script.messages.clone(),
        identity: "worker".into(),
        sticky: own.filter(|_| random.percent(90)).map(|queue| (queue.to_owned(), 5 * SECOND)),
        return_new_task: random.percent(50),
        force_create_task: world.phase() <= Phase::Calm && random.percent(4),
        query_results: queries.filter(|_| random.percent(90)).collect(),
        ..CompleteWorkflowTask::default()
    }
}

/// Completes, and again if the answer was lost. `None`: it was not accepted, as far as this worker knows.
async fn respond(
    world: &World,
    random: &mut Random,
    key: &RunKey,
    script: &Script,
    completion: &CompleteWorkflowTask,
) -> Option<WorkflowReply> {
    for marker in &script.markers {
        world.ledger().markers.insert(marker.clone(), (key.clone(), false));
    }
    for _ in 0..3 {
        match respond_once(world, random, key, completion).await {
            None | Some(Err(Failure::Unavailable(_))) => {
                tokio::time::sleep(random.millis(10, 800)).await;
            }
            Some(Err(Failure::Reject(reject))) => {
                world.board.note(format_args!("{key} the completion is refused: {}", reject.message()));
                return None;
            }
            Some(Ok(Reply::Workflow(reply))) => {
                world.board.note(format_args!("{key} the completion is accepted"));
                for marker in &script.markers {
                    world.ledger().markers.insert(marker.clone(), (key.clone(), true));
                }
                acknowledged_completion(world, key, completion);
                return Some(*reply);
            }
            Some(Ok(_)) => return None,
        }
    }
    None
}

async fn respond_once(
    world: &World,
    random: &mut Random,
    key: &RunKey,
    completion: &CompleteWorkflowTask,
) -> Option<Result<Reply, Failure>> {
    let patience = world.patience(random);
    let input = Input::run(key.run, What::CompleteWorkflowTask(Box::new(completion.clone())));
    world.call(random, patience, async |engine| engine.apply(key.entity.clone(), input).await).await
}

fn acknowledged_completion(world: &World, key: &RunKey, completion: &CompleteWorkflowTask) {
    let stored = world.disk.run(key).map(|run| world.disk.history(&run)).unwrap_or_default();
    let kept = stored.iter().any(|event| match &event.attributes {
        Some(Event::WorkflowTaskCompletedEventAttributes(attributes)) => {
            attributes.started_event_id == completion.token.started_event_id
        }
        _ => false,
    });
    // A speculative task of which nothing came leaves no event.
    let gone = world.ledger().deleted.contains(key);
    if !kept && !gone && !completion.commands.is_empty() {
        world.board.violation(format!(
            "{key}: the completion of workflow task {} was acknowledged, and is not stored",
            completion.token.started_event_id
        ));
    }
}

async fn fail(world: &World, random: &mut Random, key: &RunKey, token: WorkflowTaskToken) {
    let failed = FailWorkflowTask {
        token,
        cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
        identity: "worker".into(),
        ..FailWorkflowTask::default()
    };
    let input = Input::run(key.run, What::FailWorkflowTask(Box::new(failed)));
    world.board.note(format_args!("{key} the worker fails the task"));
    world.call(random, None, async |engine| engine.apply(key.entity.clone(), input).await).await;
}

pub async fn poll_activity_tasks(world: Arc<World>, mut random: Random) {
    while world.phase() < Phase::Over && !world.board.is_broken() {
        let poll = a_poll(&world, QueueType::Activity, None);
        let patience = world.patience(&mut random);
        let until = deadline(random.between(1_000, 20_000));
        let polled = world
            .call(&mut random, patience, async |engine| engine.poll_activity_task(poll, until).await)
            .await;
        match polled {
            None | Some(Err(_)) => tokio::time::sleep(random.millis(10, 300)).await,
            Some(Ok(None)) => {}
            Some(Ok(Some(polled))) => {
                let scheduled = &polled.scheduled;
                if scheduled.event_id != polled.activity.activity.scheduled_event_id {
                    world.board.violation("an activity came with the event of another".into());
                }
                let random = random.fork();
                act(&world, random, *polled.activity).await;
            }
        }
    }
}

/// A worker has this activity.
async fn act(world: &Arc<World>, mut random: Random, activity: StartedActivity) {
    let key = world.key(&activity.workflow_id).run(activity.run_id);
    let (scheduled_event_id, attempt) = (activity.activity.scheduled_event_id, activity.attempt);
    world.board.note(format_args!("{key} a worker has activity {scheduled_event_id} attempt {attempt}"));
    if !world.ledger().activity_attempts.insert((key.run, scheduled_event_id, attempt)) {
        world
            .board
            .violation(format!("{key}: attempt {attempt} of activity {scheduled_event_id} was given to two"));
    }
    let chaos = world.phase() <= Phase::Calm;
    if chaos {
        let span = *random.pick(&[0, 100, 3_000, 20_000]);
        tokio::time::sleep(random.millis(0, span)).await;
    }
    let bad = chaos && random.percent(world.knobs.bad_workers);
    if bad && random.percent(40) {
        return;
    }
    if chaos && random.percent(30) {
        let activity = ActivityRef::Token { scheduled_event_id, attempt };
        let beat = HeartbeatActivity { activity, identity: "worker".into(), details: Some(payloads("beat")) };
        let input = Input::run(key.run, What::HeartbeatActivity(Box::new(beat)));
        let entity = key.entity.clone();
        let beaten = world.call(&mut random, None, async |engine| engine.apply(entity, input).await).await;
        if let Some(Ok(Reply::Workflow(reply))) = beaten
            && let WorkflowReply::Heartbeat { cancel_requested: true, .. } = *reply
        {
            end(world, &mut random, &key, scheduled_event_id, attempt, ActivityEnd::Canceled(None)).await;
            return;
        }
        tokio::time::sleep(random.millis(0, 1_500)).await;
    }
    let fails = chaos && random.percent(20);
    let result = world.name("result-");
    let how = if fails {
        ActivityEnd::Failed { failure: None, last_heartbeat: None }
    } else {
        world.ledger().results.insert(result.clone(), (key.clone(), false));
        ActivityEnd::Completed(Some(payloads(&result)))
    };
    let later = later_attempt(world, &key, scheduled_event_id, attempt);
    let accepted = end(world, &mut random, &key, scheduled_event_id, attempt, how.clone()).await;
    if accepted && later {
        world.board.violation(format!(
            "{key}: attempt {attempt} of activity {scheduled_event_id} ended it after a later one had begun"
        ));
    }
    if accepted && !fails {
        world.ledger().results.insert(result.clone(), (key.clone(), true));
        let stored = world.disk.run(&key);
        let count = stored.as_ref().map_or(0, |run| {
            let buffered = run.buffered.values().filter_map(|row| row.event.clone());
            count_result(world.disk.history(run).into_iter().chain(buffered), &result)
        });
        let gone = world.ledger().deleted.contains(&key);
        if !gone && (count != 1 || stored.is_some_and(|run| run.activities.contains_key(&scheduled_event_id)))
        {
            world.board.violation(format!("{key}: {result} was acknowledged, and is stored {count} times"));
        }
    }
    if accepted && bad && end(world, &mut random, &key, scheduled_event_id, attempt, how).await {
        world.board.violation(format!("{key}: activity {scheduled_event_id} attempt {attempt} ended twice"));
    }
}

/// Whether a worker has got a later attempt of the activity than this.
fn later_attempt(world: &World, key: &RunKey, scheduled_event_id: i64, attempt: i32) -> bool {
    let ledger = world.ledger();
    let from = (key.run, scheduled_event_id, attempt + 1);
    let to = (key.run, scheduled_event_id, i32::MAX);
    ledger.activity_attempts.range(from..=to).next().is_some()
}

pub fn count_result(events: impl Iterator<Item = HistoryEvent>, result: &str) -> usize {
    events
        .filter(|event| match &event.attributes {
            Some(Event::ActivityTaskCompletedEventAttributes(end)) => text(end.result.as_ref()) == result,
            _ => false,
        })
        .count()
}

/// Whether the end was acknowledged.
async fn end(
    world: &World,
    random: &mut Random,
    key: &RunKey,
    scheduled_event_id: i64,
    attempt: i32,
    end: ActivityEnd,
) -> bool {
    let activity = ActivityRef::Token { scheduled_event_id, attempt };
    let end = EndActivity { activity, identity: "worker".into(), end };
    let input = Input::run(key.run, What::EndActivity(Box::new(end)));
    for _ in 0..3 {
        let patience = world.patience(random);
        let (entity, input) = (key.entity.clone(), input.clone());
        match world.call(random, patience, async |engine| engine.apply(entity, input).await).await {
            Some(Ok(_)) => {
                world.board.note(format_args!("{key} the end of activity {scheduled_event_id} is accepted"));
                return true;
            }
            Some(Err(Failure::Reject(_))) => return false,
            None | Some(Err(Failure::Unavailable(_))) => tokio::time::sleep(random.millis(10, 800)).await,
        }
    }
    false
}
