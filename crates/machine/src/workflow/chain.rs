//! The next run of a chain: continue-as-new, a retry, or the next tick of a cron schedule.
//!
//! ```text
//! run ──continue-as-new──► run          (what the command says)
//! run ──failed, timed out, and the policy allows it──► run          (as it was started, one attempt more)
//! run ──completed, failed, timed out, and there is a schedule──► run          (as it was started, at the next tick)
//! ```
//!
//! The new run is made before the closing event of the old one, which names it, and both are in one commit. Its first
//! event is written at once; its first workflow task comes when the backoff ends.

use super::events::Attributes;
use super::rows::{AttributesRow, RequestIdRow, ResetPointsRow, StartRow};
use super::state::Run;
use super::step::Step;
use super::{callback, failure, retry, task};
use crate::cron::Schedule;
use crate::duration::{self, SECOND};
use crate::env::Env;
use crate::key::{EntityKey, Time};
use steadfast_api::v1::common::{
    Header, Memo, Payloads, RetryPolicy, SearchAttributes, WorkflowExecution, WorkflowType,
};
use steadfast_api::v1::enums::{
    ContinueAsNewInitiator as Initiator, EventType, RetryState, TaskQueueKind, TimeoutType,
};
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::WorkflowExecutionStartedEventAttributes;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::workflow::{ResetPointInfo, ResetPoints};

/// What the next run starts with; all else it has from the run before.
#[derive(Clone, Debug, Default)]
pub struct Continuation {
    pub initiator: Initiator,
    pub workflow_type: String,
    pub task_queue: String,
    /// Nanoseconds.
    pub run_timeout: i64,
    pub task_timeout: i64,
    pub backoff: i64,
    pub input: Option<Payloads>,
    pub header: Option<Header>,
    pub memo: Option<Memo>,
    pub search_attributes: Option<SearchAttributes>,
    pub retry_policy: Option<RetryPolicy>,
    pub cron: String,
    pub attempt: i32,
    pub last_result: Option<Payloads>,
    pub failure: Option<Failure>,
    /// Whoever asked to be called when the run closes hears of this one, and not of the next.
    pub callbacks_end: bool,
}

/// Makes the next run; the closing event names it. The caller hands it to the step as its successor.
pub fn next_run(step: &Step, next: Continuation, env: &mut Env<'_>) -> Box<Step> {
    let entity: EntityKey = step.key.entity.clone();
    let id = env.ids.run_id(env.now, Some(step.key.run));
    let now = step.now(env);
    let old = &step.run.start;
    let backoff = spaced(step, next.backoff, env);
    let row = StartRow {
        workflow_type: next.workflow_type.clone(),
        task_queue: next.task_queue.clone(),
        run_timeout: next.run_timeout,
        task_timeout: next.task_timeout,
        retry_policy: next.retry_policy.clone(),
        cron: next.cron.clone(),
        attempt: next.attempt,
        request_id: env.ids.uuid().to_string(),
        continued_from: step.key.run.to_string(),
        initiator: next.initiator as i32,
        priority: step.priority(),
        has_last_result: next.last_result.is_some(),
        // One that a workflow asked for is always told.
        run_timeout_told: old.run_timeout_told || next.initiator == Initiator::Workflow,
        // Execution timeout, first run, parent and root, and links belong to the chain.
        user_metadata: None,
        callbacks: Vec::new(),
        ..(**old).clone()
    };
    let attributes =
        AttributesRow { memo: next.memo.clone(), search_attributes: next.search_attributes.clone() };
    let mut new = Step::on(&entity, &Run::new(id, row, attributes));
    new.put_everything();
    let points = carried_points(step, env);
    new.put_reset_points(ResetPointsRow { points: points.clone() });
    let core = &mut new.run.core;
    core.start_time = now.0;
    core.execution_time = now.plus(backoff).0;
    core.execution_expiry = step.run.core.execution_expiry;
    core.versioning_override = step.run.core.versioning_override.clone();
    if next.run_timeout > 0 {
        let expiry = now.plus(backoff).plus(next.run_timeout).0;
        core.run_expiry = if core.execution_expiry != 0 { expiry.min(core.execution_expiry) } else { expiry };
    }
    if backoff > 0 {
        core.backoff_until = now.plus(backoff).0;
    }
    // The closing event may be later than the clock says; what follows is not earlier than it.
    core.last_event_time = now.0;
    let callbacks = if next.callbacks_end { Vec::new() } else { callback::of(&step.run) };
    let request_id = new.run.start.request_id.clone();
    callback::attach(&mut new, &callbacks, &request_id, now);
    let event = started_event(&new, next, backoff, points);
    let links = new.run.start.links.clone();
    new.write_full(env, event, None, links);
    let event_type = EventType::WorkflowExecutionStarted as i32;
    new.put_request_id(RequestIdRow { request_id, event_type, event_id: 1 });
    if backoff == 0 {
        task::ensure(&mut new, env);
    }
    Box::new(new)
}

