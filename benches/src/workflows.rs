//! The workflows of the driver, as decisions on raw history: what a worker would answer to one workflow task.
//!
//! No state is kept between tasks. What a decision needs is in the events that came since the last task (activities give
//! back their own number as the result), so a task from a sticky queue and one with the whole history are the same.

use prost::Message;
use steadfast_api::v1::command::command::Attributes;
use steadfast_api::v1::command::{
    Command, CompleteWorkflowExecutionCommandAttributes, ProtocolMessageCommandAttributes,
    ScheduleActivityTaskCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
    StartTimerCommandAttributes,
};
use steadfast_api::v1::common::{ActivityType, Payload, Payloads, WorkflowType};
use steadfast_api::v1::enums::{CommandType, EventType};
use steadfast_api::v1::history::HistoryEvent;
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::protocol::Message as ProtocolMessage;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::update::outcome::Value;
use steadfast_api::v1::update::{Acceptance, Outcome, Request, Response};

/// How long the timer of the timer workflow runs. Short, so that what is measured is the timer's machinery; it is part
/// of the latency that the scenario shows.
pub const TIMER: prost_types::Duration = prost_types::Duration { seconds: 0, nanos: 10_000_000 };

/// Longer than any run of the driver, so that no timeout is part of what is measured.
const ACTIVITY_TIMEOUT: prost_types::Duration = prost_types::Duration { seconds: 600, nanos: 0 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workflow {
    /// Completes in its first task.
    Noop,
    /// So many activities, one after the other.
    Activities(u32),
    /// One timer.
    Timer,
    /// Waits for one signal.
    Signal,
    /// Waits for one update, accepts it, completes it and itself.
    Update,
    /// Waits for ever and answers queries.
    Wait,
    /// The same, and completes every update.
    Serve,
    /// One child, which is a noop.
    Parent,
}

impl Workflow {
    /// The workflow type that stands for it on the wire.
    pub fn type_name(self) -> String {
        match self {
            Workflow::Noop => "noop".into(),
            Workflow::Activities(count) => format!("activities-{count}"),
            Workflow::Timer => "timer".into(),
            Workflow::Signal => "signal".into(),
            Workflow::Update => "update".into(),
            Workflow::Wait => "wait".into(),
            Workflow::Serve => "serve".into(),
            Workflow::Parent => "parent".into(),
        }
    }

    pub fn from_type_name(name: &str) -> Option<Self> {
        Some(match name {
            "noop" => Workflow::Noop,
            "timer" => Workflow::Timer,
            "signal" => Workflow::Signal,
            "update" => Workflow::Update,
            "wait" => Workflow::Wait,
            "serve" => Workflow::Serve,
            "parent" => Workflow::Parent,
            other => Workflow::Activities(other.strip_prefix("activities-")?.parse().ok()?),
        })
    }
}

/// One workflow task, as far as a decision needs it.
pub struct Task<'a> {
    pub workflow: Workflow,
    pub workflow_id: &'a str,
    pub queue: &'a str,
    /// Whether activities may be handed out in the reply to the decision.
    pub eager: bool,
    pub events: &'a [HistoryEvent],
    pub messages: &'a [ProtocolMessage],
}

#[derive(Default)]
pub struct Answer {
    pub commands: Vec<Command>,
    pub messages: Vec<ProtocolMessage>,
}

pub fn decide(task: &Task<'_>) -> Answer {
    let began = has(task, EventType::WorkflowExecutionStarted);
    match task.workflow {
        Workflow::Noop => Answer::with(complete()),
        Workflow::Wait => Answer::default(),
        Workflow::Activities(count) => match finished_activities(task.events) {
            Some(finished) if finished >= count => Answer::with(complete()),
            Some(finished) => Answer::with(activity(task, finished)),
            None if began => Answer::with(activity(task, 0)),
            None => Answer::default(),
        },
        Workflow::Timer if has(task, EventType::TimerFired) => Answer::with(complete()),
        Workflow::Timer if began => Answer::with(timer()),
        Workflow::Signal if has(task, EventType::WorkflowExecutionSignaled) => Answer::with(complete()),
        Workflow::Parent if has(task, EventType::ChildWorkflowExecutionCompleted) => Answer::with(complete()),
        Workflow::Parent if began => Answer::with(child(task)),
        Workflow::Serve => updates(task.messages),
        Workflow::Update => match updates(task.messages) {
            answer if answer.messages.is_empty() => answer,
            mut answer => {
                answer.commands.push(complete());
                answer
            }
        },
        Workflow::Timer | Workflow::Signal | Workflow::Parent => Answer::default(),
    }
}

impl Answer {
    fn with(command: Command) -> Self {
        Answer { commands: vec![command], messages: Vec::new() }
    }
}

fn has(task: &Task<'_>, wanted: EventType) -> bool {
    task.events.iter().any(|event| event.event_type() == wanted)
}

