//! The check of a database file: every page, every checksum, and whether the tables agree with each other.
//!
//! It reads, and writes nothing to the database or its log. What it finds is for a person to read: nothing is mended.

use super::file::{self, FileLock, Found, OpenError};
use super::lists;
use super::read;
use super::readers::ReadError;
use super::store_error;
use crate::encoding::{decode_batches, decode_task, entity_hash, task_checksum};
use crate::prepared::{HISTORY_EVENT_BITS, core_checksum, history_checksum};
use rusqlite::{Connection, OpenFlags, Row};
use std::path::Path;
use steadfast_machine::{AnyRun, QueueKey, TaskKey, Time};
use steadfast_storage::BranchPart;
use uuid::Uuid;

type Read<T> = Result<T, ReadError>;

/// Most pieces of damage that are told; the rest is counted.
const MOST_TOLD: usize = 100;

/// What a check has read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub runs: u64,
    /// Of all histories.
    pub events: i64,
    /// In the list of runs.
    pub listed: u64,
    pub tasks: u64,
    pub messages: u64,
    /// What is wrong, a sentence each.
    pub damage: Vec<String>,
    /// Beyond those.
    pub more_damage: u64,
}

impl Checked {
    fn wrong(&mut self, what: impl Into<String>) {
        match self.damage.len() < MOST_TOLD {
            true => self.damage.push(what.into()),
            false => self.more_damage += 1,
        }
    }
}

/// Checks a database that no server has open.
///
/// # Errors
/// It is not there, not ours, in use, or damaged so that it does not open. Damage that can be read around is in the result.
pub fn check(path: &Path) -> Result<Checked, OpenError> {
    let failed = |reason: String| OpenError::Failed { path: path.to_owned(), reason };
    file::inspect(path)?;
    let _lock = FileLock::take(path)?;
    if file::inspect(path)? == Found::Nothing {
        return Err(failed("there is no database".into()));
    }
    file::check_wal_is_there(path)?;
    file::check_whose_wal_it_is(path)?;
    file::check_wal(path)?;
    let connection = open(path).map_err(|error| failed(error.to_string()))?;
    let mut checked = Checked::default();
    type Part = fn(&Connection, &mut Checked) -> Read<()>;
    // With the schema's version since which there is what the part reads: the migration to it writes it anew.
    let parts: [(&str, i32, Part); 10] = [
        ("the pages", 0, pages),
        ("the schema", 0, schema),
        ("what belongs to the whole", 1, meta),
        ("the histories", 1, histories),
        ("the runs", 1, runs),
        ("the list of runs", 1, listed),
        ("the counters of runs", 2, counters),
        ("the tasks", 1, tasks),
        ("the counts of tasks", 1, backlogs),
        ("messages, namespaces and configuration", 1, others),
    ];
    let version = schema_version(&connection).map_err(|error| failed(error.to_string()))?;
    for (what, _, part) in parts.into_iter().filter(|(_, since, _)| version >= *since) {
        match part(&connection, &mut checked) {
            Ok(()) => {}
            Err(ReadError::Store(error)) => checked.wrong(format!("{what}: {error}")),
            Err(ReadError::Sql(error)) => checked.wrong(format!("{what}: {}", store_error(&error))),
        }
    }
    Ok(checked)
}

/// Reads only. Without a log not even the files beside it are made; with one SQLite may make its index of the log.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let log = std::fs::metadata(file::beside(path, "-wal")).map_or(0, |log| log.len());
    let immutable = if log == 0 { "&immutable=1" } else { "" };
    let uri = format!("file:{}?mode=ro{immutable}", file::percent_encoded(path));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags)
}

/// SQLite's own check: the structure of every page, and that every index agrees with its table.
fn pages(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MOST_TOLD})"))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let said: String = row.get(0)?;
        if said != "ok" {
            said.lines().for_each(|line| checked.wrong(line));
        }
    }
    Ok(())
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// What is in the file is what its version makes.
fn schema(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let difference = file::schema_difference(connection, schema_version(connection)?)?;
    difference.lacks.iter().for_each(|statement| checked.wrong(format!("the schema lacks: {statement}")));
    let too_much = difference.has_too_much.iter();
    too_much.for_each(|statement| checked.wrong(format!("the schema has too much: {statement}")));
    Ok(())
}

