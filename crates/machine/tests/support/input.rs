//! The inputs of a scenario. A workflow is named by its id `w`, or by one of its runs: `w/1` is its first.
//!
//!     start w [type=W] [queue=q] [input=] [run_timeout=] [execution_timeout=] [task_timeout=] [retry=] [cron=] [delay=]
//!         [reuse=] [conflict=] [request=] [memo=k:v,…] [eager] [priority=] [result=] [callbacks=url,…] [attach]
//!     signal w name [input=] [request=]          signal-with-start w name [as start]
//!     cancel w [reason=]     terminate w [reason=]     delete w
//!     poll w [sticky] [identity=]                a worker takes the workflow task that is in a queue
//!     complete w [sticky=name] [return-new] [force-new] [checksum=] [build=] [stale] [identity=]   commands follow, see `commands.rs`
//!     fail-task w [cause=] [message=] [identity=]            sticky-unavailable w         reset-sticky w
//!     activity w a1                              a worker takes the activity task
//!     end-activity w a1 [result=] [failure= type= non-retryable delay=] [untold] [canceled] [by-id]
//!                                                untold: it failed, and nobody says why
//!     heartbeat w a1 [details=]                  undelivered w a1
//!     query w name [reject=not-open|not-completed-cleanly] [deadline=10s]
//!     update w u1 name [stage=accepted|completed] [input=]      poll-update w u1 [stage=]
//!     update-with-start w u1 name [as update, as start]
//!     end-call w 0 [attempt=] [failed=message] [retryable] [postponed]     how the call of a callback ended
//!     advance 5s                                 time passes, alarms fire
//!     deliver [all] [twice] [lost]               messages between runs
//!     restart                                    what is not stored is lost
//!     history w      pending w      limit name=value
//!     rule r1 type=A [attempt=1] [gone]          a workflow rule pauses activities of the type from that attempt on

use super::commands::{Worker, failure, memo};
use super::line::{Line, nanos};
use super::operate;
use super::world::{Rule, World};
use prost::Message as _;
use std::fmt::Write as _;
use steadfast_api::v1::common::{Callback, Memo, Priority, WorkerVersionStamp, callback};
use steadfast_api::v1::enums::{
    QueryRejectCondition, UpdateWorkflowExecutionLifecycleStage as Stage,
    WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse, WorkflowTaskFailedCause,
};
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_api::v1::update::{
    Input as UpdateInput, Meta, Outcome, Request as UpdateRequest, outcome::Value,
};
use steadfast_api::v1::workflow::OnConflictOptions;
use steadfast_api::v1::workflowservice::RespondWorkflowTaskCompletedRequest;
use steadfast_machine::QueueType;
use steadfast_machine::workflow::input::*;
use steadfast_machine::workflow::reply::{StartedWorkflowTask, UpdateReply, WorkflowReply};
use steadfast_machine::workflow::{self, retry};

