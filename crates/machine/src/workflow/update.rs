//! Workflow updates.
//!
//! ```text
//! admitted ──sent to a worker──► sent ──accepted──► accepted ──► completed
//!                                  └──rejected──► (forgotten: no event)
//! ```
//!
//! Up to its acceptance an update is only in memory: a restart loses it, and the caller tries again. Accepted ones are
//! rows. A state is told to nobody before the commit that made it.

use super::commands::{Done, Trouble, check_size};
use super::completion::Completion;
use super::events::Attributes;
use super::failure;
use super::input::{CompleteWorkflowTask, Update};
use super::multi_operation;
use super::reply::UpdateReply;
use super::rows::{UpdateRow, WorkflowTaskRow};
use super::state::{PendingUpdate, Run, UpdateWaiter, WithStart};
use super::step::Step;
use super::task;
use crate::decision::Reply;
use crate::env::Env;
use crate::key::CallerId;
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use prost::Message as _;
use std::sync::Arc;
use steadfast_api::v1::enums::{
    ResourceExhaustedCause, ResourceExhaustedScope, UpdateWorkflowExecutionLifecycleStage as Stage,
    WorkflowTaskFailedCause as Cause,
};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::{
    WorkflowExecutionUpdateAcceptedEventAttributes, WorkflowExecutionUpdateCompletedEventAttributes,
};
use steadfast_api::v1::protocol::{Message, message::SequencingId};
use steadfast_api::v1::update::{Acceptance, Outcome, Rejection, Response, outcome::Value};

const CAUSE: Cause = Cause::BadUpdateWorkflowExecutionMessage;

/// The package of the messages that an update is spoken of in.
const PROTOCOL: &str = "temporal.api.update.v1";

pub fn apply(step: &mut Step, update: &Update, env: &mut Env<'_>) -> Result<Reply, Reject> {
    apply_with(step, update, None, env)
}

pub fn id(update: &Update) -> &str {
    update.request.meta.as_ref().map_or("", |meta| &meta.update_id)
}

/// Whether the run can answer for this update, open or not.
pub fn is_told(run: &Run, id: &str) -> bool {
    run.updates.get(id).is_some_and(|row| row.completed_event_id != 0 || run.is_open())
        || run.volatile.updates.iter().any(|update| update.id == id)
}

pub fn apply_with(
    step: &mut Step,
    update: &Update,
    with_start: Option<WithStart>,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    let id = id(update).to_owned();
    let waiter = UpdateWaiter {
        caller: update.caller,
        update_id: id.clone(),
        stage: update.stage,
        with_start: with_start.map(Arc::new),
    };
    if let Some(reply) = known(step, &waiter) {
        return Ok(reply);
    }
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    if step.run.is_paused() {
        return Err(Reject::FailedPrecondition("Workflow is paused. Cannot update the workflow.".into()));
    }
    let task = step.run.core.task.as_ref();
    if task.is_some_and(|task| task.attempt >= env.limits.failing_attempts) {
        return Err(Reject::WorkflowNotReady(
            "Unable to perform workflow execution update due to Workflow Task in failed state.".into(),
        ));
    }
    if step.run.core.close_attempted && step.run.started_task().is_some() {
        return Err(Reject::closing());
    }
    admit(step, update, id, env)?;
    step.run.volatile.update_waiters.push(waiter);
    // Also during a backoff, which goes on if nothing comes of the update.
    if step.run.core.task.is_none() {
        task::schedule_speculative(step, env);
    }
    Ok(Reply::Wait)
}

fn admit(step: &mut Step, update: &Update, id: String, env: &Env<'_>) -> Result<(), Reject> {
    let bytes = update.request.encoded_len();
    let open = step.run.updates.values().filter(|row| row.completed_event_id == 0).count();
    let pending = &step.run.volatile.updates;
    let in_flight = open + pending.len();
    let in_flight_bytes = pending.iter().map(|update| update.bytes).sum::<usize>() + bytes;
    let refused = |message: String| {
        Err(Reject::ResourceExhausted {
            message,
            cause: ResourceExhaustedCause::ConcurrentLimit,
            scope: ResourceExhaustedScope::Namespace,
        })
    };
    let limits = env.limits;
    if in_flight >= limits.updates_in_flight {
        return refused(format!(
            "limit on number of concurrent in-flight updates has been reached ({})",
            limits.updates_in_flight
        ));
    }
    if in_flight_bytes >= limits.updates_in_flight_bytes {
        return refused(format!(
            "limit on total payload size of in-flight updates has been reached ({} bytes)",
            limits.updates_in_flight_bytes
        ));
    }
    // Those that wait for their acceptance count, as they will have it.
    if step.run.core.updates + pending.len() as i64 >= env.limits.updates_total {
        return Err(Reject::FailedPrecondition(format!(
            "The limit on the total number of distinct updates in this workflow has been reached ({}). Make sure any duplicate updates share an Update ID so the server can deduplicate them, and consider rejecting updates that you aren't going to process. You can also Continue-as-New to avoid this; we recommend you check Continue-as-New Suggested in your Workflow.",
            env.limits.updates_total
        )));
    }
    step.run.volatile.updates.push(PendingUpdate {
        id,
        request: Arc::new(update.request.clone()),
        sent: 0,
        bytes,
    });
    Ok(())
}