fn meta(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let value = |key: &str, kind: &str| {
        let sql = "SELECT count(*) FROM meta WHERE key=? AND typeof(value)=?";
        connection.query_row(sql, [key, kind], |row| row.get::<_, i64>(0))
    };
    for (key, kind) in [("cluster_id", "blob"), ("generation", "integer"), ("state", "text")] {
        if value(key, kind)? != 1 {
            checked.wrong(format!("the database's {key} is missing"));
        }
    }
    let (shards, last): (i64, Option<i64>) =
        connection
            .query_row("SELECT count(*), max(shard) FROM shard", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if shards < 1 || last != Some(shards - 1) {
        checked.wrong(format!("there are {shards} shards, the last has the number {last:?}"));
    }
    Ok(())
}

/// Every chunk of history, and the branch that it belongs to.
fn histories(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let sql = format!(
        "SELECT h.place, h.checksum, h.batches, b.id FROM history h \
         LEFT JOIN branch b ON b.number=h.place>>{HISTORY_EVENT_BITS} ORDER BY h.place"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let place: i64 = row.get(0)?;
        let first_event_id = place & ((1 << HISTORY_EVENT_BITS) - 1);
        let branch: Option<Vec<u8>> = row.get(3)?;
        let Some(branch) = branch.and_then(|id| Uuid::from_slice(&id).ok()) else {
            checked.wrong(format!("the history at place {place} has no branch"));
            continue;
        };
        let value: Vec<u8> = row.get(2)?;
        if history_checksum(branch, first_event_id, &value) != row.get::<_, i32>(1)? {
            checked.wrong(format!(
                "the checksum of the history of branch {branch} at event {first_event_id} is wrong"
            ));
            continue;
        }
        match decode_batches(first_event_id, value) {
            Ok(batches) => checked.events += batches.iter().map(|batch| batch.events).sum::<i64>(),
            Err(error) => checked.wrong(format!("branch {branch}: {error}")),
        }
    }
    let sql = format!(
        "SELECT count(*) FROM branch b \
         WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.place BETWEEN b.number<<{HISTORY_EVENT_BITS} \
         AND (b.number<<{HISTORY_EVENT_BITS})|{})",
        (1i64 << HISTORY_EVENT_BITS) - 1
    );
    let empty: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
    if empty > 0 {
        checked.wrong(format!("{empty} branches of history have no events"));
    }
    Ok(())
}

/// Every run with its rows: what its columns say is what its core says, and its history has no gap.
fn runs(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let sql = "SELECT n.id, r.kind, r.id, r.run_id, r.number, r.entity, r.open, r.alarm, r.checksum, r.core \
               FROM run r LEFT JOIN namespace_number n ON n.number=r.namespace ORDER BY r.number";
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        checked.runs += 1;
        match run(connection, row) {
            Ok(None) => {}
            Ok(Some(wrong)) => checked.wrong(wrong),
            Err(ReadError::Store(error)) => checked.wrong(error.to_string()),
            Err(ReadError::Sql(error)) => checked.wrong(format!("a run: {}", store_error(&error))),
        }
    }
    let orphans: i64 = connection.query_row(
        "SELECT count(*) FROM run_row WHERE NOT EXISTS (SELECT 1 FROM run WHERE number=run_row.run)",
        [],
        |row| row.get(0),
    )?;
    if orphans > 0 {
        checked.wrong(format!("{orphans} rows belong to no run"));
    }
    Ok(())
}

/// What is wrong with a run, if anything is.
fn run(connection: &Connection, row: &Row<'_>) -> Read<Option<String>> {
    let key = read::run_key(row)?;
    let core: Vec<u8> = row.get(9)?;
    if entity_hash(&key.entity) != row.get::<_, i64>(5)? {
        return Ok(Some(format!("run {key} is filed under another id")));
    }
    if core_checksum(&key, &core) != row.get::<_, i32>(8)? {
        return Ok(Some(format!("the checksum of run {key} is wrong")));
    }
    let rows = read::load_rows(connection, row.get(4)?, key.run)?;
    let run = match AnyRun::decode(key.entity.kind, key.run, &core, &rows) {
        Ok(run) => run,
        Err(bad) => return Ok(Some(format!("run {key}: {}", bad.0))),
    };
    let (open, alarm) = (row.get::<_, bool>(6)?, row.get::<_, Option<i64>>(7)?.map(Time));
    if open != run.is_open() {
        return Ok(Some(format!("run {key} is filed as {}", if open { "open" } else { "closed" })));
    }
    if alarm != run.stored_alarm() {
        return Ok(Some(format!("run {key} is to be woken at another time than it is filed for")));
    }
    let Some(workflow) = run.workflow() else { return Ok(None) };
    let parts: Vec<BranchPart> = workflow
        .history_parts()
        .into_iter()
        .map(|(branch, last_event_id)| BranchPart { branch, last_event_id })
        .collect();
    let end = workflow.core.next_event_id;
    let batches = read::history(connection, &parts, 1, end, usize::MAX, false)?;
    let reaches = batches.last().map_or(1, |batch| batch.first_event_id + batch.events);
    Ok((reaches != end)
        .then(|| format!("the history of run {key} ends before event {reaches} instead of {end}")))
}

