//! What operators do: reset, pause, options; to workflows and to their activities.

use crate::world::*;
use steadfast_api::v1::command::{
    ContinueAsNewWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
    command::Attributes,
};
use steadfast_api::v1::common::{ActivityType, Priority, WorkflowExecution};
use steadfast_api::v1::enums::{
    CommandType, EventType, PendingActivityState, WorkflowExecutionStatus as Status,
};
use steadfast_api::v1::history::history_event::Attributes as Event;
use steadfast_api::v1::workflow::WorkflowExecutionOptions;
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

#[tokio::test]
async fn a_reset_goes_back_to_a_workflow_task_in_a_new_run() {
    let mut world = World::new().await;
    let run_id = world.start("a").await;
    world.work(vec![complete_workflow("wrong")]).await;
    let reset = ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("a")),
        reason: "the result was wrong".into(),
        workflow_task_finish_event_id: 4,
        request_id: "reset".into(),
        ..Default::default()
    };
    let nameless = ResetWorkflowExecutionRequest { request_id: String::new(), ..reset.clone() };
    let refused = world.client.reset_workflow_execution(nameless).await.unwrap_err();
    assert_eq!(refused.message(), "RequestId is not set on request.");
    let new_run = world.client.reset_workflow_execution(reset).await.unwrap().into_inner().run_id;
    assert_ne!(new_run, run_id);
    let events = types(&world.history("a").await);
    assert_eq!(events[3..], [EventType::WorkflowTaskFailed, EventType::WorkflowTaskScheduled]);
    world.work(vec![complete_workflow("right")]).await;
    let info = world.describe("a").await.unwrap().workflow_execution_info.unwrap();
    assert_eq!((info.status, info.execution.unwrap().run_id), (Status::Completed as i32, new_run));
}

#[tokio::test]
async fn a_reset_sends_again_what_came_along_the_chain() {
    let mut world = World::with(|options| options.limits.run_spacing = 0).await;
    let again = || {
        let attributes = ContinueAsNewWorkflowExecutionCommandAttributes::default();
        let attributes = Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes);
        command(CommandType::ContinueAsNewWorkflowExecution, attributes)
    };
    let first = world.start("a").await;
    for name in ["one", "two"] {
        world.work(vec![again()]).await;
        world.signal("a", name).await.unwrap();
    }
    let reset = ResetWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(WorkflowExecution { run_id: first, ..execution("a") }),
        workflow_task_finish_event_id: 4,
        request_id: "reset".into(),
        ..Default::default()
    };
    world.client.reset_workflow_execution(reset).await.unwrap();
    let sent: Vec<String> = world
        .history("a")
        .await
        .into_iter()
        .filter_map(|event| match event.attributes {
            Some(Event::WorkflowExecutionSignaledEventAttributes(signaled)) => Some(signaled.signal_name),
            _ => None,
        })
        .collect();
    assert_eq!(sent, ["one", "two"]);
}

#[tokio::test]
async fn pause_is_off_until_it_is_switched_on() {
    let pause = PauseWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "a".into(),
        reason: "lunch".into(),
        ..Default::default()
    };
    let mut world = World::new().await;
    world.start("a").await;
    let refused = world.client.pause_workflow_execution(pause.clone()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unimplemented, "workflow pause is not enabled for namespace: default")
    );
    let mut world = World::with(|options| options.limits.workflow_pause = true).await;
    world.start("a").await;
    world.client.pause_workflow_execution(pause).await.unwrap();
    let described = world.describe("a").await.unwrap();
    assert_eq!(described.workflow_execution_info.unwrap().status, Status::Paused as i32);
    assert_eq!(described.workflow_extended_info.unwrap().pause_info.unwrap().reason, "lunch");
    let unpause = UnpauseWorkflowExecutionRequest {
        namespace: NAMESPACE.into(),
        workflow_id: "a".into(),
        ..Default::default()
    };
    world.client.unpause_workflow_execution(unpause).await.unwrap();
    world.work(vec![complete_workflow("done")]).await;
}

#[tokio::test]
async fn options_change_by_the_fields_that_are_named() {
    let mut world = World::new().await;
    world.start("a").await;
    let update = UpdateWorkflowExecutionOptionsRequest {
        namespace: NAMESPACE.into(),
        workflow_execution: Some(execution("a")),
        workflow_execution_options: Some(WorkflowExecutionOptions {
            priority: Some(Priority { priority_key: 1, ..Default::default() }),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["priority.priority_key".into()] }),
        ..Default::default()
    };
    let maskless = UpdateWorkflowExecutionOptionsRequest { update_mask: None, ..update.clone() };
    let refused = world.client.update_workflow_execution_options(maskless).await.unwrap_err();
    assert_eq!(refused.message(), "UpdateMask is required");
    world.client.update_workflow_execution_options(update).await.unwrap();
    let info = world.describe("a").await.unwrap().workflow_execution_info.unwrap();
    assert_eq!(info.priority.unwrap().priority_key, 1);
}

#[tokio::test]
async fn a_paused_activity_waits() {
    use pause_activity_request::Activity;
    let mut world = World::new().await;
    world.start("a").await;
    let activity = command(
        CommandType::ScheduleActivityTask,
        Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: "withdraw".into(),
            activity_type: Some(ActivityType { name: "Withdraw".into() }),
            task_queue: Some(queue(QUEUE)),
            start_to_close_timeout: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
            ..Default::default()
        }),
    );
    world.work(vec![activity]).await;
    let pause = PauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("a")),
        activity: Some(Activity::Id("withdraw".into())),
        ..Default::default()
    };
    let unnamed = PauseActivityRequest { activity: None, ..pause.clone() };
    let refused = world.client.pause_activity(unnamed).await.unwrap_err();
    assert_eq!(refused.message(), "Either Activity.Id or Activity.Type should be set on request.");
    world.client.pause_activity(pause).await.unwrap();
    let pending = world.describe("a").await.unwrap().pending_activities.remove(0);
    assert_eq!((pending.state, pending.paused), (PendingActivityState::Paused as i32, true));
    let unpause = UnpauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("a")),
        activity: Some(unpause_activity_request::Activity::Id("withdraw".into())),
        ..Default::default()
    };
    world.client.unpause_activity(unpause).await.unwrap();
    assert_eq!(world.poll_activity().await.activity_id, "withdraw");
}
