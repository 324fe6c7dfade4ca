//! What a workflow goes through, chosen by bytes: inputs of clients, workers and operators, and above all answers of workers with
//! commands and protocol messages that have any fields set to anything.
//!
//! Promised beside: what the machine's own tests promise after every input (`check.rs` there): event ids without a gap, rows that
//! are the run in memory, one task for each thing that is queued, the alarm at the earliest deadline, a history that tells the
//! same run.

use crate::message;
use arbitrary::{Result, Unstructured};
use steadfast_api::v1::command::{Command, command::Attributes};
use steadfast_api::v1::enums::CommandType;
use steadfast_api::v1::protocol::Message as ProtocolMessage;
use steadfast_api::v1::query::WorkflowQueryResult;
use steadfast_api::v1::workflowservice::{
    UpdateActivityOptionsRequest, UpdateWorkflowExecutionOptionsRequest,
};
use steadfast_machine::workflow::input::{CompleteWorkflowTask, What, WorkflowTaskToken};

// The world in which the scenarios of the machine happen, with what is checked in it.
#[path = "../../../crates/machine/tests/support/mod.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod support;

use support::commands::Worker;
use support::world::World;

/// Most inputs to one world.
const STEPS: usize = 24;

pub fn run(input: &[u8]) {
    // The source gives zeros when it has nothing left.
    let _ = live(&mut Unstructured::new(input));
}

fn live(source: &mut Unstructured<'_>) -> Result<()> {
    let mut world = World::new();
    let limits = *source.choose(LIMITS)?;
    world.execute(&[limits]).expect("limits are limits");
    world.execute(&["start w"]).expect("a start is a start");
    for _ in 0..STEPS {
        if source.is_empty() {
            break;
        }
        // What cannot be done now is refused in words, and is no matter.
        let _ = match source.int_in_range(0..=9)? {
            0..=3 => world.execute(&["poll w"]),
            4..=6 => complete(&mut world, source)?,
            7 => options(&mut world, source)?,
            _ => world.execute(&[*source.choose(INPUTS)?]),
        };
        support::check::check(&world);
    }
    Ok(())
}

const LIMITS: &[&str] = &[
    "limit",
    "limit buffered_events=2",
    "limit history_events=20",
    "limit pending_activities=1 updates_in_flight=1",
];

const INPUTS: &[&str] = &[
    "advance 1s",
    "advance 12s",
    "deliver",
    "deliver all",
    "deliver twice",
    "restart",
    "signal w s",
    "signal w s request=r1",
    "signal-with-start w s",
    "start w",
    "start w conflict=terminate request=r",
    "start w eager",
    "start w retry=1s,2,10s,3",
    "start w cron=@hourly",
    "start w delay=5s",
    "start w run_timeout=20s",
    "cancel w",
    "terminate w",
    "delete w",
    "pause w",
    "unpause w",
    "query w q",
    "update w u0 name",
    "update w u1 name",
    "update-with-start w u0 name conflict=use-existing",
    "fail-task w",
    "reset w 2",
    "reset w 5",
    "reset-sticky w",
    "sticky-unavailable w",
    "activity w a0",
    "activity w a1",
    "end-activity w a0",
    "end-activity w a0 failure=boom",
    "end-activity w a1 canceled",
    "heartbeat w a0",
    "undelivered w a0",
    "pause-activity w a0",
    "unpause-activity w a0",
    "reset-activity w all",
    "poll c0",
    "terminate c0",
    "signal c0 s",
];

/// Commands as workers send them.
const COMMANDS: &[&str] = &[
    "activity a0",
    "activity a1 eager",
    "activity a0 retry=1s,2,10s,2 heartbeat=1s",
    "timer t0 5s",
    "timer t1 0s",
    "cancel-timer t0",
    "cancel-activity 5",
    "child c0",
    "child c1 policy=abandon",
    "signal-external c0",
    "signal-external w",
    "cancel-external c0",
    "marker m",
    "search Kind=a",
    "memo k=v",
    "accept u0",
    "reject u0",
    "respond u0",
    "accept u1 bare",
    "done",
    "failed",
    "canceled",
    "continue",
    "continue backoff=5s",
];

