//! The commands of a workflow task's completion, one file for each family.

mod activity;
mod attributes;
mod child;
mod close;
mod continue_as_new;
mod external;
mod marker;
mod target;
mod timer;

pub use attributes::{is_null, memo_without_nulls, merge, without_nulls};

use super::activity::INTERNAL_QUEUE;
use super::completion::Completion;
use super::step::Step;
use super::update;
use crate::env::{BadAttributes, Env};
use crate::limits::{NUL, has_nul};
use crate::reject::Reject;
use prost::Message as _;
use steadfast_api::v1::command::{Command, command::Attributes};
use steadfast_api::v1::common::{Payloads, SearchAttributes};
use steadfast_api::v1::enums::{CommandType, WorkflowTaskFailedCause as Cause};

/// Why a completion is refused.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The workflow task fails and is tried again.
    Fail { cause: Cause, message: String },
    /// The run cannot go on: what the command carries is too large.
    Terminate { cause: Cause, message: String },
    /// The completion cannot be judged: the worker hears of it, and nothing is done.
    Refuse(Reject),
}

impl Trouble {
    pub fn fail(cause: Cause, message: impl Into<String>) -> Trouble {
        Trouble::Fail { cause, message: message.into() }
    }

    pub fn cause(&self) -> Cause {
        match self {
            Trouble::Fail { cause, .. } | Trouble::Terminate { cause, .. } => *cause,
            Trouble::Refuse(_) => Cause::Unspecified,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Trouble::Fail { cause, message } | Trouble::Terminate { cause, message } => {
                match message.as_str() {
                    "" => format!("{cause:?}"),
                    message => format!("{cause:?}: {message}"),
                }
            }
            Trouble::Refuse(reject) => format!("{reject:?}"),
        }
    }
}

pub type Done = Result<(), Trouble>;

/// Whether the command closes the run.
pub fn is_close(command: &Command) -> bool {
    use CommandType::*;
    matches!(
        command.command_type(),
        CompleteWorkflowExecution
            | FailWorkflowExecution
            | CancelWorkflowExecution
            | ContinueAsNewWorkflowExecution
    )
}

/// Whether a completion ends the run in a way that a retry or a cron schedule may follow.
pub fn may_end_chain(commands: &[Command]) -> bool {
    use CommandType::*;
    let ends = |c: &Command| matches!(c.command_type(), CompleteWorkflowExecution | FailWorkflowExecution);
    commands.iter().any(ends)
}

/// A command after the one that closes the run, or of a type that nobody knows: the answer is an error, and nothing
/// else happens.
pub fn check_sequence(commands: &[Command]) -> Result<(), Reject> {
    let name = |command: &Command| match CommandType::try_from(command.command_type) {
        Ok(kind) => format!("{kind:?}"),
        Err(_) => command.command_type.to_string(),
    };
    let names = || commands.iter().map(name).collect::<Vec<_>>().join(", ");
    for (index, command) in commands.iter().enumerate() {
        if is_close(command) && index + 1 != commands.len() {
            return Err(Reject::invalid(format!(
                "invalid command sequence: [{}], command {:?} must be the last command.",
                names(),
                command.command_type()
            )));
        }
        if CommandType::try_from(command.command_type).unwrap_or_default() == CommandType::Unspecified {
            return Err(Reject::invalid(format!("unknown command type: {}", name(command))));
        }
    }
    Ok(())
}

pub fn run(step: &mut Step, completion: &mut Completion<'_>, env: &mut Env<'_>) -> Done {
    for command in &completion.input.commands {
        one(step, completion, command, env)?;
    }
    Ok(())
}

