//! [`Filter`] → SQL: a WHERE fragment over the table `visibility` with one bound parameter for every value; no piece of
//! a query ever becomes part of the text.
//!
//! Tests of stored attributes that few rows should pass (equality, ranges) become `run_id IN (SELECT …)`, which reads the
//! index by value and can drive the search. Those that most rows pass (inequality, absence) become a correlated EXISTS,
//! which probes the one row of an execution at hand.

use uuid::Uuid;

use crate::attribute::{Attribute, AttributeType, Column};
use crate::filter::{CompareOp, Filter, Node, OPEN_CLOSE_TIME, Test, Value};

/// What differs between databases. The table `visibility` is not to be renamed in the FROM clause; texts must compare by
/// bytes (`COLLATE "C"`).
pub trait Dialect {
    /// The parameter with this index among the fragment's own, counted from 0.
    fn placeholder(&self, index: usize) -> String;

    /// The column of `search_attribute` that holds values of a type.
    fn value_column(&self, attribute_type: AttributeType) -> &str;

    /// The run id in `column` (16 bytes) as text, lower case with dashes.
    fn run_id_text(&self, column: &str) -> String;

    /// The column that both tables have and that says which run a row is about: a store may number its runs.
    fn run_column(&self) -> &str {
        "run_id"
    }
}

/// SQLite: parameters in the order of their appearance, one column for values of all types.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sqlite;

impl Dialect for Sqlite {
    fn placeholder(&self, _index: usize) -> String {
        "?".to_owned()
    }

    fn value_column(&self, _attribute_type: AttributeType) -> &str {
        "value"
    }

    fn run_id_text(&self, column: &str) -> String {
        let groups = [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)];
        let groups = groups.map(|(start, length)| format!("substr(hex({column}),{start},{length})"));
        format!("lower({})", groups.join("||'-'||"))
    }
}

impl Filter {
    /// The condition as SQL and its parameters in order. The caller restricts `visibility.namespace_id` itself; the same
    /// value, an id or a number, is needed here for the rows of search attributes.
    pub fn sql(&self, dialect: &dyn Dialect, namespace: &Value) -> (String, Vec<Value>) {
        let mut writer = Writer { dialect, namespace, sql: String::new(), values: Vec::new() };
        writer.node(&self.condition);
        (writer.sql, writer.values)
    }
}

