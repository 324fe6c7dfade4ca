//! Reads of runs, history and what waits. Every row is checked against its checksum.

use super::readers::ReadError;
use crate::encoding::{decode_batches, decode_message, decode_task, entity_hash, task_checksum, verify};
use crate::prepared::{HISTORY_EVENT_BITS, MAX_EVENT_ID};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};
use steadfast_machine::decision::Batch;
use steadfast_machine::{
    EntityKey, Kind, Message, QueueKey, QueueType, RowKey, RowTable, RunKey, Task, TaskKey, Time,
};
use steadfast_storage::{BacklogPage, BranchPart, NamespaceRecord, StoreError, StoredRun};
use uuid::Uuid;

type Read<T> = Result<T, ReadError>;

/// The columns that say which run a row of `run` is about, for [`run_key`].
const RUN_KEY: &str = "n.id, r.kind, r.id, r.run_id";

fn corrupt(what: impl Into<String>) -> ReadError {
    ReadError::Store(StoreError::Corrupt(what.into()))
}

pub fn uuid(row: &Row<'_>, column: usize) -> Read<Uuid> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|_| corrupt("an id is not made of bytes"))?;
    Uuid::from_slice(bytes).map_err(|_| corrupt("an id has another length than 16 bytes"))
}

fn kind(row: &Row<'_>, column: usize) -> Read<Kind> {
    let number: u8 = row.get(column)?;
    Kind::from_number(number).ok_or_else(|| corrupt(format!("there is no kind {number}")))
}

/// Reads [`RUN_KEY`] from the first four columns.
pub fn run_key(row: &Row<'_>) -> Read<RunKey> {
    let id: String = row.get(2)?;
    let entity = EntityKey { namespace: uuid(row, 0)?, kind: kind(row, 1)?, id: id.into() };
    Ok(RunKey { entity, run: uuid(row, 3)? })
}

/// The run with this id, or the latest.
pub fn load(connection: &Connection, entity: &EntityKey, run: Option<Uuid>) -> Read<Option<StoredRun>> {
    let sql = format!(
        "SELECT {RUN_KEY}, r.number, r.open, r.alarm, r.checksum, r.core \
         FROM run r JOIN namespace_number n ON n.number=r.namespace \
         WHERE r.entity=?1 AND {} ORDER BY r.run_id DESC",
        if run.is_some() { "r.run_id=?2" } else { "?2 IS NULL" }
    );
    let mut runs = connection.prepare_cached(&sql)?;
    let mut found = runs.query(params![entity_hash(entity), run.as_ref().map(Uuid::as_bytes)])?;
    while let Some(row) = found.next()? {
        let key = run_key(row)?;
        // Another entity may have the same hash.
        if key.entity != *entity {
            continue;
        }
        let number: i64 = row.get(4)?;
        let core: Vec<u8> = row.get(8)?;
        let covered: [&[u8]; 2] = [key.run.as_bytes(), entity.id.as_bytes()];
        verify(&format!("run {key}"), &covered, &core, row.get(7)?)?;
        return Ok(Some(StoredRun {
            run: key.run,
            core: core.into(),
            alarm: row.get::<_, Option<i64>>(6)?.map(Time),
            open: row.get(5)?,
            rows: load_rows(connection, number, key.run)?,
        }));
    }
    Ok(None)
}

/// The rows of the run with this number.
pub fn load_rows(connection: &Connection, number: i64, run: Uuid) -> Read<Vec<(RowKey, Bytes)>> {
    let sql = "SELECT part, key, checksum, value FROM run_row WHERE run=? ORDER BY part, key";
    let mut rows = connection.prepare_cached(sql)?;
    let mut found = rows.query([number])?;
    let mut loaded = Vec::new();
    while let Some(row) = found.next()? {
        let part: u8 = row.get(0)?;
        let key: Vec<u8> = row.get(1)?;
        let value: Vec<u8> = row.get(3)?;
        let what = format!("a row of run {run} in table {part}");
        verify(&what, &[run.as_bytes(), &[part], &key], &value, row.get(2)?)?;
        let table = RowTable::from_number(part)
            .ok_or_else(|| corrupt(format!("run {run} has a row of an unknown table {part}")))?;
        loaded.push((RowKey { table, key: key.into() }, value.into()));
    }
    Ok(loaded)
}

