//! What is read of a run: its description, its events and its row in lists, field by field where a field is easily
//! forgotten.

use crate::world::*;
use bytes::Bytes;
use steadfast_api::v1::command::{
    Command, ContinueAsNewWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
    StartTimerCommandAttributes, UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes,
};
use steadfast_api::v1::common::{ActivityType, Memo, Payload, SearchAttributes, WorkflowExecution};
use steadfast_api::v1::enums::{CommandType, EventType, PendingWorkflowTaskState};
use steadfast_api::v1::failure::{ApplicationFailureInfo, Failure, failure::FailureInfo};
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::workflow::PendingActivityInfo;
use steadfast_api::v1::workflowservice::*;

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn activity() -> Command {
    command(
        CommandType::ScheduleActivityTask,
        Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: "withdraw".into(),
            activity_type: Some(ActivityType { name: "Withdraw".into() }),
            task_queue: Some(queue(QUEUE)),
            start_to_close_timeout: seconds(10),
            ..Default::default()
        }),
    )
}

fn keyword(word: &str) -> SearchAttributes {
    let metadata = [("encoding".to_owned(), Bytes::from_static(b"json/plain"))].into();
    let payload = Payload { metadata, data: Bytes::from(format!("\"{word}\"")), ..Payload::default() };
    SearchAttributes { indexed_fields: [("CustomKeyword".to_owned(), payload)].into() }
}

/// The type that a payload of the attribute names.
fn kind(attributes: Option<&SearchAttributes>) -> &str {
    let payload = attributes.and_then(|all| all.indexed_fields.get("CustomKeyword")).expect("it is set");
    let kind = payload.metadata.get("type").map(|kind| std::str::from_utf8(kind).expect("it is text"));
    kind.unwrap_or("none")
}

async fn pending(world: &mut World, id: &str) -> PendingActivityInfo {
    world.describe(id).await.unwrap().pending_activities.remove(0)
}

async fn listed(world: &mut World, query: &str) -> Vec<String> {
    let request = ListWorkflowExecutionsRequest {
        namespace: NAMESPACE.into(),
        query: query.into(),
        ..Default::default()
    };
    let rows = world.client.list_workflow_executions(request).await.unwrap().into_inner().executions;
    rows.into_iter().map(|row| row.execution.expect("it is set").workflow_id).collect()
}

#[tokio::test]
async fn timeouts_that_a_run_does_not_have_are_absent() {
    let mut world = World::new().await;
    world.start("none").await;
    let described = world.describe("none").await.unwrap();
    let config = described.execution_config.unwrap();
    assert_eq!((config.workflow_execution_timeout, config.workflow_run_timeout), (None, None));
    let extended = described.workflow_extended_info.unwrap();
    assert_eq!(extended.execution_expiration_time, None);
    // This one is the year 1 instead, on the reference too.
    assert_eq!(extended.run_expiration_time.unwrap().seconds, -62_135_596_800);

    let timed = StartWorkflowExecutionRequest { workflow_execution_timeout: seconds(60), ..start("timed") };
    world.client.start_workflow_execution(timed).await.unwrap();
    let described = world.describe("timed").await.unwrap();
    let config = described.execution_config.unwrap();
    assert_eq!((config.workflow_execution_timeout, config.workflow_run_timeout), (seconds(60), seconds(60)));
    assert!(described.workflow_extended_info.unwrap().execution_expiration_time.is_some());

    // One that was named shows, be it zero, in the run and in those that follow it.
    let zero = StartWorkflowExecutionRequest {
        workflow_execution_timeout: seconds(0),
        memo: Some(Memo::default()),
        ..start("zero")
    };
    world.client.start_workflow_execution(zero).await.unwrap();
    for run_timeout in [None, seconds(0)] {
        let config = world.describe("zero").await.unwrap().execution_config.unwrap();
        let shown = (config.workflow_execution_timeout, config.workflow_run_timeout);
        assert_eq!(shown, (seconds(0), run_timeout));
        let first = world.history("zero").await.remove(0);
        let Some(Event::WorkflowExecutionStartedEventAttributes(started)) = first.attributes else {
            panic!("the first event is the start");
        };
        let shown = (started.workflow_execution_timeout, started.workflow_run_timeout, started.memo);
        assert_eq!(shown, (seconds(0), run_timeout, None));
        if run_timeout.is_none() {
            continue_as_new(&mut world, "zero").await;
        }
    }
}

/// Lets a worker take tasks until it has one of this workflow, which continues as new.
async fn continue_as_new(world: &mut World, id: &str) {
    let again = ContinueAsNewWorkflowExecutionCommandAttributes::default();
    let again = Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(again);
    let again = command(CommandType::ContinueAsNewWorkflowExecution, again);
    loop {
        let task = world.poll().await;
        if task.workflow_execution.as_ref().is_some_and(|run| run.workflow_id == id) {
            world.complete(&task, vec![again]).await.unwrap();
            return;
        }
    }
}