/// Every entry of the list, and the run that it is about.
fn listed(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let sql = format!(
        "SELECT {}, n.id, v.execution_duration, v.namespace_id IS r.namespace AND v.kind IS r.kind \
         AND v.run_id IS r.run_id AND v.workflow_id IS r.id, r.number IS NULL \
         FROM visibility v LEFT JOIN run r ON r.number=v.run \
         LEFT JOIN namespace_number n ON n.number=v.namespace_id ORDER BY v.run",
        lists::COLUMNS
            .split(", ")
            .map(|column| format!("v.{}", column.trim_start_matches("visibility.")))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        checked.listed += 1;
        let namespace = read::uuid(row, 20).unwrap_or_default();
        match lists::listed(namespace, row) {
            Ok((key, entry)) => {
                if row.get::<_, bool>(23)? {
                    checked.wrong(format!("{key} is in the list, and there is no such run"));
                } else if !row.get::<_, bool>(22)? {
                    checked.wrong(format!("the list entry of {key} belongs to another run"));
                } else if entry.execution_duration() != row.get(21)? {
                    checked.wrong(format!("the list entry of {key} has a wrong duration"));
                }
            }
            Err(ReadError::Store(error)) => checked.wrong(error.to_string()),
            Err(ReadError::Sql(error)) => checked.wrong(format!("a list entry: {}", store_error(&error))),
        }
    }
    Ok(())
}

fn tasks(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let sql = "SELECT n.id, q.kind, q.name, t.priority, t.position, t.run_id, t.checksum, t.body FROM task t \
               LEFT JOIN queue q ON q.number=t.queue LEFT JOIN namespace_number n ON n.number=q.namespace";
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        checked.tasks += 1;
        let key = match task_key(row) {
            Ok(key) => key,
            Err(_) => {
                checked.wrong("a task has no queue");
                continue;
            }
        };
        let body: Vec<u8> = row.get(7)?;
        if task_checksum(&key, &body) != row.get::<_, i32>(6)? {
            checked.wrong(format!("the checksum of a task of queue {} is wrong", key.queue.name));
        } else if let Err(error) = decode_task(key, &body) {
            checked.wrong(error.to_string());
        }
    }
    Ok(())
}

fn task_key(row: &Row<'_>) -> Read<TaskKey> {
    let kind = read::queue_type(row.get(1)?)?;
    let name: String = row.get(2)?;
    let queue = QueueKey { namespace: read::uuid(row, 0)?, name: name.into(), kind };
    Ok(TaskKey { queue, priority: row.get(3)?, order: row.get(4)?, run: read::uuid(row, 5)? })
}

/// The numbers of runs by type and status, which are kept beside the list.
fn counters(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let wrong: i64 = connection.query_row(
        "SELECT count(*) FROM (SELECT namespace_id, kind, workflow_type, status, count(*) AS runs FROM visibility \
         WHERE division IS NULL GROUP BY 1, 2, 3, 4) v FULL JOIN (SELECT * FROM counter WHERE runs<>0) c \
         ON c.namespace=v.namespace_id AND c.kind=v.kind AND c.workflow_type=v.workflow_type AND c.status=v.status \
         WHERE c.runs IS NOT v.runs",
        [],
        |row| row.get(0),
    )?;
    if wrong > 0 {
        checked.wrong(format!("{wrong} counters of runs are wrong"));
    }
    Ok(())
}

/// The numbers of tasks, which are kept beside them.
fn backlogs(connection: &Connection, checked: &mut Checked) -> Read<()> {
    let wrong: i64 = connection.query_row(
        "SELECT count(*) FROM queue q WHERE q.tasks<>(SELECT count(*) FROM task t WHERE t.queue=q.number)",
        [],
        |row| row.get(0),
    )?;
    if wrong > 0 {
        checked.wrong(format!("{wrong} queues have another number of tasks than is noted"));
    }
    Ok(())
}

fn others(connection: &Connection, checked: &mut Checked) -> Read<()> {
    checked.messages = read::messages(connection, None, usize::MAX)?.len() as u64;
    read::namespaces(connection)?;
    let mut kinds = connection.prepare("SELECT DISTINCT kind FROM config")?;
    let kinds: Vec<String> = kinds.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for kind in kinds {
        read::configs(connection, &kind)?;
    }
    Ok(())
}