pub fn execute(world: &mut World, line: &mut Line, below: &[&str]) -> Result<String, String> {
    let verb = line.verb.clone();
    match verb.as_str() {
        "advance" => return Ok(world.advance(nanos(&line.word()?)?)),
        "deliver" => return deliver(world, line),
        "restart" => {
            world.restart();
            return Ok(String::new());
        }
        "limit" => return limit(world, line),
        "rule" => return rule(world, line),
        _ => {}
    }
    let workflow = line.word()?;
    let w = workflow.as_str();
    if verb != "complete" && !below.is_empty() {
        return Err(format!("{verb} has no lines below it"));
    }
    let what = match verb.as_str() {
        "history" => return world.history(w),
        "pending" => return pending(world, w),
        "start" => What::Start(Box::new(start(world, w, line)?)),
        "signal" => What::Signal(Box::new(signal(line)?)),
        "signal-with-start" => {
            let signal = signal(line)?;
            let mut start = start(world, w, line)?;
            if !signal.request_id.is_empty() {
                start.request_id.clone_from(&signal.request_id);
            }
            What::SignalWithStart(Box::new(SignalWithStart { start, signal }))
        }
        "cancel" => {
            What::RequestCancel(RequestCancel { reason: line.text("reason", ""), ..RequestCancel::default() })
        }
        "terminate" => What::Terminate(Terminate { reason: line.text("reason", ""), ..Terminate::default() }),
        "delete" => What::Delete,
        "poll" => What::StartWorkflowTask(poll(world, w, line)?),
        "complete" => What::CompleteWorkflowTask(Box::new(complete(world, w, line, below)?)),
        "fail-task" => What::FailWorkflowTask(Box::new(fail_task(world, w, line)?)),
        "sticky-unavailable" => {
            let task = world.run(w)?.core.task.clone().ok_or("no workflow task")?;
            What::StickyUnavailable { scheduled_event_id: task.scheduled_event_id, stamp: task.stamp }
        }
        "reset-sticky" => What::ResetSticky,
        "activity" => What::StartActivity(start_activity(world, w, line)?),
        "undelivered" => {
            let row = activity_row(world, w, &line.word()?)?;
            What::ActivityUndelivered { scheduled_event_id: row.0, attempt: row.1, request_id: row.2 }
        }
        "end-activity" => What::EndActivity(Box::new(end_activity(world, w, line)?)),
        "heartbeat" => {
            let id = line.word()?;
            let details = line.payloads("details");
            What::HeartbeatActivity(Box::new(HeartbeatActivity {
                activity: activity_ref(world, w, &id, line)?,
                identity: "worker".into(),
                details,
            }))
        }
        "query" => What::Query(Box::new(query(world, line)?)),
        "update" => What::Update(Box::new(update(world, line)?)),
        "poll-update" => {
            let update_id = line.word()?;
            let stage = stage(line)?;
            What::PollUpdate { caller: world.caller(), update_id, stage }
        }
        "update-with-start" => {
            let update = Box::new(update(world, line)?);
            What::UpdateWithStart { start: Box::new(start(world, w, line)?), update }
        }
        "end-call" => end_call(world, w, line)?,
        _ => operate::what(line)?.ok_or_else(|| format!("no such input: {verb}"))?,
    };
    world.apply(w, what)
}

fn start(world: &World, id: &str, line: &mut Line) -> Result<Start, String> {
    let task_timeout = line.nanos("task_timeout")?;
    let execution_timeout = line.nanos("execution_timeout")?;
    let run_timeout = line.nanos("run_timeout")?;
    let entity = world.entity(id)?;
    Ok(Start {
        workflow_id: entity.id.to_string(),
        workflow_type: line.text("type", "W"),
        task_queue: line.text("queue", "q"),
        input: line.payloads("input"),
        execution_timeout,
        run_timeout: if run_timeout == 0 { execution_timeout } else { run_timeout },
        task_timeout: if task_timeout == 0 { world.limits.workflow_task_timeout } else { task_timeout },
        request_id: line.text("request", &format!("request {}", world.now.0)),
        identity: "client".into(),
        reuse: match line.text("reuse", "").as_str() {
            "" => Reuse::AllowDuplicate,
            "failed-only" => Reuse::AllowDuplicateFailedOnly,
            "reject" => Reuse::RejectDuplicate,
            other => return Err(format!("no reuse policy: {other}")),
        },
        conflict: match line.text("conflict", "").as_str() {
            "" | "fail" => Conflict::Fail,
            "use-existing" => Conflict::UseExisting,
            "terminate" => Conflict::TerminateExisting,
            other => return Err(format!("no conflict policy: {other}")),
        },
        retry_policy: line.retry()?.map(retry::with_defaults),
        cron: line.text("cron", ""),
        memo: memo(line.field("memo")).map(|fields| Memo { fields }),
        start_delay: line.nanos("delay")?,
        priority: line
            .field("priority")
            .map(|key| Priority { priority_key: key.parse().unwrap_or_default(), ..Priority::default() }),
        eager: line.flag("eager"),
        eager_worker: Some(EagerWorker { identity: "worker".into(), build_id: String::new() }),
        last_result: line.payloads("result"),
        callbacks: callbacks(&line.text("callbacks", "")),
        on_conflict: line.flag("attach").then_some(OnConflictOptions {
            attach_request_id: true,
            attach_completion_callbacks: true,
            attach_links: true,
        }),
        ..Start::default()
    })
}

fn callbacks(urls: &str) -> Vec<Callback> {
    let callback = |url: &str| Callback {
        variant: Some(callback::Variant::Nexus(callback::Nexus { url: url.into(), ..Default::default() })),
        ..Callback::default()
    };
    urls.split(',').filter(|url| !url.is_empty()).map(callback).collect()
}

