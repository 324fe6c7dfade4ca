//! An operator pauses, unpauses, resets or changes activities of a workflow. No event tells of it.

use super::activity;
use super::input::ActivitySelector;
use super::projection;
use super::reply::WorkflowReply;
use super::rows::{ActivityRow, PauseRow};
use super::step::Step;
use super::{Needs, retry, state::Run};
use crate::decision::Reply;
use crate::duration;
use crate::env::Env;
use crate::key::Time;
use crate::reject::Reject;
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::enums::TaskQueueKind;
use steadfast_api::v1::history::history_event::Attributes;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::workflowservice::{
    UpdateActivityOptionsRequest, update_activity_options_request::Activity,
};

/// The activities that are meant, in the order of their scheduling.
fn select(run: &Run, selector: &ActivitySelector) -> Result<Vec<ActivityRow>, Reject> {
    if !run.is_open() {
        return Err(Reject::closed());
    }
    let meant = |row: &ActivityRow| match selector {
        ActivitySelector::Id(id) => row.activity_id == *id,
        ActivitySelector::Type(kind) => row.activity_type == *kind,
        ActivitySelector::All => true,
    };
    let rows: Vec<ActivityRow> =
        run.activities.values().filter(|row| meant(row)).map(|row| (**row).clone()).collect();
    if rows.is_empty() {
        return Err(Reject::not_found(
            "Can't find pending activity with such ID. Invalid activityID or activity already completed",
        ));
    }
    Ok(rows)
}

/// The events in which the options stand that are to be restored.
pub fn needs(run: &Run, selector: &ActivitySelector) -> Needs {
    let rows = select(run, selector).unwrap_or_default();
    let events = rows.iter().map(|row| (run.id, row.scheduled_event_id)).collect();
    Needs { events, ..Needs::default() }
}

/// It stays out of its queue; an attempt that runs hears of it with its next heartbeat and is not followed by another.
pub fn pause(
    step: &mut Step,
    selector: &ActivitySelector,
    identity: &str,
    reason: &str,
    request_id: &str,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    let time = step.now(env).0;
    for mut row in select(&step.run, selector)? {
        if row.pause.is_some() {
            continue;
        }
        row.pause = Some(PauseRow {
            time,
            identity: identity.to_owned(),
            reason: reason.to_owned(),
            request_id: request_id.to_owned(),
            ..PauseRow::default()
        });
        if row.started_time == 0 { activity::withdraw(step, row) } else { step.put_activity(row) }
    }
    Ok(Reply::Done)
}

pub fn unpause(
    step: &mut Step,
    selector: &ActivitySelector,
    reset_attempts: bool,
    reset_heartbeat: bool,
    jitter: i64,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    for mut row in select(&step.run, selector)? {
        if row.pause.take().is_none() {
            continue;
        }
        if reset_attempts {
            row.attempt = 1;
        }
        if reset_heartbeat {
            row.heartbeat_details = None;
            row.last_heartbeat_time = 0;
        }
        if row.started_time != 0 {
            step.put_activity(row);
            continue;
        }
        // It begins anew, without what went wrong before, as in the reference.
        row.last_failure = None;
        let time = soon(step, jitter, env);
        activity::schedule_at(step, row, time, env);
    }
    Ok(Reply::Done)
}

/// Counts attempts from one again. What runs counts as the first attempt from here on: if it is a later one by its
/// token, nobody hears it any more when it ends; if it fails, the second attempt follows as the policy says. A pause that
/// it was asked for stays.
pub fn reset(
    step: &mut Step,
    selector: &ActivitySelector,
    reset_heartbeat: bool,
    keep_paused: bool,
    restore_original_options: bool,
    jitter: i64,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    for mut row in select(&step.run, selector)? {
        row.attempt = 1;
        if restore_original_options {
            restore(step, &mut row, env)?;
        }
        if row.started_time != 0 {
            row.reset = true;
            row.reset_heartbeat |= reset_heartbeat;
            step.put_activity(row);
            continue;
        }
        if !keep_paused {
            row.pause = None;
        }
        if row.pause.is_none() {
            row.last_failure = None;
        }
        if reset_heartbeat {
            row.heartbeat_details = None;
            row.last_heartbeat_time = 0;
        }
        let time = soon(step, jitter, env);
        activity::schedule_at(step, row, time, env);
    }
    Ok(Reply::Done)
}

/// Now, or at a random moment within the jitter.
fn soon(step: &Step, jitter: i64, env: &mut Env<'_>) -> Time {
    let now = step.now(env);
    if jitter <= 0 { now } else { now.plus((env.ids.random() % jitter as u64) as i64) }
}