pub fn poll(step: &mut Step, caller: CallerId, id: &str, stage: i32) -> Result<Reply, Reject> {
    let waiter = UpdateWaiter { caller, update_id: id.to_owned(), stage, with_start: None };
    known(step, &waiter).ok_or_else(|| Reject::not_found(format!("update \"{id}\" not found")))
}

/// How far an update is.
fn reached(step: &Step, id: &str) -> Option<(Stage, Option<Outcome>)> {
    match step.run.updates.get(id) {
        Some(row) if row.completed_event_id != 0 => Some((Stage::Completed, row.outcome.clone())),
        // Admitted by an event, and never accepted.
        Some(row) if row.accepted_event_id == 0 => step.run.is_open().then_some((Stage::Admitted, None)),
        Some(_) if !step.run.is_open() => Some((Stage::Completed, Some(failed(closed_before_completion())))),
        Some(_) => Some((Stage::Accepted, None)),
        None if is_pending(step, id) => Some((Stage::Admitted, None)),
        None => None,
    }
}

/// After a completion: whoever waits for less than what is reached now hears of it, once and of the most.
pub fn tell_all(step: &mut Step) {
    let ids: Vec<String> = step.run.volatile.update_waiters.iter().map(|w| w.update_id.clone()).collect();
    for id in ids {
        if let Some((stage, outcome)) = reached(step, &id) {
            tell(step, &id, stage, outcome);
        }
    }
}

/// The answer about an update that exists: at once if it is far enough, else later.
fn known(step: &mut Step, waiter: &UpdateWaiter) -> Option<Reply> {
    let (reached, outcome) = reached(step, &waiter.update_id)?;
    if is_planted(Planted::UpdateAcceptedTwice) && reached != Stage::Admitted {
        return None;
    }
    if reached as i32 >= waiter.stage {
        return Some(reply(step, waiter, reached, outcome));
    }
    step.run.volatile.update_waiters.push(waiter.clone());
    Some(Reply::Wait)
}

fn reply(step: &Step, waiter: &UpdateWaiter, stage: Stage, outcome: Option<Outcome>) -> Reply {
    let reply = UpdateReply {
        run_id: step.key.run,
        update_id: waiter.update_id.clone(),
        stage: stage as i32,
        outcome,
    };
    multi_operation::reply(step, waiter.with_start.as_deref(), reply)
}

fn failed(failure: Failure) -> Outcome {
    Outcome { value: Some(Value::Failure(failure)) }
}

fn closed_before_completion() -> Failure {
    failure::application(
        "Workflow Update failed because the Workflow completed before the Update completed.",
        "AcceptedUpdateCompletedWorkflow",
        true,
    )
}

/// Tells those who wait for this update and are satisfied with the stage that it has reached.
fn tell(step: &mut Step, id: &str, stage: Stage, outcome: Option<Outcome>) {
    let waiters = std::mem::take(&mut step.run.volatile.update_waiters);
    for waiter in waiters {
        if waiter.update_id == id && waiter.stage <= stage as i32 {
            let reply = reply(step, &waiter, stage, outcome.clone());
            step.answer(waiter.caller, Ok(reply));
        } else {
            step.run.volatile.update_waiters.push(waiter);
        }
    }
}

fn refuse_waiters(step: &mut Step, id: &str, reject: &Reject) {
    let waiters = std::mem::take(&mut step.run.volatile.update_waiters);
    for waiter in waiters {
        if waiter.update_id == id {
            let reject = match &waiter.with_start {
                Some(with) => multi_operation::refused(with, reject.clone()),
                None => reject.clone(),
            };
            step.answer(waiter.caller, Err(reject));
        } else {
            step.run.volatile.update_waiters.push(waiter);
        }
    }
}