pub fn cores(connection: &Connection, entity: &EntityKey) -> Read<Vec<(Uuid, Bytes)>> {
    let sql = format!(
        "SELECT {RUN_KEY}, r.checksum, r.core FROM run r JOIN namespace_number n ON n.number=r.namespace \
         WHERE r.entity=? ORDER BY r.run_id"
    );
    let mut runs = connection.prepare_cached(&sql)?;
    let mut found = runs.query([entity_hash(entity)])?;
    let mut cores = Vec::new();
    while let Some(row) = found.next()? {
        let key = run_key(row)?;
        // Another entity may have the same hash.
        if key.entity != *entity {
            continue;
        }
        let core: Vec<u8> = row.get(5)?;
        let covered: [&[u8]; 2] = [key.run.as_bytes(), entity.id.as_bytes()];
        verify(&format!("run {key}"), &covered, &core, row.get(4)?)?;
        cores.push((key.run, core.into()));
    }
    Ok(cores)
}

pub fn run_ids(connection: &Connection, entity: &EntityKey) -> Read<Vec<Uuid>> {
    let sql = format!(
        "SELECT {RUN_KEY} FROM run r JOIN namespace_number n ON n.number=r.namespace \
         WHERE r.entity=? ORDER BY r.run_id"
    );
    let mut runs = connection.prepare_cached(&sql)?;
    let mut found = runs.query([entity_hash(entity)])?;
    let mut ids = Vec::new();
    while let Some(row) = found.next()? {
        let key = run_key(row)?;
        if key.entity == *entity {
            ids.push(key.run);
        }
    }
    Ok(ids)
}

pub fn history(
    connection: &Connection,
    parts: &[BranchPart],
    from: i64,
    to: i64,
    limit: usize,
    reverse: bool,
) -> Read<Vec<Batch>> {
    // Each part with the events that are wanted of it: `low..high`.
    let mut wanted = Vec::with_capacity(parts.len());
    let mut part_begins = 1;
    for part in parts {
        let part_ends = part.last_event_id.saturating_add(1);
        let (low, high) = (from.max(part_begins), to.min(part_ends).min(MAX_EVENT_ID));
        if low < high {
            wanted.push((part.branch, low, high));
        }
        part_begins = part_ends;
    }
    if reverse {
        wanted.reverse();
    }
    let mut batches = Vec::new();
    for (branch, low, high) in wanted {
        if batches.len() >= limit {
            break;
        }
        branch_part(connection, branch, low, high, limit - batches.len(), reverse, &mut batches)?;
    }
    Ok(batches)
}

