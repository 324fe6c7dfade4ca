//! Lists, counts and their counters.

use super::world::*;
use crate::commit::VisibilityRow;
use crate::faulty::SeededFaults;
use crate::memory::MemoryStore;
use crate::rows::{PAGE_BYTES, PageKey};
use crate::store::Store;
use steadfast_machine::{EntityKey, Kind, RunKey, Time};
use steadfast_query::Value;
use uuid::Uuid;

async fn list<F: Fixture>(world: &World<F>, query: &str) -> Vec<(RunKey, VisibilityRow)> {
    let page = world.store.list(NAMESPACE, Kind::Workflow, &filter(query), None, 1_000).await.unwrap();
    assert_eq!(page.next, None);
    page.rows
}

async fn counts<F: Fixture>(world: &World<F>, query: &str) -> Vec<(i32, u64)> {
    let mut counts = world.store.count_by_status(NAMESPACE, Kind::Workflow, &filter(query)).await.unwrap();
    counts.sort_unstable();
    let total = world.store.count(NAMESPACE, Kind::Workflow, &filter(query)).await.unwrap();
    assert_eq!(total, counts.iter().map(|(_, count)| count).sum::<u64>());
    counts
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

pub async fn a_list_sees_what_was_acknowledged<F: Fixture>(world: World<F>) {
    let key = run("listed", 3);
    let mut row = VisibilityRow {
        parent_workflow_id: Some("parent".into()),
        parent_run_id: Some(run_id(2).to_string()),
        indexed: vec![
            ("CustomKeyword".into(), vec![text("k")]),
            ("CustomKeywordList".into(), vec![text("a"), text("b")]),
            ("CustomInt".into(), vec![Value::Int(-5)]),
            ("CustomDouble".into(), vec![Value::Real(1.5)]),
        ],
        ..listed(OPEN, 10, None)
    };
    world.write_run(put_listed(&key, row.clone())).await;
    assert_eq!(list(&world, "").await, [(key.clone(), stored(&row))]);
    assert_eq!(list(&world, "CustomKeyword = 'k' AND CustomInt < 0").await.len(), 1);

    row.status = COMPLETED;
    row.close_time = Some(Time(30));
    (row.history_length, row.history_bytes, row.transitions) = (11, 1_200, 7);
    row.indexed = vec![("CustomKeyword".into(), vec![text("other")])];
    world.write_run(put_listed(&key, row.clone())).await;
    assert_eq!(list(&world, "").await, [(key.clone(), stored(&row))]);
    assert_eq!(list(&world, "CustomKeyword = 'k'").await, []);
    assert_eq!(list(&world, "CustomInt < 0").await, [], "values that are gone find nothing");
    assert_eq!(list(&world, "CustomKeyword = 'other' AND HistoryLength = 11").await.len(), 1);

    // A commit without a visibility row leaves the list as it was.
    world.write_run(put(&key, "core")).await;
    assert_eq!(list(&world, "ExecutionDuration = 20").await, [(key.clone(), stored(&row))]);
    world.write_run(delete(&key)).await;
    assert_eq!(list(&world, "").await, []);
    assert_eq!(list(&world, "CustomKeyword = 'other'").await, []);
}

/// A row as it comes back: the indexed values are for finding only.
fn stored(row: &VisibilityRow) -> VisibilityRow {
    VisibilityRow { indexed: Vec::new(), ..row.clone() }
}

pub async fn lists_have_an_order_and_pages<F: Fixture>(world: World<F>) {
    let mut expected = Vec::new();
    for number in 0..40u64 {
        let start = (number % 3) as i64;
        let close = [None, Some(100), Some(101)][number as usize % 7 % 3];
        let status = if close.is_none() { OPEN } else { COMPLETED };
        let key = run(&format!("paged {}", number % 5), (number * 17) % 41);
        let row = listed(status, start, close);
        world.write_run(put_listed(&key, row.clone())).await;
        expected.push((key, row));
    }
    let elsewhere = EntityKey { kind: Kind::Schedule, ..entity("paged 1") };
    world.write_run(put_listed(&elsewhere.run(run_id(90)), listed(OPEN, 1, None))).await;
    let elsewhere = EntityKey { namespace: Uuid::from_u128(8), ..entity("paged 1") };
    world.write_run(put_listed(&elsewhere.run(run_id(91)), listed(OPEN, 1, None))).await;
    expected.sort_by_key(|(key, row)| {
        let close = row.close_time.map_or(i64::MAX, |time| time.0);
        (std::cmp::Reverse(close), std::cmp::Reverse(row.start_time), key.run)
    });

    for (query, limit) in
        [("", 1), ("", 3), ("", 40), ("", 41), ("StartTime > 0", 2), ("ExecutionStatus = 2", 5)]
    {
        let matching: Vec<_> = expected
            .iter()
            .filter(|(_, row)| match query {
                "" => true,
                "StartTime > 0" => row.start_time.0 > 0,
                _ => row.status == COMPLETED,
            })
            .cloned()
            .collect();
        let (mut read, mut after): (Vec<_>, Option<PageKey>) = (Vec::new(), None);
        loop {
            let page =
                world.store.list(NAMESPACE, Kind::Workflow, &filter(query), after, limit).await.unwrap();
            assert!(page.rows.len() <= limit);
            assert!(page.next.is_some() || page.rows.len() < limit, "a full page has a successor");
            read.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read, matching, "{query} by {limit}");
    }
}

const QUERIES: [&str; 36] = [
    "",
    "WorkflowId = 'id 3'",
    "WorkflowId != 'id 3'",
    "WorkflowId STARTS_WITH 'id 1'",
    "WorkflowId IN ('id 1', 'id 2', 'nobody')",
    "WorkflowType = 'Alpha'",
    "WorkflowType = 'Alpha' AND ExecutionStatus = 'Running'",
    "WorkflowType != 'Alpha' AND ExecutionStatus = 'Failed'",
    "RunId = '00000000-000b-7000-8000-000000000000'",
    "TaskQueue = 'queue 1'",
    "ExecutionStatus = 'Running'",
    "ExecutionStatus != 'Running'",
    "ExecutionStatus IN ('Completed', 'Failed')",
    "ExecutionStatus = 'Running' OR CustomInt = 3",
    "StartTime BETWEEN 5 AND 20",
    "CloseTime > 30",
    "CloseTime IS NULL",
    "CloseTime < '2020-01-01T00:00:00Z'",
    "HistoryLength > 20",
    "ExecutionDuration >= 25",
    "ParentWorkflowId = 'parent 1'",
    "ParentWorkflowId IS NULL AND StateTransitionCount > 3",
    "RootWorkflowId = 'root'",
    "CustomKeyword = 'red'",
    "CustomKeyword != 'red'",
    "CustomKeyword IS NULL",
    "CustomKeyword STARTS_WITH 'r'",
    "NOT (CustomKeyword = 'red' OR WorkflowType = 'Alpha')",
    "CustomInt < 3 AND CustomDouble > 1.5",
    "CustomInt BETWEEN 1 AND 2",
    "CustomBool = true",
    "CustomKeywordList = 'b'",
    "CustomKeywordList NOT IN ('a', 'b')",
    "CustomText = 'hello nobody'",
    "CustomDatetime > '1970-01-01T00:00:00Z'",
    "TemporalNamespaceDivision = 'scheduler'",
];

/// A row with values out of small sets, so that every query finds some.
fn row_of(number: u64, draw: &mut impl FnMut(u64) -> u64) -> VisibilityRow {
    let status = 1 + draw(7) as i32;
    let start = draw(40) as i64;
    let close = (status != OPEN).then(|| start + draw(40) as i64);
    let mut row = listed(status, start, close);
    row.task_queue = format!("queue {}", draw(3));
    row.execution_time = Time(start + draw(3) as i64);
    if close.is_some() {
        (row.history_length, row.history_bytes, row.transitions) =
            (draw(40) as i64, draw(400) as i64, draw(9) as i64);
    }
    if draw(3) == 0 {
        row.parent_workflow_id = Some(format!("parent {}", draw(3)));
        row.parent_run_id = Some(run_id(draw(9)).to_string());
    }
    let mut index = |odds: u64, name: &str, values: Vec<Value>| {
        if !(number + odds).is_multiple_of(odds) {
            row.indexed.push((name.into(), values));
        }
    };
    index(3, "CustomKeyword", vec![text(["red", "rust", "blue"][draw(3) as usize])]);
    index(2, "CustomInt", vec![Value::Int(draw(5) as i64)]);
    index(4, "CustomDouble", vec![Value::Real(draw(5) as f64 / 2.0 + 0.25)]);
    index(3, "CustomBool", vec![Value::Int(draw(2) as i64)]);
    index(2, "CustomKeywordList", [text("a"), text("b"), text("c")][draw(3) as usize..].to_vec());
    index(5, "CustomText", vec![text("hello"), text("world")]);
    index(2, "CustomDatetime", vec![Value::Int(draw(3) as i64)]);
    if draw(8) == 0 {
        row.indexed.push(("TemporalNamespaceDivision".into(), vec![text("scheduler")]));
    }
    row
}

/// Each memo as large as one may be: a page ends before they are too much for memory, and the next goes on behind it.
pub async fn a_page_of_large_rows_is_short<F: Fixture>(world: World<F>) {
    let keys: Vec<RunKey> = (0..5).map(|number| run("large", number)).collect();
    for (number, key) in keys.iter().enumerate() {
        let memo = vec![b'm'; PAGE_BYTES / 2];
        let close = (number % 2 == 0).then_some(100 + number as i64);
        let row = VisibilityRow { memo: memo.into(), ..listed(OPEN, number as i64, close) };
        world.write_run(put_listed(key, row)).await;
    }
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = world.store.list(NAMESPACE, Kind::Workflow, &filter(""), after, 1_000).await.unwrap();
        assert!(page.rows.len() <= 4, "{}", page.rows.len());
        found.extend(page.rows.into_iter().map(|(key, _)| key));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, keys);
    assert!(pages >= 2);
}

