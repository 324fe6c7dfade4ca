//! Workers tell of themselves, are found, and leave.

use crate::world::*;
use steadfast_api::v1::enums::{TaskQueueKind, TaskQueueType, WorkerStatus};
use steadfast_api::v1::taskqueue::{StickyExecutionAttributes, TaskQueue};
use steadfast_api::v1::worker::{WorkerHeartbeat, WorkerHostInfo};
use steadfast_api::v1::workflowservice::*;
use tonic::Code;

fn worker(key: &str) -> WorkerHeartbeat {
    WorkerHeartbeat {
        worker_instance_key: key.into(),
        worker_identity: format!("id-{key}"),
        task_queue: QUEUE.into(),
        sdk_name: "rust".into(),
        status: WorkerStatus::Running as i32,
        host_info: Some(WorkerHostInfo { host_name: "host".into(), ..Default::default() }),
        ..Default::default()
    }
}

async fn heard(keys: &[&str]) -> World {
    let mut world = World::new().await;
    let request = RecordWorkerHeartbeatRequest {
        namespace: NAMESPACE.into(),
        worker_heartbeat: keys.iter().map(|key| worker(key)).collect(),
        ..Default::default()
    };
    world.client.record_worker_heartbeat(request).await.unwrap();
    world
}

fn list(query: &str) -> ListWorkersRequest {
    ListWorkersRequest { namespace: NAMESPACE.into(), query: query.into(), ..Default::default() }
}

#[tokio::test]
async fn workers_are_listed_by_pages_counted_and_described() {
    let mut world = heard(&["a", "b", "c"]).await;
    let first = world
        .client
        .list_workers(ListWorkersRequest { page_size: 2, ..list("") })
        .await
        .unwrap()
        .into_inner();
    let keys = |page: &ListWorkersResponse| -> Vec<String> {
        page.workers.iter().map(|worker| worker.worker_instance_key.clone()).collect()
    };
    assert_eq!(keys(&first), ["a", "b"]);
    assert_eq!(first.workers[0].host_name, "host");
    #[allow(deprecated)]
    {
        assert_eq!(first.workers_info[1].worker_heartbeat, Some(worker("b")));
    }
    let next = ListWorkersRequest { next_page_token: first.next_page_token, page_size: 2, ..list("") };
    let second = world.client.list_workers(next).await.unwrap().into_inner();
    assert_eq!((keys(&second), second.next_page_token.is_empty()), (vec!["c".to_owned()], true));

    let one = "WorkerIdentity = 'id-b' AND TaskQueue = 'transfers'";
    assert_eq!(keys(&world.client.list_workers(list(one)).await.unwrap().into_inner()), ["b"]);
    let count = CountWorkersRequest { namespace: NAMESPACE.into(), query: one.into(), ..Default::default() };
    assert_eq!(world.client.count_workers(count).await.unwrap().into_inner().count, 1);
    // A size that is none is the usual one, and a token that is none is refused.
    let negative = ListWorkersRequest { page_size: -1, ..list("") };
    assert_eq!(keys(&world.client.list_workers(negative).await.unwrap().into_inner()), ["a", "b", "c"]);
    for token in [&b"a"[..], b"\xff", b"{}"] {
        let page = ListWorkersRequest { next_page_token: token.into(), ..list("") };
        let refused = world.client.list_workers(page).await.unwrap_err();
        assert_eq!(refused.message(), "invalid next_page_token");
    }
    // What a worker does not say of itself differs from everything.
    for (query, found) in [
        ("DeploymentName != 'x'", &["a", "b", "c"][..]),
        ("WorkerInstanceKey != 'a' AND BuildId NOT STARTS_WITH 'x'", &["b", "c"]),
        ("BuildId = 'x'", &[]),
        ("BuildId IS NULL AND HostName = 'host'", &["a", "b", "c"]),
    ] {
        assert_eq!(
            keys(&world.client.list_workers(list(query)).await.unwrap().into_inner()),
            found,
            "{query}"
        );
    }
    for bad in ["Foo = 'x'", "((", "SdkName = 'rust' LIMIT 1"] {
        let refused = world.client.list_workers(list(bad)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad}: {}", refused.message());
    }

    let describe =
        |key: &str| DescribeWorkerRequest { namespace: NAMESPACE.into(), worker_instance_key: key.into() };
    let described = world.client.describe_worker(describe("a")).await.unwrap().into_inner();
    assert_eq!(described.worker_info.unwrap().worker_heartbeat, Some(worker("a")));
    let refused = world.client.describe_worker(describe("nope")).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::NotFound, "Worker nope not found"));
}

