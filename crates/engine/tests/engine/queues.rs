//! Task queues: who polls, what waits, and what a caller hears of it.

use crate::support::{Setup, setup, setup_on};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_engine::{ConfigChange, Failure, LimitSource, RateChange};
use steadfast_machine::workflow::input::{Input, Query, What};
use steadfast_machine::{QueueType, Reject};
use steadfast_storage::MemoryStore;
use tokio::time::Instant;
use uuid::Uuid;

async fn query(setup: &Setup, wait: Duration) -> Result<bool, Failure> {
    let caller = setup.engine.caller();
    let deadline = (Instant::now() + wait).into_std();
    let query = Query {
        caller,
        query: WorkflowQuery { query_type: "state".into(), ..WorkflowQuery::default() },
        reject_condition: 0,
        deadline: setup.engine.now().plus(i64::MAX / 2),
    };
    let input = Input::current(What::Query(Box::new(query)));
    let answer = setup.engine.wait_for_query(caller, setup.key.clone(), input, deadline).await;
    answer.map(|answer| answer.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_query_that_no_worker_will_take_is_refused_before_its_deadline() {
    let setup = setup().await;
    setup.start().await;
    let (task, _) = setup.poll().await;
    setup.complete(&task, Vec::new()).await;
    // A worker was here a moment ago, and may come back.
    assert_eq!(query(&setup, Duration::from_secs(5)).await, Ok(false));
    tokio::time::advance(Duration::from_secs(21)).await;
    let asked = Instant::now();
    let refused = query(&setup, Duration::from_secs(5)).await.unwrap_err();
    assert!(
        matches!(&refused, Failure::Reject(Reject::FailedPrecondition(text))
        if text == "no poller seen for task queue recently, worker may be down"),
        "{refused:?}"
    );
    assert_eq!(asked.elapsed(), Duration::from_secs(4));
}

fn keyed(key: &str) -> Option<Priority> {
    Some(Priority { fairness_key: key.into(), ..Priority::default() })
}

#[tokio::test]
async fn a_long_backlog_is_in_storage_and_only_its_head_in_memory() {
    const TASKS: usize = 3_000;
    let setup = setup().await;
    for number in 0..TASKS {
        setup.start_as(&number.to_string(), None).await;
    }
    let queue = setup.queue(QueueType::Workflow).queue;
    assert_eq!(setup.engine.tasks_in_memory(), 0, "nobody polls");
    let view = setup.engine.describe_queue(&queue).await.unwrap();
    assert_eq!(view.total().backlog, TASKS as i64);
    assert!(view.total().oldest.is_some(), "looked up in storage");
    let mut seen = HashSet::new();
    for number in 0..TASKS {
        let (task, _) = setup.poll().await;
        assert_eq!(task.workflow_id, number.to_string(), "the oldest first");
        assert!(seen.insert(task.workflow_id));
        assert!(setup.engine.tasks_in_memory() <= 1_000);
    }
    let total = setup.engine.describe_queue(&queue).await.unwrap().total();
    assert_eq!((total.backlog, total.oldest, setup.engine.tasks_in_memory()), (0, None, 0));
}

#[tokio::test]
async fn a_key_with_few_tasks_does_not_wait_for_one_with_many_that_came_first() {
    let setup = setup().await;
    for number in 0..1_500 {
        setup.start_as(&format!("many {number}"), keyed("many")).await;
    }
    for number in 0..5 {
        setup.start_as(&format!("few {number}"), keyed("few")).await;
    }
    let mut few = Vec::new();
    for _ in 0..20 {
        let (task, _) = setup.poll().await;
        few.extend(task.workflow_id.starts_with("few").then_some(task.workflow_id));
    }
    assert_eq!(few, ["few 0", "few 1", "few 2", "few 3", "few 4"]);
}

#[tokio::test]
async fn what_is_configured_for_a_queue_outlives_the_process() {
    let store = Arc::new(MemoryStore::new(4, Uuid::from_u128(1)));
    let before = setup_on(store.clone()).await;
    let queue = before.queue(QueueType::Activity).queue;
    let change = ConfigChange {
        queue_rate: Some(RateChange { rate: Some(5.0), reason: "because".into() }),
        ..ConfigChange::default()
    };
    before.engine.configure_queue(&queue, change.clone()).await.unwrap();
    let after = setup_on(store.clone()).await;
    let view = after.engine.describe_queue(&queue).await.unwrap();
    assert_eq!((view.rate, view.source), (5.0, LimitSource::Api));
    after.engine.configure_queue(&queue, change).await.expect("the version goes on");
    after.engine.forget_queue_configs(after.namespace).await.unwrap();
    let last = setup_on(store).await;
    assert!(last.engine.describe_queue(&queue).await.unwrap().config.is_none());
}
