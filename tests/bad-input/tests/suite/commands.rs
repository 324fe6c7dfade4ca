//! Class 30: what a broken or hostile worker answers. A bad command fails the workflow task, and nothing of the answer is
//! done; the worker is told INVALID_ARGUMENT, and the next attempt comes.

use bad_input_test::grpc::ask;
use bad_input_test::requests::*;
use bad_input_test::{Answer, Expect, Table, World};
use prost::Message;
use std::sync::Arc;
use steadfast_api::v1::command::command::Attributes as A;
use steadfast_api::v1::command::*;
use steadfast_api::v1::common::{ActivityType, Memo, SearchAttributes};
use steadfast_api::v1::enums::{CommandType as C, EventType, WorkflowTaskFailedCause as Cause};
use steadfast_api::v1::history::{History, HistoryEvent, history_event::Attributes as Event};
use steadfast_api::v1::protocol;
use steadfast_api::v1::workflowservice::*;

pub async fn cases(_: &World, table: &mut Table) {
    table.class(30);
    activities(table);
    timers(table);
    others(table);
    answers(table);
    table.class(4);
    pending(table);
}

/// The cause that the failed task must tell, and the commands.
fn bad(table: &mut Table, name: &str, cause: Cause, commands: Vec<Command>) {
    let expect = Expect { codes: &["Ok"], text: "", may_write: true };
    table.act(name, expect, move |world| async move {
        Answer::from_result(refused_whole(&world, cause, commands).await)
    });
}

/// Answers a task with an activity that is in order, then with `commands`, and looks at what came of it.
async fn refused_whole(world: &World, cause: Cause, mut commands: Vec<Command>) -> Result<(), String> {
    let id = fresh("bad");
    let task = world.workflow_task(&id).await;
    commands.insert(0, schedule(activity("first", &id)));
    match world.complete(&task, commands).await {
        Err(answer) if answer.code == "InvalidArgument" => {}
        other => return Err(format!("the worker was told {other:?}")),
    }
    let events = events(world, &id).await?;
    let types: Vec<EventType> = events.iter().map(HistoryEvent::event_type).collect();
    if types.contains(&EventType::ActivityTaskScheduled) {
        return Err("a part of the answer was done".into());
    }
    let failed = events.iter().find_map(|event| match &event.attributes {
        Some(Event::WorkflowTaskFailedEventAttributes(failed)) => Some(failed.cause()),
        _ => None,
    });
    if failed == Some(cause) { Ok(()) } else { Err(format!("the task's cause is {failed:?}: {types:?}")) }
}

async fn events(world: &World, id: &str) -> Result<Vec<HistoryEvent>, String> {
    let request = history(|request| request.execution = Some(execution(id)));
    let reply: GetWorkflowExecutionHistoryResponse =
        ask(world, &request).await.map_err(|answer| format!("the history: {answer:?}"))?;
    let history = History::decode(reply.history.unwrap_or_default()).map_err(|error| error.to_string())?;
    Ok(history.events)
}

fn activities(table: &mut Table) {
    let mut row = |name: &str, spoil: fn(&mut ScheduleActivityTaskCommandAttributes)| {
        let mut attributes = activity("second", QUEUE);
        spoil(&mut attributes);
        bad(table, name, Cause::BadScheduleActivityAttributes, vec![schedule(attributes)]);
    };
    row("an activity without an id", |a| a.activity_id.clear());
    row("an activity with a long id", |a| a.activity_id = "x".repeat(1001));
    row("an activity with a NUL in its id", |a| a.activity_id = "a\0b".into());
    row("an activity without a type", |a| a.activity_type = None);
    row("an activity with a long type", |a| a.activity_type = Some(ActivityType { name: "x".repeat(1001) }));
    row("an activity with a long queue", |a| a.task_queue = Some(queue(&"x".repeat(1001))));
    row("an activity with a NUL in its queue", |a| a.task_queue = Some(queue("a\0b")));
    row("an activity without a timeout", |a| a.start_to_close_timeout = None);
    row("an activity with a negative timeout", |a| a.start_to_close_timeout = seconds(-1));
    row("an activity with a timeout of -2^63 s", |a| a.schedule_to_close_timeout = seconds(i64::MIN));
    row("an activity with a negative heartbeat", |a| a.heartbeat_timeout = seconds(-1));
    row("an activity with a bad retry policy", |a| {
        a.retry_policy.get_or_insert_default().maximum_attempts = -1
    });
    row("an activity with a coefficient of NaN", |a| {
        a.retry_policy.get_or_insert_default().backoff_coefficient = f64::NAN;
    });
    let twice = vec![schedule(activity("first", QUEUE))];
    bad(table, "an activity with the id of another", Cause::ScheduleActivityDuplicateId, twice);
}

