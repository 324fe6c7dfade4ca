//! One commit as statements, inside the transaction of its group.

use super::cache::{Cache, CachedRun};
use crate::prepared::{HISTORY_EVENT_BITS, PreparedCommit, PreparedRun, PreparedVisibility};
use rusqlite::{Connection, OptionalExtension, Statement, params};
use std::collections::BTreeMap;
use steadfast_machine::{Kind, QueueKey, RunKey};
use steadfast_query::Value;
use steadfast_storage::RunState;
use uuid::Uuid;

/// Why a commit of a group did not go in. The group is rolled back.
#[derive(Debug)]
pub enum ApplyError {
    Sql(rusqlite::Error),
    /// This commit can never go in.
    Refused(String),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> ApplyError {
        ApplyError::Sql(error)
    }
}

/// The statements and what is remembered between commits.
pub struct Applier<'c> {
    sql: Statements<'c>,
    cache: Cache,
    next_run: i64,
    next_branch: i64,
    /// Changes of counters since the transaction began: (namespace, kind, type, status).
    counted: BTreeMap<(i64, Kind, String, i32), i64>,
    /// Changes of backlogs since the transaction began, by queue number.
    queued: BTreeMap<i64, i64>,
}

macro_rules! statements {
    ($($name:ident: $sql:expr;)*) => {
        struct Statements<'c> { $($name: Statement<'c>,)* }

        impl<'c> Statements<'c> {
            fn prepare(connection: &'c Connection) -> rusqlite::Result<Statements<'c>> {
                Ok(Statements { $($name: connection.prepare($sql)?,)* })
            }
        }
    };
}

statements! {
    find_namespace: "SELECT number FROM namespace_number WHERE id=?";
    add_namespace: "INSERT INTO namespace_number (id) VALUES (?)";
    find_run: "SELECT number FROM run WHERE entity=? AND run_id=?";
    add_run: "INSERT INTO run (number, entity, run_id, namespace, kind, id, open, alarm, checksum, core) \
              VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (entity, run_id) DO NOTHING";
    put_run: "UPDATE run SET open=?, alarm=?, checksum=?, core=? WHERE number=?";
    delete_run: "DELETE FROM run WHERE number=?";
    put_row: "INSERT OR REPLACE INTO run_row (run, part, key, checksum, value) VALUES (?,?,?,?,?)";
    delete_row: "DELETE FROM run_row WHERE run=? AND part=? AND key=?";
    delete_rows: "DELETE FROM run_row WHERE run=?";
    find_branch: "SELECT number FROM branch WHERE id=?";
    add_branch: "INSERT INTO branch (id, number) VALUES (?,?)";
    delete_branch: "DELETE FROM branch WHERE id=?";
    add_history: "INSERT INTO history (place, checksum, batches) VALUES (?,?,?) ON CONFLICT DO NOTHING";
    delete_history: "DELETE FROM history WHERE place BETWEEN ? AND ?";
    find_queue: "SELECT number FROM queue WHERE namespace=? AND kind=? AND name=?";
    add_queue: "INSERT INTO queue (namespace, kind, name, tasks) VALUES (?,?,?,0)";
    count_queue: "UPDATE queue SET tasks=tasks+? WHERE number=?";
    has_task: "SELECT 1 FROM task WHERE queue=? AND priority=? AND position=? AND run_id=?";
    put_task: "INSERT OR REPLACE INTO task (queue, priority, position, run_id, checksum, body) VALUES (?,?,?,?,?,?)";
    delete_task: "DELETE FROM task WHERE queue=? AND priority=? AND position=? AND run_id=?";
    put_message: "INSERT OR REPLACE INTO message (run_id, sequence, checksum, body) VALUES (?,?,?,?)";
    delete_message: "DELETE FROM message WHERE run_id=? AND sequence=?";
    find_listed: "SELECT workflow_type, status, division IS NULL FROM visibility WHERE run=?";
    add_listed: "INSERT INTO visibility (run, namespace_id, kind, status, start_time, execution_time, close_time, run_id, \
                 workflow_id, workflow_type, task_queue, history_length, history_size_bytes, state_transition_count, \
                 execution_duration, root_workflow_id, root_run_id, parent_workflow_id, parent_run_id, division, checksum, \
                 memo, search_attributes) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    put_listed: "UPDATE visibility SET status=?, start_time=?, execution_time=?, close_time=?, task_queue=?, \
                 history_length=?, history_size_bytes=?, state_transition_count=?, execution_duration=?, \
                 root_workflow_id=?, root_run_id=?, parent_workflow_id=?, parent_run_id=?, division=?, checksum=?, memo=?, \
                 search_attributes=? WHERE run=?";
    detail_listed: "UPDATE visibility SET execution_time=?, task_queue=?, execution_duration=?, root_workflow_id=?, \
                    root_run_id=?, parent_workflow_id=?, parent_run_id=?, division=?, checksum=?, memo=?, \
                    search_attributes=? WHERE run=?";
    delete_listed: "DELETE FROM visibility WHERE run=?";
    add_attribute: "INSERT OR IGNORE INTO search_attribute (run, name, value, namespace_id) VALUES (?,?,?,?)";
    delete_attributes: "DELETE FROM search_attribute WHERE run=?";
    count_runs: "INSERT INTO counter (namespace, kind, workflow_type, status, runs) VALUES (?,?,?,?,?) \
                 ON CONFLICT (namespace, kind, workflow_type, status) DO UPDATE SET runs=runs+excluded.runs";
    delete_counter: "DELETE FROM counter WHERE namespace=? AND kind=? AND workflow_type=? AND status=? AND runs=0";
}

