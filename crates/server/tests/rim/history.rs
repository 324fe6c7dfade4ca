//! Histories: pages, long polls, the close event, newest first.

use crate::world::*;
use std::time::Duration;
use steadfast_api::v1::common::WorkflowExecution;
use steadfast_api::v1::enums::{EventType, HistoryEventFilterType};
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

fn request(id: &str) -> GetWorkflowExecutionHistoryRequest {
    GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution(id)),
        ..Default::default()
    }
}

#[tokio::test]
async fn pages_count_batches_and_pin_the_run() {
    let mut world = World::new().await;
    world.start("a").await;
    world.signal("a", "one").await.unwrap();
    world.signal("a", "two").await.unwrap();
    let all = world.history("a").await;
    let mut read = Vec::new();
    let mut token = bytes::Bytes::new();
    loop {
        let page = GetWorkflowExecutionHistoryRequest {
            maximum_page_size: 1,
            next_page_token: token.clone(),
            ..request("a")
        };
        let page = world.client.get_workflow_execution_history(page).await.unwrap().into_inner();
        read.extend(events(page.history));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        let other = GetWorkflowExecutionHistoryRequest {
            execution: Some(WorkflowExecution {
                workflow_id: "a".into(),
                run_id: "11111111-1111-1111-1111-111111111111".into(),
            }),
            next_page_token: token.clone(),
            ..request("a")
        };
        let refused = world.client.get_workflow_execution_history(other).await.unwrap_err();
        assert_eq!(refused.message(), "RunId in the request does not match the NextPageToken.");
    }
    assert_eq!(read, all);
    let bad = GetWorkflowExecutionHistoryRequest { next_page_token: "x".into(), ..request("a") };
    let refused = world.client.get_workflow_execution_history(bad).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "Invalid NextPageToken."));
}

#[tokio::test]
async fn a_long_poll_ends_with_the_next_event_and_tells_when_there_is_no_more() {
    let mut world = World::new().await;
    world.start("a").await;
    let waiting = GetWorkflowExecutionHistoryRequest { wait_new_event: true, ..request("a") };
    let first = world.client.get_workflow_execution_history(waiting.clone()).await.unwrap().into_inner();
    assert_eq!(events(first.history).len(), 2);
    assert!(!first.next_page_token.is_empty(), "the run goes on");
    let next =
        GetWorkflowExecutionHistoryRequest { next_page_token: first.next_page_token, ..waiting.clone() };
    let mut caller = world.client.clone();
    let mut polled = tokio::spawn(async move { caller.get_workflow_execution_history(patient(next)).await });
    let early = tokio::time::timeout(Duration::from_millis(100), &mut polled).await;
    assert!(early.is_err(), "nothing new is there, and it was answered: {early:?}");
    world.signal("a", "wake").await.unwrap();
    let second = polled.await.unwrap().unwrap().into_inner();
    assert_eq!(types(&events(second.history)), [EventType::WorkflowExecutionSignaled]);
    world.work(vec![complete_workflow("done")]).await;
    let last = GetWorkflowExecutionHistoryRequest { next_page_token: second.next_page_token, ..waiting };
    let last = world.client.get_workflow_execution_history(last).await.unwrap().into_inner();
    assert_eq!(types(&events(last.history)).last(), Some(&EventType::WorkflowExecutionCompleted));
    assert!(last.next_page_token.is_empty());
}

#[tokio::test]
async fn the_close_event_comes_alone_when_the_run_closes() {
    let mut world = World::new().await;
    world.start("a").await;
    let close = GetWorkflowExecutionHistoryRequest {
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent as i32,
        ..request("a")
    };
    let mut caller = world.client.clone();
    let polled = tokio::spawn(async move { caller.get_workflow_execution_history(patient(close)).await });
    world.work(vec![complete_workflow("done")]).await;
    let closed = polled.await.unwrap().unwrap().into_inner();
    assert_eq!(types(&events(closed.history)), [EventType::WorkflowExecutionCompleted]);
    assert!(closed.next_page_token.is_empty());
}

#[tokio::test]
async fn backwards_is_the_same_history_newest_first() {
    let mut world = World::new().await;
    world.start("a").await;
    world.work(vec![complete_workflow("done")]).await;
    let mut forwards = world.history("a").await;
    forwards.reverse();
    let mut read = Vec::new();
    let mut token = bytes::Bytes::new();
    loop {
        let page = GetWorkflowExecutionHistoryReverseRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution("a")),
            maximum_page_size: 1,
            next_page_token: token,
        };
        let page = world.client.get_workflow_execution_history_reverse(page).await.unwrap().into_inner();
        read.extend(events(page.history));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(read, forwards);
}

/// A task that failed once has no events until it is completed: SDKs are shown them all the same, others are not.
#[tokio::test]
async fn events_that_are_not_in_the_history_yet_are_shown_to_sdks() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let failed = RespondWorkflowTaskFailedRequest {
        namespace: NAMESPACE.into(),
        task_token: task.task_token,
        ..Default::default()
    };
    world.client.respond_workflow_task_failed(failed).await.unwrap();
    world.poll().await;
    for (client, known) in
        [("temporal-go", 6), ("a-client-of-mine", 6), ("temporal-cli", 4), ("temporal-ui", 4)]
    {
        let mut asked = tonic::Request::new(request("a"));
        asked.metadata_mut().insert("client-name", client.parse().unwrap());
        let page = world.client.get_workflow_execution_history(asked).await.unwrap().into_inner();
        assert_eq!(events(page.history).len(), known, "{client}");
    }
    let shown = world.history("a").await;
    let last = &shown[4..];
    assert_eq!(types(last), [EventType::WorkflowTaskScheduled, EventType::WorkflowTaskStarted]);
    assert!(last.iter().all(|event| event.task_id == 0), "{last:?}");
    let reverse = GetWorkflowExecutionHistoryReverseRequest {
        namespace: NAMESPACE.into(),
        execution: Some(execution("a")),
        ..Default::default()
    };
    let page = world.client.get_workflow_execution_history_reverse(reverse).await.unwrap().into_inner();
    assert_eq!(events(page.history).len(), 4);
}

#[tokio::test]
async fn who_waits_in_vain_gets_nothing_and_may_ask_on_if_waiting_was_asked_for() {
    let mut world = World::new().await;
    world.start("a").await;
    for (filter, wait) in
        [(HistoryEventFilterType::CloseEvent, true), (HistoryEventFilterType::CloseEvent, false)]
    {
        let close = GetWorkflowExecutionHistoryRequest {
            wait_new_event: wait,
            history_event_filter_type: filter as i32,
            ..request("a")
        };
        let asked = within(close, Duration::from_millis(1500));
        let page = world.client.get_workflow_execution_history(asked).await.unwrap().into_inner();
        assert!(events(page.history).is_empty());
        assert_eq!(page.next_page_token.is_empty(), !wait);
    }
    let waiting = GetWorkflowExecutionHistoryRequest { wait_new_event: true, ..request("a") };
    let first = world.client.get_workflow_execution_history(waiting.clone()).await.unwrap().into_inner();
    let next = GetWorkflowExecutionHistoryRequest { next_page_token: first.next_page_token, ..waiting };
    let asked = within(next, Duration::from_millis(1500));
    let page = world.client.get_workflow_execution_history(asked).await.unwrap().into_inner();
    assert!(events(page.history).is_empty() && !page.next_page_token.is_empty());
}
