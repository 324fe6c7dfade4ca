//! Batch operations: started, described, listed, stopped, and what they do to workflows.

#![allow(deprecated, reason = "clients still name executions and points of resets in the older way")]

use crate::world::*;
use std::time::Duration;
use steadfast_api::temporal::api::batch::v1::*;
use steadfast_api::v1::command::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes};
use steadfast_api::v1::common::{
    ActivityType, Execution, Header, Priority, ResetOptions, WorkflowExecution, reset_options::Target,
};
use steadfast_api::v1::enums::{
    BatchOperationState as State, BatchOperationType as Type, CommandType, EventType, ResetType,
};
use steadfast_api::v1::errordetails::{
    NotFoundFailure, ResourceExhaustedFailure, WorkflowExecutionAlreadyStartedFailure,
};
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::workflow::WorkflowExecutionOptions;
use steadfast_api::v1::workflowservice::start_batch_operation_request::Operation;
use steadfast_api::v1::workflowservice::*;
use tonic::{Code, Status};

fn batch(job_id: &str, query: &str, operation: Operation) -> StartBatchOperationRequest {
    StartBatchOperationRequest {
        namespace: NAMESPACE.into(),
        job_id: job_id.into(),
        reason: "because".into(),
        visibility_query: query.into(),
        operation: Some(operation),
        ..Default::default()
    }
}

fn terminate() -> Operation {
    Operation::TerminationOperation(BatchOperationTermination {
        identity: "operator".into(),
        details: payloads("details"),
    })
}

fn signal(name: &str) -> Operation {
    Operation::SignalOperation(BatchOperationSignal {
        signal: name.into(),
        input: payloads("input"),
        header: Some(Header::default()),
        identity: "operator".into(),
    })
}

impl World {
    async fn describe_batch(&mut self, job_id: &str) -> Result<DescribeBatchOperationResponse, Status> {
        let request = DescribeBatchOperationRequest { namespace: NAMESPACE.into(), job_id: job_id.into() };
        Ok(self.client.describe_batch_operation(request).await?.into_inner())
    }

    /// Starts it and waits until it is over.
    async fn batch(&mut self, request: StartBatchOperationRequest) -> DescribeBatchOperationResponse {
        let job_id = request.job_id.clone();
        self.client.start_batch_operation(request).await.expect("it starts");
        self.ended(&job_id).await
    }

