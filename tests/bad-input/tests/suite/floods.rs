//! Classes 3, 8, 9 and 23: too many events, signals, polls, and the same at once. The server of this family has low limits where
//! reaching the real ones would take minutes.

use bad_input_test::grpc::{self, ask};
use bad_input_test::requests::*;
use bad_input_test::{Answer, Expect, ServerOptions, Table, World};
use futures::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steadfast_api::v1::enums::EventType;
use steadfast_api::v1::history::History;
use steadfast_api::v1::workflowservice::*;

const SIGNALS: usize = 3000;
const POLLS: usize = 10_000;
/// Bytes that the server may need for each parked poll, of a debug build.
const POLL_BYTES: u64 = 20 << 10;

pub fn options() -> ServerOptions {
    let settings = ["history.maximumSignalsPerExecution=2000", "limit.historyCount.error=500"];
    ServerOptions { dynamic_config: settings.map(str::to_owned).into(), ..ServerOptions::default() }
}

const FINE: Expect = Expect { codes: &["Ok"], text: "", may_write: true };

pub async fn cases(_: &World, table: &mut Table) {
    table.class(3);
    table.act("a run of too many events is terminated, and told so", FINE, too_many_events);
    table.class(8);
    table.act("3,000 signals at once: each that is taken is in the history once", FINE, signal_flood);
    table.class(9);
    table.act("the 1,201st poll of a namespace is refused, and says why", FINE, one_poll_too_many);
    table.class(23);
    table.act("100 clients start one id: one run", FINE, |world| same_id(world, true));
    table.act("100 clients repeat one request: one run id", FINE, |world| same_id(world, false));
    table.act("100 clients signal with start: one run", FINE, signal_with_start_at_once);
    table.act("100 clients repeat one signal: one event", FINE, repeated_signal);
}

async fn too_many_events(world: Arc<World>) -> Answer {
    let id = fresh("endless");
    world.start(start(|request| request.workflow_id = id.clone())).await;
    for _ in 0..1000 {
        let request = signal(|request| request.workflow_execution = Some(execution(&id)));
        let answer = grpc::call(&world, &request).await;
        if answer.code == "Ok" {
            continue;
        }
        let (events, last) = history_of(&world, &id).await;
        let right = answer.code == "NotFound" || answer.code == "InvalidArgument";
        let ended = last == Some(EventType::WorkflowExecutionTerminated);
        return Answer::from_result(if right && ended && events.len() < 600 {
            Ok(())
        } else {
            Err(format!("{answer:?} after {} events, the last a {last:?}", events.len()))
        });
    }
    Answer::new("Failed", "a run takes 1,000 signals, and 500 events are the limit")
}

/// The names of the signals in a history, and the type of its last event.
async fn history_of(world: &World, id: &str) -> (Vec<String>, Option<EventType>) {
    use steadfast_api::v1::history::history_event::Attributes;
    let (mut names, mut last, mut token) = (Vec::new(), None, bytes::Bytes::new());
    loop {
        let request = history(|request| {
            request.execution = Some(execution(id));
            request.next_page_token = token;
        });
        let reply: GetWorkflowExecutionHistoryResponse = ask(world, &request).await.expect("it is in order");
        let page = History::decode(reply.history.unwrap_or_default()).expect("it is a history");
        for event in page.events {
            last = Some(event.event_type());
            if let Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) = event.attributes {
                names.push(signal.signal_name);
            }
        }
        token = reply.next_page_token;
        if token.is_empty() {
            return (names, last);
        }
    }
}

async fn signal_flood(world: Arc<World>) -> Answer {
    let id = fresh("flooded");
    world.start(start(|request| request.workflow_id = id.clone())).await;
    let mut calls: FuturesUnordered<_> = (0..SIGNALS)
        .map(|at| {
            let (world, id) = (&world, &id);
            async move {
                let name = format!("signal-{at}");
                let request = signal(|request| {
                    request.workflow_execution = Some(execution(id));
                    request.signal_name = name.clone();
                });
                (name, grpc::call(world, &request).await)
            }
        })
        .collect();
    let mut taken = Vec::new();
    while let Some((name, answer)) = calls.next().await {
        match answer.code.as_str() {
            "Ok" => taken.push(name),
            "InvalidArgument" | "ResourceExhausted" | "NotFound" => {}
            _ => return answer,
        }
    }
    let (mut found, _) = history_of(&world, &id).await;
    found.sort();
    taken.sort();
    let same = found == taken && taken.len() < SIGNALS;
    Answer::from_result(if same {
        Ok(())
    } else {
        Err(format!("{} were taken, {} are in the history", taken.len(), found.len()))
    })
}

async fn one_poll_too_many(world: Arc<World>) -> Answer {
    const MOST: usize = 1200;
    let channel = world.another_channel();
    let parked = park(&channel, "default", MOST + 1).await;
    let mut waiting = parked;
    let refused = tokio::time::timeout(Duration::from_secs(10), waiting.next()).await;
    let answer = match refused {
        Ok(Some(answer)) => answer,
        _ => return Answer::new("Failed", "all polls wait"),
    };
    let right = answer.code == "ResourceExhausted" && answer.text.contains("ConcurrentLimit");
    Answer::from_result(if right { Ok(()) } else { Err(format!("{answer:?}")) })
}

