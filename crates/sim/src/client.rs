//! Scripted clients: they start, signal, query, update, cancel, terminate and read, sometimes twice, sometimes without
//! waiting for the answer.

use crate::random::Random;
use crate::worker;
use crate::world::{Phase, QUEUE, World, deadline};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::temporal::api::batch::v1::BatchOperationSignal;
use steadfast_api::v1::common::{Callback, Payload, Payloads, callback};
use steadfast_api::v1::enums::{EventType, WorkflowIdConflictPolicy, WorkflowIdReusePolicy};
use steadfast_api::v1::history::History;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::update;
use steadfast_engine::Failure;
use steadfast_machine::duration::SECOND;
use steadfast_machine::workflow::input::*;
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::{EntityKey, Kind, Reject, Reply, batch};
use uuid::Uuid;

pub fn payloads(text: &str) -> Payloads {
    Payloads { payloads: vec![Payload { data: text.to_owned().into(), ..Payload::default() }] }
}

pub fn text(payloads: Option<&Payloads>) -> String {
    let data = payloads.and_then(|payloads| payloads.payloads.first()).map(|payload| payload.data.clone());
    String::from_utf8_lossy(&data.unwrap_or_default()).into_owned()
}

pub async fn run(world: Arc<World>, mut random: Random) {
    while world.phase() <= Phase::Calm && !world.board.is_broken() {
        let longest = *random.pick(&[100, 1_000, 6_000]);
        tokio::time::sleep(random.millis(0, longest)).await;
        let rough = world.knobs.rough && random.percent(25);
        let workflow = match rough {
            true => format!("rough-{}", random.below(2)),
            false => format!("w{}", random.below(world.knobs.workflow_ids)),
        };
        let key = world.key(&workflow);
        if rough && random.percent(30) {
            operate(&world, &mut random, &key).await;
            continue;
        }
        if random.percent(25) {
            // At the same moment: the engine decides both in one turn.
            let mut other = random.fork();
            tokio::join!(one(&world, &mut random, &key), one(&world, &mut other, &key));
        } else {
            one(&world, &mut random, &key).await;
        }
    }
}

async fn one(world: &Arc<World>, random: &mut Random, key: &EntityKey) {
    match random.below(100) {
        0..30 => start(world, random, key).await,
        30..55 => signal(world, random, key).await,
        55..62 => signal_with_start(world, random, key).await,
        62..70 => query(world, random, key).await,
        70..82 => update(world, random, key).await,
        82..84 => terminate(world, random, key).await,
        84 => batch_operation(world, random).await,
        85..88 => cancel(world, random, key).await,
        88..96 => read(world, random, key).await,
        _ => compare(world, key).await,
    }
}

/// Every workflow is signaled that is open, now and then only until somebody stops it.
async fn batch_operation(world: &Arc<World>, random: &mut Random) {
    let name = world.name("batch-");
    let key = EntityKey { kind: Kind::Batch, ..world.key(&name) };
    let before = world.disk.audit().open_runs();
    world.ledger().batches.insert(name.clone(), (key.clone(), before));
    let signal = BatchOperationSignal { signal: name.clone(), ..BatchOperationSignal::default() };
    let start = batch::Start {
        operation: Some(batch::Operation::Signal(signal)),
        query: "ExecutionStatus = 'Running'".into(),
        operations_per_second: *random.pick(&[0.0, 1.0, 20.0]),
        ..batch::Start::default()
    };
    let stops = random.percent(20);
    for what in [
        batch::What::Start(Box::new(start)),
        batch::What::Stop { identity: String::new(), reason: String::new() },
    ] {
        let input = batch::Input::current(what);
        let (patience, target) = (world.patience(random), key.clone());
        let answer = world.call(random, patience, async |engine| engine.apply(target, input).await).await;
        world.board.note(format_args!("{name}: {}", brief(&answer)));
        if !stops {
            return;
        }
        tokio::time::sleep(random.millis(0, 3_000)).await;
    }
}