pub async fn queries_agree_with_the_memory_store<F: Fixture>(world: World<F>) {
    let memory = MemoryStore::new(world.store.shards(), Uuid::from_u128(1));
    let mut oracle = World { fixture: NoFixture, store: std::sync::Arc::new(memory), epochs: Vec::new() };
    for shard in 0..world.store.shards() {
        oracle.epochs.push(oracle.store.acquire(shard).await.unwrap());
    }
    let mut random = SeededFaults::new(4711);
    let mut draw = move |below: u64| u64::from(random.draw()) % below;
    for number in 0..150 {
        // Some are written more than once.
        let identity = draw(100);
        let mut row = row_of(number, &mut draw);
        // A run keeps its type.
        row.workflow_type = ["Alpha", "Beta", "Gamma"][(identity % 3) as usize].into();
        let key = run(&format!("id {}", identity % 20), identity);
        world.write_run(put_listed(&key, row.clone())).await;
        oracle.write_run(put_listed(&key, row)).await;
    }
    for query in QUERIES {
        let filter = filter(query);
        let page = world.store.list(NAMESPACE, Kind::Workflow, &filter, None, 1_000).await;
        let page = page.unwrap_or_else(|error| panic!("{query}: {error}"));
        let expected = oracle.store.list(NAMESPACE, Kind::Workflow, &filter, None, 1_000).await.unwrap();
        assert_eq!(page.rows, expected.rows, "{query}");
        assert_eq!(counts(&world, query).await, counts(&oracle, query).await, "{query}");
    }
}