/// Adds at most `limit` batches of one branch that contain events in `low..high`.
fn branch_part(
    connection: &Connection,
    branch: Uuid,
    low: i64,
    high: i64,
    limit: usize,
    reverse: bool,
    batches: &mut Vec<Batch>,
) -> Read<()> {
    let mut branches = connection.prepare_cached("SELECT number FROM branch WHERE id=?")?;
    let number: Option<i64> = branches.query_row([branch.as_bytes()], |row| row.get(0)).optional()?;
    let Some(number) = number else { return Ok(()) };
    let base = number << HISTORY_EVENT_BITS;
    // The chunk around `low` begins at or before it.
    let sql = "SELECT max(place) FROM history WHERE place BETWEEN ? AND ?";
    let mut around = connection.prepare_cached(sql)?;
    let first: Option<i64> = around.query_row([base, base + low], |row| row.get(0))?;
    let sql = if reverse {
        "SELECT place, checksum, batches FROM history WHERE place>=? AND place<? ORDER BY place DESC"
    } else {
        "SELECT place, checksum, batches FROM history WHERE place>=? AND place<? ORDER BY place"
    };
    let mut chunks = connection.prepare_cached(sql)?;
    let mut found = chunks.query([first.unwrap_or(base + low), base + high])?;
    let enough = batches.len() + limit;
    // Where the chunk read last begins or ends, on the side of the next.
    let mut neighbour = None;
    while batches.len() < enough
        && let Some(row) = found.next()?
    {
        let first_event_id = row.get::<_, i64>(0)? - base;
        let value: Vec<u8> = row.get(2)?;
        let what = format!("the history of branch {branch} at event {first_event_id}");
        verify(&what, &[branch.as_bytes(), &first_event_id.to_be_bytes()], &value, row.get(1)?)?;
        let mut chunk = decode_batches(first_event_id, value)?;
        // A checksum says nothing of a row that cannot be found: the events themselves must follow each other.
        let ends = chunk.last().map_or(first_event_id, |batch| batch.first_event_id + batch.events);
        let follows = match neighbour {
            None => reverse || first_event_id <= low,
            Some(neighbour) if reverse => ends == neighbour,
            Some(neighbour) => first_event_id == neighbour,
        };
        if !follows {
            return Err(corrupt(format!(
                "events of branch {branch} are missing beside event {first_event_id}"
            )));
        }
        neighbour = Some(if reverse { first_event_id } else { ends });
        chunk.retain(|batch| batch.first_event_id < high && batch.first_event_id + batch.events > low);
        if reverse {
            chunk.reverse();
        }
        batches.extend(chunk);
    }
    batches.truncate(enough);
    Ok(())
}

pub fn backlog(
    connection: &Connection,
    queue: &QueueKey,
    after: Option<&TaskKey>,
    limit: usize,
) -> Read<BacklogPage> {
    let sql = "SELECT q.number FROM queue q JOIN namespace_number n ON n.number=q.namespace \
               WHERE n.id=? AND q.kind=? AND q.name=?";
    let mut queues = connection.prepare_cached(sql)?;
    let number = queues
        .query_row(params![queue.namespace.as_bytes(), queue.kind as u8, queue.name], |row| {
            row.get::<_, i64>(0)
        })
        .optional()?;
    let Some(number) = number else { return Ok(BacklogPage::default()) };
    let (priority, position, run) = match after {
        Some(key) => (i64::from(key.priority), key.order, key.run),
        None => (-1, 0, Uuid::nil()),
    };
    let sql = "SELECT priority, position, run_id, checksum, body FROM task \
               WHERE queue=? AND (priority, position, run_id)>(?,?,?) \
               ORDER BY priority, position, run_id LIMIT ?";
    let mut tasks = connection.prepare_cached(sql)?;
    let mut found = tasks.query(params![number, priority, position, run.as_bytes(), sql_limit(limit)])?;
    let mut page: Vec<Task> = Vec::new();
    while let Some(row) = found.next()? {
        let key =
            TaskKey { queue: queue.clone(), priority: row.get(0)?, order: row.get(1)?, run: uuid(row, 2)? };
        let body = row.get_ref(4)?.as_blob().map_err(|_| corrupt("a task is not made of bytes"))?;
        if task_checksum(&key, body) != row.get::<_, i32>(3)? {
            return Err(corrupt(format!("the checksum of a task of queue {} is wrong", queue.name)));
        }
        page.push(decode_task(key, body)?);
    }
    let next = if page.len() == limit { page.last().map(|task| task.key.clone()) } else { None };
    Ok(BacklogPage { tasks: page, next })
}

pub fn queue_type(number: u8) -> Read<QueueType> {
    match number {
        1 => Ok(QueueType::Workflow),
        2 => Ok(QueueType::Activity),
        3 => Ok(QueueType::Nexus),
        other => Err(corrupt(format!("there is no queue type {other}"))),
    }
}