/// What operators do: a run goes back to an earlier point of its history, or is deleted.
async fn operate(world: &Arc<World>, random: &mut Random, key: &EntityKey) {
    let runs = world.disk.runs_of(key);
    if runs.is_empty() {
        return;
    }
    let run = random.pick(&runs).clone();
    if random.percent(30) {
        world.ledger().deleted.insert(key.run(run.id));
        let answer = insist(world, random, key, Input::run(run.id, What::Delete)).await;
        world.board.saw("a run is deleted");
        return world.board.note(format_args!("{} delete {}: {}", key.id, run.id, brief(&answer)));
    }
    let points: Vec<i64> = world
        .disk
        .history(&run)
        .iter()
        .filter(|event| event.event_type == EventType::WorkflowTaskCompleted as i32)
        .map(|event| event.event_id)
        .collect();
    if points.is_empty() {
        return;
    }
    let reset = Reset {
        request_id: world.name("reset-"),
        reason: "once more".into(),
        identity: "client".into(),
        finish_event_id: *random.pick(&points),
        ..Reset::default()
    };
    let input = Input::run(run.id, What::Reset(Box::new(reset)));
    let patience = world.patience(random);
    let target = key.clone();
    let answer = world.call(random, patience, async |engine| engine.apply(target, input).await).await;
    if let Some(Ok(_)) = answer {
        world.board.saw("a run is reset");
    }
    world.board.note(format_args!("{} reset {}: {}", key.id, run.id, brief(&answer)));
}

/// Somebody who wants to be told how the run ends.
fn listener(random: &mut Random) -> Callback {
    let url = format!("http://listener-{}/", random.below(3));
    Callback {
        variant: Some(callback::Variant::Nexus(callback::Nexus { url, ..callback::Nexus::default() })),
        ..Callback::default()
    }
}

fn a_start(world: &World, random: &mut Random, key: &EntityKey) -> Start {
    let conflict = [
        WorkflowIdConflictPolicy::Unspecified,
        WorkflowIdConflictPolicy::Fail,
        WorkflowIdConflictPolicy::UseExisting,
        WorkflowIdConflictPolicy::TerminateExisting,
    ];
    let reuse = [
        WorkflowIdReusePolicy::AllowDuplicate,
        WorkflowIdReusePolicy::AllowDuplicate,
        WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
    ];
    let seconds = |random: &mut Random, chance: u64, low: u64, high: u64| match random.percent(chance) {
        true => random.between(low, high) as i64 * SECOND,
        false => 0,
    };
    let eager = random.percent(15);
    Start {
        workflow_id: key.id.to_string(),
        workflow_type: "Flow".into(),
        task_queue: QUEUE.into(),
        task_timeout: random.between(2, 10) as i64 * SECOND,
        run_timeout: seconds(random, 20, 20, 120),
        execution_timeout: seconds(random, 10, 20, 120),
        start_delay: seconds(random, 10, 1, 20),
        identity: "client".into(),
        request_id: world.name("start-"),
        conflict: *random.pick(&conflict),
        reuse: *random.pick(&reuse),
        eager,
        eager_worker: eager.then(|| EagerWorker { identity: "eager".into(), build_id: String::new() }),
        callbacks: if random.percent(25) { vec![listener(random)] } else { Vec::new() },
        ..Start::default()
    }
}

fn a_signal(world: &World) -> Signal {
    let name = world.name("signal-");
    Signal {
        input: Some(payloads(&name)),
        request_id: name.clone(),
        name,
        identity: "client".into(),
        ..Signal::default()
    }
}

/// Asks until there is an answer, as a client with retries does; gives up after a few times. Now and then asks once
/// more although it was answered.
async fn insist(
    world: &Arc<World>,
    random: &mut Random,
    key: &EntityKey,
    input: Input,
) -> Option<Result<Reply, Failure>> {
    let mut answer = None;
    for _ in 0..4 {
        let patience = world.patience(random);
        let (key, input) = (key.clone(), input.clone());
        let late = if random.percent(world.knobs.delays) { random.millis(1, 3_000) } else { Duration::ZERO };
        answer = world
            .call(random, patience, async |engine| {
                if !late.is_zero() {
                    world.board.saw("a request arrives late");
                    tokio::time::sleep(late).await;
                }
                engine.apply(key, input).await
            })
            .await;
        match &answer {
            None | Some(Err(Failure::Unavailable(_))) => tokio::time::sleep(random.millis(10, 2_000)).await,
            Some(_) => break,
        }
    }
    if random.percent(world.knobs.delays) {
        tokio::spawn(echo(world.clone(), random.fork(), key.clone(), input.clone()));
    }
    if random.percent(world.knobs.impatience) {
        tokio::time::sleep(random.millis(0, 500)).await;
        let (key, input) = (key.clone(), input.clone());
        let patience = world.patience(random);
        world.call(random, patience, async |engine| engine.apply(key, input).await).await;
    }
    answer
}

