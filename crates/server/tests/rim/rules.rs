//! Workflow rules: a namespace has them, and they pause activities before they start.

use crate::world::*;
use steadfast_api::temporal::api::rules::v1::workflow_rule_action::{ActionActivityPause, Variant};
use steadfast_api::temporal::api::rules::v1::workflow_rule_spec::{ActivityStartingTrigger, Trigger};
use steadfast_api::temporal::api::rules::v1::{WorkflowRuleAction, WorkflowRuleSpec};
use steadfast_api::v1::command::{ScheduleActivityTaskCommandAttributes, command::Attributes};
use steadfast_api::v1::common::ActivityType;
use steadfast_api::v1::enums::{CommandType, PendingActivityState};
use steadfast_api::v1::workflow::pending_activity_info::pause_info::PausedBy;
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

fn rule(id: &str, predicate: &str, query: &str) -> CreateWorkflowRuleRequest {
    let pause = Variant::ActivityPause(ActionActivityPause {});
    CreateWorkflowRuleRequest {
        namespace: NAMESPACE.into(),
        spec: Some(WorkflowRuleSpec {
            id: id.into(),
            trigger: Some(Trigger::ActivityStart(ActivityStartingTrigger { predicate: predicate.into() })),
            visibility_query: query.into(),
            actions: vec![WorkflowRuleAction { variant: Some(pause) }],
            ..Default::default()
        }),
        identity: "operator".into(),
        description: "the bank is closed".into(),
        ..Default::default()
    }
}

fn delete(id: &str) -> DeleteWorkflowRuleRequest {
    DeleteWorkflowRuleRequest { namespace: NAMESPACE.into(), rule_id: id.into() }
}

async fn with_rules() -> World {
    World::with(|options| options.limits.workflow_rules = true).await
}

#[tokio::test]
async fn rules_are_off_until_they_are_switched_on() {
    let mut world = World::new().await;
    let refused = world.client.create_workflow_rule(rule("hold", "ActivityId = '1'", "")).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unimplemented, "method CreateWorkflowRule not supported")
    );
    let trigger = TriggerWorkflowRuleRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let refused = with_rules().await.client.trigger_workflow_rule(trigger).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::Unimplemented, "method TriggerWorkflowRule not supported")
    );
}

#[tokio::test]
async fn rules_are_made_shown_and_deleted() {
    let mut world = with_rules().await;
    let made = world.client.create_workflow_rule(rule("hold", "ActivityId = '1'", "")).await.unwrap();
    let made = made.into_inner().rule.unwrap();
    assert_eq!(
        (made.created_by_identity.as_str(), made.description.as_str()),
        ("operator", "the bank is closed")
    );
    let describe = DescribeWorkflowRuleRequest { namespace: NAMESPACE.into(), rule_id: "hold".into() };
    let described = world.client.describe_workflow_rule(describe.clone()).await.unwrap().into_inner();
    assert_eq!(described.rule, Some(made.clone()));
    let again = world.client.create_workflow_rule(rule("hold", "", "")).await.unwrap_err();
    assert_eq!(
        (again.code(), again.message()),
        (Code::InvalidArgument, "Workflow Rule with this ID already exists.")
    );
    let list = ListWorkflowRulesRequest { namespace: NAMESPACE.into(), ..Default::default() };
    assert_eq!(world.client.list_workflow_rules(list.clone()).await.unwrap().into_inner().rules, [made]);
    world.client.delete_workflow_rule(delete("hold")).await.unwrap();
    let missing = world.client.describe_workflow_rule(describe).await.unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::InvalidArgument, "Workflow Rule with this ID not Found.")
    );
    let refused = world.client.create_workflow_rule(rule("", "", "")).await.unwrap_err();
    assert_eq!(refused.message(), "Workflow Rule ID is not set.");
}

#[tokio::test]
async fn ten_rules_are_enough_and_an_expired_one_makes_room() {
    let mut world = with_rules().await;
    for number in 0..10 {
        let mut rule = rule(&number.to_string(), "", "");
        if number == 4 {
            rule.spec.as_mut().unwrap().expiration_time =
                Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        }
        world.client.create_workflow_rule(rule).await.unwrap();
    }
    world.client.create_workflow_rule(rule("10", "", "")).await.unwrap();
    let list = ListWorkflowRulesRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let rules = world.client.list_workflow_rules(list).await.unwrap().into_inner().rules;
    let ids: Vec<String> = rules.into_iter().filter_map(|rule| Some(rule.spec?.id)).collect();
    assert_eq!(ids, ["0", "1", "10", "2", "3", "5", "6", "7", "8", "9"]);
    let another = world.client.create_workflow_rule(rule("11", "", "")).await.unwrap_err();
    assert_eq!(another.message(), "Workflow Rule limit exceeded. Max: 10");
}

#[tokio::test]
async fn a_rule_pauses_an_activity_before_it_starts() {
    let mut world = with_rules().await;
    world
        .client
        .create_workflow_rule(rule("hold", "ActivityType = 'Withdraw'", "WorkflowId = 'a'"))
        .await
        .unwrap();
    for id in ["a", "b"] {
        world.start(id).await;
        let activity = command(
            CommandType::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
                activity_id: format!("withdraw of {id}"),
                activity_type: Some(ActivityType { name: "Withdraw".into() }),
                task_queue: Some(queue(QUEUE)),
                start_to_close_timeout: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
                ..Default::default()
            }),
        );
        world.work(vec![activity]).await;
    }
    // The older task is passed over, for its activity is paused by the poll.
    assert_eq!(world.poll_activity().await.activity_id, "withdraw of b");
    let pending = world.describe("a").await.unwrap().pending_activities.remove(0);
    assert_eq!((pending.state, pending.paused), (PendingActivityState::Paused as i32, true));
    let Some(PausedBy::Rule(by)) = pending.pause_info.unwrap().paused_by else { panic!("not by a rule") };
    assert_eq!(
        (by.rule_id.as_str(), by.identity.as_str(), by.reason.as_str()),
        ("hold", "operator", "the bank is closed")
    );
    world.client.delete_workflow_rule(delete("hold")).await.unwrap();
    let unpause = UnpauseActivityRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("a")),
        activity: Some(unpause_activity_request::Activity::Id("withdraw of a".into())),
        ..Default::default()
    };
    world.client.unpause_activity(unpause).await.unwrap();
    assert_eq!(world.poll_activity().await.activity_id, "withdraw of a");
}