type Parked = FuturesUnordered<futures::future::BoxFuture<'static, Answer>>;

async fn park(channel: &tonic::transport::Channel, namespace: &str, count: usize) -> Parked {
    let path = grpc::path::<PollWorkflowTaskQueueRequest>();
    (0..count)
        .map(|at| {
            let request = poll(|request| {
                request.namespace = namespace.into();
                request.task_queue = Some(queue(&format!("parked-{}", at % 10)));
            });
            let body = grpc::frame(0, &request.encode_to_vec());
            let (channel, path) = (channel.clone(), path.clone());
            let call = async move { grpc::send(channel, &path, &[("grpc-timeout", "15S")], body).await };
            Box::pin(call) as futures::future::BoxFuture<'static, Answer>
        })
        .collect()
}

/// Class 9, on a server that lets so many wait.
pub mod parked {
    use super::*;

    pub fn options() -> ServerOptions {
        let settings = vec!["frontend.namespaceCount=20000".to_owned()];
        ServerOptions { dynamic_config: settings, ..ServerOptions::default() }
    }

    pub async fn cases(_: &World, table: &mut Table) {
        table.class(9);
        table.act("10,000 parked polls take less than 20 KB each", FINE, |world| async move {
            let before = world.server().memory();
            let channels: Vec<_> = (0..10).map(|_| world.another_channel()).collect();
            let mut tasks = Vec::new();
            for channel in &channels {
                let polls = park(channel, "default", POLLS / channels.len()).await;
                tasks.push(tokio::spawn(polls.collect::<Vec<_>>()));
            }
            let parked = grown(&world, before).await;
            let healthy = world.healthy().await;
            tasks.iter().for_each(tokio::task::JoinHandle::abort);
            let each = parked / POLLS as u64;
            Answer::from_result(healthy.and_then(|()| {
                if each < POLL_BYTES { Ok(()) } else { Err(format!("{each} bytes for each poll")) }
            }))
        });
    }

    /// By how much the server's memory grows, until it does not any more.
    async fn grown(world: &World, before: u64) -> u64 {
        const STEADY: Duration = Duration::from_secs(1);
        let (mut most, mut since) = (0, Instant::now());
        while since.elapsed() < STEADY {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = world.server().memory().saturating_sub(before);
            if now > most + most / 50 {
                (most, since) = (now, Instant::now());
            }
        }
        most
    }
}

async fn at_once<M: Message + 'static>(world: &World, requests: Vec<M>) -> Vec<Answer> {
    let calls = requests.iter().map(|request| grpc::call(world, request));
    futures::future::join_all(calls).await
}

async fn same_id(world: Arc<World>, requests_differ: bool) -> Answer {
    let id = fresh("same");
    let requests: Vec<_> = (0..100)
        .map(|at| {
            start(|request| {
                request.workflow_id = id.clone();
                request.request_id = if requests_differ { format!("{id}-{at}") } else { id.clone() };
            })
        })
        .collect();
    let calls = requests.iter().map(|request| ask::<_, StartWorkflowExecutionResponse>(&world, request));
    let answers = futures::future::join_all(calls).await;
    let mut runs = BTreeSet::new();
    let mut started = 0;
    for answer in answers {
        match answer {
            Ok(reply) => {
                started += usize::from(reply.started);
                runs.insert(reply.run_id);
            }
            Err(answer) if requests_differ && answer.code == "AlreadyExists" => {}
            Err(answer) => return answer,
        }
    }
    Answer::from_result(if runs.len() == 1 && started >= 1 {
        Ok(())
    } else {
        Err(format!("{} runs, {started} started", runs.len()))
    })
}

async fn signal_with_start_at_once(world: Arc<World>) -> Answer {
    let id = fresh("same");
    let requests = (0..100)
        .map(|at| {
            signal_with_start(|request| {
                request.workflow_id = id.clone();
                request.signal_name = format!("signal-{at:02}");
            })
        })
        .collect();
    if let Some(answer) = at_once(&world, requests).await.into_iter().find(|answer| answer.code != "Ok") {
        return answer;
    }
    let (signals, _) = history_of(&world, &id).await;
    let distinct: BTreeSet<_> = signals.iter().collect();
    Answer::from_result(if signals.len() == 100 && distinct.len() == 100 {
        Ok(())
    } else {
        Err(format!("{} signals are in the history of the one run", signals.len()))
    })
}

async fn repeated_signal(world: Arc<World>) -> Answer {
    let id = fresh("same");
    world.start(start(|request| request.workflow_id = id.clone())).await;
    let one = signal(|request| request.workflow_execution = Some(execution(&id)));
    let answers = at_once(&world, vec![one; 100]).await;
    if let Some(answer) = answers.into_iter().find(|answer| answer.code != "Ok") {
        return answer;
    }
    let (signals, _) = history_of(&world, &id).await;
    Answer::from_result(if signals.len() == 1 { Ok(()) } else { Err(format!("{} events", signals.len())) })
}
