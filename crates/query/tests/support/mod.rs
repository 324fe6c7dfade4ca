//! The same executions twice: as rows in memory and as rows in SQLite; a query is asked of both.

use std::collections::BTreeMap;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};
use steadfast_query::values::AttributeValue;
use steadfast_query::{
    AttributeType, Cell, Column, Filter, QueryError, Row, Schema, Sqlite, Value, parse, resolve,
};
use uuid::Uuid;

const NAMESPACE: [u8; 16] = [7; 16];

/// The custom attributes of the tests' namespace, one of each type.
pub struct TestSchema;

impl Schema for TestSchema {
    fn custom(&self, name: &str) -> Option<AttributeType> {
        Some(match name {
            "CI" => AttributeType::Int,
            "CD" => AttributeType::Double,
            "CB" => AttributeType::Bool,
            "CK" | "my-sa" => AttributeType::Keyword,
            "CT" => AttributeType::Text,
            "CL" => AttributeType::KeywordList,
            "CDt" => AttributeType::Datetime,
            _ => return None,
        })
    }
}

pub fn filter(query: &str) -> Result<Filter, QueryError> {
    resolve(parse(query)?, &TestSchema)
}

/// An execution; what is not set is NULL.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    pub columns: BTreeMap<&'static str, (Column, Value)>,
    pub attributes: BTreeMap<String, Vec<Value>>,
}

impl Execution {
    pub fn new(workflow_id: &str, run_id: Uuid) -> Self {
        Self::default()
            .with(Column::WorkflowId, Value::Text(workflow_id.to_owned()))
            .with(Column::RunId, Value::Text(run_id.to_string()))
    }

    pub fn with(mut self, column: Column, value: Value) -> Self {
        self.columns.insert(column.column_name(), (column, value));
        self
    }

    pub fn set(mut self, name: &str, value: AttributeValue) -> Self {
        self.attributes.insert(name.to_owned(), value.rows());
        self
    }

    pub fn workflow_id(&self) -> &str {
        match &self.columns["workflow_id"].1 {
            Value::Text(text) => text,
            other => panic!("a workflow id is text, not {other:?}"),
        }
    }

    fn run_id(&self) -> Vec<u8> {
        let Some(Cell::Text(text)) = self.column(Column::RunId) else {
            panic!("every execution has a run id")
        };
        Uuid::parse_str(text).expect("run ids are UUIDs").as_bytes().to_vec()
    }
}

impl Row for Execution {
    fn column(&self, column: Column) -> Option<Cell<'_>> {
        self.columns.get(column.column_name()).map(|(_, value)| value.as_cell())
    }

    fn attribute(&self, name: &str) -> &[Value] {
        self.attributes.get(name).map_or(&[], Vec::as_slice)
    }
}

struct Bound<'v>(&'v Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The executions in both forms.
pub struct Store {
    executions: Vec<Execution>,
    connection: Connection,
}

impl Store {
    pub fn new(executions: Vec<Execution>) -> Self {
        let connection = Connection::open_in_memory().expect("SQLite opens in memory");
        connection
            .execute_batch(
                "CREATE TABLE visibility (namespace_id BLOB, run_id BLOB, workflow_id TEXT, workflow_type TEXT,
                     task_queue TEXT, status INTEGER, start_time INTEGER, execution_time INTEGER,
                     close_time INTEGER, history_length INTEGER, history_size_bytes INTEGER,
                     state_transition_count INTEGER, execution_duration INTEGER, root_workflow_id TEXT,
                     root_run_id TEXT, parent_workflow_id TEXT, parent_run_id TEXT, division TEXT,
                     PRIMARY KEY (namespace_id, run_id)) WITHOUT ROWID;
                 CREATE TABLE search_attribute (namespace_id BLOB, name TEXT, run_id BLOB, value,
                     start_time INTEGER, PRIMARY KEY (namespace_id, run_id, name, value)) WITHOUT ROWID;
                 CREATE INDEX search_attribute_by_value
                     ON search_attribute (namespace_id, name, value, start_time DESC, run_id);",
            )
            .expect("the schema is valid");
        for execution in &executions {
            let run_id = Value::Blob(execution.run_id());
            let namespace = Value::Blob(NAMESPACE.to_vec());
            let mut names = vec!["namespace_id", "run_id"];
            let mut values = vec![&namespace, &run_id];
            for (name, (_, value)) in execution.columns.iter().filter(|(name, _)| **name != "run_id") {
                names.push(name);
                values.push(value);
            }
            let marks = vec!["?"; names.len()].join(",");
            let sql = format!("INSERT INTO visibility ({}) VALUES ({marks})", names.join(","));
            connection
                .execute(&sql, params_from_iter(values.into_iter().map(Bound)))
                .expect("the execution fits");
            for (name, rows) in &execution.attributes {
                let name = Value::Text(name.clone());
                for value in rows {
                    let row = [&namespace, &name, &run_id, value].map(Bound);
                    connection
                        .execute("INSERT INTO search_attribute VALUES (?,?,?,?,0)", row)
                        .expect("the value fits");
                }
            }
        }
        Self { executions, connection }
    }

    /// Workflow ids that pass the filter, sorted: in memory and in SQLite.
    pub fn ask(&self, filter: &Filter) -> (Vec<String>, Vec<String>) {
        let memory = self.executions.iter().filter(|e| filter.matches(*e));
        let mut memory: Vec<String> = memory.map(|e| e.workflow_id().to_owned()).collect();
        memory.sort();
        let (sql, values) = filter.sql(&Sqlite, &Value::Blob(NAMESPACE.to_vec()));
        let sql = format!("SELECT workflow_id FROM visibility WHERE namespace_id=? AND {sql} ORDER BY 1");
        let mut statement = self.connection.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let namespace = Value::Blob(NAMESPACE.to_vec());
        let values = std::iter::once(&namespace).chain(&values).map(Bound);
        let stored = statement.query_map(params_from_iter(values), |row| row.get(0)).expect("the query runs");
        (memory, stored.collect::<Result<_, _>>().expect("workflow ids are text"))
    }

    /// How SQLite would find the rows.
    #[allow(dead_code, reason = "one of the two test binaries does not look at plans")]
    pub fn plan(&self, filter: &Filter) -> String {
        let (sql, values) = filter.sql(&Sqlite, &Value::Blob(NAMESPACE.to_vec()));
        let sql = format!("EXPLAIN QUERY PLAN SELECT 1 FROM visibility WHERE namespace_id=? AND {sql}");
        let mut statement = self.connection.prepare(&sql).expect("the query is valid");
        let namespace = Value::Blob(NAMESPACE.to_vec());
        let values = std::iter::once(&namespace).chain(&values).map(Bound);
        let steps =
            statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).expect("it plans");
        steps.collect::<Result<Vec<_>, _>>().expect("steps are text").join("\n")
    }
}
