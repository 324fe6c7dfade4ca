//! Evaluation in memory: the meaning of a [`Filter`], which the SQL must agree with.

use crate::attribute::{Attribute, Column};
use crate::filter::{Cell, Filter, Node, OPEN_CLOSE_TIME, Test, Value};

/// An execution as visibility sees it.
pub trait Row {
    /// The value of a column; none where SQL has NULL. RunId is the run id's text, ExecutionStatus the number of the
    /// API's enum as `Int`, times are `Int` nanoseconds.
    fn column(&self, column: Column) -> Option<Cell<'_>>;

    /// The rows of the table `search_attribute` that the execution has under this name, as
    /// [`crate::values::AttributeValue::rows`] makes them; empty when it lacks the attribute.
    fn attribute(&self, name: &str) -> &[Value];
}

impl Filter {
    /// Whether the execution is one that the query asks for.
    pub fn matches(&self, row: &dyn Row) -> bool {
        self.condition.matches(row)
    }
}

impl Node {
    fn matches(&self, row: &dyn Row) -> bool {
        match self {
            Node::And(parts) => parts.iter().all(|part| part.matches(row)),
            Node::Or(parts) => parts.iter().any(|part| part.matches(row)),
            Node::Test(Attribute::Column(column), test) => {
                let cell = match (row.column(*column), column, test) {
                    (None, Column::CloseTime, test) if !matches!(test, Test::Null | Test::NotNull) => {
                        Some(Cell::Int(OPEN_CLOSE_TIME))
                    }
                    (cell, ..) => cell,
                };
                test.accepts(cell.as_slice())
            }
            Node::Test(Attribute::Stored { name, .. }, test) => {
                let cells: Vec<Cell<'_>> = row.attribute(name).iter().map(Value::as_cell).collect();
                test.accepts(&cells)
            }
        }
    }
}

impl Test {
    /// The test over all values of an attribute, of which a scalar one has at most one.
    fn accepts(&self, cells: &[Cell<'_>]) -> bool {
        let any = |accepts: &dyn Fn(Cell<'_>) -> bool| cells.iter().any(|cell| accepts(*cell));
        match self {
            Test::Compare(op, value) => any(&|cell| op.accepts(cell.order(value.as_cell()))),
            Test::In(values) | Test::AnyOf(values) => any(&|cell| one_of(cell, values)),
            Test::NotIn(values) => any(&|cell| !one_of(cell, values)),
            Test::NoneOf(values) => !any(&|cell| one_of(cell, values)),
            Test::Between(low, high) => any(&|cell| within(cell, low, high)),
            Test::NotBetween(low, high) => any(&|cell| !within(cell, low, high)),
            Test::StartsWith(prefix) => any(&|cell| starts(cell, prefix)),
            Test::NotStartsWith(prefix) => any(&|cell| !starts(cell, prefix)),
            Test::Null => cells.is_empty(),
            Test::NotNull => !cells.is_empty(),
        }
    }
}

fn one_of(cell: Cell<'_>, values: &[Value]) -> bool {
    values.iter().any(|value| cell.order(value.as_cell()).is_eq())
}

fn within(cell: Cell<'_>, low: &Value, high: &Value) -> bool {
    cell.order(low.as_cell()).is_ge() && cell.order(high.as_cell()).is_le()
}

fn starts(cell: Cell<'_>, prefix: &str) -> bool {
    matches!(cell, Cell::Text(text) if text.starts_with(prefix))
}