fn end_call(world: &World, w: &str, line: &mut Line) -> Result<What, String> {
    let sequence: i64 = line.word()?.parse().map_err(|_| "the number of a callback")?;
    let row = world.run(w)?.callbacks.get(&sequence).ok_or("no such callback")?;
    let attempt = line.text("attempt", &row.attempt.to_string()).parse().map_err(|_| "a number")?;
    let end = match line.field("failed") {
        Some(message) => CallEnd::Failed { message, retryable: line.flag("retryable") },
        None if line.flag("postponed") => CallEnd::Postponed,
        None => CallEnd::Succeeded,
    };
    Ok(What::CallbackEnded { sequence, attempt, end })
}

fn signal(line: &mut Line) -> Result<Signal, String> {
    Ok(Signal {
        name: line.word()?,
        input: line.payloads("input"),
        request_id: line.text("request", ""),
        ..Signal::default()
    })
}

fn poll(world: &World, w: &str, line: &mut Line) -> Result<StartWorkflowTask, String> {
    let run = world.run(w)?.id;
    let task =
        world.tasks.values().find(|task| task.run.run == run && task.key.queue.kind == QueueType::Workflow);
    let task = task.ok_or_else(|| format!("no workflow task of {w} is in a queue"))?;
    Ok(StartWorkflowTask {
        scheduled_event_id: task.scheduled_event_id,
        stamp: task.stamp,
        identity: line.text("identity", "worker"),
        request_id: uuid::Uuid::from_u128(task.key.order as u128).to_string(),
        sticky: task.sticky || line.flag("sticky"),
        ..StartWorkflowTask::default()
    })
}

fn token(world: &World, w: &str) -> Result<WorkflowTaskToken, String> {
    let id = w.split('/').next().unwrap_or(w);
    let id = id.rsplit(':').next().unwrap_or(id);
    let task = &world.started.get(id).ok_or_else(|| format!("no worker has a workflow task of {w}"))?.task;
    Ok(WorkflowTaskToken {
        scheduled_event_id: task.scheduled_event_id,
        started_event_id: task.started_event_id,
        started_time: task.started_time,
        attempt: task.attempt,
    })
}

fn complete(world: &World, w: &str, line: &mut Line, below: &[&str]) -> Result<CompleteWorkflowTask, String> {
    let mut worker = Worker::default();
    let resolve = |name: &str| world.run_named(name).map_or_else(|| name.to_owned(), |id| id.to_string());
    for text in below {
        worker.add(text, &resolve)?;
    }
    let mut token = token(world, w)?;
    if line.flag("stale") {
        token.attempt += 1;
    }
    let build = line.text("build", "");
    Ok(CompleteWorkflowTask {
        token,
        commands: worker.commands,
        messages: worker.messages,
        query_results: worker.query_results,
        identity: line.text("identity", "worker"),
        sticky: line.field("sticky").map(|name| (name, steadfast_machine::duration::SECOND * 10)),
        return_new_task: line.flag("return-new"),
        force_create_task: line.flag("force-new"),
        binary_checksum: line.text("checksum", ""),
        request: Box::new(RespondWorkflowTaskCompletedRequest {
            worker_version_stamp: (!build.is_empty())
                .then(|| WorkerVersionStamp { build_id: build.clone(), ..WorkerVersionStamp::default() }),
            ..RespondWorkflowTaskCompletedRequest::default()
        }),
        build_id: build,
        ..CompleteWorkflowTask::default()
    })
}

fn fail_task(world: &World, w: &str, line: &mut Line) -> Result<FailWorkflowTask, String> {
    let cause = line.text("cause", "WorkflowWorkerUnhandledFailure");
    let name = cause.chars().fold(String::new(), |mut name, c| {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
        name
    });
    let message = line.field("message");
    Ok(FailWorkflowTask {
        token: token(world, w)?,
        cause: WorkflowTaskFailedCause::from_str_name(&format!("WORKFLOW_TASK_FAILED_CAUSE{name}"))
            .ok_or_else(|| format!("no cause {cause}"))?,
        failure: Some(failure(line, message)?),
        identity: line.text("identity", "worker"),
        binary_checksum: String::new(),
    })
}

/// Scheduled event id, attempt and request id.
fn activity_row(world: &World, w: &str, id: &str) -> Result<(i64, i32, String), String> {
    let run = world.run(w)?;
    let row = run.activity_ids.get(id).and_then(|id| run.activities.get(id));
    let row = row.ok_or_else(|| format!("no activity {id}"))?;
    Ok((row.scheduled_event_id, row.attempt, row.request_id.clone()))
}

