//! Task queues: who polls, what waits, and what a caller hears of it.

mod support;

use std::time::Duration;
use steadfast_api::v1::query::WorkflowQuery;
use steadfast_engine::Failure;
use steadfast_machine::Reject;
use steadfast_machine::workflow::input::{Input, Query, What};
use support::{Setup, setup};
use tokio::time::Instant;

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
