//! What a queue hands out, to whom, in which order.

use super::book::{Book, Found};
use super::pollers::{PollerInfo, Ticket};
use super::{Handed, Hint, TASKS_OF_NO_PRIORITY};
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::taskqueue::{RateLimit, RateLimitConfig, TaskQueueConfig};
use steadfast_machine::{EntityKey, QueueKey, QueueType, Task, TaskKey, Time};
use tokio::time::{Instant, advance};
use uuid::Uuid;

const START: Time = Time(1_000_000_000_000);

fn queue() -> QueueKey {
    QueueKey { namespace: Uuid::from_u128(7), name: "q".into(), kind: QueueType::Activity }
}

fn task(priority: u8, order: i64) -> Task {
    let run = EntityKey::workflow(Uuid::from_u128(7), "w").run(Uuid::from_u128(1));
    Task {
        key: TaskKey { queue: queue(), priority, order, run: run.run },
        run,
        scheduled_event_id: order,
        stamp: 1,
        expires: None,
        sticky: false,
        stored: true,
        priority: None,
        created: START,
    }
}

fn keyed(key: &str, weight: f32) -> Option<Priority> {
    Some(Priority { fairness_key: key.into(), fairness_weight: weight, ..Priority::default() })
}

fn poller(identity: &str) -> Arc<PollerInfo> {
    Arc::new(PollerInfo { identity: identity.into(), at: START, ..PollerInfo::default() })
}

/// A queue that somebody polled, so that it holds its tasks in memory.
fn polled() -> Book {
    let mut book = Book::default();
    assert!(matches!(book.take(&poller("first")), Found::Nothing));
    book
}

fn take(book: &mut Book) -> Option<(u8, i64)> {
    match book.take(&poller("worker")) {
        Found::Task(task, _) => Some((task.key.priority, task.key.order)),
        _ => None,
    }
}