fn start_activity(world: &World, w: &str, line: &mut Line) -> Result<StartActivity, String> {
    let (run, (scheduled_event_id, ..)) = (world.run(w)?.id, activity_row(world, w, &line.word()?)?);
    let task = world.tasks.values().find(|task| {
        task.run.run == run
            && task.key.queue.kind == QueueType::Activity
            && task.scheduled_event_id == scheduled_event_id
    });
    let task = task.ok_or("the activity's task is in no queue")?;
    Ok(StartActivity {
        scheduled_event_id,
        stamp: task.stamp,
        identity: "worker".into(),
        request_id: uuid::Uuid::from_u128(task.key.order as u128).to_string(),
        build_id: String::new(),
    })
}

fn activity_ref(world: &World, w: &str, id: &str, line: &mut Line) -> Result<ActivityRef, String> {
    if line.flag("by-id") {
        return Ok(ActivityRef::Id(id.to_owned()));
    }
    let (scheduled_event_id, attempt, _) = activity_row(world, w, id)?;
    Ok(ActivityRef::Token { scheduled_event_id, attempt })
}

fn end_activity(world: &World, w: &str, line: &mut Line) -> Result<EndActivity, String> {
    let id = line.word()?;
    let activity = activity_ref(world, w, &id, line)?;
    let end = if line.flag("canceled") {
        ActivityEnd::Canceled(line.payloads("details"))
    } else if line.flag("untold") {
        ActivityEnd::Failed { failure: None, last_heartbeat: None }
    } else if let Some(message) = line.field("failure") {
        ActivityEnd::Failed { failure: Some(failure(line, Some(message))?), last_heartbeat: None }
    } else {
        ActivityEnd::Completed(line.payloads("result"))
    };
    Ok(EndActivity { activity, identity: "worker".into(), end })
}

fn query(world: &mut World, line: &mut Line) -> Result<Query, String> {
    let query_type = line.word()?;
    let condition = match line.text("reject", "").as_str() {
        "" => QueryRejectCondition::None,
        "not-open" => QueryRejectCondition::NotOpen,
        "not-completed-cleanly" => QueryRejectCondition::NotCompletedCleanly,
        other => return Err(format!("no reject condition: {other}")),
    };
    let wait = nanos(&line.text("deadline", "10s"))?;
    Ok(Query {
        caller: world.caller(),
        query: WorkflowQuery { query_type, ..WorkflowQuery::default() },
        reject_condition: condition as i32,
        deadline: world.now.plus(wait),
    })
}

fn stage(line: &mut Line) -> Result<i32, String> {
    Ok(match line.text("stage", "completed").as_str() {
        "admitted" => Stage::Admitted,
        "accepted" => Stage::Accepted,
        "completed" => Stage::Completed,
        "now" => Stage::Unspecified,
        other => return Err(format!("no stage {other}")),
    } as i32)
}

fn update(world: &mut World, line: &mut Line) -> Result<Update, String> {
    let update_id = line.word()?;
    let name = line.word()?;
    Ok(Update {
        caller: world.caller(),
        request: UpdateRequest {
            meta: Some(Meta { update_id, identity: "client".into() }),
            input: Some(UpdateInput { name, args: line.payloads("input"), ..UpdateInput::default() }),
            ..UpdateRequest::default()
        },
        stage: stage(line)?,
    })
}

fn deliver(world: &mut World, line: &mut Line) -> Result<String, String> {
    let (all, twice, lost) = (line.flag("all"), line.flag("twice"), line.flag("lost"));
    let mut output = world.deliver(twice, lost).ok_or("the outbox is empty")?;
    while all && let Some(text) = world.deliver(twice, false) {
        output.push_str(&text);
    }
    Ok(output)
}

