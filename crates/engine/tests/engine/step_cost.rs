//! A step costs the same whatever the run has pending: rows and bytes that a commit writes, counted.

use crate::support::{Setup, setup_on};
use std::sync::{Arc, Mutex};
use steadfast_api::v1::command::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes};
use steadfast_api::v1::common::ActivityType;
use steadfast_api::v1::enums::CommandType;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_machine::workflow::input::*;
use steadfast_storage::faulty::{CommitFault, Faults, FaultyStore};
use steadfast_storage::{Commit, MemoryStore, RunState};
use uuid::Uuid;

/// What one commit writes of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    rows: usize,
    bytes: usize,
    history: usize,
}

/// Counts, and lets everything through.
#[derive(Clone, Default)]
struct Meter(Arc<Mutex<Cost>>);

impl Faults for Meter {
    fn commit(&mut self, commit: &Commit) -> Option<CommitFault> {
        let mut cost = Cost::default();
        for run in &commit.runs {
            cost.rows += 1 + run.rows.len();
            cost.bytes += match &run.state {
                RunState::Put { core, .. } => core.len(),
                RunState::Delete => 0,
            };
            let values = run.rows.iter().filter_map(|(_, value)| value.as_ref());
            cost.bytes += values.map(|value| value.len()).sum::<usize>();
            let batches = run.history.iter().flat_map(|chunk| &chunk.batches);
            cost.history += batches.map(|batch| batch.encoded.len()).sum::<usize>();
        }
        *self.0.lock().unwrap() = cost;
        None
    }

    fn unavailable(&mut self, _: &'static str) -> bool {
        false
    }
}

impl Meter {
    fn last(&self) -> Cost {
        *self.0.lock().unwrap()
    }
}

async fn metered() -> (Setup, Meter) {
    let meter = Meter::default();
    let store = FaultyStore::new(MemoryStore::new(4, Uuid::from_u128(1)), meter.clone());
    (setup_on(Arc::new(store)).await, meter)
}

/// Numbers and lengths in the rows grow by a few bytes with their digits; rows must not become more.
fn assert_as_cheap(few: Cost, many: Cost) {
    assert!(few.rows > 0 && few.bytes > 0 && few.history > 0, "something is written: {few:?}");
    assert_eq!(few.rows, many.rows, "{few:?} {many:?}");
    assert!(many.bytes <= few.bytes + 40, "{few:?} {many:?}");
    assert!(many.history <= few.history + 40, "{few:?} {many:?}");
}

#[tokio::test]
async fn the_ten_thousandth_signal_costs_what_the_tenth_did() {
    let (setup, meter) = metered().await;
    setup.start().await;
    let mut costs = Vec::new();
    for number in 0..9_990 {
        let signal =
            Signal { name: "paid".into(), request_id: format!("request {number:05}"), ..Signal::default() };
        let input = Input::current(What::Signal(Box::new(signal)));
        setup.engine.apply(setup.key.clone(), input).await.expect("it is taken");
        costs.push(meter.last());
    }
    assert_as_cheap(costs[10], costs[9_989]);
}

fn schedule(number: usize) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: format!("activity {number:05}"),
        activity_type: Some(ActivityType { name: "Withdraw".into() }),
        task_queue: Some(TaskQueue { name: "q".into(), ..TaskQueue::default() }),
        start_to_close_timeout: Some(prost_types::Duration { seconds: 100, nanos: 0 }),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    Command {
        command_type: CommandType::ScheduleActivityTask as i32,
        attributes: Some(Attributes::ScheduleActivityTaskCommandAttributes(attributes)),
        ..Command::default()
    }
}

/// Schedules so many activities, completes one of them, and has the workflow told of it: what each of the steps costs.
async fn with_activities(count: usize) -> [Cost; 3] {
    let (setup, meter) = metered().await;
    let run = setup.start().await;
    let (task, _) = setup.poll().await;
    setup.complete(&task, (0..count).map(schedule).collect()).await;
    let end = EndActivity {
        activity: ActivityRef::Id("activity 00003".into()),
        identity: "worker".into(),
        end: ActivityEnd::Completed(None),
    };
    let input = Input::run(run, What::EndActivity(Box::new(end)));
    setup.engine.apply(setup.key.clone(), input).await.expect("it is pending");
    let ended = meter.last();
    let (task, _) = setup.poll().await;
    let started = meter.last();
    setup.complete(&task, vec![schedule(99_999)]).await;
    [ended, started, meter.last()]
}

#[tokio::test]
async fn a_step_with_two_thousand_activities_costs_what_one_with_ten_does() {
    let (few, many) = (with_activities(10).await, with_activities(1_999).await);
    for (few, many) in few.into_iter().zip(many) {
        assert_as_cheap(few, many);
    }
}