fn timers(table: &mut Table) {
    let timer = |id: &str, length| {
        let attributes =
            StartTimerCommandAttributes { timer_id: id.into(), start_to_fire_timeout: seconds(length) };
        command(C::StartTimer, A::StartTimerCommandAttributes(attributes))
    };
    let cause = Cause::BadStartTimerAttributes;
    bad(table, "a timer without an id", cause, vec![timer("", 9)]);
    bad(table, "a timer with a long id", cause, vec![timer(&"x".repeat(1001), 9)]);
    bad(table, "a timer with a NUL in its id", cause, vec![timer("a\0b", 9)]);
    bad(table, "a timer of -1 s", cause, vec![timer("1", -1)]);
    bad(table, "a timer of -2^63 s", cause, vec![timer("1", i64::MIN)]);
    bad(table, "two timers of one id", Cause::StartTimerDuplicateId, vec![timer("1", 9), timer("1", 9)]);
    let cancel = |id: &str| {
        let attributes = CancelTimerCommandAttributes { timer_id: id.into() };
        command(C::CancelTimer, A::CancelTimerCommandAttributes(attributes))
    };
    let cause = Cause::BadCancelTimerAttributes;
    bad(table, "a timer cancelled that is not there", cause, vec![cancel("nobody")]);
    bad(table, "a timer cancelled without an id", cause, vec![cancel("")]);
}

fn others(table: &mut Table) {
    let child = |spoil: fn(&mut StartChildWorkflowExecutionCommandAttributes)| {
        let mut attributes = StartChildWorkflowExecutionCommandAttributes {
            workflow_id: fresh("child"),
            workflow_type: Some(workflow_type("Child")),
            task_queue: Some(queue(QUEUE)),
            ..Default::default()
        };
        spoil(&mut attributes);
        vec![command(
            C::StartChildWorkflowExecution,
            A::StartChildWorkflowExecutionCommandAttributes(attributes),
        )]
    };
    let cause = Cause::BadStartChildExecutionAttributes;
    bad(table, "a child without an id", cause, child(|a| a.workflow_id.clear()));
    bad(table, "a child with a long id", cause, child(|a| a.workflow_id = "x".repeat(1001)));
    bad(table, "a child with a NUL in its id", cause, child(|a| a.workflow_id = "a\0b".into()));
    bad(table, "a child without a type", cause, child(|a| a.workflow_type = None));
    bad(table, "a child with a negative timeout", cause, child(|a| a.workflow_run_timeout = seconds(-1)));
    bad(table, "a child with a bad schedule", cause, child(|a| a.cron_schedule = "* *".into()));
    bad(table, "a child in another namespace", cause, child(|a| a.namespace = "other".into()));

    let signal = |id: &str, name: &str| {
        let attributes = SignalExternalWorkflowExecutionCommandAttributes {
            execution: Some(execution(id)),
            signal_name: name.into(),
            ..Default::default()
        };
        vec![command(
            C::SignalExternalWorkflowExecution,
            A::SignalExternalWorkflowExecutionCommandAttributes(attributes),
        )]
    };
    let cause = Cause::BadSignalWorkflowExecutionAttributes;
    bad(table, "a signal to nobody", cause, signal("", "go"));
    bad(table, "a signal without a name", cause, signal(OPEN, ""));
    bad(table, "a signal to a NUL", cause, signal("a\0b", "go"));
    bad(table, "a signal to a long id", cause, signal(&"x".repeat(1001), "go"));

    let search = |name: &str, json: &str| {
        let fields = [(name.to_owned(), payload(json.to_owned()))].into();
        let attributes = UpsertWorkflowSearchAttributesCommandAttributes {
            search_attributes: Some(SearchAttributes { indexed_fields: fields }),
        };
        vec![command(
            C::UpsertWorkflowSearchAttributes,
            A::UpsertWorkflowSearchAttributesCommandAttributes(attributes),
        )]
    };
    let cause = Cause::BadSearchAttributes;
    bad(table, "a search attribute that nobody registered", cause, search("Nobody", "1"));
    bad(table, "a search attribute of another type", cause, search("Amount", "\"much\""));
    bad(table, "a search attribute that is no JSON", cause, search("Amount", "{"));
    bad(table, "a search attribute of the system", cause, search("StartTime", "1"));
    bad(table, "a search attribute with a NUL", cause, search("Customer", "\"a\\u0000b\""));

    let memo = Memo { fields: [("note".to_owned(), payload(vec![b'x'; 2 << 20]))].into() };
    let upsert = ModifyWorkflowPropertiesCommandAttributes { upserted_memo: Some(memo) };
    bad(
        table,
        "a memo over 2 MiB",
        Cause::BadModifyWorkflowPropertiesAttributes,
        vec![command(C::ModifyWorkflowProperties, A::ModifyWorkflowPropertiesCommandAttributes(upsert))],
    );
    let marker = RecordMarkerCommandAttributes::default();
    bad(
        table,
        "a marker without a name",
        Cause::BadRecordMarkerAttributes,
        vec![command(C::RecordMarker, A::RecordMarkerCommandAttributes(marker))],
    );
    let cancel = RequestCancelActivityTaskCommandAttributes { scheduled_event_id: 77 };
    bad(
        table,
        "an activity cancelled that is not there",
        Cause::BadRequestCancelActivityAttributes,
        vec![command(C::RequestCancelActivityTask, A::RequestCancelActivityTaskCommandAttributes(cancel))],
    );
}