fn limit(world: &mut World, line: &mut Line) -> Result<String, String> {
    let limits = &mut world.limits;
    for (name, value) in line.rest() {
        let number: usize = value.parse().map_err(|_| format!("{name}: a number"))?;
        match name.as_str() {
            "pending_activities" => limits.pending_activities = number,
            "pending_children" => limits.pending_children = number,
            "pending_signals" => limits.pending_signals = number,
            "pending_cancels" => limits.pending_cancels = number,
            "signals_per_run" => limits.signals_per_run = number as i64,
            "buffered_events" => limits.buffered_events = number,
            "history_bytes" => limits.history_bytes = number as i64,
            "state_bytes" => limits.state_bytes = number as i64,
            "step_bytes" => limits.step_bytes = number as i64,
            "history_events" => limits.history_events = number as i64,
            "suggest_continue_bytes" => limits.suggest_continue_bytes = number as i64,
            "suggest_continue_events" => limits.suggest_continue_events = number as i64,
            "updates_in_flight" => limits.updates_in_flight = number,
            "updates_total" => limits.updates_total = number as i64,
            "blob_bytes" => limits.blob_bytes = number,
            "memo_bytes" => limits.memo_bytes = number,
            _ => return Err(format!("no limit {name} here")),
        }
    }
    Ok(String::new())
}

fn rule(world: &mut World, line: &mut Line) -> Result<String, String> {
    let id = line.word()?;
    world.rules.retain(|rule| rule.id != id);
    if !line.flag("gone") {
        let attempt = line.number("attempt", 1)? as i32;
        world.rules.push(Rule { id, activity_type: line.text("type", "A"), attempt });
    }
    Ok(String::new())
}

/// What waits in a run.
fn pending(world: &World, w: &str) -> Result<String, String> {
    let run = world.run(w)?;
    let mut text = format!("{:?}, next event {}\n", run.status(), run.core.next_event_id);
    if let Some(task) = &run.core.task {
        let state = if task.started_event_id == 0 { "scheduled" } else { "started" };
        let kind = if task.speculative {
            " speculative"
        } else if task.transient {
            " transient"
        } else {
            ""
        };
        let _ = writeln!(text, "workflow task {state}{kind} attempt {}", task.attempt);
    }
    if let Some(search) = &run.attributes.search_attributes
        && let Some(problems) = search.indexed_fields.get("TemporalReportedProblems")
    {
        let _ = writeln!(text, "problems {}", String::from_utf8_lossy(&problems.data));
    }
    for row in run.activities.values() {
        let state = if row.started_time != 0 { "started" } else { "scheduled" };
        let paused = match &row.pause {
            None => String::new(),
            Some(pause) if pause.rule_id.is_empty() => " paused".into(),
            Some(pause) => format!(" paused by rule {}", pause.rule_id),
        };
        let _ = writeln!(text, "activity {} {state} attempt {}{paused}", row.activity_id, row.attempt);
    }
    for row in run.timers.values() {
        let _ = writeln!(
            text,
            "timer {} at {}",
            row.timer_id,
            world.show(|s| s.time(steadfast_machine::Time(row.due)))
        );
    }
    for row in run.children.values() {
        let _ = writeln!(text, "child {} run {}", row.workflow_id, world.show(|s| s.string(&row.run_id)));
    }
    for row in run.externals.values() {
        let kind = if row.cancel { "cancel" } else { "signal" };
        let _ = writeln!(text, "{kind} to {}", row.workflow_id);
    }
    for row in run.updates.values() {
        let _ = writeln!(
            text,
            "update {} accepted {} completed {}",
            row.update_id, row.accepted_event_id, row.completed_event_id
        );
    }
    for update in &run.volatile.updates {
        let _ = writeln!(text, "update {} admitted", update.id);
    }
    for row in run.callbacks.values() {
        let state = workflow::callback::state(row);
        let _ = write!(text, "callback {} {state:?} attempt {}", workflow::callback::url(row), row.attempt);
        if row.due != 0 {
            let _ = write!(text, " due {}", world.show(|s| s.time(steadfast_machine::Time(row.due))));
        }
        let failure = row.last_failure.as_ref().map_or(String::new(), |f| format!(": {}", f.message));
        let _ = writeln!(text, "{failure}");
    }
    Ok(text)
}