/// A copy of a request that was somewhere under way arrives much later.
async fn echo(world: Arc<World>, mut random: Random, key: EntityKey, input: Input) {
    tokio::time::sleep(random.millis(100, 30_000)).await;
    if world.phase() <= Phase::Calm {
        world.board.saw("a request comes twice");
        world.board.note(format_args!("{} a request comes once more", key.id));
        world.call(&mut random, None, async |engine| engine.apply(key, input).await).await;
    }
}

async fn start(world: &Arc<World>, random: &mut Random, key: &EntityKey) {
    let start = a_start(world, random, key);
    let request_id = start.request_id.clone();
    world.ledger().starts.insert(request_id.clone(), (key.clone(), None));
    let input = Input::current(What::Start(Box::new(start)));
    let answer = insist(world, random, key, input).await;
    world.board.note(format_args!("{} {request_id}: {}", key.id, brief(&answer)));
    if let Some(Err(Failure::Reject(Reject::AlreadyStarted { run_id, .. }))) = &answer
        && world.disk.run(&key.run(*run_id)).is_none()
        && !world.is_rough(&key.id)
    {
        world
            .board
            .violation(format!("{}: a start was refused because of {run_id}, which is not stored", key.id));
    }
    let Some(Ok(Reply::Workflow(reply))) = answer else { return };
    let WorkflowReply::Started(started) = *reply else { return };
    if started.started {
        acknowledged_start(world, key, &request_id, started.run_id);
    }
    if let Some(task) = started.eager_task {
        let world = world.clone();
        let mut random = random.fork();
        tokio::spawn(async move { worker::work(&world, &mut random, *task, None).await });
    }
}

fn acknowledged_start(world: &World, key: &EntityKey, request_id: &str, run: Uuid) {
    world.ledger().starts.insert(request_id.to_owned(), (key.clone(), Some(run)));
    if world.disk.run(&key.run(run)).is_none() && !world.is_rough(&key.id) {
        world.board.violation(format!("{}: the start of {run} was acknowledged, and is not stored", key.id));
    }
}

async fn signal(world: &Arc<World>, random: &mut Random, key: &EntityKey) {
    let signal = a_signal(world);
    let name = signal.name.clone();
    let run = match world.disk.latest(key) {
        Some(run) if random.percent(30) => Some(run.id),
        _ => None,
    };
    world.ledger().signals.insert(name.clone(), (key.clone(), false));
    let input = Input { run, first_run: None, what: What::Signal(Box::new(signal)) };
    let answer = insist(world, random, key, input).await;
    world.board.note(format_args!("{} {name}: {}", key.id, brief(&answer)));
    if let Some(Ok(_)) = answer {
        acknowledged_signal(world, key, &name);
    }
}

fn acknowledged_signal(world: &World, key: &EntityKey, name: &str) {
    world.ledger().signals.insert(name.to_owned(), (key.clone(), true));
    let kept = world.disk.runs_of(key).iter().any(|run| run.signal_ids.contains(name));
    if !kept && !world.is_rough(&key.id) {
        world.board.violation(format!("{}: {name} was acknowledged, and is not stored", key.id));
    }
}

async fn signal_with_start(world: &Arc<World>, random: &mut Random, key: &EntityKey) {
    let mut start = a_start(world, random, key);
    start.eager = false;
    start.eager_worker = None;
    start.start_delay = 0;
    let signal = a_signal(world);
    let (request_id, name) = (start.request_id.clone(), signal.name.clone());
    world.ledger().starts.insert(request_id.clone(), (key.clone(), None));
    world.ledger().signals.insert(name.clone(), (key.clone(), false));
    let input = Input::current(What::SignalWithStart(Box::new(SignalWithStart { start, signal })));
    let answer = insist(world, random, key, input).await;
    world.board.note(format_args!("{} {request_id} with {name}: {}", key.id, brief(&answer)));
    let Some(Ok(Reply::Workflow(reply))) = answer else { return };
    if let WorkflowReply::SignalWithStart { run_id, started } = *reply {
        acknowledged_signal(world, key, &name);
        if started {
            acknowledged_start(world, key, &request_id, run_id);
        }
    }
}

