//! What a resolved query is made of. The tree has no NOT: see the invariant at [`Node`].

use std::cmp::Ordering;

use crate::attribute::{Attribute, Column};
use crate::error::QueryError;
use crate::evaluate::Row;

/// What CloseTime compares as while an execution is open, in nanoseconds: later than every time that can be written.
/// The order of list pages uses the same value, so an index on this expression serves both.
pub const OPEN_CLOSE_TIME: i64 = i64::MAX;

/// A value to compare with, in the form in which stores hold it: Int, Bool (0 or 1), Datetime (nanoseconds) and status
/// (number) as `Int`, Double as `Real`, the rest as `Text`. `Blob` occurs in SQL only (run ids).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// A borrowed value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Int(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl Value {
    pub fn as_cell(&self) -> Cell<'_> {
        match self {
            Value::Int(number) => Cell::Int(*number),
            Value::Real(number) => Cell::Real(*number),
            Value::Text(text) => Cell::Text(text),
            Value::Blob(bytes) => Cell::Blob(bytes),
        }
    }
}

impl Cell<'_> {
    /// SQLite's order: numbers by value, then texts by bytes, then blobs.
    pub fn order(self, other: Cell<'_>) -> Ordering {
        match (self, other) {
            (Cell::Int(a), Cell::Int(b)) => a.cmp(&b),
            // No NaN gets here: JSON has none, and the parser refuses it.
            (Cell::Real(a), Cell::Real(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Cell::Int(a), Cell::Real(b)) => compare_mixed(a, b),
            (Cell::Real(a), Cell::Int(b)) => compare_mixed(b, a).reverse(),
            (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
            (Cell::Blob(a), Cell::Blob(b)) => a.cmp(b),
            (a, b) => a.class().cmp(&b.class()),
        }
    }

    fn class(self) -> u8 {
        match self {
            Cell::Int(_) | Cell::Real(_) => 0,
            Cell::Text(_) => 1,
            Cell::Blob(_) => 2,
        }
    }
}

/// Compares without rounding the integer, as SQLite does.
fn compare_mixed(integer: i64, real: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if real >= TWO_TO_63 {
        return Ordering::Less;
    }
    if real < -TWO_TO_63 {
        return Ordering::Greater;
    }
    let whole = real.trunc();
    integer.cmp(&(whole as i64)).then_with(|| 0.0.partial_cmp(&(real - whole)).unwrap_or(Ordering::Equal))
}

/// A comparison of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl CompareOp {
    pub fn symbol(self) -> &'static str {
        match self {
            CompareOp::Equal => "=",
            CompareOp::NotEqual => "!=",
            CompareOp::Less => "<",
            CompareOp::LessOrEqual => "<=",
            CompareOp::Greater => ">",
            CompareOp::GreaterOrEqual => ">=",
        }
    }

    pub(crate) fn negate(self) -> Self {
        match self {
            CompareOp::Equal => CompareOp::NotEqual,
            CompareOp::NotEqual => CompareOp::Equal,
            CompareOp::Less => CompareOp::GreaterOrEqual,
            CompareOp::LessOrEqual => CompareOp::Greater,
            CompareOp::Greater => CompareOp::LessOrEqual,
            CompareOp::GreaterOrEqual => CompareOp::Less,
        }
    }

    /// Whether it holds of two values that are in this order.
    pub fn accepts(self, order: Ordering) -> bool {
        match self {
            CompareOp::Equal => order.is_eq(),
            CompareOp::NotEqual => order.is_ne(),
            CompareOp::Less => order.is_lt(),
            CompareOp::LessOrEqual => order.is_le(),
            CompareOp::Greater => order.is_gt(),
            CompareOp::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A test of one attribute. All tests but `Null`, and `NoneOf`, are false for a row that lacks the attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Compare(CompareOp, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Between(Value, Value),
    NotBetween(Value, Value),
    StartsWith(String),
    NotStartsWith(String),
    /// For attributes of many values: one of the row's values is in the list.
    AnyOf(Vec<Value>),
    /// The opposite of `AnyOf`, true also for a row without values.
    NoneOf(Vec<Value>),
    Null,
    NotNull,
}

/// A condition that is either true or false.
///
/// Invariant: there is no negation node. SQL's NOT over "unknown" would have to be carried through every store; instead
/// the resolver turns each test into its opposite, which by construction also is false where the attribute is missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// True when all parts are; true when there is none.
    And(Vec<Node>),
    /// True when one part is; false when there is none.
    Or(Vec<Node>),
    Test(Attribute, Test),
}

impl Node {
    pub(crate) fn never() -> Self {
        Node::Or(Vec::new())
    }

    fn missing_differs(self) -> Self {
        let all = |parts: Vec<Node>| parts.into_iter().map(Node::missing_differs).collect();
        match self {
            Node::And(parts) => Node::And(all(parts)),
            Node::Or(parts) => Node::Or(all(parts)),
            Node::Test(
                attribute,
                test @ (Test::Compare(CompareOp::NotEqual, _) | Test::NotIn(_) | Test::NotStartsWith(_)),
            ) => Node::Or(vec![Node::Test(attribute.clone(), Test::Null), Node::Test(attribute, test)]),
            test => test,
        }
    }

    fn tests_only(&self, columns: &[Column]) -> bool {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().all(|p| p.tests_only(columns)),
            Node::Test(Attribute::Column(column), _) => columns.contains(column),
            Node::Test(..) => false,
        }
    }
}

