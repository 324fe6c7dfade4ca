//! The indented lines below a `complete`: commands and protocol messages of a worker.
//!
//!     activity a1 [type=A] [queue=] [close=10s] [start=] [schedule_to_close=] [heartbeat=] [retry=] [eager] [input=] [no-queue] [same-build]
//!     cancel-activity 5            by scheduled event id
//!     timer t1 5s                  cancel-timer t1
//!     marker name                  search Key=value …          memo Key=value …     (an empty value removes)
//!     child c1 [type=C] [queue=] [policy=abandon|terminate|cancel] [namespace=] [run_timeout=] [retry=] [cron=] [input=] …
//!     signal-external w [run=w/1] [name=s] [input=] [child-only] [namespace=]
//!     cancel-external w [run=w/1] [child-only] [namespace=] [reason=]
//!     done [result=]               failed [message=] [type=] [non-retryable] [delay=5s]           canceled
//!     continue [type=] [queue=] [input=] [run_timeout=] [backoff=] [retry=] [cron=] [result=] [failure=] [initiator=retry]
//!     accept u1 / reject u1 / respond u1 [result=] [failure=] [as=u2]     each a message with its command; `bare` leaves that out
//!     answer q [result=] [error=]   a query's result

use super::line::{Line, payload};
use bytes::Bytes;
use prost::Message as _;
use std::collections::HashMap;
use steadfast_api::v1::command::{command::Attributes, *};
use steadfast_api::v1::common::{
    ActivityType, Memo, Payload, SearchAttributes, WorkflowExecution, WorkflowType,
};
use steadfast_api::v1::enums::{
    CommandType, ContinueAsNewInitiator, ParentClosePolicy, QueryResultType, WorkflowIdReusePolicy,
};
use steadfast_api::v1::failure::{ApplicationFailureInfo, Failure, failure::FailureInfo};
use steadfast_api::v1::protocol::Message;
use steadfast_api::v1::query::WorkflowQueryResult;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::update::{Acceptance, Meta, Outcome, Rejection, Response, outcome::Value};

#[derive(Default)]
pub struct Worker {
    pub commands: Vec<Command>,
    pub messages: Vec<Message>,
    pub query_results: Vec<(String, WorkflowQueryResult)>,
}

/// Turns the name of a run into its id.
pub type Resolve<'a> = &'a dyn Fn(&str) -> String;

pub fn queue(name: Option<String>) -> Option<TaskQueue> {
    name.map(|name| TaskQueue { name, kind: 1, normal_name: String::new() })
}

pub fn failure(line: &mut Line, message: Option<String>) -> Result<Failure, String> {
    Ok(Failure {
        message: message.unwrap_or_else(|| "broken".into()),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: line.text("type", ""),
            non_retryable: line.flag("non-retryable"),
            next_retry_delay: line.duration("delay")?,
            ..ApplicationFailureInfo::default()
        })),
        ..Failure::default()
    })
}

impl Worker {
    pub fn add(&mut self, text: &str, resolve: Resolve<'_>) -> Result<(), String> {
        let mut line = Line::parse(text)?;
        match line.verb.as_str() {
            "accept" | "reject" | "respond" => self.message(&mut line)?,
            "answer" => {
                let id = line.word()?;
                let result = match line.field("error") {
                    Some(error_message) => WorkflowQueryResult {
                        result_type: QueryResultType::Failed as i32,
                        error_message,
                        ..WorkflowQueryResult::default()
                    },
                    None => WorkflowQueryResult {
                        result_type: QueryResultType::Answered as i32,
                        answer: line.payloads("result"),
                        ..WorkflowQueryResult::default()
                    },
                };
                self.query_results.push((id, result));
            }
            _ => {
                let (kind, attributes) = attributes(&mut line, resolve)?;
                self.commands.push(Command {
                    command_type: kind as i32,
                    attributes: Some(attributes),
                    ..Command::default()
                });
            }
        }
        line.end()
    }

