//! A database that an older version wrote opens and reads, for every version of the schema that ever was.
//!
//! `golden/<version>.sql` is such a database as text, with one of everything. It never changes.

use rusqlite::Connection;
use std::path::Path;
use steadfast_machine::{Kind, RowKey, RowTable, Time};
use steadfast_query::Value;
use steadfast_storage::conformance::world::*;
use steadfast_storage::{
    BranchPart, Commit, NamespaceRecord, Outcome, RunState, RunWrite, Store, TaskChange, VisibilityRow,
};
use steadfast_storage_sql::{SqliteOptions, SqliteStore};
use uuid::Uuid;

const VERSIONS: [(i32, &str); 2] = [(1, include_str!("golden/1.sql")), (2, include_str!("golden/2.sql"))];

const CLUSTER: Uuid = Uuid::from_u128(0x5eed);

fn open(path: &Path) -> SqliteStore {
    let options = SqliteOptions { shards: 4, ..SqliteOptions::new(path, CLUSTER) };
    SqliteStore::open(&options).expect("the database opens")
}

fn open_row() -> VisibilityRow {
    VisibilityRow {
        indexed: vec![
            ("CustomKeyword".into(), vec![Value::Text("red".into())]),
            ("CustomInt".into(), vec![Value::Int(7)]),
            ("CustomDouble".into(), vec![Value::Real(0.5)]),
        ],
        ..listed(OPEN, 1_000, None)
    }
}

fn closed_row() -> VisibilityRow {
    VisibilityRow {
        history_length: 9,
        history_bytes: 1_234,
        transitions: 5,
        parent_workflow_id: Some("parent".into()),
        parent_run_id: Some(run_id(9).to_string()),
        ..listed(COMPLETED, 500, Some(900))
    }
}

/// Writes one of everything.
async fn fill(store: &SqliteStore) {
    for shard in 0..store.shards() {
        store.acquire(shard).await.expect("a shard");
    }
    let (open, closed) = (run("golden", 2), run("golden", 1));
    let commit = Commit {
        shard: open.entity.shard(store.shards()),
        epoch: 1,
        runs: vec![
            RunWrite {
                state: RunState::Put { core: bytes("closed core"), alarm: None, open: false },
                history: Some(chunk(closed.run, 1, &[1, 2])),
                ..put_listed(&closed, closed_row())
            },
            RunWrite {
                state: RunState::Put { core: bytes("open core"), alarm: Some(Time(5_000)), open: true },
                rows: vec![
                    (RowKey::single(RowTable::Start), Some(bytes("start"))),
                    (activity(5), Some(bytes("activity"))),
                ],
                history: Some(chunk(open.run, 3, &[2])),
                ..put_listed(&open, open_row())
            },
        ],
        tasks: vec![TaskChange::Add(task("golden", 3, 77))],
        messages: vec![message(&open, 4)],
        ..Commit::default()
    };
    assert_eq!(store.commit(commit).await, Outcome::Done);
    let record = NamespaceRecord { id: NAMESPACE, name: "default".into(), version: 1, encoded: bytes("n") };
    store.put_namespace(record).await.expect("it is written");
    store.put_config("kind", "key", 0, Some(bytes("value"))).await.expect("it is written");
}

/// Reads all of it.
async fn check(store: &SqliteStore) {
    assert_eq!((store.cluster_id(), store.shards()), (CLUSTER, 4));
    let (open, closed) = (run("golden", 2), run("golden", 1));
    let latest = store.load_latest(&open.entity).await.expect("it is read").expect("it is there");
    assert_eq!((latest.run, latest.open, latest.alarm), (open.run, true, Some(Time(5_000))));
    assert_eq!(latest.core, bytes("open core"));
    let rows = [(RowKey::single(RowTable::Start), bytes("start")), (activity(5), bytes("activity"))];
    assert_eq!(latest.rows, rows);
    assert_eq!(store.run_ids(&open.entity).await, Ok(vec![closed.run, open.run]));
    let parts = [
        BranchPart { branch: closed.run, last_event_id: 2 },
        BranchPart { branch: open.run, last_event_id: 4 },
    ];
    let history = store.read_history(&parts, 1, 5, 10, false).await;
    assert_eq!(history, Ok(vec![batch(1, 1), batch(2, 2), batch(3, 2)]));
    let tasks = store.read_backlog(&queue("golden"), None, 10).await.expect("it is read").tasks;
    assert_eq!(tasks, [task("golden", 3, 77)]);
    assert_eq!(store.backlogs().await, Ok(vec![(queue("golden"), 1)]));
    assert_eq!(store.messages(None, 10).await, Ok(vec![message(&open, 4)]));
    assert_eq!(store.alarms(Time(5_000), 10).await, Ok(vec![(Time(5_000), open.clone())]));
    let page = store.list(NAMESPACE, Kind::Workflow, &filter(""), None, 10).await.expect("it is read");
    let open_row = VisibilityRow { indexed: Vec::new(), ..open_row() };
    assert_eq!(page.rows, [(open.clone(), open_row.clone()), (closed.clone(), closed_row())]);
    for query in ["CustomKeyword = 'red'", "CustomInt = 7", "CustomDouble < 1", "ExecutionStatus = 'Running'"]
    {
        let page = store.list(NAMESPACE, Kind::Workflow, &filter(query), None, 10).await.expect("it is read");
        assert_eq!(page.rows, [(open.clone(), open_row.clone())], "{query}");
    }
    for query in ["", "WorkflowType = 'Type'"] {
        let counts = store.count_by_status(NAMESPACE, Kind::Workflow, &filter(query)).await;
        assert_eq!(counts, Ok(vec![(OPEN, 1), (COMPLETED, 1)]), "{query}");
    }
    let record = NamespaceRecord { id: NAMESPACE, name: "default".into(), version: 1, encoded: bytes("n") };
    assert_eq!(store.namespaces().await, Ok(vec![record]));
    assert_eq!(store.configs("kind").await, Ok(vec![("key".into(), 1, bytes("value"))]));
    // It takes new commits, under a new epoch.
    let shard = open.entity.shard(4);
    let epoch = store.acquire(shard).await.expect("a shard");
    assert_eq!(epoch, 2);
    let more = RunWrite { history: Some(chunk(open.run, 5, &[1])), ..put(&open, "newer core") };
    let outcome = store.commit(Commit { shard, epoch, runs: vec![more], ..Commit::default() }).await;
    assert_eq!(outcome, Outcome::Done);
}

/// Nothing is said to be damaged before a server has led the file to this version, but for the cores, which are no runs.
fn check_file(path: &Path) {
    let checked = steadfast_storage_sql::check(path).expect("it is checked");
    let damage: Vec<&String> = checked.damage.iter().filter(|said| !said.starts_with("run ")).collect();
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!((checked.runs, checked.events, checked.listed, checked.tasks), (2, 5, 2, 1));
}

#[tokio::test]
async fn databases_of_all_versions_open_and_read() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (version, text) in VERSIONS {
        let path = directory.path().join(format!("{version}.db"));
        let database = Connection::open(&path).expect("SQLite opens");
        database.execute_batch(text).expect("the text is SQL");
        database.close().expect("SQLite closes");
        check_file(&path);
        let store = open(&path);
        check(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_of_this_version_reads_the_same() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("new.db");
    let store = open(&path);
    fill(&store).await;
    check(&store).await;
}