/// What a count can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    ExecutionStatus,
    NamespaceDivision,
}

impl GroupBy {
    pub fn column(self) -> Column {
        match self {
            GroupBy::ExecutionStatus => Column::ExecutionStatus,
            GroupBy::NamespaceDivision => Column::NamespaceDivision,
        }
    }
}

/// A query ready to be answered, by [`Filter::matches`] or by the SQL of [`Filter::sql`].
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub(crate) condition: Node,
    pub(crate) group_by: Option<GroupBy>,
}

impl Filter {
    /// What a count is to be grouped by.
    pub fn group_by(&self) -> Option<GroupBy> {
        self.group_by
    }

    /// Passes the filter on for a list, which has no groups.
    ///
    /// # Errors
    /// The query has a GROUP BY clause.
    pub fn for_list(self) -> Result<Self, QueryError> {
        match self.group_by {
            Some(_) => Err(QueryError::unsupported("'GROUP BY' clause")),
            None => Ok(self),
        }
    }

    /// Whether internal executions stay hidden: the query does not ask for a division.
    pub fn hides_divisions(&self) -> bool {
        let no_division = Node::Test(Attribute::Column(Column::NamespaceDivision), Test::Null);
        matches!(&self.condition, Node::And(parts) if parts.contains(&no_division))
    }

    /// Passes the filter on for rows of which what is missing counts as different from everything.
    #[must_use]
    pub fn missing_differs(self) -> Self {
        Filter { condition: self.condition.missing_differs(), ..self }
    }

    /// Whether the filter depends on type and status alone and leaves internal executions hidden. Then a count can be
    /// answered from counters by type and status without looking at a row: [`Filter::counts`] says from which.
    pub fn is_for_counters(&self) -> bool {
        self.hides_divisions()
            && self.condition.tests_only(&[
                Column::WorkflowType,
                Column::ExecutionStatus,
                Column::NamespaceDivision,
            ])
    }

    /// Whether runs of this type and status match a filter that is for counters.
    pub fn counts(&self, workflow_type: &str, status: i32) -> bool {
        struct Sample<'a>(&'a str, i32);
        impl Row for Sample<'_> {
            fn column(&self, column: Column) -> Option<Cell<'_>> {
                match column {
                    Column::WorkflowType => Some(Cell::Text(self.0)),
                    Column::ExecutionStatus => Some(Cell::Int(self.1.into())),
                    _ => None,
                }
            }
            fn attribute(&self, _: &str) -> &[Value] {
                &[]
            }
        }
        self.matches(&Sample(workflow_type, status))
    }
}