    async fn ended(&mut self, job_id: &str) -> DescribeBatchOperationResponse {
        for _ in 0..500 {
            let described = self.describe_batch(job_id).await.expect("it is there");
            if described.state() != State::Running {
                return described;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{job_id} does not come to its end");
    }

    async fn stop_batch(&mut self, job_id: &str) -> Result<(), Status> {
        let request = StopBatchOperationRequest {
            namespace: NAMESPACE.into(),
            job_id: job_id.into(),
            reason: "enough".into(),
            identity: "operator".into(),
        };
        self.client.stop_batch_operation(request).await.map(|_| ())
    }

    async fn ids(&mut self, query: &str) -> Vec<String> {
        let request = ListWorkflowExecutionsRequest {
            namespace: NAMESPACE.into(),
            query: query.into(),
            ..Default::default()
        };
        let page = self.client.list_workflow_executions(request).await.expect("a list").into_inner();
        page.executions.into_iter().filter_map(|one| one.execution).map(|one| one.workflow_id).collect()
    }

    async fn last(&mut self, id: &str) -> Event {
        self.history(id).await.pop().and_then(|event| event.attributes).expect("a history has an end")
    }
}

fn counts(described: &DescribeBatchOperationResponse) -> (i64, i64, i64) {
    let d = described;
    (d.total_operation_count, d.complete_operation_count, d.failure_operation_count)
}

#[tokio::test]
async fn everything_that_a_query_finds_is_terminated() {
    let mut world = World::new().await;
    for id in ["a", "b", "c"] {
        world.start(id).await;
    }
    let described = world.batch(batch("job", "WorkflowId != 'c'", terminate())).await;
    assert_eq!(described.state(), State::Completed);
    assert_eq!(counts(&described), (2, 2, 0));
    assert_eq!(described.operation_type(), Type::Terminate);
    assert_eq!(
        (&*described.job_id, &*described.identity, &*described.reason),
        ("job", "operator", "because")
    );
    assert!(described.start_time.is_some() && described.close_time.is_some());
    let Event::WorkflowExecutionTerminatedEventAttributes(end) = world.last("a").await else { panic!() };
    assert_eq!((&*end.reason, &*end.identity, end.details), ("because", "operator", payloads("details")));
    assert_eq!(world.ids("ExecutionStatus = 'Running'").await, ["c"]);
    // Only what runs is found: nothing is left to do for another.
    let again = world.batch(batch("again", "WorkflowId != 'c'", terminate())).await;
    assert_eq!((again.state(), counts(&again)), (State::Completed, (0, 0, 0)));
}

#[tokio::test]
async fn a_list_names_what_is_there_and_what_is_not() {
    let mut world = World::new().await;
    let run_id = world.start("a").await;
    let named = |id: &str, run: &str| WorkflowExecution { workflow_id: id.into(), run_id: run.into() };
    let request = StartBatchOperationRequest {
        executions: vec![named("a", &run_id), named("missing", ""), named("", ""), named("x", "no id")],
        ..batch("job", "", Operation::CancellationOperation(BatchOperationCancellation::default()))
    };
    let described = world.batch(request).await;
    // What is not there needs nothing; what cannot be there is a mistake.
    assert_eq!((described.state(), counts(&described)), (State::Completed, (4, 2, 2)));
    let Event::WorkflowExecutionCancelRequestedEventAttributes(asked) = world.last("a").await else {
        panic!()
    };
    assert_eq!(asked.cause, "");
}

#[tokio::test]
async fn a_signal_comes_once_and_a_deletion_leaves_nothing() {
    let mut world = World::new().await;
    for id in ["a", "b"] {
        world.start(id).await;
    }
    world.batch(batch("signal", "WorkflowType = 'Transfer'", signal("s"))).await;
    let signals =
        |events: &[EventType]| events.iter().filter(|e| **e == EventType::WorkflowExecutionSignaled).count();
    for id in ["a", "b"] {
        assert_eq!(signals(&types(&world.history(id).await)), 1);
    }
    world.work(vec![complete_workflow("done")]).await;
    let delete = Operation::DeletionOperation(BatchOperationDeletion::default());
    let described = world.batch(batch("delete", "WorkflowType = 'Transfer'", delete)).await;
    assert_eq!((described.operation_type(), counts(&described)), (Type::Delete, (2, 2, 0)));
    assert_eq!(world.ids("").await, [""; 0]);
}

#[tokio::test]
async fn workflows_are_reset_to_the_point_that_is_asked_for() {
    let mut world = World::with(|options| options.limits.run_spacing = 0).await;
    let mut reset = async |job: &str, to: BatchOperationReset| {
        let run = world.start(job).await;
        world.work(vec![complete_workflow("wrong")]).await;
        let query = format!("WorkflowId = '{job}'");
        let described = world.batch(batch(job, &query, Operation::ResetOperation(to))).await;
        let info = world.describe(job).await.unwrap().workflow_execution_info.unwrap();
        let is_new = info.execution.unwrap().run_id != run;
        let described = (described.operation_type(), counts(&described), is_new);
        let reason = world.history(job).await.into_iter().find_map(|event| match event.attributes {
            Some(Event::WorkflowTaskFailedEventAttributes(failed)) => failed.failure.map(|one| one.message),
            _ => None,
        });
        if is_new {
            world.work(vec![complete_workflow("right")]).await;
        }
        (described, reason)
    };
    let to = |target| BatchOperationReset {
        options: Some(ResetOptions { target: Some(target), ..Default::default() }),
        ..Default::default()
    };
    let done = ((Type::Reset, (1, 1, 0), true), Some("because".to_owned()));
    let legacy = BatchOperationReset { reset_type: ResetType::LastWorkflowTask as i32, ..Default::default() };
    assert_eq!(reset("first", to(Target::FirstWorkflowTask(()))).await, done);
    assert_eq!(reset("last", to(Target::LastWorkflowTask(()))).await, done);
    assert_eq!(reset("id", to(Target::WorkflowTaskId(4))).await, done);
    assert_eq!(reset("legacy", legacy).await, done);
    assert_eq!(reset("build", to(Target::BuildId(String::new()))).await, done);
    let failed = ((Type::Reset, (1, 0, 1), false), None);
    assert_eq!(reset("unknown", to(Target::BuildId("unknown".into()))).await, failed);
}

#[tokio::test]
async fn options_and_activities_are_changed() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![schedule("one", "A"), schedule("two", "B")]).await;
    let pause = PauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("a")),
        activity: Some(pause_activity_request::Activity::Type("A".into())),
        ..Default::default()
    };
    world.client.pause_activity(pause.clone()).await.unwrap();
    let pending = async |world: &mut World| world.describe("a").await.unwrap().pending_activities;
    assert!(pending(&mut world).await.iter().any(|one| one.paused));
    // The query is not looked at: everything that has such a paused activity is found.
    let unpause = BatchOperationUnpauseActivities {
        activity: Some(batch_operation_unpause_activities::Activity::Type("A".into())),
        ..Default::default()
    };
    let unpause = Operation::UnpauseActivitiesOperation(unpause);
    let described = world.batch(batch("unpause", "WorkflowId = 'other'", unpause)).await;
    assert_eq!((described.operation_type(), counts(&described)), (Type::UnpauseActivity, (1, 1, 0)));
    assert!(pending(&mut world).await.iter().all(|one| !one.paused));

    let options = BatchOperationUpdateActivityOptions {
        activity: Some(batch_operation_update_activity_options::Activity::MatchAll(true)),
        activity_options: Some(steadfast_api::v1::activity::ActivityOptions {
            heartbeat_timeout: Some(prost_types::Duration { seconds: 7, nanos: 0 }),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["heartbeat_timeout".into()] }),
        ..Default::default()
    };
    let options = Operation::UpdateActivityOptionsOperation(options);
    let described = world.batch(batch("activities", "WorkflowId = 'a'", options)).await;
    assert_eq!((described.operation_type(), counts(&described)), (Type::UpdateActivityOptions, (1, 1, 0)));
    let seconds = |one: &steadfast_api::v1::workflow::PendingActivityInfo| {
        one.activity_options.as_ref().and_then(|all| all.heartbeat_timeout).map(|time| time.seconds)
    };
    assert!(pending(&mut world).await.iter().all(|one| seconds(one) == Some(7)));

    let reset = BatchOperationResetActivities {
        activity: Some(batch_operation_reset_activities::Activity::Type("B".into())),
        restore_original_options: true,
        ..Default::default()
    };
    let reset = Operation::ResetActivitiesOperation(reset);
    let described = world.batch(batch("reset", "WorkflowId = 'a'", reset)).await;
    assert_eq!((described.operation_type(), counts(&described)), (Type::ResetActivity, (1, 1, 0)));
    let mut left: Vec<_> = pending(&mut world).await.iter().map(seconds).collect();
    left.sort();
    assert_eq!(left, [Some(0), Some(7)]);

    let options = BatchOperationUpdateWorkflowExecutionOptions {
        workflow_execution_options: Some(WorkflowExecutionOptions {
            priority: Some(Priority { priority_key: 2, ..Default::default() }),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["priority".into()] }),
        ..Default::default()
    };
    let options = Operation::UpdateWorkflowOptionsOperation(options);
    let described = world.batch(batch("options", "WorkflowId = 'a'", options)).await;
    assert_eq!((described.operation_type(), counts(&described)), (Type::UpdateExecutionOptions, (1, 1, 0)));
    let Event::WorkflowExecutionOptionsUpdatedEventAttributes(update) = world.last("a").await else {
        panic!()
    };
    assert_eq!(update.priority.map(|priority| priority.priority_key), Some(2));
}