fn one(step: &mut Step, completion: &mut Completion<'_>, command: &Command, env: &mut Env<'_>) -> Done {
    use Attributes::*;
    let missing = |cause: Cause| {
        let name = command.command_type();
        Trouble::fail(cause, format!("{name:?}CommandAttributes is not set on {name:?}Command."))
    };
    match (command.command_type(), command.attributes.as_ref()) {
        (CommandType::ScheduleActivityTask, Some(ScheduleActivityTaskCommandAttributes(a))) => {
            activity::schedule(step, completion, command, a, env)
        }
        (CommandType::RequestCancelActivityTask, Some(RequestCancelActivityTaskCommandAttributes(a))) => {
            activity::request_cancel(step, completion, command, a, env)
        }
        (CommandType::StartTimer, Some(StartTimerCommandAttributes(a))) => {
            timer::start(step, completion, command, a, env)
        }
        (CommandType::CancelTimer, Some(CancelTimerCommandAttributes(a))) => {
            timer::cancel(step, completion, command, a, env)
        }
        (CommandType::RecordMarker, Some(RecordMarkerCommandAttributes(a))) => {
            marker::record(step, completion, command, a, env)
        }
        (
            CommandType::UpsertWorkflowSearchAttributes,
            Some(UpsertWorkflowSearchAttributesCommandAttributes(a)),
        ) => attributes::upsert(step, completion, command, a, env),
        (CommandType::ModifyWorkflowProperties, Some(ModifyWorkflowPropertiesCommandAttributes(a))) => {
            attributes::modify_properties(step, completion, command, a, env)
        }
        (CommandType::CompleteWorkflowExecution, Some(CompleteWorkflowExecutionCommandAttributes(a))) => {
            close::complete(step, completion, command, a, env)
        }
        (CommandType::FailWorkflowExecution, Some(FailWorkflowExecutionCommandAttributes(a))) => {
            close::fail(step, completion, command, a, env)
        }
        (CommandType::CancelWorkflowExecution, Some(CancelWorkflowExecutionCommandAttributes(a))) => {
            close::cancel(step, completion, command, a, env)
        }
        (
            CommandType::ContinueAsNewWorkflowExecution,
            Some(ContinueAsNewWorkflowExecutionCommandAttributes(a)),
        ) => continue_as_new::continue_as_new(step, completion, command, a, env),
        (CommandType::StartChildWorkflowExecution, Some(StartChildWorkflowExecutionCommandAttributes(a))) => {
            child::start(step, completion, command, a, env)
        }
        (
            CommandType::SignalExternalWorkflowExecution,
            Some(SignalExternalWorkflowExecutionCommandAttributes(a)),
        ) => external::signal(step, completion, command, a, env),
        (
            CommandType::RequestCancelExternalWorkflowExecution,
            Some(RequestCancelExternalWorkflowExecutionCommandAttributes(a)),
        ) => external::cancel(step, completion, command, a, env),
        (CommandType::ProtocolMessage, Some(ProtocolMessageCommandAttributes(a))) => {
            update::message_command(step, completion, &a.message_id, env)
        }
        (CommandType::ScheduleNexusOperation | CommandType::RequestCancelNexusOperation, Some(_)) => {
            Err(Trouble::fail(Cause::FeatureDisabled, "Nexus operations are not built yet"))
        }
        (kind, _) => Err(missing(cause_of(kind))),
    }
}

fn cause_of(kind: CommandType) -> Cause {
    match kind {
        CommandType::ScheduleActivityTask => Cause::BadScheduleActivityAttributes,
        CommandType::RequestCancelActivityTask => Cause::BadRequestCancelActivityAttributes,
        CommandType::StartTimer => Cause::BadStartTimerAttributes,
        CommandType::CancelTimer => Cause::BadCancelTimerAttributes,
        CommandType::RecordMarker => Cause::BadRecordMarkerAttributes,
        CommandType::CompleteWorkflowExecution => Cause::BadCompleteWorkflowExecutionAttributes,
        CommandType::FailWorkflowExecution => Cause::BadFailWorkflowExecutionAttributes,
        CommandType::CancelWorkflowExecution => Cause::BadCancelWorkflowExecutionAttributes,
        CommandType::ContinueAsNewWorkflowExecution => Cause::BadContinueAsNewAttributes,
        CommandType::StartChildWorkflowExecution => Cause::BadStartChildExecutionAttributes,
        CommandType::SignalExternalWorkflowExecution => Cause::BadSignalWorkflowExecutionAttributes,
        CommandType::RequestCancelExternalWorkflowExecution => {
            Cause::BadRequestCancelExternalWorkflowExecutionAttributes
        }
        CommandType::UpsertWorkflowSearchAttributes => Cause::BadSearchAttributes,
        CommandType::ModifyWorkflowProperties => Cause::BadModifyWorkflowPropertiesAttributes,
        CommandType::ProtocolMessage => Cause::BadUpdateWorkflowExecutionMessage,
        CommandType::ScheduleNexusOperation => Cause::BadScheduleNexusOperationAttributes,
        CommandType::RequestCancelNexusOperation => Cause::BadRequestCancelNexusOperationAttributes,
        CommandType::Unspecified => Cause::UnhandledCommand,
    }
}

