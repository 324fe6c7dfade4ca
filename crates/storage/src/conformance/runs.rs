//! Runs and their rows; atomicity, order and fencing of commits.

use super::world::*;
use crate::commit::{Commit, Outcome, RunState, RunWrite, TaskChange};
use crate::store::Store;
use bytes::Bytes;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use steadfast_machine::{EntityKey, Kind, RowKey, RowTable, Time};
use uuid::Uuid;

pub async fn a_run_is_read_back_whole<F: Fixture>(world: World<F>) {
    let key = run("whole", 5);
    let rows = vec![
        (RowKey::text(RowTable::SignalId, "signal"), Some(bytes("s"))),
        (activity(300), Some(bytes("a300"))),
        (activity(5), Some(bytes("a5"))),
        (RowKey::single(RowTable::Start), Some(bytes("start"))),
        (RowKey::text(RowTable::Timer, "1"), Some(Bytes::new())),
    ];
    let state = RunState::Put { core: bytes("core"), alarm: Some(Time(77)), open: true };
    world.write_run(RunWrite { state, rows, ..put(&key, "") }).await;

    let stored = world.store.load_run(&key).await.unwrap().expect("the run was written");
    assert_eq!((stored.run, stored.alarm, stored.open), (key.run, Some(Time(77)), true));
    assert_eq!(stored.core, bytes("core"));
    let expected = vec![
        (RowKey::single(RowTable::Start), bytes("start")),
        (activity(5), bytes("a5")),
        (activity(300), bytes("a300")),
        (RowKey::text(RowTable::Timer, "1"), Bytes::new()),
        (RowKey::text(RowTable::SignalId, "signal"), bytes("s")),
    ];
    assert_eq!(stored.rows, expected, "rows come in the order of their keys");
    assert_eq!(world.store.load_latest(&key.entity).await.unwrap(), Some(stored));

    assert_eq!(world.store.load_run(&run("whole", 6)).await.unwrap(), None);
    assert_eq!(world.store.load_latest(&entity("nobody")).await.unwrap(), None);
    assert_eq!(world.store.run_ids(&entity("nobody")).await.unwrap(), Vec::<Uuid>::new());
}

pub async fn rows_are_replaced_and_deleted<F: Fixture>(world: World<F>) {
    let key = run("rows", 1);
    let first = vec![(activity(5), Some(bytes("one"))), (activity(6), Some(bytes("six")))];
    world.write_run(RunWrite { rows: first, ..put(&key, "1") }).await;
    let second = vec![
        (activity(5), Some(bytes("another, longer value"))),
        (activity(6), None),
        (activity(7), None),
        (activity(8), Some(bytes("eight"))),
    ];
    let state = RunState::Put { core: bytes("2"), alarm: None, open: false };
    world.write_run(RunWrite { state, rows: second, ..put(&key, "") }).await;

    let stored = world.store.load_run(&key).await.unwrap().expect("the run was written");
    assert_eq!((stored.core, stored.open), (bytes("2"), false));
    let expected = vec![(activity(5), bytes("another, longer value")), (activity(8), bytes("eight"))];
    assert_eq!(stored.rows, expected);
}

pub async fn the_latest_run_has_the_highest_id<F: Fixture>(world: World<F>) {
    for number in [20, 10, 30, 25] {
        world.write_run(put(&run("runs", number), &format!("run {number}"))).await;
    }
    let latest = world.store.load_latest(&entity("runs")).await.unwrap().expect("there are runs");
    assert_eq!((latest.run, latest.core), (run_id(30), bytes("run 30")));
    let ids = world.store.run_ids(&entity("runs")).await.unwrap();
    assert_eq!(ids, [10, 20, 25, 30].map(run_id), "oldest first");
    world.write_run(delete(&run("runs", 30))).await;
    let latest = world.store.load_latest(&entity("runs")).await.unwrap().expect("there are runs");
    assert_eq!(latest.run, run_id(25));
}