/// Updates wait that no worker has seen: they want a workflow task.
pub fn waiting(step: &Step) -> bool {
    step.run.volatile.updates.iter().any(|update| update.sent == 0)
}

/// The updates that wait ride with the task that starts.
pub fn send(step: &mut Step) {
    let Some(started) = step.run.core.task.as_ref().map(|task| task.started_event_id) else { return };
    for update in &mut step.run.volatile.updates {
        if update.sent == 0 {
            update.sent = started;
        }
    }
}

/// They ride with the next task once more.
pub fn unsend(step: &mut Step) {
    for update in &mut step.run.volatile.updates {
        update.sent = 0;
    }
}

/// The requests that go with this started task, in the order of their admission.
pub fn messages(step: &Step, task: &WorkflowTaskRow) -> Vec<Message> {
    let mine = step.run.volatile.updates.iter().filter(|update| update.sent == task.started_event_id);
    mine.map(|update| Message {
        id: format!("{}/request", update.id),
        protocol_instance_id: update.id.clone(),
        body: Some(prost_types::Any {
            type_url: "type.googleapis.com/temporal.api.update.v1.Request".into(),
            value: update.request.encode_to_vec(),
        }),
        sequencing_id: Some(SequencingId::EventId(task.started_event_id - 1)),
    })
    .collect()
}

enum Body {
    Acceptance(Acceptance),
    Rejection(Rejection),
    Response(Response),
}

fn body(message: &Message, env: &Env<'_>) -> Result<Body, Trouble> {
    let any = message.body.as_ref().ok_or_else(|| Trouble::fail(CAUSE, "message has no body"))?;
    let bad = |error: prost::DecodeError| Trouble::fail(CAUSE, format!("message does not decode: {error}"));
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    check_size(CAUSE, &format!("Message type {name}"), any.value.len(), env)?;
    let bytes = any.value.as_slice();
    match name {
        "temporal.api.update.v1.Acceptance" => Acceptance::decode(bytes).map(Body::Acceptance).map_err(bad),
        "temporal.api.update.v1.Rejection" => Rejection::decode(bytes).map(Body::Rejection).map_err(bad),
        "temporal.api.update.v1.Response" => Response::decode(bytes).map(Body::Response).map_err(bad),
        other => {
            let protocol = other.rsplit_once('.').map_or(other, |(package, _)| package);
            let text = match protocol == PROTOCOL {
                true => format!(
                    "Message type *update.{} not supported",
                    other.rsplit('.').next().unwrap_or(other)
                ),
                false => format!("unsupported protocol type {protocol}"),
            };
            Err(Trouble::fail(CAUSE, text))
        }
    }
}

/// Whether a speculative task's completion can be forgotten: nothing but rejections came of it.
pub fn leaves_no_trace(step: &Step, input: &CompleteWorkflowTask, env: &Env<'_>) -> bool {
    // Completed follows Started without anything between them, so this is the number of events after it.
    let events = step.run.core.next_event_id - step.run.core.last_completed_started_id - 2;
    let few_events = events == 0 || (input.can_discard_speculative_with_events && events <= 10);
    input.commands.is_empty()
        && !input.force_create_task
        && few_events
        && input.messages.iter().all(|message| match body(message, env) {
            Ok(Body::Rejection(rejection)) => {
                may_reject(step, &message.protocol_instance_id, &rejection).is_ok()
            }
            _ => false,
        })
}

pub fn process_rejections(step: &mut Step, input: &CompleteWorkflowTask, env: &Env<'_>) {
    for message in &input.messages {
        if let Ok(Body::Rejection(rejection)) = body(message, env) {
            reject(step, &message.protocol_instance_id, rejection);
        }
    }
}

/// A command says at which place among the events a message is to be processed.
pub fn message_command(
    step: &mut Step,
    completion: &mut Completion<'_>,
    id: &str,
    env: &mut Env<'_>,
) -> Done {
    let input = completion.input;
    if id.is_empty() {
        return Err(Trouble::fail(CAUSE, "MessageID is not set on ProtocolMessageCommand."));
    }
    // One that a command named before is not there any more.
    let there = input.messages.iter().find(|message| message.id == id);
    let Some(message) = there.filter(|_| !completion.messages_done.iter().any(|done| done == id)) else {
        let text = format!("ProtocolMessageCommand referenced absent message ID {id}");
        return Err(Trouble::fail(CAUSE, text));
    };
    completion.messages_done.push(id.to_owned());
    process(step, message, env)
}