impl<'c> Applier<'c> {
    pub fn new(connection: &'c Connection) -> rusqlite::Result<Applier<'c>> {
        let mut applier = Applier {
            sql: Statements::prepare(connection)?,
            cache: Cache::default(),
            next_run: 0,
            next_branch: 0,
            counted: BTreeMap::new(),
            queued: BTreeMap::new(),
        };
        applier.forget(connection)?;
        Ok(applier)
    }

    /// Drops what is remembered: after a transaction that did not end, or a change behind its back.
    pub fn forget(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.cache = Cache::default();
        self.counted.clear();
        self.queued.clear();
        let last = |sql| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        self.next_run = last("SELECT max(number) FROM run")?.unwrap_or(0) + 1;
        // A branch has history as long as it has a number.
        let last_place = last("SELECT max(place) FROM history")?.unwrap_or(0);
        self.next_branch = (last_place >> HISTORY_EVENT_BITS) + 1;
        Ok(())
    }

    pub fn apply(&mut self, commit: &PreparedCommit) -> Result<(), ApplyError> {
        for run in &commit.runs {
            self.write_run(run)?;
        }
        for key in &commit.tasks_finished {
            let queue = self.queue(&key.queue)?;
            let place = params![queue, key.priority, key.order, key.run.as_bytes()];
            let deleted = self.sql.delete_task.execute(place)?;
            if deleted > 0 {
                *self.queued.entry(queue).or_insert(0) -= 1;
            }
        }
        for task in &commit.tasks_added {
            let key = &task.key;
            let queue = self.queue(&key.queue)?;
            let place = params![queue, key.priority, key.order, key.run.as_bytes()];
            if !self.sql.has_task.exists(place)? {
                *self.queued.entry(queue).or_insert(0) += 1;
            }
            let row = params![queue, key.priority, key.order, key.run.as_bytes(), task.checksum, task.body];
            self.sql.put_task.execute(row)?;
        }
        for message in &commit.messages {
            let row = params![message.run.as_bytes(), message.sequence, message.checksum, message.body];
            self.sql.put_message.execute(row)?;
        }
        for (from, sequence) in &commit.messages_done {
            self.sql.delete_message.execute(params![from.run.as_bytes(), sequence])?;
        }
        for branch in &commit.branches_dropped {
            self.drop_branch(*branch)?;
        }
        Ok(())
    }

    /// Writes the counters; the last thing before a transaction ends.
    pub fn flush_counters(&mut self) -> rusqlite::Result<()> {
        for ((namespace, kind, of_type, status), change) in std::mem::take(&mut self.counted) {
            if change != 0 {
                self.sql.count_runs.execute(params![namespace, kind as u8, of_type, status, change])?;
            }
            if change < 0 {
                self.sql.delete_counter.execute(params![namespace, kind as u8, of_type, status])?;
            }
        }
        for (queue, change) in std::mem::take(&mut self.queued) {
            if change != 0 {
                self.sql.count_queue.execute(params![change, queue])?;
            }
        }
        Ok(())
    }

    fn write_run(&mut self, run: &PreparedRun) -> Result<(), ApplyError> {
        if let Some(history) = &run.history {
            let branch = self.branch(history.branch)?;
            let place = (branch << HISTORY_EVENT_BITS) | history.first_event_id;
            let row = params![place, history.checksum, history.batches];
            if self.sql.add_history.execute(row)? == 0 {
                return Err(ApplyError::Refused(format!(
                    "event {} of history branch {} is stored already",
                    history.first_event_id, history.branch
                )));
            }
        }
        let RunState::Put { core, alarm, open } = &run.state else {
            return Ok(self.delete_run(run)?);
        };
        let alarm = alarm.map(|time| time.0);
        let number = match self.cache.runs.get(&run.key.run) {
            Some(cached) => Some(cached.number),
            // A run that begins is hardly ever there: the insert finds out.
            None if run.history.as_ref().is_some_and(|history| history.first_event_id == 1) => None,
            None => self.find_run(run)?,
        };
        let number = match number {
            Some(number) => number,
            None => {
                let namespace = self.namespace(run.key.entity.namespace)?;
                let number = self.next_run;
                let added = self.sql.add_run.execute(params![
                    number,
                    run.entity_hash,
                    run.key.run.as_bytes(),
                    namespace,
                    run.key.entity.kind as u8,
                    run.key.entity.id,
                    open,
                    alarm,
                    run.core_checksum,
                    &core[..],
                ])?;
                if added > 0 {
                    self.next_run += 1;
                    self.cache.runs.insert(run.key.run, CachedRun::new(number));
                    return self.write_parts(number, run);
                }
                let found = self.find_run(run)?;
                found.ok_or_else(|| ApplyError::Refused(format!("run {} is another entity's", run.key)))?
            }
        };
        self.sql.put_run.execute(params![open, alarm, run.core_checksum, &core[..], number])?;
        self.write_parts(number, run)
    }

    /// What a run has beside its core row.
    fn write_parts(&mut self, number: i64, run: &PreparedRun) -> Result<(), ApplyError> {
        for (key, value) in &run.rows {
            match value {
                Some((value, checksum)) => {
                    let row = params![number, key.table as u8, &key.key[..], checksum, &value[..]];
                    self.sql.put_row.execute(row)?;
                }
                None => {
                    self.sql.delete_row.execute(params![number, key.table as u8, &key.key[..]])?;
                }
            }
        }
        if let Some(visibility) = &run.visibility {
            self.write_listed(number, &run.key, visibility)?;
        }
        Ok(())
    }

    fn write_listed(
        &mut self,
        number: i64,
        key: &RunKey,
        visibility: &PreparedVisibility,
    ) -> Result<(), ApplyError> {
        let namespace = self.namespace(key.entity.namespace)?;
        let kind = key.entity.kind;
        let mut cached = match self.cache.runs.get(&key.run) {
            Some(cached) => *cached,
            None => CachedRun { number, ..CachedRun::unknown() },
        };
        let (before, attributes_before) = match cached.listed {
            Some(listed) => (listed, cached.indexed_hash),
            None => (self.find_listed(number)?.map(|(_, counted)| counted), None),
        };
        let row = &visibility.row;
        let closed = |value: i64| row.close_time.map(|_| value);
        let division = visibility.division.as_deref();
        if before.is_none() {
            self.sql.add_listed.execute(params![
                number,
                namespace,
                kind as u8,
                row.status,
                row.start_time.0,
                row.execution_time.0,
                row.close_time.map(|time| time.0),
                key.run.as_bytes(),
                key.entity.id,
                row.workflow_type,
                row.task_queue,
                closed(row.history_length),
                closed(row.history_bytes),
                closed(row.transitions),
                row.execution_duration(),
                row.root_workflow_id,
                row.root_run_id,
                row.parent_workflow_id,
                row.parent_run_id,
                division,
                visibility.checksum,
                &row.memo[..],
                &row.search_attributes[..],
            ])?;
        } else if cached.place == Some(visibility.place) {
            // Its place in the lists is the same: a statement that names none of their columns leaves the indexes alone.
            self.sql.detail_listed.execute(params![
                row.execution_time.0,
                row.task_queue,
                row.execution_duration(),
                row.root_workflow_id,
                row.root_run_id,
                row.parent_workflow_id,
                row.parent_run_id,
                division,
                visibility.checksum,
                &row.memo[..],
                &row.search_attributes[..],
                number,
            ])?;
        } else {
            self.sql.put_listed.execute(params![
                row.status,
                row.start_time.0,
                row.execution_time.0,
                row.close_time.map(|time| time.0),
                row.task_queue,
                closed(row.history_length),
                closed(row.history_bytes),
                closed(row.transitions),
                row.execution_duration(),
                row.root_workflow_id,
                row.root_run_id,
                row.parent_workflow_id,
                row.parent_run_id,
                division,
                visibility.checksum,
                &row.memo[..],
                &row.search_attributes[..],
                number,
            ])?;
        }
        let counts_as = division.is_none().then_some(row.status);
        let counted_before = before.flatten();
        if counts_as != counted_before {
            // A run keeps its type.
            self.count(namespace, kind, &row.workflow_type, counted_before, -1);
            self.count(namespace, kind, &row.workflow_type, counts_as, 1);
        }
        // A run that was not listed has no attributes yet.
        let attributes_before = if before.is_none() { Some(0) } else { attributes_before };
        if attributes_before != Some(visibility.indexed_hash) {
            if attributes_before != Some(0) {
                self.sql.delete_attributes.execute([number])?;
            }
            for (name, values) in &row.indexed {
                for value in values {
                    self.add_attribute(number, namespace, name, value)?;
                }
            }
        }
        cached.listed = Some(Some(counts_as));
        cached.indexed_hash = Some(visibility.indexed_hash);
        cached.place = Some(visibility.place);
        if row.close_time.is_none() {
            self.cache.runs.insert(key.run, cached);
        } else {
            // A closed run is hardly ever written again.
            self.cache.runs.remove(&key.run);
        }
        Ok(())
    }

    fn add_attribute(&mut self, run: i64, namespace: i64, name: &str, value: &Value) -> rusqlite::Result<()> {
        let add = &mut self.sql.add_attribute;
        match value {
            Value::Int(number) => add.execute(params![run, name, number, namespace])?,
            Value::Real(number) => add.execute(params![run, name, number, namespace])?,
            Value::Text(text) => add.execute(params![run, name, text, namespace])?,
            Value::Blob(bytes) => add.execute(params![run, name, bytes, namespace])?,
        };
        Ok(())
    }

    fn delete_run(&mut self, run: &PreparedRun) -> rusqlite::Result<()> {
        self.cache.runs.remove(&run.key.run);
        let Some(number) = self.find_run(run)? else { return Ok(()) };
        if let Some((of_type, counted)) = self.find_listed(number)? {
            let namespace = self.namespace(run.key.entity.namespace)?;
            self.count(namespace, run.key.entity.kind, &of_type, counted, -1);
            self.sql.delete_listed.execute([number])?;
            self.sql.delete_attributes.execute([number])?;
        }
        self.sql.delete_rows.execute([number])?;
        self.sql.delete_run.execute([number])?;
        Ok(())
    }

    fn drop_branch(&mut self, branch: Uuid) -> rusqlite::Result<()> {
        self.cache.branches.remove(&branch);
        let number: Option<i64> =
            self.sql.find_branch.query_row([branch.as_bytes()], |row| row.get(0)).optional()?;
        if let Some(number) = number {
            let first = number << HISTORY_EVENT_BITS;
            self.sql.delete_history.execute([first, first + (1 << HISTORY_EVENT_BITS) - 1])?;
            self.sql.delete_branch.execute([branch.as_bytes()])?;
        }
        Ok(())
    }

    fn count(&mut self, namespace: i64, kind: Kind, of_type: &str, status: Option<i32>, change: i64) {
        if let Some(status) = status {
            *self.counted.entry((namespace, kind, of_type.to_owned(), status)).or_insert(0) += change;
        }
    }

    fn find_run(&mut self, run: &PreparedRun) -> rusqlite::Result<Option<i64>> {
        let key = params![run.entity_hash, run.key.run.as_bytes()];
        let number = self.sql.find_run.query_row(key, |row| row.get(0)).optional()?;
        if let Some(number) = number {
            self.cache.runs.insert(run.key.run, CachedRun { number, ..CachedRun::unknown() });
        }
        Ok(number)
    }

    /// None if the run is not listed; else its type, and the status that it is counted under, if it is.
    fn find_listed(&mut self, number: i64) -> rusqlite::Result<Option<(String, Option<i32>)>> {
        let counted = self.sql.find_listed.query_row([number], |row| {
            let counted = if row.get::<_, bool>(2)? { Some(row.get::<_, i32>(1)?) } else { None };
            Ok((row.get(0)?, counted))
        });
        counted.optional()
    }

    fn namespace(&mut self, id: Uuid) -> rusqlite::Result<i64> {
        if let Some(number) = self.cache.namespaces.get(&id) {
            return Ok(*number);
        }
        let found = self.sql.find_namespace.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
        let number = match found {
            Some(number) => number,
            None => self.sql.add_namespace.insert([id.as_bytes()])?,
        };
        self.cache.namespaces.insert(id, number);
        Ok(number)
    }

    fn branch(&mut self, id: Uuid) -> rusqlite::Result<i64> {
        if let Some(number) = self.cache.branches.get(&id) {
            return Ok(*number);
        }
        let found = self.sql.find_branch.query_row([id.as_bytes()], |row| row.get(0)).optional()?;
        let number = match found {
            Some(number) => number,
            None => {
                let number = self.next_branch;
                self.sql.add_branch.execute(params![id.as_bytes(), number])?;
                self.next_branch += 1;
                number
            }
        };
        self.cache.branches.insert(id, number);
        Ok(number)
    }

    fn queue(&mut self, key: &QueueKey) -> rusqlite::Result<i64> {
        if let Some(number) = self.cache.queues.get(key) {
            return Ok(*number);
        }
        let namespace = self.namespace(key.namespace)?;
        let place = params![namespace, key.kind as u8, key.name];
        let found = self.sql.find_queue.query_row(place, |row| row.get(0)).optional()?;
        let number = match found {
            Some(number) => number,
            None => self.sql.add_queue.insert(place)?,
        };
        self.cache.queues.insert(key.clone(), number);
        Ok(number)
    }
}