    fn message(&mut self, line: &mut Line) -> Result<(), String> {
        let update = line.word()?;
        let request = format!("{update}/request");
        let (name, body) = match line.verb.as_str() {
            "accept" => (
                "Acceptance",
                Acceptance {
                    accepted_request_message_id: request,
                    accepted_request_sequencing_event_id: line.number("event", 2)?,
                    accepted_request: None,
                }
                .encode_to_vec(),
            ),
            "reject" => (
                "Rejection",
                Rejection {
                    rejected_request_message_id: request,
                    failure: Some(failure(line, Some("no".into()))?),
                    ..Rejection::default()
                }
                .encode_to_vec(),
            ),
            _ => {
                let value = match line.field("failure") {
                    Some(message) => Value::Failure(failure(line, Some(message))?),
                    None => Value::Success(line.payloads("result").unwrap_or_default()),
                };
                let meta = Meta { update_id: line.text("as", &update), ..Meta::default() };
                let response = Response { meta: Some(meta), outcome: Some(Outcome { value: Some(value) }) };
                ("Response", response.encode_to_vec())
            }
        };
        let id = format!("{update}/{}", line.verb);
        if !line.flag("bare") {
            self.commands.push(Command {
                command_type: CommandType::ProtocolMessage as i32,
                attributes: Some(Attributes::ProtocolMessageCommandAttributes(
                    ProtocolMessageCommandAttributes { message_id: id.clone() },
                )),
                ..Command::default()
            });
        }
        self.messages.push(Message {
            id,
            protocol_instance_id: update,
            body: Some(prost_types::Any {
                type_url: format!("type.googleapis.com/temporal.api.update.v1.{name}"),
                value: body,
            }),
            ..Message::default()
        });
        Ok(())
    }
}