pub fn selector(activity: Option<&Activity>) -> Result<ActivitySelector, Reject> {
    match activity {
        Some(Activity::Id(id)) => Ok(ActivitySelector::Id(id.clone())),
        Some(Activity::Type(kind)) => Ok(ActivitySelector::Type(kind.clone())),
        Some(Activity::MatchAll(_)) => Ok(ActivitySelector::All),
        None => Err(Reject::invalid("Either Activity.Id or Activity.Type should be set on request.")),
    }
}

pub fn update_options(
    step: &mut Step,
    request: &UpdateActivityOptionsRequest,
    env: &mut Env<'_>,
) -> Result<Reply, Reject> {
    let selector = selector(request.activity.as_ref())?;
    if !step.run.is_open() {
        return Err(Reject::closed());
    }
    let mask = match (&request.update_mask, &request.activity_options, request.restore_original) {
        (Some(_), _, true) => {
            return Err(Reject::invalid("Both UpdateMask and RestoreOriginal are provided"));
        }
        (_, _, true) => None,
        (_, None, false) => return Err(Reject::invalid("ActivityOptions are not provided")),
        (None, _, false) => return Err(Reject::invalid("UpdateMask is not provided")),
        (Some(mask), Some(options), false) => Some((options, mask.paths.as_slice())),
    };
    let mut last = ActivityOptions::default();
    for mut row in select(&step.run, &selector)? {
        let policy = row.retry_policy.clone();
        match mask {
            None => restore(step, &mut row, env)?,
            Some((options, paths)) => change(&mut row, options, paths, env)?,
        }
        last = row.options();
        if row.queued.is_some() {
            activity::redispatch(step, row, env);
        } else if row.retry_policy != policy && row.is_backing_off(step.now(env)) {
            let wait = row.retry_policy.as_ref().map_or(0, |policy| retry::backoff(policy, row.attempt - 1));
            row.current_interval = wait;
            let time = Time(row.last_attempt_end).plus(wait);
            activity::schedule_at(step, row, time, env);
        } else {
            step.put_activity(row);
        }
    }
    Ok(WorkflowReply::ActivityOptions(last).into())
}

fn restore(step: &Step, row: &mut ActivityRow, env: &Env<'_>) -> Result<(), Reject> {
    let event = env.fetched.events.get(&(step.key.run, row.scheduled_event_id));
    let Some(Attributes::ActivityTaskScheduledEventAttributes(a)) = event.and_then(|e| e.attributes.as_ref())
    else {
        return Err(Reject::Unavailable("the event that scheduled the activity was not loaded".into()));
    };
    let original = projection::activity(row.scheduled_event_id, a, Time(row.event_time));
    row.task_queue = original.task_queue;
    row.schedule_to_close = original.schedule_to_close;
    row.schedule_to_start = original.schedule_to_start;
    row.start_to_close = original.start_to_close;
    row.heartbeat = original.heartbeat;
    row.retry_policy = original.retry_policy;
    row.priority = original.priority;
    Ok(())
}

fn change(
    row: &mut ActivityRow,
    new: &ActivityOptions,
    paths: &[String],
    env: &Env<'_>,
) -> Result<(), Reject> {
    adopt(row, merged(row, new, paths)?, env)
}

/// The options in force, with those that the paths name taken from the new ones.
pub fn merged(row: &ActivityRow, new: &ActivityOptions, paths: &[String]) -> Result<ActivityOptions, Reject> {
    let mut merged = row.options();
    for path in paths {
        let path = snake(path);
        // Of what is not there no part can be taken.
        let missing = match path.split_once('.').filter(|_| is_known(&path)).map(|(whole, _)| whole) {
            Some("task_queue") if new.task_queue.is_none() => "TaskQueue",
            Some("retry_policy") if new.retry_policy.is_none() => "RetryPolicy",
            Some("priority") if new.priority.is_none() => "Priority",
            _ => {
                merge(&mut merged, new, &path);
                continue;
            }
        };
        return Err(Reject::invalid(format!("{missing} is not provided")));
    }
    Ok(merged)
}