/// Payloads that are too large end the run: retrying the task would send them again.
pub fn check_size(cause: Cause, what: &str, size: usize, env: &Env<'_>) -> Done {
    if size <= env.limits.blob_bytes {
        return Ok(());
    }
    Err(Trouble::Terminate { cause, message: format!("{what} exceeds size limit.") })
}

/// The memo of a run that is to be.
pub fn check_memo(cause: Cause, what: &str, size: usize, env: &Env<'_>) -> Done {
    if size <= env.limits.memo_bytes {
        return check_size(cause, what, size, env);
    }
    Err(Trouble::Terminate { cause, message: format!("{what} exceeds size limit.") })
}

pub fn check_payloads(cause: Cause, what: &str, payloads: Option<&Payloads>, env: &Env<'_>) -> Done {
    check_size(cause, what, payloads.map_or(0, |payloads| payloads.encoded_len()), env)
}

/// The same in the words that the reference has for most commands.
pub fn check_field(cause: Cause, command: &str, what: &str, value: &str, env: &Env<'_>) -> Done {
    if value.is_empty() {
        return Err(Trouble::fail(cause, format!("{what} is not set on {command}.")));
    }
    if value.len() > env.limits.id_bytes {
        let (length, limit) = (value.len(), env.limits.id_bytes);
        let text =
            format!("{what} on {command} exceeds length limit. {what}={value} Length={length} Limit={limit}");
        return Err(Trouble::fail(cause, text));
    }
    check_nul(cause, value)
}

pub fn check_nul(cause: Cause, value: &str) -> Done {
    if has_nul(value) { Err(Trouble::fail(cause, NUL)) } else { Ok(()) }
}

/// What the reference says of a thing that is there already, or not there.
pub fn bad_state(action: &str, what: &str, id: impl std::fmt::Display) -> String {
    format!("invalid history builder state for action: {action}, {what}: {id}")
}

/// The same, with the words that the commands about other workflows have; `context` is what they say before and after.
pub fn check_fits(
    cause: Cause,
    command: &str,
    what: &str,
    text: &str,
    context: (&str, &str),
    env: &Env<'_>,
) -> Done {
    if text.len() <= env.limits.id_bytes {
        return check_nul(cause, text);
    }
    let (length, limit) = (text.len(), env.limits.id_bytes);
    let (before, after) = context;
    let message = format!(
        "{what} on {command} exceeds length limit. {before}{what}={text} Length={length} Limit={limit}{after}"
    );
    Err(Trouble::fail(cause, message))
}

/// Search attributes that a command sets; `context` says in which command, for those commands that say so.
pub fn check_attributes(
    cause: Cause,
    attributes: &SearchAttributes,
    context: Option<(&str, &str)>,
    env: &Env<'_>,
) -> Done {
    let Err(bad) = env.namespace.check_search_attributes(attributes) else { return Ok(()) };
    Err(match (bad, context) {
        (BadAttributes::TooLarge(message), _) => Trouble::Terminate { cause, message },
        (BadAttributes::Invalid(text), Some((command, context))) => Trouble::fail(
            Cause::BadSearchAttributes,
            format!("invalid SearchAttributes on {command}: {text}. {context}"),
        ),
        (bad, _) => Trouble::fail(Cause::BadSearchAttributes, bad.into_text()),
    })
}

/// A queue that is the server's own is for those who run in it.
pub fn check_internal_queue(queue: &str, own: &str) -> Result<(), String> {
    if queue != INTERNAL_QUEUE || queue == own {
        return Ok(());
    }
    Err(format!(
        "cannot use internal per-namespace task queue:{queue} (in parent component task queue: {own})"
    ))
}

/// A task queue as the reference's messages show one.
pub fn queue_text(name: &str) -> String {
    format!("name:{name:?}  kind:TASK_QUEUE_KIND_NORMAL")
}

/// The shorter of two timeouts, where 0 means that there is none.
pub fn capped(timeout: i64, limit: i64) -> i64 {
    match (timeout, limit) {
        (timeout, 0) => timeout,
        (0, limit) => limit,
        (timeout, limit) => timeout.min(limit),
    }
}