pub fn backlogs(connection: &Connection) -> Read<Vec<(QueueKey, u64)>> {
    let sql = "SELECT n.id, q.kind, q.name, q.tasks FROM queue q \
               JOIN namespace_number n ON n.number=q.namespace WHERE q.tasks>0";
    let mut queues = connection.prepare_cached(sql)?;
    let mut found = queues.query([])?;
    let mut backlogs = Vec::new();
    while let Some(row) = found.next()? {
        let kind = queue_type(row.get(1)?)?;
        let name: String = row.get(2)?;
        let queue = QueueKey { namespace: uuid(row, 0)?, name: name.into(), kind };
        backlogs.push((queue, row.get::<_, i64>(3)? as u64));
    }
    Ok(backlogs)
}

pub fn alarms(connection: &Connection, until: Time, limit: usize) -> Read<Vec<(Time, RunKey)>> {
    let sql = format!(
        "SELECT {RUN_KEY}, r.alarm FROM run r JOIN namespace_number n ON n.number=r.namespace \
         WHERE r.alarm<=? ORDER BY r.alarm LIMIT ?"
    );
    let mut alarms = connection.prepare_cached(&sql)?;
    let mut found = alarms.query(params![until.0, sql_limit(limit)])?;
    let mut due = Vec::new();
    while let Some(row) = found.next()? {
        due.push((Time(row.get(4)?), run_key(row)?));
    }
    Ok(due)
}

pub fn messages(connection: &Connection, after: Option<(Uuid, i64)>, limit: usize) -> Read<Vec<Message>> {
    let (run, sequence) = after.unwrap_or((Uuid::nil(), i64::MIN));
    let sql = "SELECT run_id, sequence, checksum, body FROM message WHERE (run_id, sequence)>(?,?) \
               ORDER BY run_id, sequence LIMIT ?";
    let mut messages = connection.prepare_cached(sql)?;
    let mut found = messages.query(params![run.as_bytes(), sequence, sql_limit(limit)])?;
    let mut read = Vec::new();
    while let Some(row) = found.next()? {
        let (run, sequence) = (uuid(row, 0)?, row.get::<_, i64>(1)?);
        let body: Vec<u8> = row.get(3)?;
        let what = format!("message {sequence} of run {run}");
        verify(&what, &[run.as_bytes(), &sequence.to_be_bytes()], &body, row.get(2)?)?;
        read.push(decode_message(run, sequence, body)?);
    }
    Ok(read)
}

pub fn namespaces(connection: &Connection) -> Read<Vec<NamespaceRecord>> {
    let sql = "SELECT id, name, version, checksum, encoded FROM namespace ORDER BY id";
    let mut namespaces = connection.prepare_cached(sql)?;
    let mut found = namespaces.query([])?;
    let mut read = Vec::new();
    while let Some(row) = found.next()? {
        let (id, name): (Uuid, String) = (uuid(row, 0)?, row.get(1)?);
        let encoded: Vec<u8> = row.get(4)?;
        verify(&format!("namespace {name}"), &[id.as_bytes(), name.as_bytes()], &encoded, row.get(3)?)?;
        let version = row.get::<_, i64>(2)? as u64;
        read.push(NamespaceRecord { id, name, version, encoded: encoded.into() });
    }
    Ok(read)
}

pub fn configs(connection: &Connection, kind: &str) -> Read<Vec<(String, u64, Bytes)>> {
    let sql = "SELECT key, version, checksum, value FROM config WHERE kind=? ORDER BY key";
    let mut configs = connection.prepare_cached(sql)?;
    let mut found = configs.query([kind])?;
    let mut read = Vec::new();
    while let Some(row) = found.next()? {
        let key: String = row.get(0)?;
        let value: Vec<u8> = row.get(3)?;
        verify(&format!("{kind} {key}"), &[kind.as_bytes(), key.as_bytes()], &value, row.get(2)?)?;
        read.push((key, row.get::<_, i64>(1)? as u64, value.into()));
    }
    Ok(read)
}

pub fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
