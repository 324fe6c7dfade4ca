//! Lists and counts: the query language's SQL, in the order of lists.

use super::read::sql_limit;
use super::readers::ReadError;
use crate::encoding::visibility_checksum;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};
use std::collections::BTreeMap;
use std::sync::Arc;
use steadfast_machine::{EntityKey, Kind, RunKey, Time};
use steadfast_query::{AttributeType, Dialect, Filter, OPEN_CLOSE_TIME, Value};
use steadfast_storage::{PageKey, StoreError, VisibilityPage, VisibilityRow};
use uuid::Uuid;

type Read<T> = Result<T, ReadError>;

/// SQLite's way of the query language, with runs known by their number.
struct SqliteDialect;

impl Dialect for SqliteDialect {
    fn placeholder(&self, _index: usize) -> String {
        "?".to_owned()
    }

    fn value_column(&self, _: AttributeType) -> &str {
        "value"
    }

    fn run_id_text(&self, column: &str) -> String {
        steadfast_query::Sqlite.run_id_text(column)
    }

    fn run_column(&self) -> &str {
        "run"
    }
}

struct Bound(Value);

impl ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match &self.0 {
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A WHERE clause with its parameters.
struct Condition {
    sql: String,
    values: Vec<Value>,
}

impl Condition {
    /// Runs of a kind that match, in a namespace whose number is given.
    fn new(namespace: i64, kind: Kind, filter: &Filter) -> Condition {
        let (filter_sql, filter_values) = filter.sql(&SqliteDialect, &Value::Int(namespace));
        let mut values = vec![Value::Int(namespace), Value::Int(kind as i64)];
        values.extend(filter_values);
        Condition { sql: format!("namespace_id=? AND visibility.kind=? AND ({filter_sql})"), values }
    }

