//! A workflow is started: the id policies are settled, then the run gets its first events.

use super::events::Attributes;
use super::input::{Start, StartWorkflowTask};
use super::reply::{Started, WorkflowReply};
use super::rows::{AttributesRow, ParentRow, RequestIdRow, StartRow};
use super::state::Run;
use super::step::Step;
use super::{callback, chain, close, links, payload, task, task_start, upkeep};
use crate::decision::Decision;
use crate::duration;
use crate::env::Env;
use crate::key::EntityKey;
use crate::planted::{Planted, is_planted};
use crate::reject::Reject;
use steadfast_api::v1::common::{WorkflowExecution, WorkflowType};
use steadfast_api::v1::enums::{
    ContinueAsNewInitiator, EventType, TaskQueueKind, WorkflowExecutionStatus as Status,
    WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse,
};
use steadfast_api::v1::history::{
    WorkflowExecutionOptionsUpdatedEventAttributes, WorkflowExecutionStartedEventAttributes,
};
use steadfast_api::v1::taskqueue::TaskQueue;
use uuid::Uuid;

/// What the id policies say.
pub enum Settled<'a> {
    New,
    /// A new run, and this one is terminated.
    Replace(&'a Run),
    /// No new run: the caller gets the one there is.
    Existing(Started),
    /// The same, and the request is attached to it.
    Attach(&'a Run),
}

pub fn apply(
    entity: &EntityKey,
    current: Option<&Run>,
    start: &Start,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    let replaced = match settle(entity, current, start, env)? {
        Settled::Existing(started) => return Ok(Decision::reply(WorkflowReply::Started(started))),
        Settled::Attach(run) => return attach(entity, run, start, env),
        Settled::Replace(old) => Some(old),
        Settled::New => None,
    };
    let mut step = begin(entity, start, current.map(|run| run.id), env);
    let eager = first_task(&mut step, start, env);
    let started = Started {
        run_id: step.key.run,
        started: true,
        status: Status::Running,
        first_run_id: step.run.start.first_run_id.clone(),
        link: Some(links::to_event(&step.key, 1, EventType::WorkflowExecutionStarted, env)),
        eager_task: eager,
    };
    let replaced = replaced.filter(|_| !is_planted(Planted::ReplacedRunKept));
    let terminated = replaced.map(|old| terminate(entity, old, step.key.run, env));
    Ok(combine(terminated, step).finish(Ok(WorkflowReply::Started(started).into())))
}

/// The decision about the old run comes first, the new one follows it.
pub fn combine(terminated: Option<Step>, new: Step) -> Step {
    match terminated {
        Some(mut old) => {
            old.successor = Some(Box::new(new));
            old
        }
        None => new,
    }
}

/// Request ids first, then the policy for a running workflow, then the one for a closed workflow.
pub fn settle<'a>(
    entity: &EntityKey,
    current: Option<&'a Run>,
    start: &Start,
    env: &mut Env<'_>,
) -> Result<Settled<'a>, Reject> {
    let Some(run) = current else { return Ok(Settled::New) };
    let key = entity.run(run.id);
    let known = run.request_ids.get(&start.request_id);
    if let Some(row) = known.filter(|_| !is_planted(Planted::RequestIdForgotten)) {
        let by_start = row.event_type == EventType::WorkflowExecutionStarted as i32;
        let link = if by_start {
            links::to_event(&key, 1, EventType::WorkflowExecutionStarted, env)
        } else {
            links::to_request(&key, &start.request_id, EventType::WorkflowExecutionOptionsUpdated, env)
        };
        let mut known = existing(run, by_start, Some(link));
        if by_start && start.eager {
            known.eager_task = eager_again(entity, run);
        }
        return Ok(Settled::Existing(known));
    }
    if run.is_open() {
        return match start.conflict {
            Conflict::UseExisting if start.on_conflict.is_some() => Ok(Settled::Attach(run)),
            Conflict::UseExisting => {
                let link = links::to_event(&key, 1, EventType::WorkflowExecutionStarted, env);
                Ok(Settled::Existing(existing(run, false, Some(link))))
            }
            Conflict::TerminateExisting => Ok(Settled::Replace(run)),
            _ => Err(already(
                run,
                format!(
                    "Workflow execution is already running. WorkflowId: {}, RunId: {}.",
                    entity.id, run.id
                ),
            )),
        };
    }
    let allowed = match start.reuse {
        Reuse::AllowDuplicateFailedOnly => {
            matches!(run.status(), Status::Failed | Status::Canceled | Status::Terminated | Status::TimedOut)
        }
        Reuse::RejectDuplicate => false,
        _ => true,
    };
    if allowed {
        return Ok(Settled::New);
    }
    let (text, policy) = if start.reuse == Reuse::AllowDuplicateFailedOnly {
        ("finished successfully", "allow duplicate workflow Id if last run failed")
    } else {
        ("finished", "reject duplicate workflow Id")
    };
    let ids = format!("WorkflowId: {}, RunId: {}", entity.id, run.id);
    Err(already(
        run,
        format!("Workflow execution already {text}. {ids}. Workflow Id reuse policy: {policy}."),
    ))
}

