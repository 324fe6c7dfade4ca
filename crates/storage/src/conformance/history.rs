//! History: batches in chunks on branches.

use super::world::*;
use crate::commit::{Commit, HistoryChunk, Outcome, RunWrite};
use crate::rows::BranchPart;
use crate::store::Store;
use steadfast_machine::decision::Batch;
use uuid::Uuid;

async fn append<F: Fixture>(world: &World<F>, chunk: HistoryChunk) {
    world.write_run(RunWrite { history: Some(chunk), ..put(&run("history", 1), "core") }).await;
}

fn whole(branch: Uuid) -> [BranchPart; 1] {
    [BranchPart { branch, last_event_id: i64::MAX }]
}

async fn read<F: Fixture>(world: &World<F>, parts: &[BranchPart], from: i64, to: i64) -> Vec<Batch> {
    let batches = world.store.read_history(parts, from, to, 1_000, false).await.unwrap();
    let mut backwards = world.store.read_history(parts, from, to, 1_000, true).await.unwrap();
    backwards.reverse();
    assert_eq!(batches, backwards, "both directions read the same");
    batches
}

/// Events 1 to 100: batches of 1, 2, 3, 4 events, one to three of them in a chunk, and a neighbour on both sides.
async fn hundred_events<F: Fixture>(world: &World<F>) -> Vec<Batch> {
    let mut all = Vec::new();
    let mut next = 1;
    for number in 0.. {
        let lengths: Vec<i64> = (0..=number % 3).map(|batch| 1 + (number + batch) % 4).collect();
        let part = chunk(run_id(50), next, &lengths);
        next += lengths.iter().sum::<i64>();
        all.extend(part.batches.iter().cloned());
        append(world, part).await;
        append(world, chunk(run_id(49), number * 2 + 1, &[2])).await;
        append(world, chunk(run_id(51), number * 2 + 1, &[2])).await;
        if next > 100 {
            break;
        }
    }
    all
}

fn within(batches: &[Batch], from: i64, to: i64) -> Vec<Batch> {
    let touches = |batch: &&Batch| batch.first_event_id < to && batch.first_event_id + batch.events > from;
    batches.iter().filter(touches).cloned().collect()
}

pub async fn pages_are_contiguous<F: Fixture>(world: World<F>) {
    let all = hundred_events(&world).await;
    assert_eq!(read(&world, &whole(run_id(50)), 1, i64::MAX).await, all);
    for limit in [1, 2, 7] {
        let (mut read, mut from) = (Vec::new(), 1);
        loop {
            let page =
                world.store.read_history(&whole(run_id(50)), from, i64::MAX, limit, false).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            from = last.first_event_id + last.events;
            read.extend(page);
        }
        assert_eq!(read, all);
    }
    assert_eq!(read(&world, &whole(run_id(99)), 1, i64::MAX).await, []);
    assert_eq!(read(&world, &[], 1, i64::MAX).await, []);
}

pub async fn pages_backwards<F: Fixture>(world: World<F>) {
    let mut all = hundred_events(&world).await;
    all.reverse();
    for limit in [1, 2, 7] {
        let (mut read, mut to) = (Vec::new(), i64::MAX);
        loop {
            let page = world.store.read_history(&whole(run_id(50)), 1, to, limit, true).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            to = last.first_event_id;
            read.extend(page);
        }
        assert_eq!(read, all);
    }
}

pub async fn a_batch_around_the_start_is_included<F: Fixture>(world: World<F>) {
    let all = hundred_events(&world).await;
    for from in 1..30 {
        for to in from..30 {
            let expected = if from < to { within(&all, from, to) } else { Vec::new() };
            assert_eq!(read(&world, &whole(run_id(50)), from, to).await, expected, "{from}..{to}");
        }
    }
}

pub async fn a_fork_reads_its_ancestors<F: Fixture>(world: World<F>) {
    let (first, second, third) = (run_id(1), run_id(2), run_id(3));
    append(&world, chunk(first, 1, &[1, 1, 2])).await;
    append(&world, chunk(first, 5, &[3])).await;
    append(&world, chunk(first, 8, &[1])).await;
    append(&world, chunk(second, 5, &[2, 2])).await;
    append(&world, chunk(second, 9, &[5])).await;
    append(&world, chunk(third, 7, &[1])).await;
    append(&world, chunk(third, 8, &[1])).await;
    let parts = [
        BranchPart { branch: first, last_event_id: 4 },
        BranchPart { branch: second, last_event_id: 6 },
        BranchPart { branch: third, last_event_id: 8 },
    ];
    let all = [batch(1, 1), batch(2, 1), batch(3, 2), batch(5, 2), batch(7, 1), batch(8, 1)];
    assert_eq!(read(&world, &parts, 1, i64::MAX).await, all);
    assert_eq!(read(&world, &parts, 4, 8).await, all[2..5]);
    let page = world.store.read_history(&parts, 1, i64::MAX, 4, false).await.unwrap();
    assert_eq!(page, all[..4]);
    let page = world.store.read_history(&parts, 1, i64::MAX, 3, true).await.unwrap();
    assert_eq!(page, [batch(8, 1), batch(7, 1), batch(5, 2)]);
    assert_eq!(read(&world, &whole(first), 1, i64::MAX).await.len(), 5, "the old branch goes on");
}

pub async fn stored_events_are_not_overwritten<F: Fixture>(world: World<F>) {
    append(&world, chunk(run_id(1), 1, &[2, 2])).await;
    for history in [chunk(run_id(1), 1, &[1]), HistoryChunk { branch: run_id(1), batches: Vec::new() }] {
        let write = RunWrite { history: Some(history), ..put(&run("history", 1), "changed") };
        let outcome = world.store.commit(world.commit_runs(vec![write])).await;
        assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}");
    }
    assert_eq!(read(&world, &whole(run_id(1)), 1, 10).await, [batch(1, 2), batch(3, 2)]);
    append(&world, chunk(run_id(1), 5, &[1])).await;
}

pub async fn a_dropped_branch_is_gone<F: Fixture>(world: World<F>) {
    for number in 1..=3 {
        append(&world, chunk(run_id(number), 1, &[2])).await;
        append(&world, chunk(run_id(number), 3, &[2])).await;
    }
    let branches_dropped = vec![run_id(2), run_id(77)];
    world.write(Commit { branches_dropped, ..world.commit_on(&entity("history")) }).await;
    assert_eq!(read(&world, &whole(run_id(2)), 1, 10).await, []);
    assert_eq!(read(&world, &whole(run_id(1)), 1, 10).await.len(), 2);
    assert_eq!(read(&world, &whole(run_id(3)), 1, 10).await.len(), 2);
    append(&world, chunk(run_id(2), 1, &[1])).await;
    assert_eq!(read(&world, &whole(run_id(2)), 1, 10).await, [batch(1, 1)]);
}