    /// The same, and something that is written here.
    fn and(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Condition {
        let mut all = self.values.clone();
        all.extend(values);
        Condition { sql: format!("{} AND {sql}", self.sql), values: all }
    }

    fn parameters(self, limit: Option<usize>) -> impl rusqlite::Params {
        let limit = limit.map(|limit| Value::Int(sql_limit(limit)));
        params_from_iter(self.values.into_iter().chain(limit).map(Bound))
    }
}

fn number_of(connection: &Connection, namespace: Uuid) -> Read<Option<i64>> {
    let mut numbers = connection.prepare_cached("SELECT number FROM namespace_number WHERE id=?")?;
    Ok(numbers.query_row([namespace.as_bytes()], |row| row.get(0)).optional()?)
}

/// What lists sort by first, written as the indexes have it.
fn close_order() -> String {
    format!("coalesce(close_time, {OPEN_CLOSE_TIME})")
}

pub fn list(
    connection: &Connection,
    namespace: Uuid,
    kind: Kind,
    filter: &Filter,
    after: Option<PageKey>,
    limit: usize,
) -> Read<VisibilityPage> {
    let Some(number) = number_of(connection, namespace)? else { return Ok(VisibilityPage::default()) };
    let condition = Condition::new(number, kind, filter);
    let close = close_order();
    match after {
        None => page(connection, namespace, condition, Order::All, limit),
        Some(key) => {
            // First what has the same close time, as all open runs do, then what closed before: two ranges of an index.
            let same = format!("{close}=? AND start_time<=? AND (start_time<? OR run_id>?)");
            let start = Value::Int(key.start_time.0);
            let place = [
                Value::Int(key.close_time.0),
                start.clone(),
                start,
                Value::Blob(key.run.as_bytes().to_vec()),
            ];
            let mut found =
                page(connection, namespace, condition.and(&same, place), Order::SameClose, limit)?;
            if found.next.is_none() {
                let before = condition.and(&format!("{close}<?"), [Value::Int(key.close_time.0)]);
                let rest = page(connection, namespace, before, Order::All, limit - found.rows.len())?;
                found.rows.extend(rest.rows);
                found.next = rest.next;
            }
            Ok(found)
        }
    }
}

/// How a page is sorted. SQLite does not see that a close time which is given need not be sorted by, and would sort all
/// rows that have it.
#[derive(Clone, Copy)]
enum Order {
    All,
    SameClose,
}

/// What [`listed`] reads.
pub const COLUMNS: &str = "visibility.kind, run_id, workflow_id, workflow_type, task_queue, status, start_time, \
    execution_time, close_time, history_length, history_size_bytes, state_transition_count, root_workflow_id, \
    root_run_id, parent_workflow_id, parent_run_id, division, checksum, memo, search_attributes";

fn page_sql(condition: &Condition, order: Order) -> String {
    let first = match order {
        Order::All => format!("{} DESC, ", close_order()),
        Order::SameClose => String::new(),
    };
    format!(
        "SELECT {COLUMNS} FROM visibility WHERE {} ORDER BY {first}start_time DESC, run_id LIMIT ?",
        condition.sql,
    )
}

fn page(
    connection: &Connection,
    namespace: Uuid,
    condition: Condition,
    order: Order,
    limit: usize,
) -> Read<VisibilityPage> {
    let sql = page_sql(&condition, order);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(condition.parameters(Some(limit)))?;
    let rows = std::iter::from_fn(|| match found.next() {
        Ok(row) => row.map(|row| listed(namespace, row)),
        Err(error) => Some(Err(error.into())),
    });
    VisibilityPage::fill(rows, limit)
}

/// The entry in the columns [`COLUMNS`], if its checksum is right.
pub fn listed(namespace: Uuid, row: &Row<'_>) -> Read<(RunKey, VisibilityRow)> {
    let corrupt = |what: String| ReadError::Store(StoreError::Corrupt(what));
    let kind: u8 = row.get(0)?;
    let run: Vec<u8> = row.get(1)?;
    let id: String = row.get(2)?;
    let (Some(kind), Ok(run)) = (Kind::from_number(kind), Uuid::from_slice(&run)) else {
        return Err(corrupt(format!("the list entry of {id} is malformed")));
    };
    let key = RunKey { entity: EntityKey { namespace, kind, id: Arc::from(id) }, run };
    let counter = |column| row.get::<_, Option<i64>>(column).map(Option::unwrap_or_default);
    let entry = VisibilityRow {
        workflow_type: row.get(3)?,
        task_queue: row.get(4)?,
        status: row.get(5)?,
        start_time: Time(row.get(6)?),
        execution_time: Time(row.get(7)?),
        close_time: row.get::<_, Option<i64>>(8)?.map(Time),
        history_length: counter(9)?,
        history_bytes: counter(10)?,
        transitions: counter(11)?,
        root_workflow_id: row.get(12)?,
        root_run_id: row.get(13)?,
        parent_workflow_id: row.get(14)?,
        parent_run_id: row.get(15)?,
        memo: row.get::<_, Vec<u8>>(18)?.into(),
        search_attributes: row.get::<_, Vec<u8>>(19)?.into(),
        indexed: Vec::new(),
    };
    let division: Option<String> = row.get(16)?;
    if visibility_checksum(&key, &entry, division.as_deref()) != row.get::<_, i32>(17)? {
        return Err(corrupt(format!("the checksum of the list entry of {key} is wrong")));
    }
    Ok((key, entry))
}

pub fn count_by_status(
    connection: &Connection,
    namespace: Uuid,
    kind: Kind,
    filter: &Filter,
) -> Read<Vec<(i32, u64)>> {
    let Some(number) = number_of(connection, namespace)? else { return Ok(Vec::new()) };
    let counted = |row: &Row<'_>| Ok((row.get::<_, i32>(0)?, row.get::<_, i64>(1)? as u64));
    if filter.is_for_counters() {
        let mut counters = connection.prepare_cached(
            "SELECT workflow_type, status, runs FROM counter WHERE namespace=? AND kind=? AND runs>0",
        )?;
        let mut found = counters.query(params![number, kind as u8])?;
        let mut counts = BTreeMap::new();
        while let Some(row) = found.next()? {
            let status = row.get(1)?;
            if filter.counts(&row.get::<_, String>(0)?, status) {
                *counts.entry(status).or_insert(0) += row.get::<_, i64>(2)? as u64;
            }
        }
        return Ok(counts.into_iter().collect());
    }
    let condition = Condition::new(number, kind, filter);
    // The sign keeps the planner from reading all rows of a kind in the order of an index by status.
    let sql = format!("SELECT status, count(*) FROM visibility WHERE {} GROUP BY +status", condition.sql);
    let mut groups = connection.prepare_cached(&sql)?;
    let counts = groups.query_map(condition.parameters(None), counted)?.collect::<rusqlite::Result<_>>()?;
    Ok(counts)
}

/// Closed runs, oldest first, of all kinds. They are about to be deleted: so an entry whose checksum is wrong is not among
/// them, nor is one that an index alone says is old enough.
pub fn expired(
    connection: &Connection,
    namespace: Uuid,
    closed_before: Time,
    limit: usize,
) -> Read<Vec<RunKey>> {
    let Some(number) = number_of(connection, namespace)? else { return Ok(Vec::new()) };
    let close = close_order();
    let sql = format!(
        "SELECT {COLUMNS} FROM visibility \
         WHERE namespace_id=? AND kind=? AND {close}<? ORDER BY {close}, start_time LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut expired = Vec::new();
    for kind in (0..=u8::MAX).map_while(|number| Kind::from_number(number + 1)) {
        let mut found = statement.query(params![number, kind as u8, closed_before.0, sql_limit(limit)])?;
        while let Some(row) = found.next()? {
            match listed(namespace, row) {
                Ok((key, row)) if row.close_time.is_some_and(|time| time < closed_before) => {
                    expired.push((row.close_time, key));
                }
                Ok((key, _)) => {
                    tracing::error!(%key, "an index of the list says that this run is old enough to go")
                }
                Err(ReadError::Store(error)) => tracing::error!(%error, "a run is kept beyond its time"),
                Err(error) => return Err(error),
            }
        }
    }
    expired.sort();
    expired.truncate(limit);
    Ok(expired.into_iter().map(|(_, key)| key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_query::{Schema, parse, resolve};

    struct Attributes;

    impl Schema for Attributes {
        fn custom(&self, name: &str) -> Option<AttributeType> {
            (name == "Customer").then_some(AttributeType::Keyword)
        }
    }

    /// The plan of a page as SQLite explains it.
    fn plan(query: &str, extra: Option<&str>, order: Order) -> String {
        let connection = Connection::open_in_memory().expect("memory is there");
        super::super::file::create_schema(&connection).expect("the schema is valid");
        let query = parse(query).expect("the query is well formed");
        let filter = resolve(query, &Attributes).expect("the query has a meaning");
        let mut condition = Condition::new(1, Kind::Workflow, &filter);
        if let Some(extra) = extra {
            let values = extra.matches('?').map(|_| Value::Int(1)).collect::<Vec<_>>();
            condition = condition.and(extra, values);
        }
        let sql = format!("EXPLAIN QUERY PLAN {}", page_sql(&condition, order));
        let mut statement = connection.prepare(&sql).expect("the SQL is valid");
        let steps = statement.query_map(condition.parameters(Some(20)), |row| row.get::<_, String>(3));
        let steps = steps.and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>);
        steps.expect("SQLite explains").join("; ")
    }

    #[test]
    fn lists_read_no_more_than_they_must() {
        let sorted = [
            ("", "visibility_by_order"),
            ("ExecutionStatus = 'Failed'", "visibility_by_status"),
            ("WorkflowType = 'Order'", "visibility_by_type"),
            ("WorkflowType = 'Order' AND ExecutionStatus = 'Running'", "visibility_by_"),
            ("StartTime > '2026-01-01T00:00:00Z'", "visibility_by_order"),
            ("CloseTime > '2026-01-01T00:00:00Z'", "visibility_by_order"),
            ("Customer != 'x'", "visibility_by_order"),
        ];
        for (query, index) in sorted {
            for (extra, order) in [
                (None, Order::All),
                (Some("coalesce(close_time, 9223372036854775807)<?"), Order::All),
                (
                    Some(
                        "coalesce(close_time, 9223372036854775807)=? AND start_time<=? AND (start_time<? OR run_id>?)",
                    ),
                    Order::SameClose,
                ),
            ] {
                let plan = plan(query, extra, order);
                assert!(plan.contains(index), "{query}: {plan}");
                assert!(!plan.contains("B-TREE FOR ORDER BY"), "{query} is not sorted by an index: {plan}");
            }
        }
        let found = [
            ("WorkflowId = 'x'", "visibility_by_workflow_id"),
            ("WorkflowId STARTS_WITH 'x'", "visibility_by_workflow_id"),
            ("RunId = '00000000-000b-7000-8000-000000000000'", "visibility_by_run_id"),
            ("Customer = 'x'", "search_attribute_by_value (namespace_id=? AND name=? AND value=?)"),
            ("Customer STARTS_WITH 'x'", "search_attribute_by_value (namespace_id=? AND name=? AND value>?"),
        ];
        for (query, index) in found {
            let plan = plan(query, None, Order::All);
            assert!(plan.contains(index), "{query}: {plan}");
        }
    }
}
