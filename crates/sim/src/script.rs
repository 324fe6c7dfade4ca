//! What a scripted workflow decides: commands and update messages by chance.

use crate::client::payloads;
use crate::random::Random;
use crate::world::{Phase, World};
use prost::Message as _;
use steadfast_api::v1::command::{
    CancelTimerCommandAttributes, CompleteWorkflowExecutionCommandAttributes,
    ContinueAsNewWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes,
    RecordMarkerCommandAttributes, RequestCancelActivityTaskCommandAttributes,
    ScheduleActivityTaskCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
    StartChildWorkflowExecutionCommandAttributes, StartTimerCommandAttributes,
};
use steadfast_api::v1::command::{Command, command::Attributes};
use steadfast_api::v1::common::{ActivityType, RetryPolicy, WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::CommandType;
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::protocol::Message;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::update;
use steadfast_machine::RunKey;
use steadfast_machine::workflow::reply::StartedWorkflowTask;

/// What goes into one completion.
#[derive(Clone, Default)]
pub struct Script {
    pub commands: Vec<Command>,
    pub messages: Vec<Message>,
    /// Names of the markers in it.
    pub markers: Vec<String>,
}

fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Command::default() }
}

fn duration(seconds: u64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: seconds as i64, nanos: 0 })
}

pub fn decide(world: &World, random: &mut Random, key: &RunKey, task: &StartedWorkflowTask) -> Script {
    let mut script = Script::default();
    updates(world, random, key, task, &mut script);
    if world.phase() == Phase::Finish {
        script.commands.push(complete());
        return script;
    }
    if world.phase() >= Phase::Settle {
        return script;
    }
    for _ in 0..random.below(4) {
        one(world, random, key, &mut script);
    }
    match random.below(100) {
        0..8 => script.commands.push(complete()),
        8..10 => script.commands.push(fail()),
        14..18 => script.commands.push(continue_as_new()),
        // A command after the last one, a timer that nobody knows: such a completion is refused.
        10..12 if random.percent(world.knobs.bad_workers) => {
            script.commands.push(complete());
            one(world, random, key, &mut script);
        }
        12..14 if random.percent(world.knobs.bad_workers) => {
            script.commands.push(cancel_timer("nobody knows it".into()));
        }
        _ => {}
    }
    script
}

fn one(world: &World, random: &mut Random, key: &RunKey, script: &mut Script) {
    match random.below(100) {
        0..6 => script.commands.push(child(world, random)),
        6..12 => script.commands.push(signal_external(world, random)),
        12..35 => script.commands.push(activity(world, random)),
        35..58 => {
            let id = world.name("timer-");
            world.ledger().timers.entry(key.run).or_default().push(id.clone());
            let millis = *random.pick(&[1, 500, 1_000, 5_000, 20_000, 45_000, 70_000]);
            let wait =
                prost_types::Duration { seconds: millis / 1000, nanos: (millis % 1000) as i32 * 1_000_000 };
            let attributes = StartTimerCommandAttributes { timer_id: id, start_to_fire_timeout: Some(wait) };
            script
                .commands
                .push(command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(attributes)));
        }
        58..85 => {
            let name = world.name("marker-");
            script.markers.push(name.clone());
            let attributes = RecordMarkerCommandAttributes { marker_name: name, ..Default::default() };
            let attributes = Attributes::RecordMarkerCommandAttributes(attributes);
            script.commands.push(command(CommandType::RecordMarker, attributes));
        }
        85..93 => {
            let known = world.ledger().timers.get(&key.run).cloned().unwrap_or_default();
            let pending = world.disk.run(key).map(|run| run.timer_ids).unwrap_or_default();
            let known: Vec<String> = known.into_iter().filter(|id| pending.contains_key(id)).collect();
            if !known.is_empty() {
                script.commands.push(cancel_timer(random.pick(&known).clone()));
            }
        }
        _ => {
            let pending = world.disk.run(key).map(|run| run.activities).unwrap_or_default();
            let pending: Vec<i64> = pending.keys().copied().collect();
            if !pending.is_empty() {
                let attributes =
                    RequestCancelActivityTaskCommandAttributes { scheduled_event_id: *random.pick(&pending) };
                script.commands.push(command(
                    CommandType::RequestCancelActivityTask,
                    Attributes::RequestCancelActivityTaskCommandAttributes(attributes),
                ));
            }
        }
    }
}

/// A signal to another workflow, or to this one, or to one that is not there.
fn signal_external(world: &World, random: &mut Random) -> Command {
    let attributes = SignalExternalWorkflowExecutionCommandAttributes {
        namespace: "default".into(),
        execution: Some(WorkflowExecution {
            workflow_id: format!("w{}", random.below(world.knobs.workflow_ids + 1)),
            run_id: String::new(),
        }),
        signal_name: world.name("from-another-"),
        ..SignalExternalWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::SignalExternalWorkflowExecution,
        Attributes::SignalExternalWorkflowExecutionCommandAttributes(attributes),
    )
}