/// For a world that is never opened again.
struct NoFixture;

#[async_trait::async_trait]
impl Fixture for NoFixture {
    type Store = MemoryStore;

    async fn open(&mut self) -> MemoryStore {
        MemoryStore::new(1, Uuid::nil())
    }

    async fn crash(&mut self, _: std::sync::Arc<MemoryStore>) {}
}

pub async fn counts_by_status_follow_every_change<F: Fixture>(world: World<F>) {
    assert_eq!(counts(&world, "").await, []);
    for number in 1..=5 {
        world.write_run(put_listed(&run("counted", number), listed(OPEN, 1, None))).await;
    }
    assert_eq!(counts(&world, "").await, [(OPEN, 5)]);
    world.write_run(put_listed(&run("counted", 1), listed(COMPLETED, 1, Some(2)))).await;
    world.write_run(put_listed(&run("counted", 2), listed(FAILED, 1, Some(2)))).await;
    world.write_run(put_listed(&run("counted", 3), listed(OPEN, 1, None))).await;
    world.write_run(put(&run("counted", 4), "no visibility row")).await;
    assert_eq!(counts(&world, "").await, [(OPEN, 3), (COMPLETED, 1), (FAILED, 1)]);
    assert_eq!(counts(&world, "ExecutionStatus != 'Running'").await, [(COMPLETED, 1), (FAILED, 1)]);
    assert_eq!(counts(&world, "WorkflowType = 'Type'").await, [(OPEN, 3), (COMPLETED, 1), (FAILED, 1)]);

    // Two changes in one commit count once each.
    let commit = world.commit_runs(vec![
        put_listed(&run("counted", 3), listed(COMPLETED, 1, Some(3))),
        put_listed(&run("counted", 6), listed(OPEN, 1, None)),
        delete(&run("counted", 2)),
    ]);
    world.write(commit).await;
    assert_eq!(counts(&world, "").await, [(OPEN, 3), (COMPLETED, 2)]);
    let world = world.crash().await;
    assert_eq!(counts(&world, "").await, [(OPEN, 3), (COMPLETED, 2)]);
    world.write_run(delete(&run("counted", 3))).await;
    world.write_run(put_listed(&run("counted", 6), listed(COMPLETED, 1, Some(4)))).await;
    assert_eq!(counts(&world, "").await, [(OPEN, 2), (COMPLETED, 2)]);

    // Of types each its own, together with the status or without; a type of which no run is left is not counted.
    let of_type = |mut row: VisibilityRow| {
        row.workflow_type = "Other".into();
        row
    };
    world.write_run(put_listed(&run("counted", 7), of_type(listed(OPEN, 1, None)))).await;
    world.write_run(put_listed(&run("counted", 8), of_type(listed(OPEN, 1, None)))).await;
    world.write_run(put_listed(&run("counted", 8), of_type(listed(FAILED, 1, Some(2))))).await;
    assert_eq!(counts(&world, "").await, [(OPEN, 3), (COMPLETED, 2), (FAILED, 1)]);
    assert_eq!(counts(&world, "WorkflowType = 'Other'").await, [(OPEN, 1), (FAILED, 1)]);
    assert_eq!(counts(&world, "WorkflowType != 'Other' AND ExecutionStatus = 1").await, [(OPEN, 2)]);
    assert_eq!(
        counts(&world, "WorkflowType STARTS_WITH 'Oth' OR ExecutionStatus = 2").await,
        [(OPEN, 1), (COMPLETED, 2), (FAILED, 1)]
    );
    world.write_run(delete(&run("counted", 7))).await;
    world.write_run(delete(&run("counted", 8))).await;
    assert_eq!(counts(&world, "WorkflowType = 'Other'").await, []);
    let other = world.store.count_by_status(NAMESPACE, Kind::Schedule, &filter("")).await.unwrap();
    assert_eq!(other, []);
}

