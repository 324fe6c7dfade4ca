//! A worker completes the workflow task.
//!
//! The order is: token, WorkflowTaskCompleted, stickiness, commands one by one, messages, the next task. The first bad
//! command undoes all of it and fails the task instead; the worker hears INVALID_ARGUMENT and the failure is kept.

use super::commands::{self, Trouble};
use super::events::Attributes;
use super::input::{CompleteWorkflowTask, StartWorkflowTask, WorkflowTaskToken};
use super::reply::{StartedActivity, StartedWorkflowTask, WorkflowReply};
use super::rows::WorkflowTaskRow;
use super::step::Step;
use super::{close, failure, query, reset_points, task, task_failure, task_start, update};
use crate::decision::Reply;
use crate::env::Env;
use crate::key::Time;
use crate::reject::Reject;
use steadfast_api::v1::deployment::WorkerDeploymentVersion;
use steadfast_api::v1::enums::{TimeoutType, WorkerVersioningMode, WorkflowTaskFailedCause as Cause};
use steadfast_api::v1::history::WorkflowTaskCompletedEventAttributes;

/// What the commands of one completion share.
pub struct Completion<'a> {
    pub input: &'a CompleteWorkflowTask,
    pub completed_event_id: i64,
    /// Someone must look at what the commands did: an activity was cancelled before it started.
    pub new_task_needed: bool,
    /// Activities that the worker may run right away: scheduled event ids.
    pub eager: Vec<i64>,
    /// Messages that commands have placed in the order of events, by id.
    pub messages_done: Vec<String>,
    /// Children that this very completion starts.
    pub children_started: Vec<String>,
    /// Events that the workflow has not seen wait for this completion: it must not close the run over them.
    pub unseen: bool,
}

pub fn check_token(step: &Step, token: &WorkflowTaskToken) -> Result<WorkflowTaskRow, Reject> {
    step.run
        .started_task()
        .filter(|_| step.run.is_open())
        .filter(|task| task.scheduled_event_id == token.scheduled_event_id)
        .filter(|task| task.started_event_id == token.started_event_id)
        .filter(|task| task.attempt == token.attempt && task.started_time == token.started_time)
        .cloned()
        .ok_or_else(Reject::no_task)
}

/// An `Ok(Err(..))` refuses the completion, but what it led to (a failed task, a terminated run) stays.
pub fn apply(
    step: &mut Step,
    input: &CompleteWorkflowTask,
    env: &mut Env<'_>,
) -> Result<Result<Reply, Reject>, Reject> {
    let row = check_token(step, &input.token)?;
    if step.run.is_paused() && input.force_create_task {
        return Err(Reject::FailedPrecondition(
            "Workflow is paused and force create new workflow task is not allowed.".into(),
        ));
    }
    check_behavior(input)?;
    if let Err(reject) = check(input) {
        if !row.speculative {
            // The task stays with its worker until it times out.
            return Err(reject);
        }
        forget(step, &row, env);
        return Ok(Err(reject));
    }
    let before = step.clone();

    let heartbeat = input.force_create_task && input.commands.is_empty() && input.messages.is_empty();
    if heartbeat
        && step.now(env).since(Time(row.original_scheduled_time)) > env.limits.workflow_task_heartbeat
    {
        task_failure::time_out(step, TimeoutType::StartToClose, env);
        return Ok(Err(Reject::not_found("workflow task heartbeat timeout")));
    }
    let nothing_written = row.speculative && update::leaves_no_trace(step, input, env);
    if nothing_written {
        return Ok(Ok(discard(step, input, env)));
    }

    let mut completion = Completion {
        input,
        completed_event_id: 0,
        new_task_needed: false,
        eager: Vec::new(),
        messages_done: Vec::new(),
        children_started: Vec::new(),
        unseen: !step.run.buffered.is_empty(),
    };
    completion.completed_event_id = write_completed(step, &row, input, env);
    task::set_sticky(step, input.sticky.as_ref());
    task_failure::clear_problems(step);
    let build = reset_points::Build { build_id: &input.build_id, binary_checksum: &input.binary_checksum };
    reset_points::add(step, &build, completion.completed_event_id, env);
    // Before a command closes the run, which gives the queries that are left to another worker.
    query::answer(step, &input.query_results, env);
    if input.commands.last().is_some_and(commands::is_close) {
        update::rejections_first(step, &mut completion, env);
    }
    let done = commands::run(step, &mut completion, env)
        .and_then(|()| update::rest_of_messages(step, &mut completion, env));
    if let Err(trouble) = done {
        return Ok(Err(refuse(step, before, &row, trouble, input, env)));
    }
    update::tell_all(step);
    if step.run.is_open() && !heartbeat {
        update::reject_unprocessed(step, env);
    }
    let activities = eager_activities(step, &completion, env);
    let original = if heartbeat { row.original_scheduled_time } else { step.now(env).0 };
    let new_task = next_task(step, input, completion.new_task_needed, original, env);
    if step.run.core.task.is_none() {
        query::dispatch_rest(step);
    }
    Ok(Ok(WorkflowReply::WorkflowTaskCompleted { new_task, activities, reset_history_event_id: 0 }.into()))
}