/// How many activities are done, by the number that the last finished one gave back.
fn finished_activities(events: &[HistoryEvent]) -> Option<u32> {
    events.iter().rev().find_map(|event| match &event.attributes {
        Some(Event::ActivityTaskCompletedEventAttributes(completed)) => {
            Some(1 + number(completed.result.as_ref())?)
        }
        _ => None,
    })
}

/// A number as a payload that every SDK can read.
pub fn number_payload(number: u32) -> Payloads {
    let metadata = [("encoding".to_owned(), "json/plain".into())].into();
    Payloads { payloads: vec![Payload { metadata, data: number.to_string().into(), ..Default::default() }] }
}

fn number(payloads: Option<&Payloads>) -> Option<u32> {
    std::str::from_utf8(&payloads?.payloads.first()?.data).ok()?.parse().ok()
}

fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command { command_type: kind.into(), attributes: Some(attributes), ..Default::default() }
}

fn complete() -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes { result: None };
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(attributes),
    )
}

fn activity(task: &Task<'_>, index: u32) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: (index + 1).to_string(),
        activity_type: Some(ActivityType { name: "echo".into() }),
        task_queue: Some(TaskQueue { name: task.queue.into(), ..Default::default() }),
        input: Some(number_payload(index)),
        start_to_close_timeout: Some(ACTIVITY_TIMEOUT),
        request_eager_execution: task.eager,
        ..Default::default()
    };
    command(CommandType::ScheduleActivityTask, Attributes::ScheduleActivityTaskCommandAttributes(attributes))
}

fn timer() -> Command {
    let attributes = StartTimerCommandAttributes { timer_id: "1".into(), start_to_fire_timeout: Some(TIMER) };
    command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(attributes))
}

fn child(task: &Task<'_>) -> Command {
    let attributes = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: format!("{}-child", task.workflow_id),
        workflow_type: Some(WorkflowType { name: Workflow::Noop.type_name() }),
        task_queue: Some(TaskQueue { name: task.queue.into(), ..Default::default() }),
        ..Default::default()
    };
    command(
        CommandType::StartChildWorkflowExecution,
        Attributes::StartChildWorkflowExecutionCommandAttributes(attributes),
    )
}

/// Accepts and completes every update that the task carries.
fn updates(messages: &[ProtocolMessage]) -> Answer {
    let mut answer = Answer::default();
    for message in messages {
        let body = message.body.as_ref().map(|any| any.value.as_slice()).unwrap_or_default();
        let Ok(request) = Request::decode(body) else { continue };
        let sequencing = match message.sequencing_id {
            Some(steadfast_api::v1::protocol::message::SequencingId::EventId(id)) => id,
            _ => 0,
        };
        let accepted = Acceptance {
            accepted_request_message_id: message.id.clone(),
            accepted_request_sequencing_event_id: sequencing,
            accepted_request: Some(request.clone()),
        };
        let done = Response {
            meta: request.meta,
            outcome: Some(Outcome { value: Some(Value::Success(number_payload(1))) }),
        };
        answer.send(&message.protocol_instance_id, "accept", "Acceptance", accepted.encode_to_vec());
        answer.send(&message.protocol_instance_id, "complete", "Response", done.encode_to_vec());
    }
    answer
}

impl Answer {
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

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_api::v1::history::ActivityTaskCompletedEventAttributes;

    fn started() -> HistoryEvent {
        HistoryEvent { event_type: EventType::WorkflowExecutionStarted.into(), ..Default::default() }
    }

    fn activity_completed(index: u32) -> HistoryEvent {
        HistoryEvent {
            event_type: EventType::ActivityTaskCompleted.into(),
            attributes: Some(Event::ActivityTaskCompletedEventAttributes(
                ActivityTaskCompletedEventAttributes {
                    result: Some(number_payload(index)),
                    ..Default::default()
                },
            )),
            ..Default::default()
        }
    }

    fn commands(workflow: Workflow, events: &[HistoryEvent]) -> Vec<CommandType> {
        let task = Task { workflow, workflow_id: "w", queue: "q", eager: false, events, messages: &[] };
        decide(&task).commands.iter().map(|command| command.command_type()).collect()
    }

    #[test]
    fn activities_run_one_after_the_other_with_or_without_the_whole_history() {
        use CommandType::{CompleteWorkflowExecution, ScheduleActivityTask};
        let two = Workflow::Activities(2);
        assert_eq!(commands(two, &[started()]), [ScheduleActivityTask]);
        assert_eq!(commands(two, &[activity_completed(0)]), [ScheduleActivityTask]);
        assert_eq!(commands(two, &[started(), activity_completed(0)]), [ScheduleActivityTask]);
        assert_eq!(commands(two, &[activity_completed(1)]), [CompleteWorkflowExecution]);
        assert_eq!(commands(two, &[]), []);
    }

    #[test]
    fn type_names_are_read_back() {
        for workflow in [Workflow::Noop, Workflow::Activities(10), Workflow::Parent, Workflow::Serve] {
            assert_eq!(Workflow::from_type_name(&workflow.type_name()), Some(workflow));
        }
        assert_eq!(Workflow::from_type_name("activities-many"), None);
    }
}