fn received(ticket: &mut Ticket) -> Option<(i64, Hint)> {
    match ticket.receiver.try_recv() {
        Ok((Handed::Task(task), hint)) => Some((task.key.order, hint)),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn lower_priority_numbers_come_first_and_the_oldest_of_each() {
    let mut book = polled();
    for (priority, order) in [(3, 10), (5, 1), (1, 30), (3, 9), (1, 20)] {
        book.offer(task(priority, order));
    }
    let levels: Vec<_> = book.view().levels.iter().map(|level| (level.priority, level.backlog)).collect();
    assert_eq!(levels, [(1, 2), (3, 2), (5, 1)]);
    for expected in [(1, 20), (1, 30), (3, 9), (3, 10), (5, 1)] {
        assert_eq!(take(&mut book), Some(expected));
        book.finished(&task(expected.0, expected.1).key);
    }
    assert_eq!(take(&mut book), None);
    assert_eq!(book.view().total().backlog, 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_task_does_not_pass_an_older_one_but_a_more_urgent_one_does() {
    let mut book = polled();
    book.offer(task(3, 10));
    let _ticket = book.wait(&poller("worker"));
    assert!(book.reserve(&task(3, 11)).is_none());
    let urgent = book.reserve(&task(1, 12)).expect("nothing of its priority waits");
    assert_eq!(urgent.info().identity, "worker");
    // Its commit fails: the poller goes on waiting, and gets what waits.
    book.release(urgent);
    assert_eq!(take(&mut book), None);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds_back_sync_matches_and_the_backlog() {
    let mut book = polled();
    book.configure(Some(Arc::new(rate(2.0))));
    let mut tickets: Vec<Ticket> = (0..5).map(|_| book.wait(&poller("worker"))).collect();
    assert!(book.reserve(&task(3, 1)).is_some());
    assert!(book.reserve(&task(3, 2)).is_some());
    assert!(book.reserve(&task(3, 3)).is_none(), "the burst is used up");
    book.offer(task(3, 3));
    book.offer(task(3, 4));
    assert!(tickets.iter_mut().all(|ticket| received(ticket).is_none()));
    assert!(book.view().held_back);
    let at = book.wants_waking().expect("somebody has to look again");
    assert!(at > Instant::now() && at <= Instant::now() + Duration::from_millis(501));
    assert_eq!(book.wants_waking(), None, "once is enough");
    tokio::time::sleep_until(at).await;
    book.wake(at);
    assert_eq!(tickets.iter_mut().filter_map(received).map(|(order, _)| order).collect::<Vec<_>>(), [3]);
    // A higher limit, or none, holds at once, also for those who wait.
    book.configure(None);
    assert_eq!(tickets.iter_mut().filter_map(received).map(|(order, _)| order).collect::<Vec<_>>(), [4]);
    assert!(!book.view().held_back);
}

fn rate(rate: f32) -> TaskQueueConfig {
    let rate_limit = Some(RateLimit { requests_per_second: rate });
    let queue_rate_limit = Some(RateLimitConfig { rate_limit, metadata: None });
    TaskQueueConfig { queue_rate_limit, ..TaskQueueConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_zero_pauses_a_queue() {
    let mut book = polled();
    book.configure(Some(Arc::new(rate(0.0))));
    book.offer(task(3, 1));
    let mut ticket = book.wait(&poller("worker"));
    advance(Duration::from_secs(100)).await;
    assert_eq!(take(&mut book), None);
    assert_eq!(book.wants_waking(), None, "no moment is the right one");
    book.configure(Some(Arc::new(rate(1.0))));
    assert_eq!(received(&mut ticket).map(|(order, _)| order), Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_last_poll_says_how_fast_the_worker_wants_it() {
    let mut book = polled();
    (1..=3).for_each(|order| book.offer(task(3, order)));
    let slow = Arc::new(PollerInfo { rate: Some(1.0), ..(*poller("slow")).clone() });
    assert!(matches!(book.take(&slow), Found::Task(..)));
    assert!(matches!(book.take(&slow), Found::Nothing));
    assert_eq!(book.view().rate, 1.0);
    // A poll that says nothing takes the limit away.
    assert_eq!(take(&mut book), Some((3, 2)));
    assert_eq!(book.view().rate, 4000.0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_not_started_does_not_count_against_the_limit() {
    let mut book = polled();
    book.configure(Some(Arc::new(rate(1.0))));
    book.offer(task(3, 1));
    assert_eq!(take(&mut book), Some((3, 1)));
    book.put_back(task(3, 1));
    assert_eq!(take(&mut book), Some((3, 1)));
    book.void(&task(3, 1));
    book.offer(task(3, 2));
    assert_eq!(take(&mut book), Some((3, 2)));
    assert_eq!(take(&mut book), None);
}

/// Offers tasks of these keys and says in which order the keys come out.
fn fair_order(book: &mut Book, keys: &[(&str, f32)]) -> String {
    for (number, (key, weight)) in keys.iter().enumerate() {
        let priority = keyed(key, *weight);
        let order = book.place_of(TASKS_OF_NO_PRIORITY, priority.as_ref(), START.0 + number as i64);
        book.offer(Task { priority, ..task(TASKS_OF_NO_PRIORITY, order) });
    }
    std::iter::from_fn(|| match book.take(&poller("worker")) {
        Found::Task(task, _) => task.priority.map(|priority| priority.fairness_key),
        _ => None,
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn keys_take_turns_by_weight_and_the_queue_may_overrule_it() {
    let many = [("a", 1.0), ("a", 1.0), ("a", 1.0), ("a", 1.0), ("b", 1.0), ("b", 1.0), ("c", 1.0)];
    assert_eq!(fair_order(&mut polled(), &many), "abcabaa");
    let mut book = polled();
    let fairness_weight_overrides = [("b".to_owned(), 10.0)].into();
    book.configure(Some(Arc::new(TaskQueueConfig {
        fairness_weight_overrides,
        ..TaskQueueConfig::default()
    })));
    let two = [("a", 1.0), ("a", 1.0), ("a", 1.0), ("b", 1.0), ("b", 1.0), ("b", 1.0)];
    assert_eq!(fair_order(&mut book, &two), "abbbaa");
}

#[tokio::test(start_paused = true)]
async fn what_was_put_in_before_anybody_had_a_key_is_not_put_last() {
    let mut book = polled();
    let fresh = START.0;
    for number in 0..3 {
        assert_eq!(book.place_of(3, None, fresh + number), fresh + number);
        book.offer(task(3, fresh + number));
    }
    // A key that is new begins with the oldest of those without one; what then comes without one comes after them.
    let first = book.place_of(3, keyed("a", 1.0).as_ref(), fresh + 10);
    let second = book.place_of(3, keyed("a", 1.0).as_ref(), fresh + 11);
    let plain = book.place_of(3, None, fresh + 12);
    assert!(first < fresh + (1 << 20) && second > fresh + 2 && plain > fresh + 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_of_a_queue_that_nobody_polls() {
    let mut book = Book::default();
    (1..=100).for_each(|order| book.offer(task(3, order)));
    assert_eq!((book.held(), book.view().total().backlog), (0, 100));
    assert!(!book.wants_reader(), "nobody wants it");
    let mut ticket = book.wait(&poller("worker"));
    assert!(book.wants_reader());
    assert!(!book.wants_reader(), "one reads");
    assert_eq!(book.read_from(), None);
    // Finished while the page was on its way.
    book.finished(&task(3, 1).key);
    assert!(!book.fill((1..=100).map(|order| task(3, order)).collect(), false));
    assert_eq!(received(&mut ticket).map(|(order, _)| order), Some(2));
    assert_eq!(book.held(), 98);
    // Nobody polls for a while: the tasks are left to storage again.
    drop(ticket);
    book.leave(0, START);
    advance(Duration::from_secs(61)).await;
    assert!(!book.sweep());
    assert_eq!((book.held(), book.view().total().backlog), (0, 99));
}

#[tokio::test(start_paused = true)]
async fn the_window_is_bounded_and_more_is_read_before_it_is_empty() {
    let mut book = polled();
    (0..10_000).for_each(|order| book.offer(task(3, order)));
    assert!(book.held() <= 1_000);
    let held = book.held() as i64;
    let mut next = 0;
    let mut read = 0;
    while let Some(taken) = take(&mut book) {
        assert_eq!(taken, (3, next));
        next += 1;
        if book.wants_reader() {
            loop {
                let from = book.read_from().map_or(0, |key| key.order + 1);
                let page: Vec<Task> = (from..10_000).take(500).map(|order| task(3, order)).collect();
                read += 1;
                if !book.fill(page, from + 500 < 10_000) {
                    break;
                }
            }
        }
        assert!(book.held() <= 1_000);
    }
    assert_eq!(next, 10_000);
    assert!(read as i64 <= (10_000 - held) / 500 + 1, "{read}");
}

#[tokio::test(start_paused = true)]
async fn tasks_without_a_row_are_not_counted() {
    let mut book = polled();
    book.offer(task(3, 1));
    book.offer(Task { stored: false, ..task(3, 2) });
    assert_eq!(book.view().total().backlog, 1);
    book.finished(&task(3, 2).key);
    assert_eq!(book.view().total().backlog, 1);
    book.finished(&task(3, 1).key);
    assert_eq!(book.view().total().backlog, 0);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waited_was_one_too_many_and_an_old_backlog_wants_more() {
    let mut book = polled();
    let _ticket = book.wait(&poller("worker"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(book.reserve(&task(3, 1)).expect("it waits").hint, Hint { backlog: 0, more_polls: -1 });
    let _ticket = book.wait(&poller("worker"));
    assert_eq!(book.reserve(&task(3, 2)).expect("it waits").hint.more_polls, 0);

    let hint = |book: &mut Book, at| {
        let info = PollerInfo { at, ..(*poller("worker")).clone() };
        match book.take(&Arc::new(info)) {
            Found::Task(_, hint) => hint,
            _ => Hint::default(),
        }
    };
    advance(Duration::from_secs(60)).await;
    let mut book = polled();
    (3..8).for_each(|order| book.offer(task(3, order)));
    assert_eq!(hint(&mut book, START.plus(100_000_000)).backlog, 4);
    advance(Duration::from_secs(1)).await;
    // Two workers are known: one suggestion for each, and then for a moment none.
    let suggested = [(); 3].map(|()| hint(&mut book, START.plus(1_300_000_000)).more_polls);
    assert_eq!(suggested, [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn pollers_are_known_by_identity_for_five_minutes_the_latest_first() {
    let mut book = Book::default();
    book.take(&poller("one"));
    advance(Duration::from_secs(1)).await;
    book.take(&poller("two"));
    book.take(&poller(""));
    let known = |book: &mut Book| -> Vec<String> {
        book.view().pollers.iter().map(|poller| poller.identity.clone()).collect()
    };
    assert_eq!(known(&mut book), ["two", "one"]);
    advance(Duration::from_secs(299)).await;
    assert_eq!(known(&mut book), ["two"]);
    (0..5_000).for_each(|number| drop(book.take(&poller(&number.to_string()))));
    assert!(known(&mut book).len() <= 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_leaves_takes_its_polls_along() {
    let mut book = polled();
    let of = |key: &str| {
        Arc::new(PollerInfo { identity: key.into(), instance_key: key.into(), ..PollerInfo::default() })
    };
    book.take(&of("leaves"));
    let mut leaves = book.wait(&of("leaves"));
    book.take(&of("stays"));
    let mut stays = book.wait(&of("stays"));
    book.dismiss("leaves");
    assert!(leaves.receiver.try_recv().is_err());
    book.offer(task(3, 1));
    assert_eq!(received(&mut stays).map(|(order, _)| order), Some(1));
    assert!(book.view().pollers.iter().all(|poller| poller.identity != "leaves"));
}

#[tokio::test(start_paused = true)]
async fn what_is_restored_while_a_reader_reads_is_read() {
    let mut book = polled();
    book.restore(2);
    assert_eq!(book.read_from(), None);
    assert!(!book.fill(vec![task(3, 20), task(3, 30)], false));
    assert_eq!((take(&mut book), take(&mut book)), (Some((3, 20)), Some((3, 30))));
    book.restore(1);
    let _ticket = book.wait(&poller("waits"));
    assert!(book.wants_reader());
    assert_eq!(book.read_from(), None);
    // A commit of unknown outcome may have left an older task, and the page was read before it did.
    book.restore(1);
    assert!(book.fill(vec![task(3, 40)], false), "the reader goes on");
    assert_eq!(book.read_from(), None, "from the start");
    book.fill(vec![task(3, 10), task(3, 40)], false);
    assert_eq!(take(&mut book), Some((3, 40)), "the poller that waited has the older one");
}

/// It has a higher priority than what was read meanwhile: its place is before the page.
#[tokio::test(start_paused = true)]
async fn a_task_that_comes_while_a_reader_reads_is_not_passed_over() {
    let mut book = polled();
    book.restore(2);
    let _ticket = book.wait(&poller("waits"));
    assert!(book.wants_reader());
    assert_eq!(book.read_from(), None);
    book.offer(task(1, 40));
    assert!(book.fill(vec![task(3, 20), task(3, 30)], false), "the reader goes on");
    assert_eq!(book.read_from(), None, "before what the page may lack");
    book.fill(vec![task(1, 40), task(3, 20), task(3, 30)], false);
    assert_eq!(
        (take(&mut book), take(&mut book)),
        (Some((3, 20)), Some((3, 30))),
        "the poller has the first"
    );
}
