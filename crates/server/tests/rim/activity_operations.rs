//! What operators do to one activity: a standalone one, or one of a workflow by the same requests.

use crate::world::*;
use prost_types::FieldMask;
use steadfast_api::v1::activity::{ActivityExecutionInfo, ActivityOptions};
use steadfast_api::v1::command::{ScheduleActivityTaskCommandAttributes, command::Attributes};
use steadfast_api::v1::common::ActivityType;
use steadfast_api::v1::enums::{
    ActivityExecutionStatus as Status, CommandType, PendingActivityState as State,
};
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

async fn with_operations() -> World {
    World::with(|options| options.limits.activity_operations = true).await
}

fn start_activity(id: &str) -> StartActivityExecutionRequest {
    StartActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "Withdraw".into() }),
        task_queue: Some(queue(QUEUE)),
        start_to_close_timeout: seconds(30),
        ..Default::default()
    }
}

fn pause(id: &str) -> PauseActivityExecutionRequest {
    PauseActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        identity: "operator".into(),
        reason: "the bank is closed".into(),
        ..Default::default()
    }
}

fn unpause(id: &str) -> UnpauseActivityExecutionRequest {
    UnpauseActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        ..Default::default()
    }
}

fn reset(id: &str) -> ResetActivityExecutionRequest {
    ResetActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        reset_heartbeat: true,
        ..Default::default()
    }
}

fn new_options(id: &str, paths: &[&str], options: ActivityOptions) -> UpdateActivityExecutionOptionsRequest {
    UpdateActivityExecutionOptionsRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        activity_options: Some(options),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    }
}

impl World {
    async fn info(&mut self, id: &str) -> ActivityExecutionInfo {
        let request = DescribeActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            activity_id: id.into(),
            include_heartbeat_details: true,
            ..Default::default()
        };
        let described = self.client.describe_activity_execution(request).await.expect("it is there");
        described.into_inner().info.expect("it is described")
    }

    async fn count(&mut self, query: &str) -> i64 {
        let request = CountActivityExecutionsRequest { namespace: NAMESPACE.into(), query: query.into() };
        self.client.count_activity_executions(request).await.expect("they are counted").into_inner().count
    }
}

#[tokio::test]
async fn operations_on_standalone_activities_are_off_until_they_are_switched_on() {
    let mut world = World::new().await;
    world.client.start_activity_execution(start_activity("a")).await.unwrap();
    let refused = world.client.pause_activity_execution(pause("a")).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unimplemented, "Standalone activity operator commands are disabled")
    );
}

#[tokio::test]
async fn a_standalone_activity_is_paused_and_unpaused() {
    let mut world = with_operations().await;
    world.client.start_activity_execution(start_activity("a")).await.unwrap();
    world.client.pause_activity_execution(pause("a")).await.unwrap();
    let info = world.info("a").await;
    assert_eq!((info.status, info.run_state), (Status::Paused as i32, State::Paused as i32));
    assert_eq!(world.count("ExecutionStatus = 'Paused'").await, 1);
    let again = world.client.pause_activity_execution(pause("a")).await.unwrap_err();
    assert_eq!(
        (again.code(), again.message()),
        (Code::FailedPrecondition, "activity is in non-pausable state Paused")
    );
    world.client.unpause_activity_execution(unpause("a")).await.unwrap();
    let task = world.poll_activity().await;
    assert_eq!((task.activity_id.as_str(), task.attempt), ("a", 1));

    // While it runs, the worker hears of it.
    world.client.pause_activity_execution(pause("a")).await.unwrap();
    let beat = RecordActivityTaskHeartbeatRequest {
        task_token: task.task_token.clone(),
        details: payloads("1"),
        ..Default::default()
    };
    let told = world.client.record_activity_task_heartbeat(beat.clone()).await.unwrap().into_inner();
    assert!(told.activity_paused && !told.activity_reset && !told.cancel_requested);
    let info = world.info("a").await;
    assert_eq!((info.status, info.run_state), (Status::Running as i32, State::PauseRequested as i32));

    // A reset takes the pause away and gives the next attempt the first number.
    world.client.reset_activity_execution(reset("a")).await.unwrap();
    let told = world.client.record_activity_task_heartbeat(beat).await.unwrap().into_inner();
    assert!(!told.activity_paused && told.activity_reset);
    let fail = RespondActivityTaskFailedRequest { task_token: task.task_token, ..Default::default() };
    world.client.respond_activity_task_failed(fail).await.unwrap();
    let task = world.poll_activity().await;
    assert_eq!((task.attempt, task.heartbeat_details), (1, None));
}

