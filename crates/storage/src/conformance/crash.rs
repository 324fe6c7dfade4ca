//! What survives the end of a process.

use super::world::*;
use crate::commit::{Commit, Outcome, RunState, RunWrite, TaskChange};
use crate::rows::BranchPart;
use crate::store::{Store, StoreError};
use steadfast_machine::{Kind, Time};

async fn write_some<F: Fixture>(world: &World<F>) {
    for number in 1..=30 {
        let key = run(&format!("survivor {number}"), number);
        let mut commit = world.commit_runs(vec![RunWrite {
            state: RunState::Put { core: bytes("core"), alarm: Some(Time(number as i64)), open: true },
            rows: vec![(activity(5), Some(bytes("row")))],
            history: Some(chunk(key.run, 1, &[2, 1])),
            ..put_listed(&key, listed(OPEN, number as i64, None))
        }]);
        commit.tasks = vec![TaskChange::Add(task("survivors", 3, number as i64))];
        commit.messages = vec![message(&key, 1)];
        world.write(commit).await;
    }
}

async fn all_is_there<F: Fixture>(world: &World<F>) {
    for number in 1..=30 {
        let key = run(&format!("survivor {number}"), number);
        let stored = world.store.load_latest(&key.entity).await.unwrap().expect("it was acknowledged");
        assert_eq!(stored.rows.len(), 1);
        let parts = [BranchPart { branch: key.run, last_event_id: 3 }];
        let history = world.store.read_history(&parts, 1, 10, 10, false).await.unwrap();
        assert_eq!(history, [batch(1, 2), batch(3, 1)]);
    }
    assert_eq!(world.store.alarms(Time(100), 100).await.unwrap().len(), 30);
    assert_eq!(world.store.backlogs().await.unwrap(), [(queue("survivors"), 30)]);
    assert_eq!(world.store.messages(None, 100).await.unwrap().len(), 30);
    assert_eq!(world.store.count(NAMESPACE, Kind::Workflow, &filter("")).await.unwrap(), 30);
}

pub async fn what_was_acknowledged_survives_a_crash<F: Fixture>(world: World<F>) {
    write_some(&world).await;
    let world = world.crash().await;
    all_is_there(&world).await;
    let world = world.crash().await;
    all_is_there(&world).await;
}

pub async fn what_was_acknowledged_survives_a_close<F: Fixture>(world: World<F>) {
    write_some(&world).await;
    let world = world.restart().await;
    all_is_there(&world).await;
}

pub async fn epochs_survive_and_old_writers_stay_fenced<F: Fixture>(world: World<F>) {
    let old: Commit = world.commit_runs(vec![put(&run("late", 1), "late")]);
    let world = world.crash().await;
    assert!(world.epochs[old.shard as usize] > old.epoch);
    assert_eq!(world.store.commit(old).await, Outcome::Fenced);
}

pub async fn the_database_keeps_its_identity<F: Fixture>(world: World<F>) {
    let (id, shards) = (world.store.cluster_id(), world.store.shards());
    assert!(!id.is_nil() && shards > 1, "the suite wants several shards");
    let world = world.crash().await;
    assert_eq!((world.store.cluster_id(), world.store.shards()), (id, shards));
}

pub async fn a_closed_store_refuses<F: Fixture>(world: World<F>) {
    world.store.close().await;
    let outcome = world.store.commit(world.commit_runs(vec![put(&run("late", 1), "late")])).await;
    assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}");
    let read = world.store.load_latest(&entity("late")).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(world.store.acquire(0).await.is_err());
    world.store.close().await;
}