async fn query(world: &World, random: &mut Random, key: &EntityKey) {
    let name = world.name("query-");
    let patience = world.patience(random);
    let answer = world
        .call(random, patience, async |engine| {
            let caller = engine.caller();
            let query = WorkflowQuery { query_type: name.clone(), ..WorkflowQuery::default() };
            let wall = engine.now().plus(10 * SECOND);
            let query = Query { caller, query, reject_condition: 0, deadline: wall };
            let input = Input::current(What::Query(Box::new(query)));
            engine.wait(caller, key.clone(), input, deadline(10_000)).await
        })
        .await;
    world.board.note(format_args!(
        "{} {name}: {}",
        key.id,
        if answer.is_some() { "heard" } else { "not heard" }
    ));
    let Some(Ok(Some(Reply::Workflow(reply)))) = answer else { return };
    if let WorkflowReply::QueryResult(result) = *reply
        && text(result.answer.as_ref()) != name
    {
        world.board.violation(format!("{}: {name} got the answer to another query", key.id));
    }
}

async fn update(world: &World, random: &mut Random, key: &EntityKey) {
    let id = world.name("update-");
    let stage = *random.pick(&[2, 3, 3]);
    let mut answer = None;
    for _ in 0..3 {
        let patience = world.patience(random);
        let ask = async |engine: steadfast_engine::Engine| {
            let caller = engine.caller();
            let request = update::Request {
                meta: Some(update::Meta { update_id: id.clone(), identity: "client".into() }),
                input: Some(update::Input { name: "change".into(), ..update::Input::default() }),
                ..update::Request::default()
            };
            let input = Input::current(What::Update(Box::new(Update { caller, request, stage })));
            engine.wait(caller, key.clone(), input, deadline(10_000)).await
        };
        answer = world.call(random, patience, ask).await;
        if !matches!(answer, None | Some(Err(Failure::Unavailable(_)))) {
            break;
        }
        tokio::time::sleep(random.millis(10, 1_000)).await;
    }
    let Some(Ok(Some(Reply::Workflow(reply)))) = answer else {
        return world.board.note(format_args!("{} {id}: no answer", key.id));
    };
    let WorkflowReply::Update(told) = *reply else { return };
    world.board.note(format_args!("{} {id}: stage {}", key.id, told.stage));
    let run_key = key.run(told.run_id);
    if world.is_rough(&key.id) {
        return;
    }
    let row = world.disk.run(&run_key).and_then(|run| run.updates.get(&id).cloned());
    let success = told
        .outcome
        .as_ref()
        .is_some_and(|outcome| matches!(outcome.value, Some(update::outcome::Value::Success(_))));
    if success {
        world.ledger().updates.insert(id.clone(), run_key);
        if row.is_none_or(|row| row.completed_event_id == 0 || row.outcome != told.outcome) {
            world.board.violation(format!("{}: {id} was told as completed, and is not stored so", key.id));
        }
    } else if told.outcome.is_none() && told.stage >= 2 && row.is_none() {
        world.board.violation(format!("{}: {id} was told as accepted, and is not stored so", key.id));
    }
}

async fn terminate(world: &Arc<World>, random: &mut Random, key: &EntityKey) {
    let Some(run) = world.disk.latest(key) else { return };
    let request = Terminate { reason: "enough".into(), identity: "client".into(), ..Terminate::default() };
    let answer = insist(world, random, key, Input::run(run.id, What::Terminate(request))).await;
    world.board.note(format_args!("{} terminate {}: {}", key.id, run.id, brief(&answer)));
    if let Some(Ok(_)) = answer {
        closed(world, key, run.id);
    }
}

fn closed(world: &World, key: &EntityKey, run: Uuid) {
    let run_key = key.run(run);
    if world.disk.run(&run_key).is_some_and(|run| run.is_open()) {
        world.board.violation(format!("{run_key}: its termination was acknowledged, and it is open"));
    }
    world.ledger().closed.insert(run_key);
}

async fn cancel(world: &Arc<World>, random: &mut Random, key: &EntityKey) {
    let Some(run) = world.disk.latest(key) else { return };
    let request = RequestCancel {
        request_id: world.name("cancel-"),
        identity: "client".into(),
        ..RequestCancel::default()
    };
    let answer = insist(world, random, key, Input::run(run.id, What::RequestCancel(request))).await;
    world.board.note(format_args!("{} cancel {}: {}", key.id, run.id, brief(&answer)));
    let stored = world.disk.run(&key.run(run.id));
    if let Some(Ok(_)) = answer
        && !world.is_rough(&key.id)
        && stored.is_none_or(|run| run.is_open() && !run.core.cancel_requested)
    {
        world.board.violation(format!("{}: a cancel request was acknowledged, and is not stored", key.id));
    }
}