#[tokio::test]
async fn workers_take_no_commands() {
    let mut world = World::new().await;
    let of = |namespace: &str| FetchWorkerConfigRequest { namespace: namespace.into(), ..Default::default() };
    let fetch = world.client.fetch_worker_config(of(NAMESPACE)).await.unwrap_err();
    assert_eq!(fetch.message(), "FetchWorkerConfig command is not enabled.");
    let fetch = world.client.fetch_worker_config(of("nope")).await.unwrap_err();
    assert_eq!(fetch.code(), Code::NotFound);
    let update = world.client.update_worker_config(UpdateWorkerConfigRequest::default()).await.unwrap_err();
    assert_eq!(update.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_worker_that_leaves_ends_its_polls_and_is_not_listed_any_more() {
    let mut world = heard(&["leaves", "stays"]).await;
    let poll = || PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        identity: "worker".into(),
        worker_instance_key: "leaves".into(),
        ..Default::default()
    };
    let mut client = world.client.clone();
    let polled = tokio::spawn(async move { client.poll_workflow_task_queue(patient(poll())).await });
    let describe = DescribeTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        ..Default::default()
    };
    while world.client.describe_task_queue(describe.clone()).await.unwrap().into_inner().pollers.is_empty() {
        tokio::task::yield_now().await;
    }
    // One that leaves without a word of its own is listed until its heartbeat is too old.
    let silent = ShutdownWorkerRequest {
        namespace: NAMESPACE.into(),
        worker_instance_key: "stays".into(),
        ..Default::default()
    };
    world.client.shutdown_worker(silent).await.unwrap();
    let left = ShutdownWorkerRequest {
        namespace: NAMESPACE.into(),
        worker_instance_key: "leaves".into(),
        task_queue: QUEUE.into(),
        task_queue_types: vec![TaskQueueType::Workflow as i32, TaskQueueType::Activity as i32],
        worker_heartbeat: Some(WorkerHeartbeat { status: WorkerStatus::Shutdown as i32, ..worker("leaves") }),
        ..Default::default()
    };
    world.client.shutdown_worker(left.clone()).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(polled.await.unwrap().unwrap().into_inner(), Default::default());
    // One that was still on its way gets nothing either, and takes nothing.
    world.start("a").await;
    let late = world.client.poll_workflow_task_queue(patient(poll())).await.unwrap().into_inner();
    assert!(late.task_token.is_empty() && begun.elapsed().as_secs() < 10);
    assert!(!world.poll().await.task_token.is_empty());
    let listed = world.client.list_workers(list("")).await.unwrap().into_inner();
    assert_eq!(listed.workers.len(), 1);
    world.client.shutdown_worker(left).await.expect("saying it again does no harm");
}

#[tokio::test]
async fn a_worker_with_nexus_handlers_waits_and_leaves_like_any_other() {
    let mut world = World::new().await;
    let mut client = world.client.clone();
    let poll = PollNexusTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        identity: "worker".into(),
        worker_instance_key: "nexus".into(),
        ..Default::default()
    };
    let polled = tokio::spawn(async move { client.poll_nexus_task_queue(patient(poll)).await });
    let describe = DescribeTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(queue(QUEUE)),
        task_queue_type: TaskQueueType::Nexus as i32,
        ..Default::default()
    };
    while world.client.describe_task_queue(describe.clone()).await.unwrap().into_inner().pollers.is_empty() {
        tokio::task::yield_now().await;
    }
    let left = ShutdownWorkerRequest {
        namespace: NAMESPACE.into(),
        worker_instance_key: "nexus".into(),
        task_queue: QUEUE.into(),
        ..Default::default()
    };
    world.client.shutdown_worker(left).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(polled.await.unwrap().unwrap().into_inner(), Default::default());
    assert!(begun.elapsed().as_secs() < 10);
}

#[tokio::test]
async fn what_waits_for_a_worker_that_left_goes_to_the_others_at_once() {
    let mut world = World::new().await;
    world.start("a").await;
    let task = world.poll().await;
    let sticky =
        TaskQueue { name: "its own".into(), kind: TaskQueueKind::Sticky as i32, normal_name: QUEUE.into() };
    let done = RespondWorkflowTaskCompletedRequest {
        task_token: task.task_token,
        namespace: NAMESPACE.into(),
        sticky_attributes: Some(StickyExecutionAttributes {
            worker_task_queue: Some(sticky.clone()),
            schedule_to_start_timeout: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        }),
        ..Default::default()
    };
    world.client.respond_workflow_task_completed(done).await.unwrap();
    // The worker polls its own queue, takes a task of another workflow in the meantime, and is gone.
    let poll = PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.into(),
        task_queue: Some(sticky),
        identity: "worker".into(),
        ..Default::default()
    };
    let poll = within(poll, std::time::Duration::from_millis(2100));
    world.client.poll_workflow_task_queue(poll).await.unwrap();
    world.signal("a", "wait for me").await.unwrap();
    let left = ShutdownWorkerRequest {
        namespace: NAMESPACE.into(),
        sticky_task_queue: "its own".into(),
        ..Default::default()
    };
    world.client.shutdown_worker(left).await.unwrap();
    let task = world.poll().await;
    assert_eq!(task.workflow_execution.unwrap().workflow_id, "a");
    assert_eq!(task.previous_started_event_id, 3);
    assert!(events(task.history).len() > 5, "the whole history");
}

#[tokio::test]
async fn the_namespace_says_what_workers_may_rely_on() {
    let mut world = World::new().await;
    let request = DescribeNamespaceRequest { namespace: NAMESPACE.into(), ..Default::default() };
    let described = world.client.describe_namespace(request).await.unwrap().into_inner();
    let able = described.namespace_info.unwrap().capabilities.unwrap();
    assert!(able.worker_heartbeats && able.poller_autoscaling && able.worker_poll_complete_on_shutdown);
    assert!(!able.worker_commands);
}
