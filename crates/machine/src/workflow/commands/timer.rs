//! StartTimer and CancelTimer.

use super::{Completion, Done, Trouble, bad_state, check_field};
use crate::duration;
use crate::env::Env;
use crate::workflow::events::Attributes;
use crate::workflow::rows::TimerRow;
use crate::workflow::step::Step;
use steadfast_api::v1::command::{CancelTimerCommandAttributes, Command, StartTimerCommandAttributes};
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;
use steadfast_api::v1::history::{TimerCanceledEventAttributes, TimerStartedEventAttributes};

pub fn start(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &StartTimerCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadStartTimerAttributes;
    check_field(cause, "StartTimerCommand", "TimerId", &attributes.timer_id, env)?;
    let wait = duration::nanos(attributes.start_to_fire_timeout.as_ref()).map_err(|error| {
        let id = &attributes.timer_id;
        let text =
            format!("An invalid StartToFireTimeout is set on StartTimerCommand: {error}. TimerId={id}");
        Trouble::fail(cause, text)
    })?;
    if step.run.timer_ids.contains_key(&attributes.timer_id) {
        let message = bad_state("add-timer-started-event", "TimerID", &attributes.timer_id);
        return Err(Trouble::fail(Cause::StartTimerDuplicateId, message));
    }
    let id = step.write_full(
        env,
        Attributes::TimerStartedEventAttributes(TimerStartedEventAttributes {
            timer_id: attributes.timer_id.clone(),
            start_to_fire_timeout: attributes.start_to_fire_timeout.and_then(|_| duration::proto(wait)),
            workflow_task_completed_event_id: completion.completed_event_id,
        }),
        command.user_metadata.clone(),
        Vec::new(),
    );
    let due = step.now(env).plus(wait).0;
    step.put_timer(TimerRow { started_event_id: id, timer_id: attributes.timer_id.clone(), due });
    Ok(())
}

pub fn cancel(
    step: &mut Step,
    completion: &mut Completion<'_>,
    command: &Command,
    attributes: &CancelTimerCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadCancelTimerAttributes;
    check_field(cause, "CancelTimerCommand", "TimerId", &attributes.timer_id, env)?;
    let started_event_id = match step.run.timer_ids.get(&attributes.timer_id).copied() {
        Some(id) => {
            step.drop_timer(id);
            id
        }
        // It fired while the worker was deciding: the cancel wins, and the workflow never hears of the firing.
        None => {
            let started = step.take_buffered_timer(&attributes.timer_id).ok_or_else(|| {
                Trouble::fail(cause, bad_state("add-timer-canceled-event", "TimerID", &attributes.timer_id))
            })?;
            completion.unseen = !step.run.buffered.is_empty();
            started
        }
    };
    step.write_full(
        env,
        Attributes::TimerCanceledEventAttributes(TimerCanceledEventAttributes {
            timer_id: attributes.timer_id.clone(),
            started_event_id,
            workflow_task_completed_event_id: completion.completed_event_id,
            identity: completion.input.identity.clone(),
        }),
        command.user_metadata.clone(),
        Vec::new(),
    );
    Ok(())
}
