//! What the SQLite store does with files: its own, foreign, newer, damaged ones, and a disk that is full.

use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use steadfast_machine::{Kind, Time};
use steadfast_storage::conformance::world::*;
use steadfast_storage::{
    BranchPart, Commit, NamespaceRecord, Outcome, RunState, RunWrite, Store, StoreError, TaskChange,
};
use steadfast_storage_sql::{OpenError, SqliteOptions, SqliteStore, accept, backup, check};
use tempfile::TempDir;
use uuid::Uuid;

fn options(path: &Path) -> SqliteOptions {
    SqliteOptions { shards: 4, ..SqliteOptions::new(path, Uuid::from_u128(42)) }
}

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&options(path))
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A database with one of everything, closed in order.
async fn database(path: &Path) {
    let store = open(path).expect("the database opens");
    let key = run("damaged", 1);
    let shard = key.entity.shard(store.shards());
    let epoch = store.acquire(shard).await.expect("a shard");
    let write = RunWrite {
        state: RunState::Put { core: bytes("the core of a run"), alarm: Some(Time(9)), open: true },
        rows: vec![(activity(5), Some(bytes("an activity")))],
        history: Some(chunk(key.run, 1, &[2, 3])),
        ..put_listed(&key, listed(OPEN, 1, None))
    };
    let commit = Commit {
        shard,
        epoch,
        runs: vec![write],
        tasks: vec![TaskChange::Add(task("damaged", 3, 1))],
        messages: vec![message(&key, 1)],
        ..Commit::default()
    };
    assert_eq!(store.commit(commit).await, Outcome::Done);
    let namespace =
        NamespaceRecord { id: NAMESPACE, name: "default".into(), version: 1, encoded: bytes("a namespace") };
    store.put_namespace(namespace).await.expect("it is written");
    store.put_config("kind", "key", 0, Some(bytes("a configuration"))).await.expect("it is written");
    store.close().await;
}

/// Every file of a directory with its bytes.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(directory).expect("the directory is there").flatten();
    files.map(|file| (file.path(), std::fs::read(file.path()).unwrap_or_default())).collect()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Opening fails, with these words, and no file appears or changes.
#[track_caller]
fn is_refused(path: &Path, words: &[&str]) -> OpenError {
    let directory = path.parent().expect("a directory");
    let without_lock = |mut files: BTreeMap<PathBuf, Vec<u8>>| {
        files.remove(&beside(path, ".lock"));
        files
    };
    let before = without_lock(contents(directory));
    let error = open(path).err().expect("it is refused");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    assert!(without_lock(contents(directory)) == before, "nothing was written: {error}");
    error
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_the_first() {
    let directory = directory();
    let path = directory.path().join("shared.db");
    let first = open(&path).expect("the database opens");
    let begun = Instant::now();
    let error = open(&path).err().expect("it is refused");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    first.acquire(0).await.expect("the first goes on");
    first.close().await;
    let second = open(&path).expect("it is free again");
    second.acquire(0).await.expect("the second has it");
}

#[tokio::test]
async fn foreign_files_are_refused() {
    let directory = directory();
    let path = directory.path().join("foreign");
    std::fs::create_dir(&path).expect("a directory");
    is_refused(&path, &["not a Steadfast database", "directory"]);
    std::fs::remove_dir(&path).expect("it is there");
    std::fs::write(&path, "text").expect("it is written");
    is_refused(&path, &["not a Steadfast database"]);
    std::fs::write(&path, "text ".repeat(100)).expect("it is written");
    is_refused(&path, &["not a Steadfast database", "no SQLite file"]);
    std::fs::remove_file(&path).expect("it is there");
    let other = Connection::open(&path).expect("SQLite opens");
    other.execute_batch("CREATE TABLE run (x)").expect("SQLite writes");
    drop(other);
    is_refused(&path, &["not a Steadfast database", "another program's"]);
    assert!(!beside(&path, ".lock").exists(), "not even a lock appears beside a foreign file");
}

#[tokio::test]
async fn newer_and_damaged_files_are_refused() {
    let directory = directory();
    let path = directory.path().join("steadfast.db");
    database(&path).await;
    let intact = std::fs::read(&path).expect("it is there");
    let with = |offset: usize, bytes: &[u8]| {
        let mut file = intact.clone();
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, file).expect("it is written");
    };
    with(60, &99u32.to_be_bytes());
    let error = is_refused(&path, &["newer version", "99"]);
    assert!(matches!(error, OpenError::Newer { version: 99, .. }));
    with(0, b"sqlite");
    is_refused(&path, &["damaged"]);
    with(16, &[0, 3]);
    is_refused(&path, &["damaged"]);
    with(60, &0u32.to_be_bytes());
    is_refused(&path, &["damaged"]);
    // The schema's page, and what it says.
    with(100, &[0xff; 64]);
    is_refused(&path, &["damaged"]);
    // One letter of a column's name, wherever it stands: a schema still, but not ours.
    let mut renamed = intact.clone();
    let (name, other) = (b"history_size_bytes", b"histori_size_bytes");
    for place in 0..renamed.len() - name.len() {
        if renamed[place..].starts_with(name) {
            renamed[place..place + name.len()].copy_from_slice(other);
        }
    }
    std::fs::write(&path, renamed).expect("it is written");
    is_refused(&path, &["damaged", "schema lacks", "history_size_bytes"]);
    std::fs::write(&path, &intact[..intact.len() - 4096]).expect("it is written");
    is_refused(&path, &["damaged", "bytes of"]);
    std::fs::write(&path, &intact[..2000]).expect("it is written");
    is_refused(&path, &["damaged"]);
    std::fs::write(&path, &intact).expect("it is written");
    open(&path).expect("the intact file opens");
}