pub fn existing(run: &Run, started: bool, link: Option<steadfast_api::v1::common::Link>) -> Started {
    Started {
        run_id: run.id,
        started,
        status: run.status(),
        first_run_id: run.start.first_run_id.clone(),
        link,
        eager_task: None,
    }
}

/// An eager start is repeated because its answer was lost: the first task once more, while it is as it was given out.
fn eager_again(entity: &EntityKey, run: &Run) -> Option<Box<super::reply::StartedWorkflowTask>> {
    let task = run.started_task().filter(|task| task.attempt == 1 && run.is_open())?;
    if task.request_id != run.start.request_id {
        return None;
    }
    match task_start::started(&Step::on(entity, run), false) {
        WorkflowReply::WorkflowTask(task) => Some(Box::new(task)),
        _ => None,
    }
}

fn already(run: &Run, message: String) -> Reject {
    Reject::AlreadyStarted { message, start_request_id: run.start.request_id.clone(), run_id: run.id }
}

/// Ends the run in whose place a new one comes.
pub fn terminate(entity: &EntityKey, run: &Run, new_run: Uuid, env: &mut Env<'_>) -> Step {
    let mut old = Step::on(entity, run);
    let details = payload::json_text(&format!("terminated by new runID: {new_run}"));
    close::terminate(
        &mut old,
        "TerminateIfRunning WorkflowIdReusePolicy",
        Some(details),
        "history-service",
        Vec::new(),
        env,
    );
    old
}

fn attach(entity: &EntityKey, run: &Run, start: &Start, env: &mut Env<'_>) -> Result<Decision, Reject> {
    let mut step = Step::on(entity, run);
    attach_to(&mut step, start, env)?;
    let link = match start.on_conflict.unwrap_or_default().attach_request_id {
        true => {
            links::to_request(&step.key, &start.request_id, EventType::WorkflowExecutionOptionsUpdated, env)
        }
        false => links::to_event(&step.key, 1, EventType::WorkflowExecutionStarted, env),
    };
    let reply = WorkflowReply::Started(existing(&step.run, false, Some(link)));
    Ok(upkeep::finish(run, step, Ok(reply.into()), env))
}