/// Only a worker that has a version says how workflows go on with the next one.
fn check_behavior(input: &CompleteWorkflowTask) -> Result<(), Reject> {
    let request = &input.request;
    let versioned = request
        .deployment_options
        .as_ref()
        .is_some_and(|options| options.worker_versioning_mode() == WorkerVersioningMode::Versioned);
    if request.versioning_behavior == 0 || request.deployment.is_some() || versioned {
        return Ok(());
    }
    Err(Reject::invalid(
        "versioning behavior cannot be specified without deployment options being set with versioned mode",
    ))
}

/// What cannot be a worker's answer at all.
fn check(input: &CompleteWorkflowTask) -> Result<(), Reject> {
    commands::check_sequence(&input.commands)?;
    match input.messages.iter().any(|message| message.body.is_none()) {
        true => Err(Reject::invalid("nil message body")),
        false => Ok(()),
    }
}

/// A speculative task is gone with an answer that makes no sense; its updates and queries go to a worker once more.
fn forget(step: &mut Step, row: &WorkflowTaskRow, env: &mut Env<'_>) {
    step.run.volatile.forgotten_task_started = row.started_time;
    task::drop_task(step);
    update::unsend(step);
    query::unsend(step);
    if update::waiting(step) {
        task::schedule_speculative(step, env);
    } else {
        query::dispatch_rest(step);
    }
}

/// A speculative task of which nothing came leaves no events, and the SDK goes back to where it was before.
fn discard(step: &mut Step, input: &CompleteWorkflowTask, env: &mut Env<'_>) -> Reply {
    let back_to = step.run.core.last_completed_started_id;
    step.run.volatile.forgotten_task_started = input.token.started_time;
    task::drop_task(step);
    // In memory only, like the task: the next change that is stored takes it along.
    task::set_sticky(step, input.sticky.as_ref());
    update::process_rejections(step, input, env);
    update::reject_unprocessed(step, env);
    query::answer(step, &input.query_results, env);
    let new_task = next_task(step, input, false, step.now(env).0, env);
    if step.run.core.task.is_none() {
        query::dispatch_rest(step);
    }
    WorkflowReply::WorkflowTaskCompleted { new_task, activities: Vec::new(), reset_history_event_id: back_to }
        .into()
}