fn attributes(line: &mut Line, resolve: Resolve<'_>) -> Result<(CommandType, Attributes), String> {
    use CommandType as C;
    let workflow_type =
        |line: &mut Line, default: &str| Some(WorkflowType { name: line.text("type", default) });
    let execution = |line: &mut Line| -> Result<Option<WorkflowExecution>, String> {
        let workflow_id = line.word()?;
        let run_id = line.field("run").map(|run| resolve(&run)).unwrap_or_default();
        Ok(Some(WorkflowExecution { workflow_id, run_id }))
    };
    Ok(match line.verb.clone().as_str() {
        "activity" => (
            C::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
                activity_id: line.word()?,
                activity_type: Some(ActivityType { name: line.text("type", "A") }),
                task_queue: match line.flag("no-queue") {
                    true => None,
                    false => queue(Some(line.text("queue", "q"))),
                },
                use_workflow_build_id: line.flag("same-build"),
                input: line.payloads("input"),
                start_to_close_timeout: match line.duration("close")? {
                    Some(close) => Some(close),
                    None => steadfast_machine::duration::proto(10_000_000_000),
                },
                schedule_to_start_timeout: line.duration("start")?,
                schedule_to_close_timeout: line.duration("schedule_to_close")?,
                heartbeat_timeout: line.duration("heartbeat")?,
                retry_policy: line.retry()?,
                request_eager_execution: line.flag("eager"),
                ..ScheduleActivityTaskCommandAttributes::default()
            }),
        ),
        "cancel-activity" => (
            C::RequestCancelActivityTask,
            Attributes::RequestCancelActivityTaskCommandAttributes(
                RequestCancelActivityTaskCommandAttributes {
                    scheduled_event_id: line.word()?.parse().map_err(|_| "cancel-activity: an event id")?,
                },
            ),
        ),
        "timer" => (
            C::StartTimer,
            Attributes::StartTimerCommandAttributes(StartTimerCommandAttributes {
                timer_id: line.word()?,
                start_to_fire_timeout: steadfast_machine::duration::proto(super::line::nanos(&line.word()?)?),
            }),
        ),
        "cancel-timer" => (
            C::CancelTimer,
            Attributes::CancelTimerCommandAttributes(CancelTimerCommandAttributes { timer_id: line.word()? }),
        ),
        "marker" => (
            C::RecordMarker,
            Attributes::RecordMarkerCommandAttributes(RecordMarkerCommandAttributes {
                marker_name: line.word()?,
                ..RecordMarkerCommandAttributes::default()
            }),
        ),
        "search" => (
            C::UpsertWorkflowSearchAttributes,
            Attributes::UpsertWorkflowSearchAttributesCommandAttributes(
                UpsertWorkflowSearchAttributesCommandAttributes {
                    search_attributes: Some(SearchAttributes { indexed_fields: pairs(line)? }),
                },
            ),
        ),
        "memo" => (
            C::ModifyWorkflowProperties,
            Attributes::ModifyWorkflowPropertiesCommandAttributes(
                ModifyWorkflowPropertiesCommandAttributes {
                    upserted_memo: Some(Memo { fields: pairs(line)? }),
                },
            ),
        ),
        "child" => (
            C::StartChildWorkflowExecution,
            Attributes::StartChildWorkflowExecutionCommandAttributes(
                StartChildWorkflowExecutionCommandAttributes {
                    namespace: line.text("namespace", ""),
                    workflow_id: line.word()?,
                    workflow_type: workflow_type(line, "C"),
                    task_queue: queue(line.field("queue")),
                    input: line.payloads("input"),
                    workflow_execution_timeout: line.duration("execution_timeout")?,
                    workflow_run_timeout: line.duration("run_timeout")?,
                    workflow_task_timeout: line.duration("task_timeout")?,
                    parent_close_policy: match line.text("policy", "").as_str() {
                        "" => ParentClosePolicy::Unspecified,
                        "terminate" => ParentClosePolicy::Terminate,
                        "abandon" => ParentClosePolicy::Abandon,
                        "cancel" => ParentClosePolicy::RequestCancel,
                        other => return Err(format!("no parent close policy: {other}")),
                    } as i32,
                    workflow_id_reuse_policy: match line.text("reuse", "").as_str() {
                        "" => WorkflowIdReusePolicy::Unspecified,
                        "reject" => WorkflowIdReusePolicy::RejectDuplicate,
                        "failed-only" => WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
                        "terminate" => WorkflowIdReusePolicy::TerminateIfRunning,
                        other => return Err(format!("no reuse policy: {other}")),
                    } as i32,
                    retry_policy: line.retry()?,
                    cron_schedule: line.text("cron", ""),
                    ..StartChildWorkflowExecutionCommandAttributes::default()
                },
            ),
        ),
        "signal-external" => (
            C::SignalExternalWorkflowExecution,
            Attributes::SignalExternalWorkflowExecutionCommandAttributes(
                SignalExternalWorkflowExecutionCommandAttributes {
                    namespace: line.text("namespace", ""),
                    execution: execution(line)?,
                    signal_name: line.text("name", "s"),
                    input: line.payloads("input"),
                    control: String::new(),
                    child_workflow_only: line.flag("child-only"),
                    header: None,
                },
            ),
        ),
        "cancel-external" => {
            let execution = execution(line)?.unwrap_or_default();
            (
                C::RequestCancelExternalWorkflowExecution,
                Attributes::RequestCancelExternalWorkflowExecutionCommandAttributes(
                    RequestCancelExternalWorkflowExecutionCommandAttributes {
                        namespace: line.text("namespace", ""),
                        workflow_id: execution.workflow_id,
                        run_id: execution.run_id,
                        control: String::new(),
                        child_workflow_only: line.flag("child-only"),
                        reason: line.text("reason", ""),
                    },
                ),
            )
        }
        "done" => (
            C::CompleteWorkflowExecution,
            Attributes::CompleteWorkflowExecutionCommandAttributes(
                CompleteWorkflowExecutionCommandAttributes { result: line.payloads("result") },
            ),
        ),
        "failed" => {
            let message = line.field("message");
            (
                C::FailWorkflowExecution,
                Attributes::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                    failure: Some(failure(line, message)?),
                }),
            )
        }
        "canceled" => (
            C::CancelWorkflowExecution,
            Attributes::CancelWorkflowExecutionCommandAttributes(CancelWorkflowExecutionCommandAttributes {
                details: line.payloads("details"),
            }),
        ),
        "continue" => (
            C::ContinueAsNewWorkflowExecution,
            Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(
                ContinueAsNewWorkflowExecutionCommandAttributes {
                    workflow_type: line.field("type").map(|name| WorkflowType { name }),
                    task_queue: queue(line.field("queue")),
                    input: line.payloads("input"),
                    workflow_run_timeout: line.duration("run_timeout")?,
                    workflow_task_timeout: line.duration("task_timeout")?,
                    backoff_start_interval: line.duration("backoff")?,
                    retry_policy: line.retry()?,
                    cron_schedule: line.text("cron", ""),
                    initiator: match line.text("initiator", "").as_str() {
                        "" => ContinueAsNewInitiator::Unspecified,
                        "retry" => ContinueAsNewInitiator::Retry,
                        other => return Err(format!("no initiator: {other}")),
                    } as i32,
                    last_completion_result: line.payloads("result"),
                    failure: line.field("failure").map(|m| failure(line, Some(m))).transpose()?,
                    ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
                },
            ),
        ),
        other => return Err(format!("no such command: {other}")),
    })
}

fn pairs(line: &mut Line) -> Result<HashMap<String, Payload>, String> {
    let mut pairs = HashMap::new();
    for (name, value) in line.rest() {
        let payload = if value.is_empty() {
            Payload {
                metadata: HashMap::from([("encoding".to_owned(), Bytes::from_static(b"binary/null"))]),
                ..Payload::default()
            }
        } else {
            payload(&value)
        };
        pairs.insert(name, payload);
    }
    Ok(pairs)
}

pub fn memo(text: Option<String>) -> Option<HashMap<String, Payload>> {
    let text = text?;
    let pairs = text.split(',').filter_map(|pair| pair.split_once(':'));
    Some(pairs.map(|(name, value)| (name.to_owned(), payload(value))).collect())
}
