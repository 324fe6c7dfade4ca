//! The workflows of the load: what a worker answers to one workflow task, from the whole history alone.

use crate::client::{payloads, queue, text};
use prost::Message;
use steadfast_api::v1::command::command::Attributes;
use steadfast_api::v1::command::{
    CancelWorkflowExecutionCommandAttributes, Command, CompleteWorkflowExecutionCommandAttributes,
    ContinueAsNewWorkflowExecutionCommandAttributes, ProtocolMessageCommandAttributes,
    ScheduleActivityTaskCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
    StartTimerCommandAttributes,
};
use steadfast_api::v1::common::{ActivityType, Payloads, RetryPolicy, WorkflowType};
use steadfast_api::v1::enums::{CommandType, EventType};
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::protocol::Message as ProtocolMessage;
use steadfast_api::v1::protocol::message::SequencingId;
use steadfast_api::v1::update::outcome::Value;
use steadfast_api::v1::update::{Acceptance, Outcome, Request, Response};

/// Activities of the plan of that name, one after the other.
pub const ACTIVITIES: usize = 3;
/// Children of a parent.
pub const CHILDREN: usize = 2;
/// Runs of a chain.
pub const LINKS: usize = 3;
/// The longest timer, in milliseconds.
pub const LONGEST_TIMER: u64 = 1_500;

const TASK_TIMEOUT: prost_types::Duration = prost_types::Duration { seconds: 2, nanos: 0 };
/// An activity whose worker never got it is tried again after this.
const ACTIVITY_TIMEOUT: prost_types::Duration = prost_types::Duration { seconds: 2, nanos: 0 };
const RETRY_INTERVAL: prost_types::Duration = prost_types::Duration { seconds: 0, nanos: 50_000_000 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Plan {
    /// Takes signals until the one named "finish".
    Signals,
    /// The same, each of them by signal-with-start.
    SignalWithStart,
    /// Answers updates until the signal "finish".
    Updates,
    /// Activities one after the other; the second fails at its first attempt.
    Activities,
    /// Two timers at once.
    Timers,
    /// Two children at once: one with activities, one with timers.
    Parent,
    /// Continues as new until it is the third run.
    Chain,
    /// Waits to be terminated.
    Terminated,
    /// Waits for a request to cancel, and does.
    Cancelled,
}

impl Plan {
    pub const ALL: [Plan; 9] = [
        Plan::Signals,
        Plan::SignalWithStart,
        Plan::Updates,
        Plan::Activities,
        Plan::Timers,
        Plan::Parent,
        Plan::Chain,
        Plan::Terminated,
        Plan::Cancelled,
    ];

    /// The workflow type.
    pub fn name(self) -> &'static str {
        match self {
            Plan::Signals => "signals",
            Plan::SignalWithStart => "signal-with-start",
            Plan::Updates => "updates",
            Plan::Activities => "activities",
            Plan::Timers => "timers",
            Plan::Parent => "parent",
            Plan::Chain => "chain",
            Plan::Terminated => "terminated",
            Plan::Cancelled => "cancelled",
        }
    }

    pub fn of(name: &str) -> Option<Plan> {
        Plan::ALL.into_iter().find(|plan| plan.name() == name)
    }
}

/// One workflow task with all the history before it.
pub struct Task<'a> {
    pub plan: Plan,
    pub id: &'a str,
    pub queue: &'a str,
    pub events: &'a [HistoryEvent],
    pub messages: &'a [ProtocolMessage],
}

#[derive(Default)]
pub struct Answer {
    pub commands: Vec<Command>,
    pub messages: Vec<ProtocolMessage>,
}

pub fn decide(task: &Task<'_>) -> Answer {
    let mut answer = Answer::default();
    for message in task.messages {
        if let Some(update) = update_of(message) {
            let result = update.input.as_ref().and_then(|input| input.args.clone());
            answer.accept(message, update, result);
        }
    }
    let count = |wanted| task.events.iter().filter(|event| event.event_type() == wanted).count();
    let finish = task.events.iter().any(|event| {
        matches!(&event.attributes, Some(Event::WorkflowExecutionSignaledEventAttributes(signal))
            if signal.signal_name == "finish")
    });
    match task.plan {
        Plan::Signals | Plan::SignalWithStart | Plan::Updates => {
            if finish {
                answer.commands.push(complete());
            }
        }
        Plan::Activities => {
            let (scheduled, done) =
                (count(EventType::ActivityTaskScheduled), count(EventType::ActivityTaskCompleted));
            if done == ACTIVITIES {
                answer.commands.push(complete());
            } else if scheduled == done {
                answer.commands.push(activity(task.queue, scheduled));
            }
        }
        Plan::Timers => {
            if count(EventType::TimerStarted) == 0 {
                answer.commands.extend((0..2).map(|index| timer(task.id, index)));
            } else if count(EventType::TimerFired) == 2 {
                answer.commands.push(complete());
            }
        }
        Plan::Parent => {
            if count(EventType::StartChildWorkflowExecutionInitiated) == 0 {
                let plans = [Plan::Activities, Plan::Timers];
                let children = (0..CHILDREN).map(|index| child(task, index, plans[index % plans.len()]));
                answer.commands.extend(children);
            } else if count(EventType::ChildWorkflowExecutionCompleted) == CHILDREN {
                answer.commands.push(complete());
            }
        }
        Plan::Chain => {
            let link = link(task.events);
            answer.commands.push(if link + 1 < LINKS {
                continue_as_new(task.queue, link + 1)
            } else {
                complete()
            });
        }
        Plan::Terminated => {}
        Plan::Cancelled => {
            if count(EventType::WorkflowExecutionCancelRequested) > 0 {
                answer.commands.push(cancel());
            }
        }
    }
    answer
}