fn complete(world: &mut World, source: &mut Unstructured<'_>) -> Result<std::result::Result<String, String>> {
    let mut worker = Worker::default();
    for _ in 0..source.int_in_range(0..=4)? {
        let line = *source.choose(COMMANDS)?;
        worker.add(line, &|name| name.to_owned()).expect("the lines above are commands");
    }
    let mut commands = Vec::new();
    for command in worker.commands {
        commands.push(if source.arbitrary()? { changed(&command, source)? } else { command });
    }
    if source.ratio(1_u8, 4_u8)? {
        commands.push(changed(&Command::default(), source)?);
    }
    let mut messages = Vec::new();
    for message in worker.messages {
        let any: bool = source.arbitrary()?;
        messages.push(if any { changed_message(message, source)? } else { message });
    }
    let mut query_results = worker.query_results;
    if source.ratio(1_u8, 8_u8)? {
        let result: WorkflowQueryResult = message::over(
            &WorkflowQueryResult::default(),
            "temporal.api.query.v1.WorkflowQueryResult",
            source,
        )?;
        query_results.push(("q".to_owned(), result));
    }
    let started = world.started.get("w").map(|task| &task.task);
    let token = started.map(|task| WorkflowTaskToken {
        scheduled_event_id: task.scheduled_event_id,
        started_event_id: task.started_event_id,
        started_time: task.started_time,
        attempt: task.attempt,
    });
    let Some(mut token) = token else { return Ok(Err("no task was started".into())) };
    if source.ratio(1_u8, 16_u8)? {
        token.attempt += 1;
    }
    let complete = CompleteWorkflowTask {
        token,
        commands,
        messages,
        query_results,
        identity: "worker".into(),
        sticky: source.ratio(1_u8, 4_u8)?.then(|| ("s".to_owned(), 10_000_000_000)),
        return_new_task: source.arbitrary()?,
        force_create_task: source.ratio(1_u8, 4_u8)?,
        ..CompleteWorkflowTask::default()
    };
    Ok(world.apply("w", What::CompleteWorkflowTask(Box::new(complete))))
}

/// The command with any of its fields set anew; its type follows its attributes, mostly.
fn changed(command: &Command, source: &mut Unstructured<'_>) -> Result<Command> {
    let mut changed: Command = message::over(command, "temporal.api.command.v1.Command", source)?;
    if source.ratio(15_u8, 16_u8)? {
        changed.command_type =
            changed.attributes.as_ref().map_or(changed.command_type, |set| kind_of(set) as i32);
    }
    Ok(changed)
}

fn kind_of(attributes: &Attributes) -> CommandType {
    use Attributes as A;
    use CommandType as C;
    match attributes {
        A::ScheduleActivityTaskCommandAttributes(_) => C::ScheduleActivityTask,
        A::StartTimerCommandAttributes(_) => C::StartTimer,
        A::CompleteWorkflowExecutionCommandAttributes(_) => C::CompleteWorkflowExecution,
        A::FailWorkflowExecutionCommandAttributes(_) => C::FailWorkflowExecution,
        A::RequestCancelActivityTaskCommandAttributes(_) => C::RequestCancelActivityTask,
        A::CancelTimerCommandAttributes(_) => C::CancelTimer,
        A::CancelWorkflowExecutionCommandAttributes(_) => C::CancelWorkflowExecution,
        A::RequestCancelExternalWorkflowExecutionCommandAttributes(_) => {
            C::RequestCancelExternalWorkflowExecution
        }
        A::RecordMarkerCommandAttributes(_) => C::RecordMarker,
        A::ContinueAsNewWorkflowExecutionCommandAttributes(_) => C::ContinueAsNewWorkflowExecution,
        A::StartChildWorkflowExecutionCommandAttributes(_) => C::StartChildWorkflowExecution,
        A::SignalExternalWorkflowExecutionCommandAttributes(_) => C::SignalExternalWorkflowExecution,
        A::UpsertWorkflowSearchAttributesCommandAttributes(_) => C::UpsertWorkflowSearchAttributes,
        A::ProtocolMessageCommandAttributes(_) => C::ProtocolMessage,
        A::ModifyWorkflowPropertiesCommandAttributes(_) => C::ModifyWorkflowProperties,
        A::ScheduleNexusOperationCommandAttributes(_) => C::ScheduleNexusOperation,
        A::RequestCancelNexusOperationCommandAttributes(_) => C::RequestCancelNexusOperation,
    }
}

/// Another body of its kind, and any of the fields around it.
fn changed_message(message: ProtocolMessage, source: &mut Unstructured<'_>) -> Result<ProtocolMessage> {
    let mut changed: ProtocolMessage = message::over(&message, "temporal.api.protocol.v1.Message", source)?;
    changed.body = message.body;
    if let Some(body) = &mut changed.body {
        let name = body.type_url.rsplit('/').next().unwrap_or_default().to_owned();
        body.value.extend(message::fields(&name, source)?);
        if source.ratio(1_u8, 8_u8)? {
            body.value.truncate(source.int_in_range(0..=body.value.len())?);
        }
    }
    Ok(changed)
}

fn options(world: &mut World, source: &mut Unstructured<'_>) -> Result<std::result::Result<String, String>> {
    let what = if source.arbitrary()? {
        let base = UpdateActivityOptionsRequest::default();
        let name = "temporal.api.workflowservice.v1.UpdateActivityOptionsRequest";
        What::UpdateActivityOptions(Box::new(message::over(&base, name, source)?))
    } else {
        let base = UpdateWorkflowExecutionOptionsRequest::default();
        let name = "temporal.api.workflowservice.v1.UpdateWorkflowExecutionOptionsRequest";
        What::UpdateOptions(Box::new(message::over(&base, name, source)?))
    };
    Ok(world.apply("w", what))
}