struct Writer<'a> {
    dialect: &'a dyn Dialect,
    namespace: &'a Value,
    sql: String,
    values: Vec<Value>,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::And(parts) => self.chain(parts, " AND ", "1=1"),
            Node::Or(parts) => self.chain(parts, " OR ", "1=0"),
            Node::Test(Attribute::Column(Column::RunId), test) => self.run_id(test),
            Node::Test(Attribute::Column(column), test) => {
                let name = format!("visibility.{}", column.column_name());
                let is_null_test = matches!(test, Test::Null | Test::NotNull);
                if *column == Column::CloseTime && !is_null_test {
                    self.scalar(&format!("coalesce({name}, {OPEN_CLOSE_TIME})"), test);
                } else {
                    self.scalar(&name, test);
                }
            }
            Node::Test(Attribute::Stored { name, attribute_type }, test) => {
                self.stored(name, *attribute_type, test);
            }
        }
    }

    /// Joins the parts as a balanced tree: SQLite limits the depth of an expression to 1,000, and a plain chain of
    /// 1,000 ORs is 1,000 deep.
    fn chain(&mut self, parts: &[Node], operator: &str, empty: &str) {
        match parts {
            [] => self.sql.push_str(empty),
            [single] => self.node(single),
            parts => {
                let (left, right) = parts.split_at(parts.len() / 2);
                self.sql.push('(');
                self.chain(left, operator, empty);
                self.sql.push_str(operator);
                self.chain(right, operator, empty);
                self.sql.push(')');
            }
        }
    }

    fn bind(&mut self, value: &Value) {
        self.sql.push_str(&self.dialect.placeholder(self.values.len()));
        self.values.push(value.clone());
    }

    fn binary(&mut self, expression: &str, operator: &str, value: &Value) {
        self.sql.push_str(expression);
        self.sql.push_str(operator);
        self.bind(value);
    }

    fn list(&mut self, expression: &str, operator: &str, values: &[Value]) {
        self.sql.push_str(expression);
        self.sql.push_str(operator);
        for (index, value) in values.iter().enumerate() {
            self.sql.push_str(if index == 0 { "(" } else { "," });
            self.bind(value);
        }
        self.sql.push(')');
    }

    /// A test of an expression with at most one value. NULL makes every comparison unknown, which is what "false for a
    /// row that lacks the attribute" needs, as nothing negates it.
    fn scalar(&mut self, expression: &str, test: &Test) {
        match test {
            Test::Compare(op, value) => self.binary(expression, op.symbol(), value),
            Test::In(values) | Test::AnyOf(values) => self.list(expression, " IN ", values),
            Test::NotIn(values) | Test::NoneOf(values) => self.list(expression, " NOT IN ", values),
            Test::Between(low, high) => {
                self.binary(expression, " BETWEEN ", low);
                self.sql.push_str(" AND ");
                self.bind(high);
            }
            Test::NotBetween(low, high) => {
                self.binary(expression, " NOT BETWEEN ", low);
                self.sql.push_str(" AND ");
                self.bind(high);
            }
            Test::StartsWith(prefix) => {
                // A range, not LIKE: it can use an index, and no character is special.
                self.binary(expression, ">=", &Value::Text(prefix.clone()));
                if let Some(end) = end_of_prefix(prefix) {
                    self.sql.push_str(" AND ");
                    self.binary(expression, "<", &Value::Text(end));
                }
            }
            Test::NotStartsWith(prefix) => {
                self.sql.push('(');
                self.binary(expression, "<", &Value::Text(prefix.clone()));
                if let Some(end) = end_of_prefix(prefix) {
                    self.sql.push_str(" OR ");
                    self.binary(expression, ">=", &Value::Text(end));
                }
                self.sql.push(')');
            }
            Test::Null => self.sql.push_str(&format!("{expression} IS NULL")),
            Test::NotNull => self.sql.push_str(&format!("{expression} IS NOT NULL")),
        }
    }

    /// Run ids are stored as 16 bytes, so that equality can use the primary key; other tests are about their text.
    fn run_id(&mut self, test: &Test) {
        const COLUMN: &str = "visibility.run_id";
        let bytes = |values: &[Value]| values.iter().filter_map(run_id_bytes).collect::<Vec<_>>();
        let (values, positive) = match test {
            Test::Compare(CompareOp::Equal, value) => (bytes(std::slice::from_ref(value)), true),
            Test::Compare(CompareOp::NotEqual, value) => (bytes(std::slice::from_ref(value)), false),
            Test::In(values) => (bytes(values), true),
            Test::NotIn(values) => (bytes(values), false),
            Test::Null | Test::NotNull => return self.scalar(COLUMN, test),
            _ => return self.scalar(&self.dialect.run_id_text(COLUMN), test),
        };
        match (values.is_empty(), positive) {
            (false, true) => self.list(COLUMN, " IN ", &values),
            (false, false) => self.list(COLUMN, " NOT IN ", &values),
            (true, true) => self.sql.push_str("1=0"),
            (true, false) => self.sql.push_str("1=1"),
        }
    }

    fn stored(&mut self, name: &str, attribute_type: AttributeType, test: &Test) {
        let run = self.dialect.run_column();
        let selected = format!("visibility.{run} IN (SELECT a.{run}");
        let (opening, positive) = match test {
            Test::Compare(CompareOp::NotEqual, _)
            | Test::NotIn(_)
            | Test::NotBetween(..)
            | Test::NotStartsWith(_)
            | Test::NotNull => ("EXISTS (SELECT 1", None),
            Test::NoneOf(values) => ("NOT EXISTS (SELECT 1", Some(Test::AnyOf(values.clone()))),
            Test::Null => ("NOT EXISTS (SELECT 1", Some(Test::NotNull)),
            Test::Compare(..) | Test::In(_) | Test::Between(..) | Test::StartsWith(_) | Test::AnyOf(_) => {
                (selected.as_str(), None)
            }
        };
        let is_probe = opening.ends_with('1');
        self.sql.push_str(opening);
        self.sql.push_str(" FROM search_attribute a WHERE ");
        self.binary("a.namespace_id", "=", self.namespace);
        self.binary(" AND a.name", "=", &Value::Text(name.to_owned()));
        if is_probe {
            self.sql.push_str(&format!(" AND a.{run}=visibility.{run}"));
        }
        let test = positive.as_ref().unwrap_or(test);
        if *test != Test::NotNull {
            self.sql.push_str(" AND ");
            let column = format!("a.{}", self.dialect.value_column(attribute_type));
            self.scalar(&column, test);
        }
        self.sql.push(')');
    }
}

fn run_id_bytes(value: &Value) -> Option<Value> {
    let Value::Text(text) = value else { return None };
    let id = Uuid::try_parse(text).ok()?;
    // Other spellings of the same id are other texts.
    (id.hyphenated().to_string() == *text).then(|| Value::Blob(id.as_bytes().to_vec()))
}

/// The first text after all that begin with the prefix; none if the prefix is empty or nothing comes after.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Skips the surrogates, which are no characters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text() {
        assert_eq!(end_of_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(end_of_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(end_of_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(end_of_prefix(""), None);
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
    }
}