/// What nobody had begun when a run was ended is shown as it was left.
#[tokio::test]
async fn a_run_that_was_ended_shows_what_it_left_behind() {
    let mut world = World::new().await;
    let delayed = StartWorkflowExecutionRequest { workflow_start_delay: seconds(60), ..start("delayed") };
    world.client.start_workflow_execution(delayed).await.unwrap();
    world.start("waiting").await;
    for id in ["delayed", "waiting"] {
        let terminate = TerminateWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            workflow_execution: Some(execution(id)),
            ..Default::default()
        };
        world.client.terminate_workflow_execution(terminate).await.unwrap();
    }
    let waiting = world.describe("waiting").await.unwrap();
    let task = waiting.pending_workflow_task.expect("nobody had taken it");
    assert_eq!((task.state(), task.attempt), (PendingWorkflowTaskState::Scheduled, 1));
    let delayed = world.describe("delayed").await.unwrap();
    assert_eq!(delayed.pending_workflow_task, None);
    // It ended a minute before it was to begin.
    let lasted = delayed.workflow_execution_info.unwrap().execution_duration.unwrap();
    assert!((-60..=-58).contains(&lasted.seconds) && lasted.nanos <= 0, "{lasted:?}");
}

/// The points that a chain can be reset to expire with the run that they are of, which shows in that one, too.
#[tokio::test]
async fn reset_points_of_a_run_that_continued_say_when_they_expire() {
    let mut world = World::new().await;
    let first = world.start("a").await;
    continue_as_new(&mut world, "a").await;
    let old = WorkflowExecution { workflow_id: "a".into(), run_id: first.clone() };
    for run in [old, execution("a")] {
        let request = DescribeWorkflowExecutionRequest { namespace: NAMESPACE.into(), execution: Some(run) };
        let info = world.client.describe_workflow_execution(request).await.unwrap().into_inner();
        let points = info.workflow_execution_info.unwrap().auto_reset_points.unwrap().points;
        assert_eq!((points.len(), &points[0].run_id), (1, &first));
        assert!(points[0].expire_time.is_some());
    }
}

#[tokio::test]
async fn search_attributes_tell_their_types_wherever_they_are_read() {
    let mut world = World::new().await;
    let request = StartWorkflowExecutionRequest { search_attributes: Some(keyword("one")), ..start("a") };
    world.client.start_workflow_execution(request).await.unwrap();
    let upsert = command(
        CommandType::UpsertWorkflowSearchAttributes,
        Attributes::UpsertWorkflowSearchAttributesCommandAttributes(
            UpsertWorkflowSearchAttributesCommandAttributes { search_attributes: Some(keyword("two")) },
        ),
    );
    world.work(vec![upsert]).await;
    let mut seen = 0;
    for event in world.history("a").await {
        match event.attributes {
            Some(Event::WorkflowExecutionStartedEventAttributes(started)) => {
                assert_eq!(kind(started.search_attributes.as_ref()), "Keyword");
                seen += 1;
            }
            Some(Event::UpsertWorkflowSearchAttributesEventAttributes(upserted)) => {
                assert_eq!(kind(upserted.search_attributes.as_ref()), "Keyword");
                seen += 1;
            }
            _ => {}
        }
    }
    assert_eq!(seen, 2);
    let request = ListWorkflowExecutionsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let row = world.client.list_workflow_executions(request).await.unwrap().into_inner().executions.remove(0);
    assert_eq!(kind(row.search_attributes.as_ref()), "Keyword");
}

#[tokio::test]
async fn a_heartbeat_leaves_its_time_to_the_next_attempt_and_not_its_sender() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![activity()]).await;
    let task = world.poll_activity().await;
    let worker = pending(&mut world, "a").await.last_worker_identity;
    let beat = RecordActivityTaskHeartbeatRequest {
        namespace: NAMESPACE.into(),
        task_token: task.task_token.clone(),
        details: payloads("half"),
        identity: "somebody else".into(),
        ..Default::default()
    };
    world.client.record_activity_task_heartbeat(beat).await.unwrap();
    let beating = pending(&mut world, "a").await;
    assert_eq!(beating.last_worker_identity, worker);
    assert!(beating.last_heartbeat_time.is_some());
    let failed = RespondActivityTaskFailedRequest {
        namespace: NAMESPACE.into(),
        task_token: task.task_token,
        failure: Some(Failure {
            message: "not now".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo::default())),
            ..Default::default()
        }),
        ..Default::default()
    };
    world.client.respond_activity_task_failed(failed).await.unwrap();
    let waiting = pending(&mut world, "a").await;
    assert_eq!((waiting.attempt, waiting.last_heartbeat_time), (2, beating.last_heartbeat_time));
    let queue = waiting.activity_options.unwrap().task_queue.unwrap();
    assert_eq!((queue.name.as_str(), queue.normal_name.as_str(), queue.kind), (QUEUE, QUEUE, 0));
}