/// The request joins the run that is there, with its callbacks and links.
pub fn attach_to(step: &mut Step, start: &Start, env: &mut Env<'_>) -> Result<(), Reject> {
    let options = start.on_conflict.unwrap_or_default();
    let callbacks = if options.attach_completion_callbacks { start.callbacks.clone() } else { Vec::new() };
    let known = step.run.callbacks.len();
    if !callbacks.is_empty() && known + callbacks.len() > env.limits.callbacks_per_run {
        return Err(Reject::FailedPrecondition(format!(
            "cannot attach more than {} callbacks to a workflow ({known} callbacks already attached)",
            env.limits.callbacks_per_run
        )));
    }
    let attached_request_id =
        if options.attach_request_id { start.request_id.clone() } else { String::new() };
    let now = step.now(env);
    callback::attach(step, &callbacks, &attached_request_id, now);
    let attributes = WorkflowExecutionOptionsUpdatedEventAttributes {
        attached_request_id,
        attached_completion_callbacks: callbacks,
        ..WorkflowExecutionOptionsUpdatedEventAttributes::default()
    };
    let links = if options.attach_links { start.links.clone() } else { Vec::new() };
    if options.attach_request_id {
        step.put_request_id(RequestIdRow {
            request_id: start.request_id.clone(),
            event_type: EventType::WorkflowExecutionOptionsUpdated as i32,
            event_id: 0,
        });
    }
    let event =
        step.make(env, Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(attributes), None, links);
    step.record_event(event);
    Ok(())
}

/// The new run with its first event; no workflow task yet.
pub fn begin(entity: &EntityKey, start: &Start, previous: Option<Uuid>, env: &mut Env<'_>) -> Step {
    let id = env.ids.run_id(env.now, previous);
    let first_run = id.to_string();
    let backoff = chain::tick(&start.cron, env.now, env.now).unwrap_or(start.start_delay);
    let parent = start.parent.as_ref();
    let row = StartRow {
        workflow_type: start.workflow_type.clone(),
        task_queue: start.task_queue.clone(),
        execution_timeout: start.execution_timeout,
        run_timeout: start.run_timeout,
        execution_timeout_told: start.execution_timeout_told,
        run_timeout_told: start.run_timeout_told,
        task_timeout: start.task_timeout,
        retry_policy: start.retry_policy.clone(),
        cron: start.cron.clone(),
        attempt: 1,
        first_run_id: first_run.clone(),
        parent: parent.map(|parent| ParentRow {
            namespace: parent.namespace.clone(),
            namespace_id: parent.namespace_id.as_bytes().to_vec(),
            workflow_id: parent.workflow_id.clone(),
            run_id: parent.run_id.clone(),
            initiated_event_id: parent.initiated_event_id,
        }),
        root_workflow_id: parent.map_or_else(|| entity.id.to_string(), |p| p.root_workflow_id.clone()),
        root_run_id: parent.map_or_else(|| first_run.clone(), |p| p.root_run_id.clone()),
        user_metadata: start.user_metadata.clone(),
        priority: start.priority.clone(),
        request_id: start.request_id.clone(),
        links: start.links.clone(),
        has_last_result: start.last_result.is_some(),
        ..StartRow::default()
    };
    let attributes = AttributesRow {
        memo: super::commands::memo_without_nulls(start.memo.clone()),
        search_attributes: super::commands::without_nulls(start.search_attributes.clone()),
    };
    let mut step = Step::on(entity, &Run::new(id, row, attributes));
    step.put_everything();
    set_times(&mut step, start, backoff, env);
    let event = started_event(&step, start, &first_run, backoff);
    step.write_full(env, event, start.user_metadata.clone(), start.links.clone());
    callback::attach(&mut step, &start.callbacks, &start.request_id, env.now);
    step.put_request_id(RequestIdRow {
        request_id: start.request_id.clone(),
        event_type: EventType::WorkflowExecutionStarted as i32,
        event_id: 1,
    });
    step
}

fn set_times(step: &mut Step, start: &Start, backoff: i64, env: &Env<'_>) {
    let now = env.now;
    let core = &mut step.run.core;
    core.start_time = now.0;
    core.execution_time = now.plus(backoff).0;
    if start.execution_timeout > 0 {
        core.execution_expiry = now.plus(start.execution_timeout).0;
    }
    if start.run_timeout > 0 {
        let expiry = now.plus(backoff).plus(start.run_timeout).0;
        core.run_expiry = if core.execution_expiry != 0 { expiry.min(core.execution_expiry) } else { expiry };
    }
    if backoff > 0 {
        core.backoff_until = now.plus(backoff).0;
    }
    core.versioning_override = start.versioning_override.clone();
}

