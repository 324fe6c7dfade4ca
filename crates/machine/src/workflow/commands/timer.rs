//! StartTimer and CancelTimer.

use super::{Completion, Done, Trouble, check_id, nanos};
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
    check_id(cause, "TimerId", &attributes.timer_id, env)?;
    if attributes.start_to_fire_timeout.is_none() {
        return Err(Trouble::fail(cause, "A valid StartToFireTimeout is not set on command."));
    }
    let wait = nanos(cause, "StartToFireTimeout", attributes.start_to_fire_timeout.as_ref())?;
    if step.run.timer_ids.contains_key(&attributes.timer_id) {
        let message = format!("Timer ID \"{}\" is already used by a running timer.", attributes.timer_id);
        return Err(Trouble::fail(Cause::StartTimerDuplicateId, message));
    }
    let id = step.write_full(
        env,
        Attributes::TimerStartedEventAttributes(TimerStartedEventAttributes {
            timer_id: attributes.timer_id.clone(),
            start_to_fire_timeout: duration::proto(wait),
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
    completion: &Completion<'_>,
    attributes: &CancelTimerCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadCancelTimerAttributes;
    check_id(cause, "TimerId", &attributes.timer_id, env)?;
    let started_event_id = match step.run.timer_ids.get(&attributes.timer_id).copied() {
        Some(id) => {
            step.drop_timer(id);
            id
        }
        // It fired while the worker was deciding: the cancel wins, and the workflow never hears of the firing.
        None => step.take_buffered_timer(&attributes.timer_id).ok_or_else(|| {
            Trouble::fail(cause, format!("Timer ID \"{}\" is not a running timer.", attributes.timer_id))
        })?,
    };
    step.write(
        env,
        Attributes::TimerCanceledEventAttributes(TimerCanceledEventAttributes {
            timer_id: attributes.timer_id.clone(),
            started_event_id,
            workflow_task_completed_event_id: completion.completed_event_id,
            identity: completion.input.identity.clone(),
        }),
    );
    Ok(())
}
