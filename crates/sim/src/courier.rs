//! Those who wanted to be told how a run ends: they answer late, not at all, or with an error, and remember what they heard.

use crate::random::Random;
use crate::world::{Phase, World};
use async_trait::async_trait;
use std::sync::{Mutex, Weak};
use std::time::Duration;
use steadfast_api::v1::enums::{EventType, WorkflowExecutionStatus as Status};
use steadfast_engine::{Call, Courier};
use steadfast_machine::workflow::input::CallEnd;

pub struct SimCourier {
    world: Weak<World>,
    random: Mutex<Random>,
}

impl SimCourier {
    pub fn new(world: Weak<World>, random: Random) -> SimCourier {
        SimCourier { world, random: Mutex::new(random) }
    }

    fn draw(&self, of: u64) -> u64 {
        self.random.lock().expect("nothing panics while it holds this").below(of)
    }
}

#[async_trait]
impl Courier for SimCourier {
    async fn call(&self, call: Call) -> CallEnd {
        let Some(world) = self.world.upgrade() else { std::future::pending().await };
        tokio::time::sleep(Duration::from_millis(self.draw(800))).await;
        let (kind, run) = (call.closed.event_type(), world.key(&call.workflow_id).run(call.run_id));
        let stored = world.disk.run(&run).map(|run| run.status());
        if stored.is_some() && stored != status(kind) {
            world.board.violation(format!("{run}: {kind:?} was told, and {stored:?} is stored"));
        }
        let chance = if world.phase() == Phase::Chaos { self.draw(100) } else { 0 };
        world.board.note(format_args!("{run}: {kind:?} is told, {chance}"));
        if chance >= 80 {
            return match chance {
                80..92 => CallEnd::Failed { message: "not now".into(), retryable: true },
                92..95 => CallEnd::Failed { message: "never".into(), retryable: false },
                _ => std::future::pending().await,
            };
        }
        world.ledger().told.insert(run);
        CallEnd::Succeeded
    }
}

fn status(kind: EventType) -> Option<Status> {
    match kind {
        EventType::WorkflowExecutionCompleted => Some(Status::Completed),
        EventType::WorkflowExecutionFailed => Some(Status::Failed),
        EventType::WorkflowExecutionCanceled => Some(Status::Canceled),
        EventType::WorkflowExecutionTerminated => Some(Status::Terminated),
        EventType::WorkflowExecutionTimedOut => Some(Status::TimedOut),
        _ => None,
    }
}