/// The completion closes the run: rejections that no command named still count, what would make events does not.
pub fn rejections_first(step: &mut Step, completion: &mut Completion<'_>, env: &Env<'_>) {
    use steadfast_api::v1::command::command::Attributes::ProtocolMessageCommandAttributes;
    let input = completion.input;
    let named = |id: &str| {
        input
            .commands
            .iter()
            .any(|c| matches!(&c.attributes, Some(ProtocolMessageCommandAttributes(a)) if a.message_id == id))
    };
    for message in input.messages.iter().filter(|message| !named(&message.id)) {
        if let Ok(Body::Rejection(rejection)) = body(message, env)
            && may_reject(step, &message.protocol_instance_id, &rejection).is_ok()
        {
            reject(step, &message.protocol_instance_id, rejection);
        }
    }
}

/// Messages that no command named, after all commands.
pub fn rest_of_messages(step: &mut Step, completion: &mut Completion<'_>, env: &mut Env<'_>) -> Done {
    if !step.run.is_open() {
        // Closing has answered whoever waited, but for those that `rejections_first` found.
        return Ok(());
    }
    for message in &completion.input.messages {
        if !completion.messages_done.contains(&message.id) {
            process(step, message, env)?;
        }
    }
    Ok(())
}

fn process(step: &mut Step, message: &Message, env: &mut Env<'_>) -> Done {
    let id = message.protocol_instance_id.as_str();
    match body(message, env)? {
        Body::Acceptance(acceptance) => accept(step, id, acceptance, env),
        Body::Rejection(rejection) => {
            may_reject(step, id, &rejection)?;
            reject(step, id, rejection);
            Ok(())
        }
        Body::Response(response) => respond(step, id, response, env),
    }
}

/// Only what was not accepted can be rejected, or what the server forgot and the worker brings along.
fn may_reject(step: &Step, id: &str, rejection: &Rejection) -> Done {
    let forgotten = rejection.rejected_request.is_some() && reached(step, id).is_none();
    if is_pending(step, id) || forgotten { Ok(()) } else { Err(unknown(step, id, "Rejection")) }
}

/// Admitted, and not accepted yet.
fn is_pending(step: &Step, id: &str) -> bool {
    let by_event = step.run.updates.get(id).is_some_and(|row| row.accepted_event_id == 0);
    by_event || step.run.volatile.updates.iter().any(|update| update.id == id)
}

/// A message that the update is not in the state for, or for an update that nobody knows.
fn unknown(step: &Step, id: &str, message: &str) -> Trouble {
    // What this very completion did is not certain before its end.
    let before = step.run.core.last_completed_started_id;
    let row = step.run.updates.get(id);
    let provisional = |event: fn(&UpdateRow) -> i64| row.is_some_and(|row| event(row) > before);
    let state = match reached(step, id) {
        Some((Stage::Admitted, _)) => "Sent",
        Some((Stage::Accepted, _)) if provisional(|row| row.accepted_event_id) => "ProvisionallyAccepted",
        Some((Stage::Accepted, _)) => "Accepted",
        Some(_) if provisional(|row| row.completed_event_id) => "ProvisionallyCompleted",
        Some(_) => "Completed",
        None => {
            return Trouble::fail(
                CAUSE,
                format!(
                    "update {id} wasn't found on the server. This is most likely a transient error which will be resolved automatically by retries"
                ),
            );
        }
    };
    Trouble::fail(
        CAUSE,
        format!(
            "invalid state transition attempted for Update {id}: received *update.{message} message while in state {state}"
        ),
    )
}