pub async fn divisions_are_counted_apart<F: Fixture>(world: World<F>) {
    let divided = |mut row: VisibilityRow| {
        row.indexed = vec![("TemporalNamespaceDivision".into(), vec![text("scheduler")])];
        row
    };
    world.write_run(put_listed(&run("plain", 1), listed(OPEN, 1, None))).await;
    world.write_run(put_listed(&run("divided", 2), divided(listed(OPEN, 1, None)))).await;
    assert_eq!(counts(&world, "").await, [(OPEN, 1)]);
    assert_eq!(counts(&world, "TemporalNamespaceDivision = 'scheduler'").await, [(OPEN, 1)]);
    world.write_run(put_listed(&run("divided", 2), divided(listed(COMPLETED, 1, Some(2))))).await;
    assert_eq!(counts(&world, "").await, [(OPEN, 1)]);
    world.write_run(put_listed(&run("plain", 1), divided(listed(OPEN, 1, None)))).await;
    assert_eq!(counts(&world, "").await, []);
    world.write_run(put_listed(&run("divided", 2), listed(COMPLETED, 1, Some(2)))).await;
    assert_eq!(counts(&world, "").await, [(COMPLETED, 1)]);
    world.write_run(delete(&run("plain", 1))).await;
    world.write_run(delete(&run("divided", 2))).await;
    assert_eq!(counts(&world, "").await, []);
}