fn started_event(step: &Step, start: &Start, first_run: &str, backoff: i64) -> Attributes {
    let parent = start.parent.as_ref();
    let execution = |id: &str, run: &str| WorkflowExecution { workflow_id: id.into(), run_id: run.into() };
    let initiator = if start.cron.is_empty() {
        ContinueAsNewInitiator::Unspecified
    } else {
        ContinueAsNewInitiator::CronSchedule
    };
    let expiry = crate::key::Time(step.run.core.execution_expiry);
    Attributes::WorkflowExecutionStartedEventAttributes(WorkflowExecutionStartedEventAttributes {
        workflow_type: Some(WorkflowType { name: start.workflow_type.clone() }),
        parent_workflow_namespace: parent.map(|p| p.namespace.clone()).unwrap_or_default(),
        parent_workflow_namespace_id: parent.map(|p| p.namespace_id.to_string()).unwrap_or_default(),
        parent_workflow_execution: parent.map(|p| execution(&p.workflow_id, &p.run_id)),
        parent_initiated_event_id: parent.map_or(0, |p| p.initiated_event_id),
        // A workflow without a parent is its own root, and says nothing about it.
        root_workflow_execution: parent
            .map(|_| execution(&step.run.start.root_workflow_id, &step.run.start.root_run_id)),
        task_queue: Some(TaskQueue {
            name: start.task_queue.clone(),
            kind: TaskQueueKind::Normal as i32,
            normal_name: String::new(),
        }),
        input: start.input.clone(),
        workflow_execution_timeout: step.run.start.shown_execution_timeout(),
        workflow_run_timeout: step.run.start.shown_run_timeout(),
        workflow_task_timeout: duration::proto(start.task_timeout),
        initiator: initiator as i32,
        continued_failure: start.continued_failure.clone(),
        last_completion_result: start.last_result.clone(),
        original_execution_run_id: first_run.to_owned(),
        identity: start.identity.clone(),
        first_execution_run_id: first_run.to_owned(),
        retry_policy: start.retry_policy.clone(),
        attempt: 1,
        workflow_execution_expiration_time: expiry.if_set().map(|time| time.timestamp()),
        cron_schedule: start.cron.clone(),
        first_workflow_task_backoff: duration::proto(backoff),
        memo: step.run.attributes.memo.clone(),
        search_attributes: step.run.attributes.search_attributes.clone(),
        header: start.header.clone(),
        workflow_id: step.key.entity.id.to_string(),
        completion_callbacks: start.callbacks.clone(),
        versioning_override: start.versioning_override.clone(),
        priority: start.priority.clone(),
        eager_execution_accepted: start.eager && start.eager_worker.is_some() && backoff == 0,
        ..WorkflowExecutionStartedEventAttributes::default()
    })
}

/// The first workflow task: now, unless the run waits, and given to the caller if it asked for that and can have it.
pub fn first_task(
    step: &mut Step,
    start: &Start,
    env: &mut Env<'_>,
) -> Option<Box<super::reply::StartedWorkflowTask>> {
    if step.run.core.backoff_until != 0 {
        return None;
    }
    task::ensure(step, env);
    let worker = start.eager_worker.as_ref().filter(|_| start.eager)?;
    let begin = StartWorkflowTask {
        stamp: step.run.core.task.as_ref().map_or(0, |task| task.stamp),
        identity: worker.identity.clone(),
        request_id: start.request_id.clone(),
        build_id: worker.build_id.clone(),
        ..StartWorkflowTask::default()
    };
    match task_start::begin(step, &begin, env) {
        WorkflowReply::WorkflowTask(task) => Some(Box::new(task)),
        _ => None,
    }
}