pub fn reply(world: &World, reply: &WorkflowReply) -> String {
    let run = |id: &uuid::Uuid| world.show(|show| show.string(&id.to_string()));
    match reply {
        WorkflowReply::Started(started) => {
            let verb = if started.started { "started" } else { "uses" };
            let mut text = format!("{verb} {} {:?}", run(&started.run_id), started.status);
            if let Some(eager) = &started.eager_task {
                let _ = write!(text, ", eager {}", task(world, eager));
            }
            text
        }
        WorkflowReply::SignalWithStart { run_id, started } => {
            format!("{} {}", if *started { "started" } else { "signaled" }, run(run_id))
        }
        WorkflowReply::WorkflowTask(started) => task(world, started),
        WorkflowReply::WorkflowTaskCompleted { new_task, activities, reset_history_event_id } => {
            let mut text = "completed".to_owned();
            if let Some(new) = new_task {
                let _ = write!(text, ", new {}", task(world, new));
            }
            for started in activities {
                let _ = write!(text, ", eager activity {}", started.activity.activity_id);
            }
            if *reset_history_event_id != 0 {
                let _ = write!(text, ", history reset to {reset_history_event_id}");
            }
            text
        }
        WorkflowReply::Activity(started) => {
            let mut text = format!("activity {} attempt {}", started.activity.activity_id, started.attempt);
            if let Some(details) = &started.heartbeat_details {
                let details =
                    world.show(|s| s.message("temporal.api.common.v1.Payloads", &details.encode_to_vec()));
                let _ = write!(text, " after heartbeat {details}");
            }
            text
        }
        WorkflowReply::ActivityFailed { failures } => {
            let failures: Vec<String> = failures.iter().map(|f| world.show(|show| show.failure(f))).collect();
            format!("failed {}", failures.join(", ")).trim().to_owned()
        }
        WorkflowReply::Heartbeat { cancel_requested, paused, reset } => {
            let flags = [(*cancel_requested, "cancel requested"), (*paused, "paused"), (*reset, "reset")];
            let flags: Vec<&str> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
            format!("heartbeat {}", flags.join(", ")).trim().to_owned()
        }
        WorkflowReply::QueryResult(result) => {
            world.show(|s| s.message("temporal.api.query.v1.WorkflowQueryResult", &result.encode_to_vec()))
        }
        WorkflowReply::QueryRejected(status) => format!("query rejected, the workflow is {status:?}"),
        WorkflowReply::Update(reply) => update_reply(world, reply),
        WorkflowReply::Reset { run_id } => format!("reset, now {}", run(run_id)),
        WorkflowReply::Options(options) => world.show(|s| {
            s.message("temporal.api.workflow.v1.WorkflowExecutionOptions", &options.encode_to_vec())
        }),
        WorkflowReply::ActivityOptions(options) => {
            world.show(|s| s.message("temporal.api.activity.v1.ActivityOptions", &options.encode_to_vec()))
        }
        WorkflowReply::UpdateWithStart { started, update } => {
            format!(
                "{} {}, {}",
                if started.started { "started" } else { "uses" },
                run(&started.run_id),
                update_reply(world, update)
            )
        }
        WorkflowReply::Message(content) => match content {
            Some(content) => {
                let text = format!("{content:?}");
                format!("answers {}", text.split('(').next().unwrap_or_default())
            }
            None => "delivered".into(),
        },
    }
}

fn update_reply(world: &World, reply: &UpdateReply) -> String {
    let stage = Stage::try_from(reply.stage).unwrap_or_default();
    let outcome = match reply.outcome.as_ref().and_then(|Outcome { value }| value.as_ref()) {
        Some(Value::Success(result)) => {
            let bytes = result.encode_to_vec();
            format!(" {}", world.show(|s| s.message("temporal.api.common.v1.Payloads", &bytes)))
        }
        Some(Value::Failure(failure)) => format!(" failed: {}", world.show(|s| s.failure(failure))),
        None => String::new(),
    };
    format!("update {} {stage:?}{outcome}", reply.update_id)
}

fn task(world: &World, started: &StartedWorkflowTask) -> String {
    let mut text = format!(
        "workflow task {}-{} previous {}",
        started.task.scheduled_event_id, started.task.started_event_id, started.previous_started_event_id
    );
    if started.task.attempt != 1 {
        let _ = write!(text, " attempt {}", started.task.attempt);
    }
    if started.task.speculative {
        text.push_str(" speculative");
    }
    if started.partial {
        text.push_str(" partial");
    }
    for event in &started.synthetic {
        let _ = write!(text, " [{}]", world.show(|show| show.event(event)));
    }
    for message in &started.messages {
        let _ = write!(text, " message {}", message.id);
    }
    for (id, query) in &started.queries {
        let _ = write!(text, " query {id} {}", query.query_type);
    }
    text
}