#[tokio::test]
async fn options_of_a_standalone_activity_are_changed_and_restored() {
    let mut world = with_operations().await;
    world.client.start_activity_execution(start_activity("a")).await.unwrap();
    let longer = ActivityOptions {
        start_to_close_timeout: seconds(60),
        heartbeat_timeout: seconds(5),
        ..Default::default()
    };
    let request = new_options("a", &["startToCloseTimeout", "heartbeat_timeout"], longer);
    let updated = world.client.update_activity_execution_options(request).await.unwrap().into_inner();
    let options = updated.activity_options.unwrap();
    assert_eq!((options.start_to_close_timeout, options.heartbeat_timeout), (seconds(60), seconds(5)));
    assert_eq!(world.poll_activity().await.heartbeat_timeout, seconds(5));
    let restore = UpdateActivityExecutionOptionsRequest {
        namespace: NAMESPACE.into(),
        activity_id: "a".into(),
        restore_original: true,
        ..Default::default()
    };
    world.client.update_activity_execution_options(restore).await.unwrap();
    assert_eq!(world.info("a").await.start_to_close_timeout, seconds(30));
    for (request, message) in [
        (new_options("a", &["input"], ActivityOptions::default()), "unsupported update_mask path: \"input\""),
        (new_options("a", &[], ActivityOptions::default()), "UpdateMask must specify at least one path"),
        (
            new_options("a", &["priority.priority_key"], ActivityOptions::default()),
            "Priority is not provided",
        ),
        (new_options("", &["priority"], ActivityOptions::default()), "activity ID is required"),
    ] {
        let refused = world.client.update_activity_execution_options(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, message));
    }
}

#[tokio::test]
async fn with_a_workflow_id_an_activity_of_the_workflow_is_meant() {
    let mut world = World::new().await;
    world.start("w").await;
    let activity = command(
        CommandType::ScheduleActivityTask,
        Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: "a".into(),
            activity_type: Some(ActivityType { name: "Withdraw".into() }),
            task_queue: Some(queue(QUEUE)),
            start_to_close_timeout: seconds(10),
            ..Default::default()
        }),
    );
    world.work(vec![activity]).await;
    let request = PauseActivityExecutionRequest { workflow_id: "w".into(), ..pause("a") };
    world.client.pause_activity_execution(request).await.unwrap();
    assert!(world.describe("w").await.unwrap().pending_activities[0].paused);
    let request = ResetActivityExecutionRequest { workflow_id: "w".into(), keep_paused: true, ..reset("a") };
    world.client.reset_activity_execution(request).await.unwrap();
    let options = ActivityOptions { start_to_close_timeout: seconds(20), ..Default::default() };
    let request = UpdateActivityExecutionOptionsRequest {
        workflow_id: "w".into(),
        ..new_options("a", &["start_to_close_timeout"], options)
    };
    let updated = world.client.update_activity_execution_options(request).await.unwrap().into_inner();
    assert_eq!(updated.activity_options.unwrap().start_to_close_timeout, seconds(20));
    let request = UnpauseActivityExecutionRequest { workflow_id: "w".into(), ..unpause("a") };
    world.client.unpause_activity_execution(request).await.unwrap();
    assert_eq!(world.poll_activity().await.start_to_close_timeout, seconds(20));
}