pub async fn the_cores_of_an_entity_are_those_of_its_runs<F: Fixture>(world: World<F>) {
    for number in [2, 1, 3] {
        world.write_run(put(&run("cores", number), &format!("core {number}"))).await;
    }
    world.write_run(put(&run("other", 4), "another entity's")).await;
    world.write_run(put(&run("cores", 1), "changed")).await;
    world.write_run(delete(&run("cores", 2))).await;
    let cores = world.store.cores(&entity("cores")).await.unwrap();
    assert_eq!(cores, [(run_id(1), bytes("changed")), (run_id(3), bytes("core 3"))], "oldest first");
    assert_eq!(world.store.cores(&entity("nobody")).await.unwrap(), []);
}

pub async fn entities_with_similar_keys_do_not_mix<F: Fixture>(world: World<F>) {
    let other_namespace = Uuid::from_u128(NAMESPACE.as_u128() + 1);
    let entities = [
        entity("a"),
        entity("A"),
        entity("a "),
        entity("a\0"),
        entity("ä"),
        EntityKey { kind: Kind::Activity, ..entity("a") },
        EntityKey { namespace: other_namespace, ..entity("a") },
    ];
    for (number, entity) in entities.iter().enumerate() {
        world.write_run(put(&entity.run(run_id(number as u64)), &format!("core {number}"))).await;
    }
    for (number, entity) in entities.iter().enumerate() {
        let stored = world.store.load_latest(entity).await.unwrap().expect("the run was written");
        assert_eq!(stored.core, bytes(&format!("core {number}")));
        assert_eq!(world.store.run_ids(entity).await.unwrap(), [run_id(number as u64)]);
        let elsewhere = entities[(number + 1) % entities.len()].run(run_id(number as u64));
        assert_eq!(world.store.load_run(&elsewhere).await.unwrap(), None);
    }
}

pub async fn a_deleted_run_is_gone_and_its_neighbours_are_not<F: Fixture>(world: World<F>) {
    for number in [1, 2, 3] {
        let key = run("delete", number);
        let write = RunWrite {
            state: RunState::Put { core: bytes("core"), alarm: Some(Time(9)), open: true },
            rows: vec![(activity(5), Some(bytes("row")))],
            history: Some(chunk(key.run, 1, &[2])),
            ..put_listed(&key, listed(OPEN, number as i64, None))
        };
        world.write_run(write).await;
    }
    world.write_run(delete(&run("delete", 2))).await;

    assert_eq!(world.store.load_run(&run("delete", 2)).await.unwrap(), None);
    assert_eq!(world.store.run_ids(&entity("delete")).await.unwrap(), [run_id(1), run_id(3)]);
    let stored = world.store.load_run(&run("delete", 3)).await.unwrap().expect("a neighbour stays");
    assert_eq!(stored.rows.len(), 1);
    let alarms = world.store.alarms(Time(9), 10).await.unwrap();
    assert_eq!(alarms.len(), 2);
    assert!(alarms.iter().all(|(_, key)| key.run != run_id(2)));
    let page = world.store.list(NAMESPACE, Kind::Workflow, &filter(""), None, 10).await.unwrap();
    let ids: Vec<Uuid> = page.rows.iter().map(|(key, _)| key.run).collect();
    assert_eq!(ids, [run_id(3), run_id(1)]);
    let parts = [crate::rows::BranchPart { branch: run_id(2), last_event_id: 2 }];
    let kept = world.store.read_history(&parts, 1, 100, 10, false).await.unwrap();
    assert_eq!(kept.len(), 1, "a history goes by its branch only");

    // Deleting what is not there is no error: the delete may be repeated after an unknown outcome.
    world.write_run(delete(&run("delete", 2))).await;
    world.write_run(put(&run("delete", 4), "new")).await;
    let stored = world.store.load_run(&run("delete", 4)).await.unwrap().expect("it was written");
    assert_eq!((stored.rows.len(), stored.alarm), (0, None), "nothing of a deleted run reappears");
}

/// A commit that no store takes, with a change of every kind: its history begins at an event that exists.
fn refused<F: Fixture>(world: &World<F>) -> Commit {
    let (one, two) = (run("atomic", 1), run("atomic", 2));
    let mut commit = world.commit_runs(vec![
        RunWrite {
            state: RunState::Put { core: bytes("changed"), alarm: Some(Time(3)), open: true },
            rows: vec![(activity(9), Some(bytes("changed")))],
            history: Some(chunk(run_id(2), 1, &[1])),
            ..put_listed(&two, listed(OPEN, 2, None))
        },
        RunWrite {
            state: RunState::Put { core: bytes("changed"), alarm: None, open: false },
            rows: vec![(activity(5), None)],
            history: Some(chunk(run_id(1), 3, &[1])),
            ..put_listed(&one, listed(COMPLETED, 1, Some(4)))
        },
    ]);
    commit.tasks = vec![TaskChange::Add(task("atomic", 3, 2)), TaskChange::Finish(task("atomic", 3, 1).key)];
    commit.messages = vec![message(&one, 2)];
    commit.messages_done = vec![(one.clone(), 1)];
    commit.branches_dropped = vec![run_id(1)];
    commit
}