fn schedule(id: &str, name: &str) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: name.into() }),
        task_queue: Some(queue(QUEUE)),
        start_to_close_timeout: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
        ..Default::default()
    };
    let attributes = Attributes::ScheduleActivityTaskCommandAttributes(attributes);
    command(CommandType::ScheduleActivityTask, attributes)
}

#[tokio::test]
async fn one_runs_at_a_time_is_listed_and_can_be_stopped() {
    let mut world = World::new().await;
    for number in 0..4 {
        world.start(&format!("w{number}")).await;
    }
    let all = "WorkflowType = 'Transfer'";
    // At a second and more between two it does not come to its end by itself here.
    let slow =
        StartBatchOperationRequest { max_operations_per_second: 0.5, ..batch("slow", all, signal("s")) };
    world.client.start_batch_operation(slow.clone()).await.unwrap();
    let refused = world.client.start_batch_operation(batch("next", all, terminate())).await.unwrap_err();
    let (code, message) = (Code::ResourceExhausted, "Max concurrent batch operations is reached");
    assert_eq!((refused.code(), refused.message()), (code, message));
    let why: ResourceExhaustedFailure = detail(&refused, "ResourceExhaustedFailure");
    assert_eq!(
        (why.cause().as_str_name(), why.scope().as_str_name()),
        ("RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT", "RESOURCE_EXHAUSTED_SCOPE_NAMESPACE",)
    );
    let mut running = world.describe_batch("slow").await.unwrap();
    while running.complete_operation_count == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        running = world.describe_batch("slow").await.unwrap();
    }
    assert_eq!((running.state(), counts(&running)), (State::Running, (4, 1, 0)));
    assert_eq!(running.close_time, None);

    world.stop_batch("slow").await.unwrap();
    let stopped = world.describe_batch("slow").await.unwrap();
    assert_eq!((stopped.state(), counts(&stopped)), (State::Failed, (4, 1, 0)));
    let refused = world.stop_batch("slow").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "workflow execution already completed"));
    let _: NotFoundFailure = detail(&refused, "NotFoundFailure");
    let refused = world.client.start_batch_operation(slow).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().ends_with("Workflow Id reuse policy: reject duplicate workflow Id."));
    let taken: WorkflowExecutionAlreadyStartedFailure =
        detail(&refused, "WorkflowExecutionAlreadyStartedFailure");
    assert!(!taken.run_id.is_empty() && !taken.start_request_id.is_empty());

    world.batch(batch("next", all, terminate())).await;
    let list = ListBatchOperationsRequest { namespace: NAMESPACE.into(), page_size: 1, ..Default::default() };
    let page = world.client.list_batch_operations(list.clone()).await.unwrap().into_inner();
    let next = ListBatchOperationsRequest { next_page_token: page.next_page_token, ..list };
    let last = world.client.list_batch_operations(next).await.unwrap().into_inner();
    let of = |one: &BatchOperationInfo| (one.job_id.clone(), one.state(), one.close_time.is_some());
    assert_eq!(
        page.operation_info.iter().map(of).collect::<Vec<_>>(),
        [("next".into(), State::Completed, true)]
    );
    assert_eq!(
        last.operation_info.iter().map(of).collect::<Vec<_>>(),
        [("slow".into(), State::Failed, true)]
    );
}