fn accept(step: &mut Step, id: &str, acceptance: Acceptance, env: &mut Env<'_>) -> Done {
    if acceptance.accepted_request_message_id.is_empty() {
        return Err(Trouble::fail(
            CAUSE,
            "invalid *update.Acceptance: accepted_request_message_id is not set",
        ));
    }
    if acceptance.accepted_request_sequencing_event_id == 0 {
        return Err(Trouble::fail(
            CAUSE,
            "invalid *update.Acceptance: accepted_request_sequencing_event_id is not set",
        ));
    }
    let place = step.run.volatile.updates.iter().position(|update| update.id == id);
    let (request, admitted_event_id) = match place {
        Some(index) => (Some((*step.run.volatile.updates.remove(index).request).clone()), 0),
        // The event that admitted it holds the request.
        None if is_pending(step, id) => {
            (None, step.run.updates.get(id).map_or(0, |row| row.admitted_event_id))
        }
        // The server forgot it (a restart), the worker did not: it brings the request along.
        None if acceptance.accepted_request.is_some() && !step.run.updates.contains_key(id) => {
            (acceptance.accepted_request.clone(), 0)
        }
        None => return Err(unknown(step, id, "Acceptance")),
    };
    let told = step.run.updates.get(id).map(|row| row.name.clone());
    let name = request.as_ref().and_then(|r| r.input.as_ref()).map(|input| input.name.clone()).or(told);
    let accepted_event_id = step.write(
        env,
        Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(
            WorkflowExecutionUpdateAcceptedEventAttributes {
                protocol_instance_id: id.to_owned(),
                accepted_request_message_id: acceptance.accepted_request_message_id,
                accepted_request_sequencing_event_id: acceptance.accepted_request_sequencing_event_id,
                accepted_request: request,
            },
        ),
    );
    step.run.core.updates += 1;
    step.put_update(UpdateRow {
        update_id: id.to_owned(),
        accepted_event_id,
        admitted_event_id,
        name: name.unwrap_or_default(),
        ..UpdateRow::default()
    });
    Ok(())
}

fn reject(step: &mut Step, id: &str, rejection: Rejection) {
    step.run.volatile.updates.retain(|update| update.id != id);
    if is_pending(step, id) {
        step.drop_update(id);
    }
    tell(step, id, Stage::Completed, Some(failed(rejection.failure.unwrap_or_default())));
}

fn respond(step: &mut Step, id: &str, response: Response, env: &mut Env<'_>) -> Done {
    let row = step.run.updates.get(id).filter(|row| row.completed_event_id == 0).cloned();
    let Some(row) = row else { return Err(unknown(step, id, "Response")) };
    let Some(meta) = response.meta else {
        return Err(Trouble::fail(CAUSE, "invalid *update.Response: meta is not set"));
    };
    if response.outcome.is_none() {
        return Err(Trouble::fail(CAUSE, "invalid *update.Response: outcome is not set"));
    }
    if meta.update_id != id {
        return Err(Trouble::fail(CAUSE, format!("invalid *update.Response: meta.update_id != {id}")));
    }
    let completed_event_id = step.write(
        env,
        Attributes::WorkflowExecutionUpdateCompletedEventAttributes(
            WorkflowExecutionUpdateCompletedEventAttributes {
                meta: Some(meta),
                outcome: response.outcome.clone(),
                accepted_event_id: row.accepted_event_id,
            },
        ),
    );
    step.put_update(UpdateRow { completed_event_id, outcome: response.outcome, ..(*row).clone() });
    Ok(())
}

/// The worker got them and said nothing: it knows no updates.
pub fn reject_unprocessed(step: &mut Step, _env: &Env<'_>) {
    let sent: Vec<String> =
        step.run.volatile.updates.iter().filter(|u| u.sent != 0).map(|u| u.id.clone()).collect();
    for id in sent {
        let failure = failure::application(
            "Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update is not supported by the worker.",
            "UnprocessedUpdate",
            true,
        );
        reject(step, &id, Rejection { failure: Some(failure), ..Rejection::default() });
    }
}

/// The completion that was to answer them was refused.
pub fn abort_sent(step: &mut Step) {
    let (sent, rest) = std::mem::take(&mut step.run.volatile.updates).into_iter().partition(|u| u.sent != 0);
    step.run.volatile.updates = rest;
    let sent: Vec<PendingUpdate> = sent;
    for update in sent {
        let reject = Reject::WorkflowNotReady(
            "Unable to perform workflow execution update due to unexpected workflow task failure.".into(),
        );
        refuse_waiters(step, &update.id, &reject);
    }
}

/// The run closed; `continues` if another run of the chain follows at once.
pub fn on_close(step: &mut Step, continues: bool) {
    let reject = if continues { Reject::closing() } else { Reject::closed_over_update() };
    for update in std::mem::take(&mut step.run.volatile.updates) {
        refuse_waiters(step, &update.id, &reject);
    }
    let accepted: Vec<String> = step
        .run
        .updates
        .values()
        .filter(|row| row.completed_event_id == 0)
        .map(|row| row.update_id.clone())
        .collect();
    for id in accepted {
        if is_pending(step, &id) {
            refuse_waiters(step, &id, &reject);
            continue;
        }
        tell(step, &id, Stage::Completed, Some(failed(closed_before_completion())));
    }
}

pub fn forget(step: &mut Step, caller: CallerId) {
    step.run.volatile.update_waiters.retain(|waiter| waiter.caller != caller);
}