#[tokio::test]
async fn lists_find_what_is_paused_until_it_goes_on() {
    let mut world = World::with(|options| options.limits.workflow_pause = true).await;
    for id in ["workflow", "activity"] {
        world.start(id).await;
        world.work(vec![activity()]).await;
    }
    let pause = PauseWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "workflow".into(),
        reason: "lunch".into(),
        ..Default::default()
    };
    world.client.pause_workflow_execution(pause).await.unwrap();
    let pause = PauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("activity")),
        activity: Some(pause_activity_request::Activity::Type("Withdraw".into())),
        ..Default::default()
    };
    world.client.pause_activity(pause).await.unwrap();
    for (word, id) in [
        ("Workflow:workflow", "workflow"),
        ("Reason:lunch", "workflow"),
        ("property:activityType=Withdraw", "activity"),
    ] {
        assert_eq!(listed(&mut world, &format!("TemporalPauseInfo = '{word}'")).await, [id], "{word}");
    }
    // Without a reason there is nothing to find it by.
    world.start("silent").await;
    let pause = PauseWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "silent".into(),
        ..Default::default()
    };
    world.client.pause_workflow_execution(pause).await.unwrap();
    assert_eq!(listed(&mut world, "TemporalPauseInfo = 'Workflow:silent'").await, ["silent"]);
    assert_eq!(listed(&mut world, "TemporalPauseInfo = 'Reason:'").await, [""; 0]);
    let unpause = UnpauseWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "silent".into(),
        ..Default::default()
    };
    world.client.unpause_workflow_execution(unpause).await.unwrap();
    // Workers that do not know these events go on.
    let events = world.history("workflow").await;
    let paused = events.iter().find(|event| event.event_type() == EventType::WorkflowExecutionPaused);
    assert!(paused.expect("it is paused").worker_may_ignore);

    let unpause = UnpauseWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "workflow".into(),
        ..Default::default()
    };
    let nameless = UnpauseWorkflowExecutionRequest { workflow_id: String::new(), ..unpause.clone() };
    let refused = world.client.unpause_workflow_execution(nameless).await.unwrap_err();
    assert_eq!(refused.message(), "Can't load workflow execution.  WorkflowId not set.");
    world.client.unpause_workflow_execution(unpause).await.unwrap();
    let unpause = UnpauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("activity")),
        activity: Some(unpause_activity_request::Activity::UnpauseAll(true)),
        ..Default::default()
    };
    world.client.unpause_activity(unpause).await.unwrap();
    assert_eq!(listed(&mut world, "TemporalPauseInfo IS NOT NULL").await, [""; 0]);
}

#[tokio::test]
async fn a_task_that_the_server_fails_names_no_source() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let timer = command(
        CommandType::StartTimer,
        Attributes::StartTimerCommandAttributes(StartTimerCommandAttributes::default()),
    );
    world.complete(&task, vec![timer]).await.unwrap_err();
    let failed = world.history("a").await.into_iter().find_map(|event| match event.attributes {
        Some(Event::WorkflowTaskFailedEventAttributes(failed)) => failed.failure,
        _ => None,
    });
    let failure = failed.expect("the task failed");
    assert_eq!(failure.source, "");
    assert!(matches!(failure.failure_info, Some(FailureInfo::ServerFailureInfo(_))));
}

/// The keywords of a search attribute, as they are written.
async fn keywords(world: &mut World, id: &str, name: &str) -> String {
    let info = world.describe(id).await.unwrap().workflow_execution_info.unwrap();
    let attributes = info.search_attributes.unwrap_or_default();
    let data = attributes.indexed_fields.get(name).map(|payload| payload.data.to_vec());
    String::from_utf8(data.unwrap_or_default()).expect("it is text")
}

/// Old workers tell of a checksum of their binary; lists find the runs that it worked on.
#[tokio::test]
#[expect(deprecated, reason = "old workers send it")]
async fn a_run_names_the_builds_that_worked_on_it() {
    let mut world = World::new().await;
    world.start("a").await;
    for binary in ["b1", "b1", "b2"] {
        let task = world.poll().await;
        let request = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.into(),
            task_token: task.task_token,
            binary_checksum: binary.into(),
            ..Default::default()
        };
        world.client.respond_workflow_task_completed(request).await.unwrap();
        world.signal("a", "again").await.unwrap();
    }
    assert_eq!(keywords(&mut world, "a", "BinaryChecksums").await, r#"["b1","b2"]"#);
    assert_eq!(keywords(&mut world, "a", "BuildIds").await, r#"["unversioned"]"#);
    assert_eq!(listed(&mut world, "BinaryChecksums = 'b2'").await, ["a"]);

    // Another run of the chain is worked on by who works on it.
    let again = ContinueAsNewWorkflowExecutionCommandAttributes::default();
    let again = Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(again);
    world.work(vec![command(CommandType::ContinueAsNewWorkflowExecution, again)]).await;
    assert_eq!(keywords(&mut world, "a", "BuildIds").await, "");
    world.work(Vec::new()).await;
    assert_eq!(keywords(&mut world, "a", "BuildIds").await, r#"["unversioned"]"#);
}