/// Which run of its chain this is, from 0.
pub fn link(events: &[HistoryEvent]) -> usize {
    let input = events.first().and_then(|event| match &event.attributes {
        Some(Event::WorkflowExecutionStartedEventAttributes(started)) => started.input.as_ref(),
        _ => None,
    });
    text(input).parse().unwrap_or(0)
}

/// The update that a message asks a worker for.
pub fn update_of(message: &ProtocolMessage) -> Option<Request> {
    let body = message.body.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
    Request::decode(body).ok()
}

/// The id of a parent's child.
pub fn child_id(parent: &str, index: usize) -> String {
    format!("{parent}-child-{index}")
}

fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command { command_type: kind.into(), attributes: Some(attributes), ..Default::default() }
}

fn complete() -> Command {
    complete_with("done")
}

/// Ends the run with this result.
pub fn complete_with(result: &str) -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes { result: payloads(result) };
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(attributes),
    )
}

fn cancel() -> Command {
    let attributes = CancelWorkflowExecutionCommandAttributes { details: None };
    command(
        CommandType::CancelWorkflowExecution,
        Attributes::CancelWorkflowExecutionCommandAttributes(attributes),
    )
}

fn activity(on: &str, index: usize) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: index.to_string(),
        activity_type: Some(ActivityType { name: "work".into() }),
        task_queue: Some(queue(on)),
        input: payloads(&index.to_string()),
        start_to_close_timeout: Some(ACTIVITY_TIMEOUT),
        retry_policy: Some(RetryPolicy {
            initial_interval: Some(RETRY_INTERVAL),
            backoff_coefficient: 1.0,
            ..Default::default()
        }),
        ..Default::default()
    };
    command(CommandType::ScheduleActivityTask, Attributes::ScheduleActivityTaskCommandAttributes(attributes))
}

/// A short one and a long one, by the workflow's id.
fn timer(id: &str, index: u64) -> Command {
    let spread = id.bytes().fold(index, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let most = if index == 0 { LONGEST_TIMER / 10 } else { LONGEST_TIMER };
    let millis = 1 + spread % most;
    let attributes = StartTimerCommandAttributes {
        timer_id: index.to_string(),
        start_to_fire_timeout: Some(prost_types::Duration {
            seconds: (millis / 1000) as i64,
            nanos: (millis % 1000) as i32 * 1_000_000,
        }),
    };
    command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(attributes))
}

fn child(task: &Task<'_>, index: usize, plan: Plan) -> Command {
    let attributes = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: child_id(task.id, index),
        workflow_type: Some(WorkflowType { name: plan.name().into() }),
        task_queue: Some(queue(task.queue)),
        workflow_task_timeout: Some(TASK_TIMEOUT),
        ..Default::default()
    };
    command(
        CommandType::StartChildWorkflowExecution,
        Attributes::StartChildWorkflowExecutionCommandAttributes(attributes),
    )
}

fn continue_as_new(on: &str, link: usize) -> Command {
    let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
        workflow_type: Some(WorkflowType { name: Plan::Chain.name().into() }),
        task_queue: Some(queue(on)),
        input: payloads(&link.to_string()),
        workflow_task_timeout: Some(TASK_TIMEOUT),
        ..Default::default()
    };
    command(
        CommandType::ContinueAsNewWorkflowExecution,
        Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes),
    )
}

impl Answer {
    /// Accepts the update of a message and completes it at once.
    pub fn accept(&mut self, message: &ProtocolMessage, update: Request, result: Option<Payloads>) {
        let sequencing = match message.sequencing_id {
            Some(SequencingId::EventId(id)) => id,
            _ => 0,
        };
        let meta = update.meta.clone();
        let accepted = Acceptance {
            accepted_request_message_id: message.id.clone(),
            accepted_request_sequencing_event_id: sequencing,
            accepted_request: Some(update),
        };
        let success = Value::Success(result.unwrap_or_default());
        let done = Response { meta, outcome: Some(Outcome { value: Some(success) }) };
        self.send(&message.protocol_instance_id, "accept", "Acceptance", accepted.encode_to_vec());
        self.send(&message.protocol_instance_id, "complete", "Response", done.encode_to_vec());
    }

    /// A protocol message, and the command that gives it its place among the other commands.
    fn send(&mut self, instance: &str, step: &str, message: &str, value: Vec<u8>) {
        let id = format!("{instance}/{step}");
        let type_url = format!("type.googleapis.com/temporal.api.update.v1.{message}");
        let attributes = ProtocolMessageCommandAttributes { message_id: id.clone() };
        self.messages.push(ProtocolMessage {
            id,
            protocol_instance_id: instance.into(),
            body: Some(prost_types::Any { type_url, value }),
            sequencing_id: None,
        });
        self.commands.push(command(
            CommandType::ProtocolMessage,
            Attributes::ProtocolMessageCommandAttributes(attributes),
        ));
    }
}