/// Reads a history as `temporal workflow show --follow` does, and holds every event against what is stored.
async fn read(world: &World, random: &mut Random, key: &EntityKey) {
    let patience = world.patience(random);
    let mut next = 1;
    let mut run = None;
    for _ in 0..3 {
        let (batches, reverse) = (random.between(1, 20) as usize, random.percent(10));
        let page = world
            .call(random, patience, async |engine| {
                let page = engine.history(key.clone(), run, next, batches, reverse).await?;
                if page.end && page.open && !reverse {
                    let beyond = page.next_event_id - 1;
                    engine.wait_history(key.clone(), page.run, beyond + 1, false, deadline(3_000)).await?;
                }
                Ok::<_, Failure>(page)
            })
            .await;
        let Some(Ok(page)) = page else { return };
        let Ok(history) = History::decode(page.encoded.clone()) else {
            return world.board.violation(format!("{}: a page of history does not decode", key.id));
        };
        run = Some(page.run);
        next = page.next_event_id;
        worker::seen(world, &key.run(page.run), &history.events);
        if reverse {
            return;
        }
    }
}

/// What memory holds of a run is what a fresh load gives. A commit may have come between the two: one that is to be heard
/// of waits at the next look, so only what is the same then is wrong.
pub async fn compare(world: &World, key: &EntityKey) {
    let mut before = None;
    while let Some(difference) = difference(world, key).await {
        if before.as_ref() == Some(&difference) {
            return world.board.violation(difference);
        }
        before = Some(difference);
    }
}

async fn difference(world: &World, key: &EntityKey) -> Option<String> {
    let process = world.serving()?;
    let run = world.disk.latest(key).map(|run| run.id);
    let held = tokio::select! {
        biased;
        () = process.life.over() => return None,
        held = process.engine.describe(key.clone(), run) => held.ok()?,
    };
    let run_key = key.run(held.id);
    let Some(stored) = world.disk.run(&run_key) else {
        let deleted = world.ledger().deleted.contains(&run_key);
        return (!deleted).then(|| format!("{run_key}: memory holds a run that is not stored"));
    };
    // Another process may have it by now: only what is ahead of the store is wrong for sure.
    if stored.core.transitions > held.core.transitions {
        return None;
    }
    let (mut held, mut stored) = ((*held).clone(), stored);
    held.volatile = Default::default();
    // Search attributes are maps that are shown in any order.
    held.attributes = Default::default();
    stored.attributes = Default::default();
    if held.core.task.as_ref().is_some_and(|task| task.speculative) {
        held.core.task = None;
    }
    // A speculative task that left no trace has changed these in memory only.
    held.core.sticky = stored.core.sticky.clone();
    held.core.stamps = stored.core.stamps;
    held.core.next_attempt = stored.core.next_attempt;
    let (held, stored) = (format!("{held:?}"), format!("{stored:?}"));
    if held == stored {
        return None;
    }
    let at = held.bytes().zip(stored.bytes()).position(|(a, b)| a != b).unwrap_or(0);
    let around = |text: &str| text.get(at.saturating_sub(60)..(at + 60).min(text.len())).map(str::to_owned);
    let (held, stored) = (around(&held), around(&stored));
    Some(format!("{run_key}: memory holds …{held:?}…, a fresh load gives …{stored:?}…"))
}

fn brief(answer: &Option<Result<Reply, Failure>>) -> String {
    match answer {
        None => "not heard".into(),
        Some(Ok(Reply::Workflow(reply))) => match &**reply {
            WorkflowReply::Started(started) => format!("run {} started {}", started.run_id, started.started),
            WorkflowReply::SignalWithStart { run_id, started } => format!("run {run_id} started {started}"),
            _ => "ok".into(),
        },
        Some(Ok(_)) => "ok".into(),
        Some(Err(Failure::Reject(reject))) => format!("refused: {}", reject.message()),
        Some(Err(Failure::Unavailable(text))) => format!("unavailable: {text}"),
    }
}