#[tokio::test]
async fn batches_are_hidden_among_workflows_until_their_division_is_asked_for() {
    let mut world = World::new().await;
    world.start("a").await;
    world.batch(batch("job", "WorkflowId = 'a'", signal("s"))).await;
    assert_eq!(world.ids("").await, ["a"]);
    assert_eq!(world.ids("TemporalNamespaceDivision = 'TemporalBatcher'").await, ["job"]);
    assert_eq!(
        world.ids("BatcherUser = 'operator' AND TemporalNamespaceDivision IS NOT NULL").await,
        ["job"]
    );
    let both = "TemporalNamespaceDivision IS NULL OR TemporalNamespaceDivision = 'TemporalBatcher'";
    assert_eq!(world.ids(both).await, ["a", "job"]);
    let count = CountWorkflowExecutionsRequest { namespace: NAMESPACE.into(), query: both.into() };
    assert_eq!(world.client.count_workflow_executions(count).await.unwrap().into_inner().count, 2);
}

#[tokio::test]
async fn a_query_that_means_nothing_makes_the_job_fail() {
    let mut world = World::new().await;
    for query in ["Nobody = 'x'", "WorkflowId = 'x' ORDER BY StartTime"] {
        let described = world.batch(batch(query, query, terminate())).await;
        assert_eq!((described.state(), counts(&described)), (State::Failed, (0, 0, 0)), "{query}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_until_all_are_done() {
    let mut world = World::with(|options| {
        options.limits.batch_page = 3;
        options.limits.batch_operations_per_second = 10_000;
    })
    .await;
    for number in 0..10 {
        world.start(&format!("w{number}")).await;
    }
    let described = world.batch(batch("job", "WorkflowType = 'Transfer'", signal("s"))).await;
    assert_eq!((described.state(), counts(&described)), (State::Completed, (10, 10, 0)));
    for number in 0..10 {
        let events = types(&world.history(&format!("w{number}")).await);
        let signals = events.iter().filter(|kind| **kind == EventType::WorkflowExecutionSignaled).count();
        assert_eq!(signals, 1, "w{number}");
    }
}

#[tokio::test]
async fn a_job_goes_on_after_a_restart() {
    use steadfast_server::serve::StoreChoice;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steadfast.db");
    let store = || StoreChoice::File { path: path.clone(), pragmas: Vec::new() };
    let mut world = World::with(|options| options.store = store()).await;
    for number in 0..3 {
        world.start(&format!("w{number}")).await;
    }
    let slow = StartBatchOperationRequest {
        max_operations_per_second: 1.0,
        ..batch("job", "WorkflowType = 'Transfer'", signal("s"))
    };
    world.client.start_batch_operation(slow).await.unwrap();
    world.running.stop().await;
    let mut world = World::with(|options| options.store = store()).await;
    let described = world.ended("job").await;
    assert_eq!((described.state(), counts(&described)), (State::Completed, (3, 3, 0)));
    for number in 0..3 {
        let events = types(&world.history(&format!("w{number}")).await);
        let signals = events.iter().filter(|kind| **kind == EventType::WorkflowExecutionSignaled).count();
        assert_eq!(signals, 1, "w{number}");
    }
}

type Change = fn(&mut StartBatchOperationRequest);

#[tokio::test]
async fn starts_are_refused_in_the_words_of_the_reference() {
    let mut world = World::new().await;
    let missing = "must provide required parameters: BatchType/Reason/Namespace/Query/Executions";
    let neither = "Either activity type must be set, or match all should be set to true";
    let cases: &[(Change, &str)] = &[
        (|r| r.namespace = String::new(), "Namespace is empty."),
        (|r| r.operation = None, missing),
        (|r| r.reason = String::new(), missing),
        (|r| r.visibility_query = String::new(), missing),
        // What the reference does not know yet does not count.
        (
            |r| {
                r.visibility_query = String::new();
                r.target_executions = vec![Execution::default()];
            },
            missing,
        ),
        (|r| r.operation = Some(Operation::CancelActivitiesOperation(Default::default())), missing),
        (|r| r.operation = Some(Operation::TerminateActivitiesOperation(Default::default())), missing),
        (|r| r.operation = Some(Operation::DeleteActivitiesOperation(Default::default())), missing),
        (|r| r.job_id = String::new(), "JobId is not set on request."),
        (
            |r| r.executions = vec![WorkflowExecution::default()],
            "batch query and executions are mutually exclusive",
        ),
        (|r| r.operation = Some(Operation::SignalOperation(Default::default())), "must provide signal name"),
        (
            |r| r.operation = Some(Operation::UpdateWorkflowOptionsOperation(Default::default())),
            "must provide UpdateOptions",
        ),
        (
            |r| {
                let options = BatchOperationUpdateWorkflowExecutionOptions {
                    workflow_execution_options: Some(Default::default()),
                    ..Default::default()
                };
                r.operation = Some(Operation::UpdateWorkflowOptionsOperation(options));
            },
            "must provide UpdateMask",
        ),
        (
            |r| r.operation = Some(Operation::ResetOperation(Default::default())),
            "unknown batch reset type Unspecified",
        ),
        (
            |r| {
                let reset = BatchOperationReset { reset_type: 99, ..Default::default() };
                r.operation = Some(Operation::ResetOperation(reset));
            },
            "unknown batch reset type 99",
        ),
        (
            |r| {
                let reset = BatchOperationReset { options: Some(Default::default()), ..Default::default() };
                r.operation = Some(Operation::ResetOperation(reset));
            },
            "batch reset missing target",
        ),
        (
            |r| r.operation = Some(Operation::UnpauseActivitiesOperation(Default::default())),
            "activity filter must be set",
        ),
        (
            |r| {
                let activity = Some(batch_operation_unpause_activities::Activity::MatchAll(false));
                let unpause = BatchOperationUnpauseActivities { activity, ..Default::default() };
                r.operation = Some(Operation::UnpauseActivitiesOperation(unpause));
            },
            neither,
        ),
        (
            |r| r.operation = Some(Operation::ResetActivitiesOperation(Default::default())),
            "must provide ActivityType or MatchAll",
        ),
        (
            |r| {
                let activity = Some(batch_operation_reset_activities::Activity::Type(String::new()));
                let reset = BatchOperationResetActivities { activity, ..Default::default() };
                r.operation = Some(Operation::ResetActivitiesOperation(reset));
            },
            neither,
        ),
        (
            |r| r.operation = Some(Operation::UpdateActivityOptionsOperation(Default::default())),
            "Either activity type must be set, or restore original should be set to true",
        ),
        (
            |r| {
                let options = BatchOperationUpdateActivityOptions {
                    activity_options: Some(Default::default()),
                    restore_original: true,
                    ..Default::default()
                };
                r.operation = Some(Operation::UpdateActivityOptionsOperation(options));
            },
            "cannot set both activity options and restore original",
        ),
        (
            |r| r.visibility_query = "()".into(),
            "invalid visibility query: syntax error at position 2 near ')'",
        ),
        (|r| r.visibility_query = "   ".into(), "invalid visibility query: syntax error at position 4"),
        (
            |r| r.visibility_query = "foo bar".into(),
            "invalid visibility query: syntax error at position 5 near 'bar'",
        ),
        (
            |r| r.visibility_query = "WorkflowType='x') OR (1=1".into(),
            "invalid visibility query: syntax error at position 17 near ')'",
        ),
    ];
    for (change, message) in cases {
        let mut request = batch("job", "WorkflowId = 'a'", terminate());
        change(&mut request);
        let refused = world.client.start_batch_operation(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, *message));
    }
    let nowhere = StartBatchOperationRequest { namespace: "nope".into(), ..batch("job", "", terminate()) };
    let refused = world.client.start_batch_operation(nowhere).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "Namespace nope is not found."));
}