/// Two runs of a chain start a second apart at least, so that a workflow that ends at once does not spin. What counts is
/// when the old one was to begin, which is yet to come if something hurried it.
fn spaced(step: &Step, backoff: i64, env: &Env<'_>) -> i64 {
    let lived = step.now(env).since(Time(step.run.core.execution_time));
    if lived.saturating_add(backoff) < env.limits.run_spacing {
        return env.limits.run_spacing.saturating_sub(lived);
    }
    backoff
}

/// The points of the runs before, which can be reset to as long as those are kept.
fn carried_points(step: &Step, env: &Env<'_>) -> Vec<ResetPointInfo> {
    let expiry = step.now(env).plus(env.namespace.retention()).timestamp();
    let mut points = step.run.reset_points.points.clone();
    for point in &mut points {
        point.expire_time.get_or_insert(expiry);
    }
    points
}

fn started_event(new: &Step, next: Continuation, backoff: i64, points: Vec<ResetPointInfo>) -> Attributes {
    let row = &new.run.start;
    let own = new.key.run.to_string();
    let parent = row.parent.as_ref();
    let execution = |id: &str, run: &str| WorkflowExecution { workflow_id: id.into(), run_id: run.into() };
    let expiry = Time(new.run.core.execution_expiry);
    let by_workflow = next.initiator == Initiator::Workflow;
    Attributes::WorkflowExecutionStartedEventAttributes(WorkflowExecutionStartedEventAttributes {
        workflow_type: Some(WorkflowType { name: next.workflow_type }),
        parent_workflow_namespace: parent.map(|p| p.namespace.clone()).unwrap_or_default(),
        parent_workflow_namespace_id: parent.map(|p| p.namespace_id().to_string()).unwrap_or_default(),
        parent_workflow_execution: parent.map(|p| execution(&p.workflow_id, &p.run_id)),
        parent_initiated_event_id: parent.map_or(0, |p| p.initiated_event_id),
        root_workflow_execution: parent.map(|_| execution(&row.root_workflow_id, &row.root_run_id)),
        task_queue: Some(TaskQueue {
            name: next.task_queue,
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        input: next.input,
        workflow_execution_timeout: row.shown_execution_timeout(),
        workflow_run_timeout: row.shown_run_timeout(),
        workflow_task_timeout: duration::proto(next.task_timeout),
        continued_execution_run_id: row.continued_from.clone(),
        initiator: next.initiator as i32,
        continued_failure: next.failure,
        last_completion_result: next.last_result,
        original_execution_run_id: own,
        first_execution_run_id: row.first_run_id.clone(),
        retry_policy: next.retry_policy,
        attempt: next.attempt,
        workflow_execution_expiration_time: expiry.if_set().map(|time| time.timestamp()),
        cron_schedule: next.cron,
        first_workflow_task_backoff: if by_workflow {
            duration::if_set(backoff)
        } else {
            duration::proto(backoff)
        },
        memo: next.memo,
        search_attributes: next.search_attributes,
        prev_auto_reset_points: Some(ResetPoints { points }),
        header: next.header,
        workflow_id: new.key.entity.id.to_string(),
        completion_callbacks: callback::of(&new.run),
        versioning_override: new.run.core.versioning_override.clone(),
        priority: row.priority.clone(),
        ..WorkflowExecutionStartedEventAttributes::default()
    })
}

/// Whether a run may be followed by another that starts as it did, so that its first event is needed at its close.
pub fn may_follow(run: &Run) -> bool {
    run.start.retry_policy.is_some() || !run.start.cron.is_empty()
}

/// The run completed: the next tick, if there is a schedule.
pub fn after_completion(step: &Step, result: Option<&Payloads>, env: &mut Env<'_>) -> Option<Box<Step>> {
    let backoff = cron_backoff(step, env)?;
    let mut next = as_started(step, Initiator::CronSchedule, backoff, env);
    next.last_result = result.cloned();
    Some(next_run(step, next, env))
}

/// The run failed: another attempt, else the next tick; and what the closing event says about retries.
pub fn after_failure(step: &Step, failure: &Failure, env: &mut Env<'_>) -> (RetryState, Option<Box<Step>>) {
    let state = match retry_backoff(step, failure, env) {
        Ok(backoff) => {
            let mut next = as_started(step, Initiator::Retry, backoff, env);
            next.attempt = step.run.start.attempt.saturating_add(1);
            next.last_result = None;
            next.failure = Some(failure.clone());
            return (RetryState::InProgress, Some(next_run(step, next, env)));
        }
        Err(state) => state,
    };
    (state, next_tick(step, failure, env))
}

/// The run timed out: the same, but a retry keeps the last result of the chain.
pub fn after_timeout(step: &Step, env: &mut Env<'_>) -> (RetryState, Option<Box<Step>>) {
    let failure = failure::timeout("workflow timeout", TimeoutType::StartToClose, None, None);
    let state = match retry_backoff(step, &failure, env) {
        Ok(backoff) => {
            let mut next = as_started(step, Initiator::Retry, backoff, env);
            next.attempt = step.run.start.attempt.saturating_add(1);
            next.failure = Some(failure);
            return (RetryState::InProgress, Some(next_run(step, next, env)));
        }
        Err(state) => state,
    };
    (state, next_tick(step, &failure, env))
}

/// A failure does not take the last result of a cron chain away.
fn next_tick(step: &Step, failure: &Failure, env: &mut Env<'_>) -> Option<Box<Step>> {
    let backoff = cron_backoff(step, env)?;
    let mut next = as_started(step, Initiator::CronSchedule, backoff, env);
    next.failure = Some(failure.clone());
    Some(next_run(step, next, env))
}

fn retry_backoff(step: &Step, failure: &Failure, env: &Env<'_>) -> Result<i64, RetryState> {
    let policy = step.run.start.retry_policy.as_ref().ok_or(RetryState::RetryPolicyNotSet)?;
    if !retry::is_retryable(Some(failure), policy) {
        return Err(RetryState::NonRetryableFailure);
    }
    let expiry = Time(step.run.core.execution_expiry).if_set();
    let attempt = step.run.start.attempt.max(1);
    retry::next_interval(retry::Whose::Workflow, policy, attempt, Some(failure), step.now(env), expiry)
}

fn cron_backoff(step: &Step, env: &Env<'_>) -> Option<i64> {
    tick(&step.run.start.cron, Time(step.run.core.execution_time), step.now(env))
}

/// Nanoseconds from `now` to the first tick after `from` that is not over, in whole seconds. `None` without a schedule. A
/// run that was hurried and is over before its own tick leaves that one to the next.
pub fn tick(cron: &str, from: Time, now: Time) -> Option<i64> {
    if cron.is_empty() {
        return None;
    }
    let next = if now < from { from } else { Schedule::parse(cron).ok()?.next(from, now)? };
    let wait = next.since(now);
    Some((wait + SECOND - 1).div_euclid(SECOND) * SECOND)
}

/// The next run as this one was started, with what its first event holds.
fn as_started(step: &Step, initiator: Initiator, backoff: i64, env: &Env<'_>) -> Continuation {
    let event = env.fetched.events.get(&(step.key.run, 1)).or_else(|| step.written(1));
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) =
        event.and_then(|event| event.attributes.clone())
    else {
        unreachable!("the first event is named by needs(), and it is a started event")
    };
    let start = &step.run.start;
    Continuation {
        initiator,
        workflow_type: start.workflow_type.clone(),
        task_queue: start.task_queue.clone(),
        run_timeout: start.run_timeout,
        task_timeout: start.task_timeout,
        backoff,
        input: started.input,
        header: started.header,
        memo: started.memo,
        search_attributes: started.search_attributes,
        retry_policy: start.retry_policy.clone(),
        cron: start.cron.clone(),
        attempt: 1,
        last_result: started.last_completion_result,
        failure: None,
        callbacks_end: initiator == Initiator::CronSchedule,
    }
}