/// Answers that are bad as a whole.
fn answers(table: &mut Table) {
    let none = Command { command_type: C::CompleteWorkflowExecution as i32, ..Default::default() };
    bad(table, "a command without its attributes", Cause::BadCompleteWorkflowExecutionAttributes, vec![none]);
    let rejected = Expect { codes: &["InvalidArgument"], text: "", may_write: true };
    let unknown = Command { command_type: 9999, ..Default::default() };
    answered(table, "a command of a type that nobody knows", rejected, vec![unknown]);
    let mixed = Command { command_type: C::StartTimer as i32, ..finish() };
    answered(table, "a command with the attributes of another", rejected, vec![mixed]);
    answered(table, "a command after the end", rejected, vec![finish(), finish()]);
    let either = Expect { codes: &["InvalidArgument", "ResourceExhausted", "Ok"], text: "", may_write: true };
    let many = (0..100_000).map(|_| Command::default()).collect();
    answered(table, "100,000 empty commands", either, many);
    let markers = (0..100_000).map(|_| {
        let attributes = RecordMarkerCommandAttributes { marker_name: "m".into(), ..Default::default() };
        command(C::RecordMarker, A::RecordMarkerCommandAttributes(attributes))
    });
    answered(table, "100,000 markers", either, markers.collect());
    let act = |world: Arc<World>| async move {
        let task = world.workflow_task(&fresh("message")).await;
        let request = complete(|request| {
            request.task_token = task.task_token;
            request.messages =
                vec![protocol::Message { protocol_instance_id: "nobody".into(), ..Default::default() }];
        });
        bad_input_test::grpc::call(&world, &request).await
    };
    table.act("a message of a protocol that nobody speaks", rejected, act);
    let act = |world: Arc<World>| async move {
        let task = world.workflow_task(&fresh("twice")).await;
        let first = world.complete(&task, vec![finish()]);
        let second = world.complete(&task, vec![finish()]);
        let answers = futures::future::join(first, second).await;
        let done = [answers.0, answers.1].into_iter().filter(Result::is_ok).count();
        Answer::from_result(if done == 1 { Ok(()) } else { Err(format!("{done} of two were taken")) })
    };
    table.act("the same answer twice at once", Expect { codes: &["Ok"], text: "", may_write: true }, act);
}

fn answered(table: &mut Table, name: &str, expect: Expect, commands: Vec<Command>) {
    table.act(name, expect, |world: Arc<World>| async move {
        let task = world.workflow_task(&fresh("bad")).await;
        match world.complete(&task, commands).await {
            Ok(()) => Answer::new("Ok", ""),
            Err(answer) => answer,
        }
    });
}

/// Class 4: one more than may be pending.
fn pending(table: &mut Table) {
    const MOST: usize = 2000;
    let activities = (0..MOST).map(|at| schedule(activity(&format!("a{at}"), QUEUE))).collect();
    bad(table, "2,001 activities", Cause::PendingActivitiesLimitExceeded, activities);
    let children = (0..=MOST).map(|_| {
        let attributes = StartChildWorkflowExecutionCommandAttributes {
            workflow_id: fresh("child"),
            workflow_type: Some(workflow_type("Child")),
            task_queue: Some(queue(QUEUE)),
            ..Default::default()
        };
        command(C::StartChildWorkflowExecution, A::StartChildWorkflowExecutionCommandAttributes(attributes))
    });
    bad(table, "2,001 children", Cause::PendingChildWorkflowsLimitExceeded, children.collect());
    let signals = (0..=MOST).map(|_| {
        let attributes = SignalExternalWorkflowExecutionCommandAttributes {
            execution: Some(execution(OPEN)),
            signal_name: "go".into(),
            ..Default::default()
        };
        command(
            C::SignalExternalWorkflowExecution,
            A::SignalExternalWorkflowExecutionCommandAttributes(attributes),
        )
    });
    bad(table, "2,001 signals", Cause::PendingSignalsLimitExceeded, signals.collect());
    let cancels = (0..=MOST).map(|at| {
        let attributes = RequestCancelExternalWorkflowExecutionCommandAttributes {
            workflow_id: format!("nobody-{at}"),
            ..Default::default()
        };
        command(
            C::RequestCancelExternalWorkflowExecution,
            A::RequestCancelExternalWorkflowExecutionCommandAttributes(attributes),
        )
    });
    bad(table, "2,001 cancellations", Cause::PendingRequestCancelLimitExceeded, cancels.collect());
}