async fn before_refused<F: Fixture>(world: &World<F>) {
    let one = run("atomic", 1);
    let mut commit = world.commit_runs(vec![RunWrite {
        rows: vec![(activity(5), Some(bytes("before")))],
        history: Some(chunk(run_id(1), 1, &[2])),
        ..put_listed(&one, listed(OPEN, 1, None))
    }]);
    commit.tasks = vec![TaskChange::Add(task("atomic", 3, 1))];
    commit.messages = vec![message(&one, 1)];
    world.write(commit).await;
    let more = RunWrite { history: Some(chunk(run_id(1), 3, &[2])), ..put(&one, "before") };
    world.write_run(more).await;
}

async fn is_unchanged<F: Fixture>(world: &World<F>) {
    let store = &world.store;
    let stored = store.load_run(&run("atomic", 1)).await.unwrap().expect("it was there before");
    assert_eq!((stored.core, stored.open), (bytes("before"), true));
    assert_eq!(stored.rows, [(activity(5), bytes("before"))]);
    assert_eq!(store.load_run(&run("atomic", 2)).await.unwrap(), None);
    assert_eq!(store.alarms(Time::default().plus(1_000), 10).await.unwrap(), []);
    let parts = [crate::rows::BranchPart { branch: run_id(1), last_event_id: 4 }];
    let history = store.read_history(&parts, 1, 100, 10, false).await.unwrap();
    assert_eq!(history, [batch(1, 2), batch(3, 2)]);
    let tasks = store.read_backlog(&queue("atomic"), None, 10).await.unwrap().tasks;
    assert_eq!(tasks, [task("atomic", 3, 1)]);
    let messages = store.messages(None, 10).await.unwrap();
    assert_eq!(messages, [message(&run("atomic", 1), 1)]);
    let counts = store.count_by_status(NAMESPACE, Kind::Workflow, &filter("")).await.unwrap();
    assert_eq!(counts, [(OPEN, 1)]);
    let page = store.list(NAMESPACE, Kind::Workflow, &filter(""), None, 10).await.unwrap();
    assert_eq!(page.rows, [(run("atomic", 1), listed(OPEN, 1, None))]);
}

pub async fn a_commit_is_all_or_nothing<F: Fixture>(world: World<F>) {
    before_refused(&world).await;
    let outcome = world.store.commit(refused(&world)).await;
    assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}");
    is_unchanged(&world).await;
    is_unchanged(&world.crash().await).await;
}

pub async fn a_refused_commit_does_not_hurt_the_others<F: Fixture>(world: World<F>) {
    before_refused(&world).await;
    let commits = (0..40).map(|number| match number % 4 {
        1 => refused(&world),
        _ => world.commit_runs(vec![put(&run(&format!("neighbour {number}"), number), "core")]),
    });
    let outcomes = together(commits.map(|commit| {
        let store = world.store.clone();
        async move { store.commit(commit).await }
    }))
    .await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let stored =
            world.store.load_latest(&entity(&format!("neighbour {number}"))).await.unwrap().is_some();
        match number % 4 {
            1 => assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}"),
            _ => assert_eq!((outcome, stored), (Outcome::Done, true)),
        }
    }
    is_unchanged(&world).await;
}

