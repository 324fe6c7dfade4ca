//! What waits: tasks, messages, alarms.

use super::world::*;
use crate::commit::{Commit, TaskChange};
use crate::store::Store;
use steadfast_machine::{Kind, QueueKey, QueueType, RunKey, Task, TaskKey, Time};
use uuid::Uuid;

pub async fn a_backlog_has_an_order_and_pages<F: Fixture>(world: World<F>) {
    let mut tasks = Vec::new();
    for priority in [3, 1, 5, 255, 0] {
        for order in [40, -2, 7, i64::MAX] {
            tasks.push(task("ordered", priority, order));
        }
    }
    let mut twin = task("ordered", 3, 7);
    twin.key.run = run_id(2);
    twin.run.run = run_id(2);
    tasks.push(twin);
    let add = |task: &Task| TaskChange::Add(task.clone());
    for part in tasks.chunks(4) {
        world.write_tasks(part.iter().map(add).collect()).await;
    }
    world.write_tasks(["ordere", "orderee"].map(|name| TaskChange::Add(task(name, 3, 1))).to_vec()).await;
    tasks.sort_by(|a, b| a.key.cmp(&b.key));

    for limit in [1, 3, 20, 21, 22] {
        let (mut read, mut after): (Vec<Task>, Option<TaskKey>) = (Vec::new(), None);
        loop {
            let page = world.store.read_backlog(&queue("ordered"), after.as_ref(), limit).await.unwrap();
            assert!(page.tasks.len() <= limit);
            read.extend(page.tasks);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read, tasks);
    }
    let page = world.store.read_backlog(&queue("nobody's"), None, 5).await.unwrap();
    assert!(page.tasks.is_empty() && page.next.is_none());
}

pub async fn a_task_is_read_back_whole<F: Fixture>(world: World<F>) {
    let queue =
        QueueKey { namespace: Uuid::from_u128(99), name: "queue / ü".into(), kind: QueueType::Workflow };
    let entity = steadfast_machine::EntityKey { kind: Kind::Activity, ..entity("an activity") };
    let full = Task {
        key: TaskKey { queue: queue.clone(), priority: 2, order: 12, run: run_id(8) },
        run: RunKey { entity, run: run_id(8) },
        scheduled_event_id: 17,
        stamp: 3,
        expires: Some(Time(1_000_000_000_000)),
        sticky: true,
        stored: true,
        priority: Some(steadfast_api::v1::common::Priority {
            priority_key: 2,
            fairness_key: "tenant".into(),
            fairness_weight: 1.5,
        }),
        created: Time(77),
    };
    world.write_tasks(vec![TaskChange::Add(full.clone())]).await;
    let page = world.store.read_backlog(&queue, None, 5).await.unwrap();
    assert_eq!(page.tasks, [full]);
    for kind in [QueueType::Activity, QueueType::Nexus] {
        let other = QueueKey { kind, ..queue.clone() };
        assert!(world.store.read_backlog(&other, None, 5).await.unwrap().tasks.is_empty());
    }
}

pub async fn finished_tasks_are_gone_and_backlogs_are_counted<F: Fixture>(world: World<F>) {
    let add = |order| TaskChange::Add(task("a", 3, order));
    let finish = |order| TaskChange::Finish(task("a", 3, order).key);
    world.write_tasks(vec![add(1), add(2), add(3), TaskChange::Add(task("b", 3, 1))]).await;
    world.write_tasks(vec![finish(2), finish(9), add(4), finish(4)]).await;
    // Adding a task again replaces it, and is not a second one.
    world.write_tasks(vec![TaskChange::Add(Task { stamp: 5, ..task("a", 3, 1) })]).await;
    let page = world.store.read_backlog(&queue("a"), None, 10).await.unwrap();
    let left: Vec<_> = page.tasks.iter().map(|task| (task.key.order, task.stamp)).collect();
    assert_eq!(left, [(1, 5), (3, 0)]);
    let sorted = |mut backlogs: Vec<(QueueKey, u64)>| {
        backlogs.sort();
        backlogs
    };
    let backlogs = world.store.backlogs().await.unwrap();
    assert_eq!(sorted(backlogs), [(queue("a"), 2), (queue("b"), 1)]);

    world.write_tasks(vec![finish(1), finish(3)]).await;
    let world = world.crash().await;
    assert_eq!(world.store.backlogs().await.unwrap(), [(queue("b"), 1)], "no queue without a backlog");
    world.write_tasks(vec![TaskChange::Add(task("a", 3, 9))]).await;
    let backlogs = world.store.backlogs().await.unwrap();
    assert_eq!(sorted(backlogs), [(queue("a"), 1), (queue("b"), 1)]);
}

pub async fn messages_have_an_order_and_pages<F: Fixture>(world: World<F>) {
    let (older, newer) = (run("z", 1), run("a", 2));
    let mut messages = Vec::new();
    for sequence in [3, 1, 2, 300] {
        messages.push(message(&newer, sequence));
        messages.push(message(&older, sequence));
    }
    messages[0].to.kind = Kind::Schedule;
    messages[0].to.namespace = Uuid::from_u128(4);
    for message in &messages {
        let messages = vec![message.clone()];
        world.write(Commit { messages, ..world.commit_on(&message.from.entity) }).await;
    }
    messages.sort_by_key(|message| (message.from.run, message.sequence));
    for limit in [1, 3, 8, 9] {
        let mut read = Vec::new();
        loop {
            let after =
                read.last().map(|last: &steadfast_machine::Message| (last.from.clone(), last.sequence));
            let page = world.store.messages(after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, messages);
    }
    let messages_done = vec![(older.clone(), 2), (newer.clone(), 300), (newer.clone(), 77)];
    world.write(Commit { messages_done, ..world.commit_on(&entity("the target")) }).await;
    messages.retain(|m| !(m.from == older && m.sequence == 2 || m.from == newer && m.sequence == 300));
    assert_eq!(world.store.messages(None, 100).await.unwrap(), messages);
}

pub async fn alarms_come_earliest_first<F: Fixture>(world: World<F>) {
    for (number, alarm) in [(1, Some(50)), (2, Some(20)), (3, None), (4, Some(90)), (5, Some(30))] {
        world.write_run(put_with_alarm(&run(&number.to_string(), number), alarm)).await;
    }
    let due = async |until, limit| {
        let alarms = world.store.alarms(Time(until), limit).await.unwrap();
        alarms.into_iter().map(|(time, key)| (time.0, key.entity.id.to_string())).collect::<Vec<_>>()
    };
    let expected = |alarms: &[(i64, &str)]| -> Vec<(i64, String)> {
        alarms.iter().map(|(time, id)| (*time, (*id).to_owned())).collect()
    };
    assert_eq!(due(100, 10).await, expected(&[(20, "2"), (30, "5"), (50, "1"), (90, "4")]));
    assert_eq!(due(50, 10).await, expected(&[(20, "2"), (30, "5"), (50, "1")]), "until is included");
    assert_eq!(due(100, 2).await, expected(&[(20, "2"), (30, "5")]));
    assert_eq!(due(19, 10).await, expected(&[]));

    world.write_run(put_with_alarm(&run("2", 2), Some(95))).await;
    world.write_run(put_with_alarm(&run("5", 5), None)).await;
    world.write_run(put_with_alarm(&run("3", 3), Some(10))).await;
    world.write_run(delete(&run("1", 1))).await;
    assert_eq!(due(100, 10).await, expected(&[(10, "3"), (90, "4"), (95, "2")]));
    let (_, key) = world.store.alarms(Time(10), 1).await.unwrap().remove(0);
    assert_eq!(key, run("3", 3));
}