fn write_completed(
    step: &mut Step,
    row: &WorkflowTaskRow,
    input: &CompleteWorkflowTask,
    env: &mut Env<'_>,
) -> i64 {
    let mut row = row.clone();
    task::drop_task(step);
    step.run.core.backoff_until = 0;
    if row.transient {
        let mut scheduled =
            step.make(env, task::scheduled_event(step, row.attempt, row.timeout), None, vec![]);
        scheduled.event_time = Some(Time(row.scheduled_time).timestamp());
        row.scheduled_event_id = step.append(scheduled);
        input.identity.clone_into(&mut row.identity);
        let mut started = step.make(env, task_start::started_event(&row), None, vec![]);
        started.event_time = Some(Time(row.started_time).timestamp());
        row.started_event_id = step.append(started);
        step.cut();
    }
    let request = &input.request;
    let options = request.deployment_options.as_ref();
    // A worker without versions may name its deployment, too. Older ones call it a series.
    let deployment_name = options
        .map(|options| options.deployment_name.clone())
        .filter(|name| !name.is_empty())
        .or_else(|| request.deployment.as_ref().map(|deployment| deployment.series_name.clone()))
        .unwrap_or_default();
    let version = options
        .filter(|options| options.worker_versioning_mode() == WorkerVersioningMode::Versioned)
        .map(|options| (&options.deployment_name, &options.build_id))
        .or_else(|| request.deployment.as_ref().map(|d| (&d.series_name, &d.build_id)))
        .filter(|(name, build_id)| !name.is_empty() && !build_id.is_empty())
        .map(|(name, build_id)| WorkerDeploymentVersion {
            build_id: build_id.clone(),
            deployment_name: name.clone(),
        });
    let id = step.write(
        env,
        Attributes::WorkflowTaskCompletedEventAttributes(WorkflowTaskCompletedEventAttributes {
            scheduled_event_id: row.scheduled_event_id,
            started_event_id: row.started_event_id,
            identity: input.identity.clone(),
            binary_checksum: input.binary_checksum.clone(),
            worker_version: request.worker_version_stamp.clone(),
            sdk_metadata: input.sdk_metadata.clone(),
            metering_metadata: request.metering_metadata,
            versioning_behavior: request.versioning_behavior,
            worker_deployment_name: deployment_name.clone(),
            deployment_version: version.clone(),
            ..WorkflowTaskCompletedEventAttributes::default()
        }),
    );
    let core = &mut step.run.core;
    core.last_completed_started_id = row.started_event_id;
    core.next_attempt = 1;
    core.close_attempted = false;
    core.last_build_id = input.build_id.clone();
    core.versioning_behavior = request.versioning_behavior;
    core.deployment_name = deployment_name;
    core.deployment_build_id = version.unwrap_or_default().build_id;
    id
}

/// Undoes the completion and does instead what its trouble asks for.
fn refuse(
    step: &mut Step,
    before: Step,
    row: &WorkflowTaskRow,
    trouble: Trouble,
    input: &CompleteWorkflowTask,
    env: &mut Env<'_>,
) -> Reject {
    *step = before;
    let reject = match &trouble {
        Trouble::Refuse(reject) => return reject.clone(),
        _ => Reject::invalid(trouble.text()),
    };
    update::abort_sent(step);
    let (cause, reason) = (trouble.cause(), trouble.text());
    // A repeated failure changes nothing: the task stays started until it times out, which is the backoff. Not even what
    // is too large ends the run then.
    if row.attempt > 1 && cause != Cause::UnhandledCommand {
        return reject;
    }
    let failure = Some(failure::server(reason.clone(), false));
    task_failure::fail(step, cause, failure, &input.identity, &input.binary_checksum, env);
    if matches!(trouble, Trouble::Terminate { .. }) {
        close::terminate(step, &reason, None, "history-service", Vec::new(), env);
    } else {
        step.run.core.close_attempted = cause == Cause::UnhandledCommand;
        task::ensure(step, env);
    }
    reject
}

fn eager_activities(step: &mut Step, completion: &Completion<'_>, env: &mut Env<'_>) -> Vec<StartedActivity> {
    if !step.run.is_open() || step.run.is_paused() {
        return Vec::new();
    }
    let identity = &completion.input.identity;
    completion
        .eager
        .iter()
        .filter_map(|id| super::activity_start::start_eagerly(step, *id, identity, env))
        .collect()
}

/// Schedules what comes next, and hands it out at once if the worker wants that.
fn next_task(
    step: &mut Step,
    input: &CompleteWorkflowTask,
    needed: bool,
    original: i64,
    env: &mut Env<'_>,
) -> Option<StartedWorkflowTask> {
    if !step.run.is_open() || step.run.is_paused() {
        return None;
    }
    let buffered = !step.run.buffered.is_empty();
    if needed || buffered || input.force_create_task {
        task::schedule(step, env, original);
    } else if update::waiting(step) {
        if input.return_new_task {
            task::schedule_speculative(step, env)
        } else {
            task::schedule(step, env, original)
        }
    } else {
        return None;
    }
    if !input.return_new_task {
        return None;
    }
    let stamp = step.run.core.task.as_ref().map_or(0, |task| task.stamp);
    let start = StartWorkflowTask {
        scheduled_event_id: 0,
        stamp,
        identity: input.identity.clone(),
        request_id: "request-from-RespondWorkflowTaskCompleted".into(),
        // The worker that asks has the run in its cache, sticky or not: it gets the new events only.
        sticky: true,
        build_id: input.build_id.clone(),
        deployment_name: String::new(),
    };
    match task_start::begin(step, &start, env) {
        WorkflowReply::WorkflowTask(task) => Some(task),
        _ => None,
    }
}