pub async fn commits_of_one_caller_keep_their_order<F: Fixture>(world: World<F>) {
    let key = run("order", 1);
    let commits = (0..50).map(|number| {
        let state =
            RunState::Put { core: Bytes::from(number.to_string()), alarm: Some(Time(number)), open: true };
        let rows = vec![(activity(number), Some(bytes("row"))), (activity(number - 1), None)];
        let history = Some(chunk(key.run, number * 2 + 1, &[2]));
        let commit = world.commit_runs(vec![RunWrite { state, rows, history, ..put(&key, "") }]);
        let store = world.store.clone();
        async move { store.commit(commit).await }
    });
    let outcomes = together(commits).await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done), "{outcomes:?}");
    let stored = world.store.load_run(&key).await.unwrap().expect("it was written");
    assert_eq!((stored.core, stored.alarm), (bytes("49"), Some(Time(49))));
    assert_eq!(stored.rows, [(activity(49), bytes("row"))]);
}

pub async fn commits_at_the_same_time_are_all_kept<F: Fixture>(world: World<F>) {
    let world = Arc::new(world);
    let writers: Vec<_> = (0..16)
        .map(|writer: u64| {
            let world = world.clone();
            tokio::spawn(async move {
                for number in 0..25 {
                    let id = format!("{writer} {number}");
                    let mut commit = world.commit_runs(vec![put_listed(
                        &run(&id, writer * 100 + number),
                        listed(OPEN, number as i64, None),
                    )]);
                    commit.tasks = vec![TaskChange::Add(task("many", 3, (writer * 100 + number) as i64))];
                    world.write(commit).await;
                    let read = world.store.load_latest(&entity(&id)).await.unwrap();
                    assert!(read.is_some(), "a read that begins after the answer sees the commit");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no writer failed");
    }
    assert_eq!(world.store.count(NAMESPACE, Kind::Workflow, &filter("")).await.unwrap(), 400);
    assert_eq!(world.store.backlogs().await.unwrap(), [(queue("many"), 400)]);
}

pub async fn large_values_are_kept<F: Fixture>(world: World<F>) {
    let key = run("large", 1);
    let large = |byte: u8, length: usize| Bytes::from(vec![byte; length]);
    let write = RunWrite {
        state: RunState::Put { core: large(1, 3_000_000), alarm: None, open: true },
        rows: (0..20).map(|id| (activity(id), Some(large(id as u8, 1_000 * id as usize)))).collect(),
        ..put(&key, "")
    };
    world.write_run(write).await;
    let stored = world.store.load_run(&key).await.unwrap().expect("it was written");
    assert_eq!(stored.core, large(1, 3_000_000));
    for (id, (_, value)) in stored.rows.iter().enumerate() {
        assert_eq!(*value, large(id as u8, 1_000 * id));
    }
}

pub async fn an_old_epoch_is_fenced_whole<F: Fixture>(world: World<F>) {
    before_refused(&world).await;
    let mut old = refused(&world);
    for write in &mut old.runs {
        write.history = None;
    }
    let shard = old.shard;
    let epoch = world.store.acquire(shard).await.unwrap();
    assert!(epoch > old.epoch);
    assert_eq!(world.store.commit(old.clone()).await, Outcome::Fenced);
    is_unchanged(&world).await;

    let elsewhere = (0..).map(|n| entity(&n.to_string())).find(|e| e.shard(world.store.shards()) != shard);
    let elsewhere = elsewhere.expect("there are several shards");
    world.write_run(put(&elsewhere.run(run_id(1)), "another shard")).await;

    let future = Commit { epoch: epoch + 1, ..old.clone() };
    assert_eq!(world.store.commit(future).await, Outcome::Fenced, "an epoch that nobody was given");
    world.write(Commit { epoch, ..old }).await;
}

pub async fn a_shard_that_does_not_exist_takes_nothing<F: Fixture>(world: World<F>) {
    let shard = world.store.shards();
    assert!(world.store.acquire(shard).await.is_err());
    let commit = Commit { shard, epoch: 1, ..world.commit_runs(vec![put(&run("nowhere", 1), "")]) };
    let outcome = world.store.commit(commit).await;
    assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}");
    assert_eq!(world.store.load_latest(&entity("nowhere")).await.unwrap(), None);
}

/// Waits for all of them, polling them in their order: what one caller does that hands over one after the other.
pub async fn together<T: Future>(futures: impl Iterator<Item = T>) -> Vec<T::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut results: Vec<Option<T::Output>> = futures.iter().map(|_| None).collect();
    let all = poll_fn(|context| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *result = Some(output);
            }
        }
        if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    });
    pin!(all).await;
    results.into_iter().flatten().collect()
}