/// Makes these the options of the activity, if they are sound.
pub fn adopt(row: &mut ActivityRow, merged: ActivityOptions, env: &Env<'_>) -> Result<(), Reject> {
    let queue = merged.task_queue.map(|queue| queue.name).unwrap_or_default();
    activity::check_queue(&queue, env).map_err(Reject::InvalidArgument)?;
    activity::check_priority(merged.priority.as_ref(), env).map_err(Reject::InvalidArgument)?;
    let policy = retry::with_defaults(merged.retry_policy.unwrap_or_default());
    retry::check(&policy).map_err(Reject::InvalidArgument)?;
    let nanos = |what: &str, value: &Option<prost_types::Duration>| {
        duration::nanos(value.as_ref()).map_err(|error| Reject::invalid(format!("invalid {what}: {error}")))
    };
    let close = nanos("ScheduleToCloseTimeout", &merged.schedule_to_close_timeout)?;
    let start = nanos("ScheduleToStartTimeout", &merged.schedule_to_start_timeout)?;
    let work = nanos("StartToCloseTimeout", &merged.start_to_close_timeout)?;
    let heartbeat = nanos("HeartbeatTimeout", &merged.heartbeat_timeout)?;
    let timeouts = activity::normalise(close, start, work, heartbeat, 0).ok_or_else(|| {
        Reject::invalid(format!(
            "a valid StartToClose or ScheduleToCloseTimeout is not set on ScheduleActivityTaskCommand. ActivityId={} ActivityType={}",
            row.activity_id, row.activity_type
        ))
    })?;
    (row.schedule_to_close, row.schedule_to_start, row.start_to_close, row.heartbeat) = timeouts;
    row.task_queue = queue;
    row.priority = merged.priority;
    row.retry_policy = Some(policy);
    Ok(())
}

/// Whether there is such an option; of a task queue it is the name alone.
fn is_known(path: &str) -> bool {
    match path.split_once('.') {
        Some(("task_queue", part)) => part == "name",
        Some(("retry_policy", part)) => {
            matches!(
                part,
                "initial_interval" | "backoff_coefficient" | "maximum_interval" | "maximum_attempts"
            )
        }
        Some(("priority", part)) => matches!(part, "priority_key" | "fairness_key" | "fairness_weight"),
        _ => false,
    }
}

/// Masks come in the form of the JSON fields too. A path that nobody knows changes nothing, as in the reference.
fn merge(into: &mut ActivityOptions, new: &ActivityOptions, path: &str) {
    let policy = new.retry_policy.clone().unwrap_or_default();
    let priority = new.priority.clone().unwrap_or_default();
    match path {
        "task_queue.name" => into.task_queue.clone_from(&new.task_queue),
        "schedule_to_close_timeout" => into.schedule_to_close_timeout = new.schedule_to_close_timeout,
        "schedule_to_start_timeout" => into.schedule_to_start_timeout = new.schedule_to_start_timeout,
        "start_to_close_timeout" => into.start_to_close_timeout = new.start_to_close_timeout,
        "heartbeat_timeout" => into.heartbeat_timeout = new.heartbeat_timeout,
        "priority" => into.priority.clone_from(&new.priority),
        "priority.priority_key" => into.priority.get_or_insert_default().priority_key = priority.priority_key,
        "priority.fairness_key" => into.priority.get_or_insert_default().fairness_key = priority.fairness_key,
        "priority.fairness_weight" => {
            into.priority.get_or_insert_default().fairness_weight = priority.fairness_weight;
        }
        "retry_policy" => into.retry_policy.clone_from(&new.retry_policy),
        "retry_policy.initial_interval" => {
            into.retry_policy.get_or_insert_default().initial_interval = policy.initial_interval;
        }
        "retry_policy.backoff_coefficient" => {
            into.retry_policy.get_or_insert_default().backoff_coefficient = policy.backoff_coefficient;
        }
        "retry_policy.maximum_interval" => {
            into.retry_policy.get_or_insert_default().maximum_interval = policy.maximum_interval;
        }
        "retry_policy.maximum_attempts" => {
            into.retry_policy.get_or_insert_default().maximum_attempts = policy.maximum_attempts;
        }
        _ => {}
    }
}

/// A path of a mask in the form of the protocol's fields.
pub fn snake(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 4);
    for c in path.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

impl ActivityRow {
    /// Whether it waits for its next attempt, which is not due yet.
    pub fn is_backing_off(&self, now: Time) -> bool {
        self.started_time == 0
            && self.attempt > 1
            && self.last_attempt_end != 0
            && now < Time(self.scheduled_time)
    }

    /// The options as they are in force.
    pub fn options(&self) -> ActivityOptions {
        ActivityOptions {
            task_queue: Some(TaskQueue {
                name: self.task_queue.clone(),
                kind: TaskQueueKind::Normal as i32,
                normal_name: String::new(),
            }),
            schedule_to_close_timeout: duration::proto(self.schedule_to_close),
            schedule_to_start_timeout: duration::proto(self.schedule_to_start),
            start_to_close_timeout: duration::proto(self.start_to_close),
            heartbeat_timeout: duration::proto(self.heartbeat),
            retry_policy: self.retry_policy.clone(),
            priority: self.priority.clone(),
            ..ActivityOptions::default()
        }
    }
}