fn child(world: &World, random: &mut Random) -> Command {
    use steadfast_api::v1::enums::ParentClosePolicy as Policy;
    // Now and then an id that somebody else uses.
    let workflow_id = match random.percent(20) {
        true => format!("w{}", random.below(world.knobs.workflow_ids)),
        false => world.name("child-"),
    };
    let attributes = StartChildWorkflowExecutionCommandAttributes {
        namespace: "default".into(),
        workflow_id,
        workflow_type: Some(WorkflowType { name: "Flow".into() }),
        task_queue: Some(TaskQueue { name: crate::world::QUEUE.into(), ..TaskQueue::default() }),
        workflow_run_timeout: if random.percent(20) { duration(random.between(5, 60)) } else { None },
        workflow_task_timeout: duration(10),
        parent_close_policy: *random.pick(&[Policy::Terminate, Policy::Abandon, Policy::RequestCancel])
            as i32,
        ..StartChildWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::StartChildWorkflowExecution,
        Attributes::StartChildWorkflowExecutionCommandAttributes(attributes),
    )
}

fn cancel_timer(timer_id: String) -> Command {
    let attributes = CancelTimerCommandAttributes { timer_id };
    command(CommandType::CancelTimer, Attributes::CancelTimerCommandAttributes(attributes))
}

fn complete() -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes { result: Some(payloads("done")) };
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(attributes),
    )
}

fn continue_as_new() -> Command {
    let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
        workflow_type: Some(WorkflowType { name: "Flow".into() }),
        task_queue: Some(TaskQueue { name: crate::world::QUEUE.into(), ..TaskQueue::default() }),
        ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::ContinueAsNewWorkflowExecution,
        Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes),
    )
}

fn fail() -> Command {
    let failure = Failure { message: "no luck".into(), ..Failure::default() };
    let attributes = FailWorkflowExecutionCommandAttributes { failure: Some(failure) };
    command(
        CommandType::FailWorkflowExecution,
        Attributes::FailWorkflowExecutionCommandAttributes(attributes),
    )
}

fn activity(world: &World, random: &mut Random) -> Command {
    let retry = RetryPolicy {
        initial_interval: duration(random.between(1, 3)),
        backoff_coefficient: 2.0,
        maximum_attempts: *random.pick(&[1, 2, 4]),
        ..RetryPolicy::default()
    };
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: world.name("activity-"),
        activity_type: Some(ActivityType { name: "Work".into() }),
        task_queue: Some(TaskQueue { name: crate::world::QUEUE.into(), ..TaskQueue::default() }),
        start_to_close_timeout: duration(random.between(2, 15)),
        schedule_to_close_timeout: if random.percent(30) { duration(random.between(5, 60)) } else { None },
        schedule_to_start_timeout: if random.percent(20) { duration(random.between(2, 20)) } else { None },
        heartbeat_timeout: if random.percent(30) { duration(random.between(1, 4)) } else { None },
        retry_policy: Some(retry),
        request_eager_execution: random.percent(20),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    command(CommandType::ScheduleActivityTask, Attributes::ScheduleActivityTaskCommandAttributes(attributes))
}

/// Answers the updates that came with the task, and some that were accepted earlier.
fn updates(
    world: &World,
    random: &mut Random,
    key: &RunKey,
    task: &StartedWorkflowTask,
    script: &mut Script,
) {
    let chaos = world.phase() <= Phase::Calm;
    for request in &task.messages {
        let id = &request.protocol_instance_id;
        match random.below(100) {
            0..15 if chaos => {}
            15..25 if chaos => script.messages.push(rejection(id, request)),
            25..40 if chaos => script.messages.push(acceptance(id, request, task)),
            _ => {
                script.messages.push(acceptance(id, request, task));
                script.messages.push(response(id));
            }
        }
    }
    let open = world.disk.run(key).map(|run| run.updates).unwrap_or_default();
    for update in open.values().filter(|update| update.completed_event_id == 0) {
        if !chaos || random.percent(50) {
            script.messages.push(response(&update.update_id));
        }
    }
}

fn message(id: &str, part: &str, name: &str, body: Vec<u8>) -> Message {
    Message {
        id: format!("{id}/{part}"),
        protocol_instance_id: id.to_owned(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.update.v1.{name}"),
            value: body,
        }),
        sequencing_id: None,
    }
}

fn acceptance(id: &str, request: &Message, task: &StartedWorkflowTask) -> Message {
    let body = update::Acceptance {
        accepted_request_message_id: request.id.clone(),
        accepted_request_sequencing_event_id: task.task.started_event_id - 1,
        accepted_request: None,
    };
    message(id, "accept", "Acceptance", body.encode_to_vec())
}

fn rejection(id: &str, request: &Message) -> Message {
    let body = update::Rejection {
        rejected_request_message_id: request.id.clone(),
        failure: Some(Failure { message: "not now".into(), ..Failure::default() }),
        ..update::Rejection::default()
    };
    message(id, "reject", "Rejection", body.encode_to_vec())
}

fn response(id: &str) -> Message {
    let body = update::Response {
        meta: Some(update::Meta { update_id: id.to_owned(), identity: "client".into() }),
        outcome: Some(update::Outcome { value: Some(update::outcome::Value::Success(payloads(id))) }),
    };
    message(id, "respond", "Response", body.encode_to_vec())
}