#[tokio::test]
async fn a_missing_log_is_noticed() {
    let directory = directory();
    let path = directory.path().join("steadfast.db");
    let store = open(&path).expect("the database opens");
    store.acquire(0).await.expect("a shard");
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).expect("the file is there");
    let error = is_refused(&copy, &["copy.db-wal", "missing"]);
    assert!(matches!(error, OpenError::MissingWal { .. }));
    accept(&copy).expect("an operator may say that it is complete");
    open(&copy).expect("a file that was closed in order needs no log").close().await;
    accept(&path).expect_err("it is in use");
}

#[tokio::test]
async fn a_log_without_its_database_is_not_mixed_with_a_new_one() {
    let directory = directory();
    let path = directory.path().join("steadfast.db");
    std::fs::write(beside(&path, "-wal"), "what an earlier database has left").expect("it is written");
    let error = is_refused(&path, &["steadfast.db-wal", "move"]);
    assert!(matches!(error, OpenError::StrayWal { .. }));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_log_is_not_taken_in_by_a_copy_that_was_put_in_the_place_of_its_database() {
    let directory = directory();
    let (path, copy) = (directory.path().join("steadfast.db"), directory.path().join("copy.db"));
    let (crashed, log) = (directory.path().join("crashed.db"), directory.path().join("crashed-wal"));
    let store = open(&path).expect("the database opens");
    backup(&path, &copy).expect("the copy is made");
    store.acquire(0).await.expect("a shard");
    std::fs::copy(&path, &crashed).expect("the file is there");
    std::fs::copy(beside(&path, "-wal"), &log).expect("the log is there");
    store.close().await;
    drop(store);

    let put = |file: &Path| {
        std::fs::copy(file, &path).expect("it is put back");
        std::fs::copy(&log, beside(&path, "-wal")).expect("it is put back");
    };
    put(&copy);
    let error = is_refused(&path, &["steadfast.db-wal is not of", "Move the log away"]);
    assert!(matches!(error, OpenError::ForeignWal { .. }));
    let error = check(&path).expect_err("nor read together by a check");
    assert!(matches!(error, OpenError::ForeignWal { .. }));
    let error = backup(&path, &directory.path().join("mixture.db")).expect_err("nor copied together");
    assert!(matches!(error, OpenError::ForeignWal { .. }));
    put(&crashed);
    let store = open(&path).expect("its own log is taken in");
    assert_eq!(store.acquire(0).await.expect("a shard"), 2, "it knows what was in the log");
}

#[tokio::test]
async fn a_copy_is_made_while_a_server_writes_and_opens_without_a_log() {
    let directory = directory();
    let (path, copy) = (directory.path().join("steadfast.db"), directory.path().join("copy.db"));
    let store = open(&path).expect("the database opens");
    let epoch = store.acquire(0).await.expect("a shard");
    backup(&path, &copy).expect("the copy is made");
    backup(&path, &copy).expect_err("what is there is not written over");
    assert!(!beside(&copy, "-wal").exists());
    let copied = open(&copy).expect("the copy opens");
    assert_eq!(copied.acquire(0).await.expect("a shard"), epoch + 1, "it knows what was in the log alone");
    copied.close().await;
    drop(store);
    std::fs::remove_file(&copy).expect("it is there");
    backup(&path, &copy).expect("the copy of a database that nobody uses");
    open(&path).expect("the database has not changed").close().await;
}

#[tokio::test]
async fn a_half_made_file_is_made_again() {
    let directory = directory();
    let path = directory.path().join("steadfast.db");
    std::fs::write(&path, "").expect("it is written");
    std::fs::write(beside(&path, ".new"), "half of a database").expect("it is written");
    open(&path).expect("an empty file is none").close().await;
    assert!(!beside(&path, ".new").exists());
    let missing = directory.path().join("no such directory").join("steadfast.db");
    let error = open(&missing).err().expect("it is refused");
    assert!(error.to_string().contains("no such directory"), "{error}");
}

/// Every kind of row, damaged by one byte behind SQLite's back, is noticed by whoever reads it.
#[tokio::test]
async fn a_damaged_row_is_noticed() {
    let directory = directory();
    let path = directory.path().join("steadfast.db");
    database(&path).await;
    let store = open(&path).expect("the database opens");
    let raw = Connection::open(&path).expect("SQLite opens");
    let key = run("damaged", 1);
    let parts = [BranchPart { branch: key.run, last_event_id: 5 }];
    for (table, column) in [
        ("run", "core"),
        ("run_row", "value"),
        ("history", "batches"),
        ("task", "body"),
        ("message", "body"),
        ("visibility", "memo"),
        ("visibility", "root_workflow_id"),
        ("namespace", "encoded"),
        ("config", "value"),
    ] {
        let before: Vec<u8> = raw
            .query_row(&format!("SELECT CAST({column} AS BLOB) FROM {table}"), [], |row| row.get(0))
            .expect("there is one row");
        let put = |value: &[u8]| {
            let cast = if column == "root_workflow_id" { "CAST(? AS TEXT)" } else { "?" };
            raw.execute(&format!("UPDATE {table} SET {column}={cast}"), [value]).expect("it is written");
        };
        let mut damaged = before.clone();
        damaged[before.len() / 2] ^= 4;
        put(&damaged);
        let result: Result<(), StoreError> = match table {
            "run" | "run_row" => store.load_latest(&key.entity).await.map(|_| ()),
            "history" => store.read_history(&parts, 1, 6, 10, false).await.map(|_| ()),
            "task" => store.read_backlog(&queue("damaged"), None, 10).await.map(|_| ()),
            "message" => store.messages(None, 10).await.map(|_| ()),
            "visibility" => store.list(NAMESPACE, Kind::Workflow, &filter(""), None, 10).await.map(|_| ()),
            "namespace" => store.namespaces().await.map(|_| ()),
            _ => store.configs("kind").await.map(|_| ()),
        };
        assert!(matches!(result, Err(StoreError::Corrupt(_))), "{table}.{column}: {result:?}");
        put(&before);
    }
    // Put right again, all is well.
    assert!(store.load_latest(&key.entity).await.is_ok_and(|run| run.is_some()));
    assert_eq!(store.read_history(&parts, 1, 6, 10, false).await, Ok(vec![batch(1, 2), batch(3, 3)]));
}

/// Commits until the disk is full: how many were written, and the first that was not.
async fn fill(store: &SqliteStore, epochs: &[u64], from: u64) -> (u64, Outcome) {
    for number in from..from + 2_000 {
        match store.commit(filler(store, epochs, number)).await {
            Outcome::Done => {}
            outcome => return (number, outcome),
        }
    }
    panic!("the disk is never full");
}

/// A commit of 20 KB.
fn filler(store: &SqliteStore, epochs: &[u64], number: u64) -> Commit {
    let key = run(&format!("filler {number}"), number);
    let shard = key.entity.shard(store.shards());
    let rows = vec![(activity(1), Some(bytes(&"x".repeat(20_000))))];
    let runs = vec![RunWrite { rows, ..put_listed(&key, listed(OPEN, number as i64, None)) }];
    Commit { shard, epoch: epochs[shard as usize], runs, ..Commit::default() }
}

async fn acquire_all(store: &SqliteStore) -> Vec<u64> {
    let mut epochs = Vec::new();
    for shard in 0..store.shards() {
        epochs.push(store.acquire(shard).await.expect("a shard"));
    }
    epochs
}

/// What was acknowledged is there, what was not is not.
async fn holds_fillers(store: &SqliteStore, written: u64) {
    for number in 0..written {
        let stored = store.load_latest(&entity(&format!("filler {number}"))).await.expect("reads go on");
        assert_eq!(stored.expect("it was acknowledged").rows.len(), 1);
    }
    assert_eq!(store.load_latest(&entity(&format!("filler {written}"))).await, Ok(None));
    assert_eq!(store.count(NAMESPACE, Kind::Workflow, &filter("")).await, Ok(written));
}

/// Commits fail cleanly at the file's limit, reads go on, and commits too as soon as there is room again.
#[tokio::test]
async fn a_full_file_loses_nothing_and_passes() {
    let directory = directory();
    let limited =
        SqliteOptions { max_bytes: Some(2 * 1024 * 1024), ..options(&directory.path().join("full.db")) };
    let store = SqliteStore::open(&limited).expect("the database opens");
    let epochs = acquire_all(&store).await;
    let (written, full) = fill(&store, &epochs, 0).await;
    assert!(matches!(full, Outcome::NotWritten(_)), "{full:?}");
    assert!(written > 10);
    let again = store.commit(filler(&store, &epochs, written)).await;
    assert!(matches!(again, Outcome::NotWritten(_)), "{again:?}");
    holds_fillers(&store, written).await;
    for number in 0..10 {
        let key = run(&format!("filler {number}"), number);
        let outcome =
            store.commit(Commit { runs: vec![delete(&key)], ..filler(&store, &epochs, number) }).await;
        assert_eq!(outcome, Outcome::Done, "deleting makes room");
    }
    assert_eq!(store.commit(filler(&store, &epochs, written)).await, Outcome::Done);
    assert_eq!(store.count(NAMESPACE, Kind::Workflow, &filter("")).await, Ok(written - 9));
}

/// A file system of a few megabytes.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// # Panics
    /// Nothing may be mounted here. A test that did not run must not look like one that passed.
    fn mount() -> SmallDisk {
        let directory = directory();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(directory.path())
            .output()
            .expect("the program mount is there");
        assert!(
            mount.status.success(),
            "this test needs a small file system, and may not mount one (run it as root, or in a name space of its own: \
             unshare --user --map-root-user --mount cargo test -p steadfast-storage-sql): {}",
            String::from_utf8_lossy(&mount.stderr)
        );
        SmallDisk(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk is unmounted");
    }
}

/// The same on a disk that is really full.
#[tokio::test]
async fn a_full_disk_loses_nothing_and_passes() {
    let disk = SmallDisk::mount();
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1024 * 1024]).expect("there is room at first");
    let path = disk.0.path().join("full.db");
    let store = open(&path).expect("the database opens");
    let epochs = acquire_all(&store).await;
    let (written, full) = fill(&store, &epochs, 0).await;
    assert!(matches!(full, Outcome::NotWritten(_)), "{full:?}");
    assert!(written > 10);
    let again = store.commit(filler(&store, &epochs, written)).await;
    assert!(matches!(again, Outcome::NotWritten(_)), "{again:?}");
    holds_fillers(&store, written).await;

    std::fs::remove_file(&ballast).expect("it is there");
    let begun = Instant::now();
    while store.commit(filler(&store, &epochs, written)).await != Outcome::Done {
        assert!(begun.elapsed() < Duration::from_secs(5), "it goes on by itself");
        tokio::task::yield_now().await;
    }
    holds_fillers(&store, written + 1).await;
    // Full once more, and then the process dies: all that was acknowledged is in the files.
    let (written, _) = fill(&store, &epochs, written + 1).await;
    let elsewhere = directory();
    let copy = elsewhere.path().join("copy.db");
    for suffix in ["-wal", ""] {
        std::fs::copy(beside(&path, suffix), beside(&copy, suffix)).expect("both files are there");
    }
    drop(store);
    holds_fillers(&open(&copy).expect("the copy opens"), written).await;
}

/// Space that deleted runs leave is given back when nothing happens, and the log is cut.
#[tokio::test]
async fn an_idle_store_gives_space_back() {
    let directory = directory();
    let path = directory.path().join("idle.db");
    let store = open(&path).expect("the database opens");
    let epochs = acquire_all(&store).await;
    let size = |suffix| std::fs::metadata(beside(&path, suffix)).map_or(0, |file| file.len());
    for number in 0..40 {
        let mut large = filler(&store, &epochs, number);
        large.runs[0].rows = (0..10).map(|id| (activity(id), Some(bytes(&"x".repeat(30_000))))).collect();
        assert_eq!(store.commit(large).await, Outcome::Done);
    }
    for number in 0..40 {
        let key = run(&format!("filler {number}"), number);
        let delete = Commit { runs: vec![delete(&key)], ..filler(&store, &epochs, number) };
        assert_eq!(store.commit(delete).await, Outcome::Done);
    }
    let begun = Instant::now();
    while size("-wal") > 0 || size("") > 6 * 1024 * 1024 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{} and {} bytes are left",
            size(""),
            size("-wal")
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.commit(filler(&store, &epochs, 0)).await, Outcome::Done);
    holds_fillers(&store, 1).await;
}