#[tokio::test]
async fn jobs_that_are_not_there_and_switches_that_are_off() {
    let mut world = World::new().await;
    let unknown = "workflow not found for ID: nope";
    let refused = world.describe_batch("nope").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, unknown));
    let refused = world.stop_batch("nope").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, unknown));
    let nameless = "JobId is not set on request.";
    assert_eq!(world.describe_batch("").await.unwrap_err().message(), nameless);
    assert_eq!(world.stop_batch("").await.unwrap_err().message(), nameless);
    let stop = StopBatchOperationRequest {
        namespace: NAMESPACE.into(),
        job_id: "nope".into(),
        ..Default::default()
    };
    let refused = world.client.stop_batch_operation(stop).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "Reason is not set on request."));

    let mut world = World::with(|options| options.limits.batches = false).await;
    let off = (Code::PermissionDenied, "Batch operation feature are disabled on this namespace.");
    let list = ListBatchOperationsRequest { namespace: NAMESPACE.into(), ..Default::default() };
    for refused in [
        world.client.start_batch_operation(batch("", "", terminate())).await.unwrap_err(),
        world.describe_batch("nope").await.unwrap_err(),
        world.stop_batch("nope").await.unwrap_err(),
        world.client.list_batch_operations(list).await.unwrap_err(),
    ] {
        assert_eq!((refused.code(), refused.message()), off);
    }
    let skipping = PollWorkflowExecutionTimeSkippingRequest::default();
    let refused = world.client.poll_workflow_execution_time_skipping(skipping).await.unwrap_err();
    let service = "temporal.api.workflowservice.v1.WorkflowService";
    let unknown = format!("unknown method PollWorkflowExecutionTimeSkipping for service {service}");
    assert_eq!((refused.code(), refused.message()), (Code::Unimplemented, &*unknown));
}
