//! What is broken off half way, a poll or a turn, costs nobody anything but the time of another try.

use crate::support::{activity, eager_activity, setup, setup_at};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use steadfast_engine::{Clock, Failure, SystemClock};
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::{EntityKey, Time};
use steadfast_storage::MemoryStore;
use uuid::Uuid;

/// Lets a future begin, and all else go on for so many steps; then drops it. False if it was at its end at once.
async fn cut(future: impl Future, after: usize) -> bool {
    let mut future = std::pin::pin!(future);
    let began = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    for _ in 0..after {
        tokio::task::yield_now().await;
    }
    began.is_pending()
}

#[tokio::test(start_paused = true)]
async fn an_activity_whose_poll_goes_away_is_offered_again_at_once() {
    let setup = setup().await;
    setup.start().await;
    let (task, _) = setup.poll().await;
    setup.complete(&task, vec![activity("a")]).await;
    // Before its start is decided, before its commit, before its answer is heard: whenever that is.
    for steps in 0..10 {
        assert!(cut(setup.poll_activity(), steps).await, "a poll that ends at once shows nothing");
    }
    let polled = setup.poll_activity().await.expect("the activity, before the poll's own end");
    assert_eq!(polled.activity.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn eager_activities_whose_worker_goes_away_before_the_answer_are_offered_at_once() {
    let setup = setup().await;
    setup.start_as("heard", None).await;
    let (task, _) = setup.poll().await;
    let completed = setup.complete(&task, vec![eager_activity("a"), eager_activity("b")]).await;
    let given = completed.activities.iter().map(|(activity, event)| (activity.attempt, event.event_id));
    assert_eq!(given.collect::<Vec<_>>(), [(1, 5), (1, 6)]);

    for steps in 0..10 {
        setup.start_as(&format!("unheard after {steps}"), None).await;
        let (task, _) = setup.poll().await;
        assert!(cut(setup.complete(&task, vec![eager_activity("a")]), steps).await);
        let polled = setup.poll_activity().await.expect("the activity, before the poll's own end");
        assert_eq!(polled.activity.attempt, 1);
    }
}

#[derive(Default)]
struct Breaking(AtomicBool);

impl Clock for Breaking {
    fn now(&self) -> Time {
        assert!(!self.0.load(Ordering::Relaxed), "the clock breaks");
        SystemClock.now()
    }
}

#[tokio::test]
async fn a_turn_that_panics_does_not_block_its_workflow() {
    let clock = Arc::new(Breaking::default());
    let store = Arc::new(MemoryStore::new(4, Uuid::from_u128(1)));
    let setup = setup_at(store, clock.clone()).await;
    let run = setup.start().await;
    let key = EntityKey::workflow(setup.namespace, "w");
    let nudge = || setup.engine.apply(key.clone(), Input::run(run, What::ResetSticky));
    clock.0.store(true, Ordering::Relaxed);
    assert!(matches!(nudge().await, Err(Failure::Unavailable(_))));
    clock.0.store(false, Ordering::Relaxed);
    nudge().await.expect("it goes on");
    assert_eq!(setup.poll().await.0.run_id, run);
}