pub async fn closed_runs_expire_oldest_first<F: Fixture>(world: World<F>) {
    let activity = EntityKey { kind: Kind::Activity, ..entity("activity") };
    let closed = [(run("a", 1), 50), (run("a", 2), 20), (activity.run(run_id(3)), 30), (run("b", 4), 40)];
    for (key, close) in &closed {
        world.write_run(put_listed(key, listed(COMPLETED, 1, Some(*close)))).await;
    }
    world.write_run(put_listed(&run("open", 5), listed(OPEN, 1, None))).await;
    let elsewhere = EntityKey { namespace: Uuid::from_u128(8), ..entity("a") };
    world.write_run(put_listed(&elsewhere.run(run_id(6)), listed(COMPLETED, 1, Some(1)))).await;
    let expired = async |before, limit| world.store.expired(NAMESPACE, Time(before), limit).await.unwrap();
    let keys = |places: &[usize]| places.iter().map(|place| closed[*place].0.clone()).collect::<Vec<_>>();
    assert_eq!(expired(1_000, 10).await, keys(&[1, 2, 3, 0]));
    assert_eq!(expired(50, 10).await, keys(&[1, 2, 3]), "before, not at");
    assert_eq!(expired(1_000, 2).await, keys(&[1, 2]));
    assert_eq!(expired(20, 10).await, keys(&[]));
    assert_eq!(expired(i64::MAX, 10).await, keys(&[1, 2, 3, 0]), "open runs never expire");
}

pub async fn a_search_attribute_can_be_wiped<F: Fixture>(world: World<F>) {
    let elsewhere = Uuid::from_u128(8);
    for namespace in [NAMESPACE, elsewhere] {
        for number in 0..20 {
            let entity = EntityKey { namespace, ..entity(&format!("{number}")) };
            let indexed = vec![
                ("CustomKeyword".to_owned(), vec![text("x")]),
                ("CustomInt".to_owned(), vec![Value::Int(number)]),
            ];
            let row = VisibilityRow { indexed, ..listed(OPEN, number, None) };
            let run = run_id(number as u64 + if namespace == elsewhere { 100 } else { 0 });
            world.write_run(put_listed(&entity.run(run), row)).await;
        }
    }
    world.store.delete_search_attribute(NAMESPACE, "CustomKeyword").await.unwrap();
    world.store.delete_search_attribute(NAMESPACE, "CustomBool").await.unwrap();
    assert_eq!(list(&world, "CustomKeyword = 'x'").await, []);
    assert_eq!(list(&world, "CustomInt >= 10").await.len(), 10);
    let count = world.store.count(elsewhere, Kind::Workflow, &filter("CustomKeyword = 'x'")).await.unwrap();
    assert_eq!(count, 20, "another namespace keeps its values");
}
