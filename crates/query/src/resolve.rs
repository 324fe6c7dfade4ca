//! Syntax tree → [`Filter`]: finds out what names stand for, turns literals into values of their attribute's type,
//! refuses what the language leaves out, and pushes negation down to the tests.
//!
//! A literal of another type than its attribute is no error, as in the reference: a number written as text is read as a
//! number, a number beside a Keyword as its digits, and text that is no number sorts above every number.

use crate::attribute::{Attribute, AttributeType, Column, RESERVED_PREFIX};
use crate::error::QueryError;
use crate::filter::{CompareOp, Filter, GroupBy, Node, Test, Value};
use crate::literal::{parse_datetime, parse_duration, parse_status};
use crate::syntax::{Expr, Literal, Operator, Predicate, Query};
use crate::values::words;

/// What a namespace (and the kind of execution that is listed) adds to the attributes that exist everywhere.
pub trait Schema {
    /// The type of the namespace's custom search attribute of exactly this name. System and predefined names are never
    /// asked for.
    fn custom(&self, name: &str) -> Option<AttributeType>;

    /// A name that the listed kind of execution gives to an attribute, as `ActivityId` for the id of an activity.
    fn alias(&self, _name: &str) -> Option<Attribute> {
        None
    }

    /// Whether executions of a division are hidden from queries that do not mention TemporalNamespaceDivision.
    fn hides_divisions(&self) -> bool {
        true
    }

    /// What the workflow id of a schedule has before the schedule id.
    fn schedule_id_prefix(&self) -> &str {
        "temporal-sys-scheduler:"
    }
}

/// The name that means WorkflowId with the schedule's prefix, unless a custom attribute is called so.
const SCHEDULE_ID: &str = "ScheduleId";

/// Gives names and literals their meaning.
///
/// # Errors
/// Unknown names, literals that cannot be compared with their attribute, operators that its type does not have, and
/// clauses that the language refuses.
pub fn resolve(query: Query, schema: &dyn Schema) -> Result<Filter, QueryError> {
    if query.has_order_by {
        return Err(QueryError::unsupported("'ORDER BY' clause"));
    }
    if query.has_limit {
        return Err(QueryError::unsupported("'LIMIT' clause"));
    }
    let mut resolver = Resolver { schema, mentions_division: false };
    let mut parts = Vec::new();
    if let Some(condition) = &query.condition {
        parts.push(resolver.condition(condition, false)?);
    }
    let group_by = resolver.group_by(&query.group_by)?;
    if schema.hides_divisions() && !resolver.mentions_division {
        parts.push(Node::Test(Attribute::Column(Column::NamespaceDivision), Test::Null));
    }
    Ok(Filter { condition: Node::And(parts), group_by })
}

struct Resolver<'s> {
    schema: &'s dyn Schema,
    mentions_division: bool,
}

/// An attribute under the name that the query uses for it.
struct Named {
    attribute: Attribute,
    name: String,
    /// Before every text that the attribute is compared with; not empty for ScheduleId only.
    prefix: String,
}

impl Named {
    fn attribute_type(&self) -> AttributeType {
        self.attribute.attribute_type()
    }

    fn is(&self, column: Column) -> bool {
        self.attribute == Attribute::Column(column)
    }

    fn test(&self, test: Test) -> Node {
        Node::Test(self.attribute.clone(), test)
    }
}

/// A literal as a value of its attribute.
enum Operand {
    Value(Value),
    /// Text beside a number: greater than every value the attribute can have.
    AboveAll,
}

impl Resolver<'_> {
    /// The expression, or its opposite if `negated`.
    fn condition(&mut self, expr: &Expr, negated: bool) -> Result<Node, QueryError> {
        let position = expr.position();
        let located = |error: QueryError| match position {
            Some(position) => error.at(position),
            None => error,
        };
        match expr {
            Expr::Paren(inner) => self.condition(inner, negated),
            Expr::Not(inner) => self.condition(inner, !negated),
            Expr::And(parts) | Expr::Or(parts) => {
                let parts =
                    parts.iter().map(|part| self.condition(part, negated)).collect::<Result<_, _>>()?;
                Ok(if matches!(expr, Expr::And(_)) != negated { Node::And(parts) } else { Node::Or(parts) })
            }
            Expr::Compare { left, operator, right } => {
                self.comparison(expr, left, *operator, right, negated).map_err(located)
            }
            Expr::Between { left, negated: inner, low, high } => {
                self.between(left, low, high, *inner != negated).map_err(located)
            }
            Expr::Is { left, negated: inner, predicate } => {
                let named = self.column(left).map_err(located)?;
                if *predicate != Predicate::Null {
                    let message = "'IS' operator can only be used with 'NULL' or 'NOT NULL'";
                    return Err(located(QueryError::invalid(message)));
                }
                Ok(named.test(if *inner == negated { Test::Null } else { Test::NotNull }))
            }
            Expr::Call { .. } => Err(located(QueryError::unsupported("function expression"))),
            Expr::Column { .. } => Err(located(QueryError::invalid("incomplete expression"))),
            Expr::Tuple(_) | Expr::Literal { .. } | Expr::Arithmetic { .. } => {
                let message = format!("{} is no condition", expr.description());
                Err(located(QueryError::unsupported(message)))
            }
        }
    }

    fn comparison(
        &mut self,
        whole: &Expr,
        left: &Expr,
        operator: Operator,
        right: &Expr,
        negated: bool,
    ) -> Result<Node, QueryError> {
        if let Operator::Refused(name) = operator {
            return Err(QueryError::invalid(format!("invalid operator '{name}' in `{whole}`")));
        }
        let named = self.column(left)?;
        let literals = match right {
            Expr::Tuple(parts) if matches!(operator, Operator::In { .. }) => {
                parts.iter().map(literal).collect::<Result<Vec<_>, _>>()?
            }
            right => vec![literal(right)?],
        };
        match named.attribute_type() {
            AttributeType::KeywordList => keyword_list(&named, whole, operator, &literals, negated),
            AttributeType::Text => text(&named, whole, operator, &literals, negated),
            _ => self.scalar(&named, operator, &literals, negated),
        }
    }

    fn scalar(
        &self,
        named: &Named,
        operator: Operator,
        literals: &[&Literal],
        negated: bool,
    ) -> Result<Node, QueryError> {
        let operands = literals.iter().map(|l| operand(named, l)).collect::<Result<Vec<_>, _>>()?;
        match operator {
            Operator::In { negated: inner } => {
                let values = operands.into_iter().filter_map(|operand| match operand {
                    Operand::Value(value) => Some(value),
                    Operand::AboveAll => None,
                });
                let values: Vec<Value> = values.collect();
                Ok(match (values.is_empty(), inner != negated) {
                    (false, false) => named.test(Test::In(values)),
                    (false, true) => named.test(Test::NotIn(values)),
                    (true, false) => Node::never(),
                    (true, true) => named.test(Test::NotNull),
                })
            }
            Operator::StartsWith { negated: inner } => {
                if named.attribute_type() != AttributeType::Keyword {
                    return Err(QueryError::unsupported(format!(
                        "operator '{}' not supported for {} type search attribute '{}'",
                        operator.to_string().to_uppercase(),
                        named.attribute_type(),
                        named.name,
                    )));
                }
                let (Literal::Text(prefix), false) = (literals[0], named.is(Column::ExecutionStatus)) else {
                    return Err(QueryError::invalid(format!(
                        "right-hand side of '{operator}' must be a literal string (got: {})",
                        literals[0],
                    )));
                };
                let prefix = format!("{}{prefix}", named.prefix);
                Ok(named.test(match inner != negated {
                    false => Test::StartsWith(prefix),
                    true => Test::NotStartsWith(prefix),
                }))
            }
            Operator::Compare(op) => {
                let operand = operands.into_iter().next().expect("a comparison has one operand");
                Ok(compare(named, if negated { op.negate() } else { op }, operand))
            }
            Operator::Refused(_) => {
                unreachable!("refused operators are refused before their operands are read")
            }
        }
    }

    fn between(&mut self, left: &Expr, low: &Expr, high: &Expr, negated: bool) -> Result<Node, QueryError> {
        let named = self.column(left)?;
        if matches!(
            named.attribute_type(),
            AttributeType::Bool | AttributeType::Text | AttributeType::KeywordList
        ) {
            return Err(QueryError::invalid(format!(
                "cannot do range condition on search attribute '{}' of type {}",
                named.name,
                named.attribute_type(),
            )));
        }
        match (operand(&named, literal(low)?)?, operand(&named, literal(high)?)?) {
            (Operand::Value(low), Operand::Value(high)) => Ok(named.test(match negated {
                false => Test::Between(low, high),
                true => Test::NotBetween(low, high),
            })),
            (low, high) if negated => Ok(Node::Or(vec![
                compare(&named, CompareOp::Less, low),
                compare(&named, CompareOp::Greater, high),
            ])),
            (low, high) => Ok(Node::And(vec![
                compare(&named, CompareOp::GreaterOrEqual, low),
                compare(&named, CompareOp::LessOrEqual, high),
            ])),
        }
    }

    fn group_by(&mut self, keys: &[Expr]) -> Result<Option<GroupBy>, QueryError> {
        let [key] = keys else {
            return match keys {
                [] => Ok(None),
                _ => Err(QueryError::unsupported("'GROUP BY' clause supports only a single field")),
            };
        };
        let named = self.column(key)?;
        match named.attribute {
            Attribute::Column(Column::ExecutionStatus) => Ok(Some(GroupBy::ExecutionStatus)),
            Attribute::Column(Column::NamespaceDivision) => Ok(Some(GroupBy::NamespaceDivision)),
            _ => Err(QueryError::unsupported("'GROUP BY' clause is only supported for ExecutionStatus")),
        }
    }

    fn column(&mut self, expr: &Expr) -> Result<Named, QueryError> {
        let Expr::Column { name, .. } = expr else {
            let hint = match expr {
                Expr::Arithmetic { .. } => " (names with special characters need backticks)",
                _ => "",
            };
            let message = format!("must be a column name but was {}{hint}", expr.description());
            return Err(QueryError::invalid(message));
        };
        let named = self.find(name).ok_or_else(|| {
            QueryError::invalid(format!("column name '{name}' is not a valid search attribute"))
        })?;
        self.mentions_division |= named.is(Column::NamespaceDivision);
        Ok(named)
    }

    /// Looks a name up: as the listed kind knows it, as a custom attribute, as written, with the server's prefix, without it.
    fn find(&self, name: &str) -> Option<Named> {
        let found = |attribute| Some(Named { attribute, name: name.to_owned(), prefix: String::new() });
        if let Some(attribute) = self.schema.alias(name) {
            return found(attribute);
        }
        if let Some(attribute) = Attribute::built_in(name) {
            return found(attribute);
        }
        if let Some(attribute_type) = self.schema.custom(name) {
            return found(Attribute::Stored { name: name.to_owned(), attribute_type });
        }
        if name == SCHEDULE_ID {
            let prefix = self.schema.schedule_id_prefix().to_owned();
            return Some(Named {
                attribute: Attribute::Column(Column::WorkflowId),
                name: name.to_owned(),
                prefix,
            });
        }
        Attribute::built_in(&format!("{RESERVED_PREFIX}{name}"))
            .or_else(|| Attribute::built_in(name.strip_prefix(RESERVED_PREFIX)?))
            .and_then(found)
    }
}

/// The literal on the right side of an operator.
fn literal(expr: &Expr) -> Result<&Literal, QueryError> {
    match expr {
        Expr::Literal { value: Literal::Text(text), .. } if text.contains('\0') => {
            Err(QueryError::invalid("a string must not contain the character U+0000"))
        }
        Expr::Literal { value, .. } if *value != Literal::Null => Ok(value),
        Expr::Column { name, .. } => Err(QueryError::unsupported(format!(
            "column name on the right side of comparison expression (did you forget to quote '{name}'?)"
        ))),
        Expr::Call { name, .. } if name.eq_ignore_ascii_case("group_concat") => {
            Err(QueryError::unsupported("'group_concat'"))
        }
        Expr::Call { .. } => Err(QueryError::unsupported("nested func")),
        other => Err(QueryError::invalid(format!("unexpected value type: {}", other.description()))),
    }
}

fn unexpected_type(named: &Named, literal: &Literal) -> QueryError {
    let found = match literal {
        Literal::Text(_) => "string",
        Literal::Int(_) => "int",
        Literal::Double(_) => "float",
        Literal::Bool(_) => "bool",
        Literal::Null => "NULL",
    };
    QueryError::invalid(format!("unexpected value type {found} for search attribute {}", named.name))
}

/// A literal as a value of a scalar attribute.
fn operand(named: &Named, literal: &Literal) -> Result<Operand, QueryError> {
    let value = match (named.attribute_type(), literal) {
        _ if named.is(Column::ExecutionStatus) => match literal {
            Literal::Int(status) => Value::Int(*status),
            Literal::Text(text) => Value::Int(
                parse_status(text)
                    .ok_or_else(|| QueryError::invalid(format!("invalid ExecutionStatus value '{text}'")))?,
            ),
            _ => return Err(unexpected_type(named, literal)),
        },
        (AttributeType::Datetime, literal) => match literal {
            Literal::Int(nanos) => Value::Int(*nanos),
            Literal::Text(text) => Value::Int(
                parse_datetime(text)
                    .ok_or_else(|| QueryError::invalid(format!("unable to parse datetime '{text}'")))?,
            ),
            _ => return Err(unexpected_type(named, literal)),
        },
        (AttributeType::Keyword, Literal::Text(text)) => Value::Text(format!("{}{text}", named.prefix)),
        (AttributeType::Keyword, literal) => Value::Text(format!("{}{literal}", named.prefix)),
        (_, Literal::Int(number)) => Value::Int(*number),
        (_, Literal::Double(number)) => Value::Real(*number),
        (_, Literal::Bool(value)) => Value::Int((*value).into()),
        (_, Literal::Text(text)) if named.is(Column::ExecutionDuration) => {
            let nanos = parse_duration(text).map_err(|reason| {
                QueryError::invalid_value(format!(
                    "invalid value for search attribute {}: {text} ({reason})",
                    named.name
                ))
            })?;
            Value::Int(nanos)
        }
        (attribute_type, Literal::Text(text)) => match number_in(text) {
            Some(value) => value,
            None if attribute_type == AttributeType::Bool && text == "true" => Value::Int(1),
            None if attribute_type == AttributeType::Bool && text == "false" => Value::Int(0),
            None => return Ok(Operand::AboveAll),
        },
        (_, Literal::Null) => return Err(unexpected_type(named, literal)),
    };
    Ok(Operand::Value(value))
}

/// A number that is written as text. Rust also reads "inf" and "nan" as numbers; here they are words.
fn number_in(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        return Some(Value::Int(number));
    }
    let is_numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number = text.parse::<f64>().ok().filter(|n| is_numeric && n.is_finite())?;
    Some(Value::Real(number))
}

fn compare(named: &Named, op: CompareOp, operand: Operand) -> Node {
    match operand {
        Operand::Value(value) => named.test(Test::Compare(op, value)),
        Operand::AboveAll if op.accepts(std::cmp::Ordering::Less) => named.test(Test::NotNull),
        Operand::AboveAll => Node::never(),
    }
}

fn operator_unsupported(named: &Named, whole: &Expr, operator: Operator) -> QueryError {
    let attribute_type = named.attribute_type();
    QueryError::invalid(format!(
        "operator '{operator}' not supported for {attribute_type} type search attribute in `{whole}`"
    ))
}

fn keyword_list(
    named: &Named,
    whole: &Expr,
    operator: Operator,
    literals: &[&Literal],
    negated: bool,
) -> Result<Node, QueryError> {
    let (opposite, place) = match operator {
        Operator::Compare(CompareOp::Equal) => (false, ""),
        Operator::Compare(CompareOp::NotEqual) => (true, ""),
        Operator::In { negated } => (negated, " in tuple"),
        _ => return Err(operator_unsupported(named, whole, operator)),
    };
    let values = literals.iter().map(|literal| match literal {
        Literal::Text(text) => Ok(Value::Text(text.clone())),
        other => {
            Err(QueryError::invalid(format!("unexpected value type{place} (expected string, got {other})")))
        }
    });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    Ok(named.test(if opposite == negated { Test::AnyOf(values) } else { Test::NoneOf(values) }))
}

/// `=` on a Text: the value is split at spaces, and one of the pieces must occur. A piece that holds several words
/// ("big-world") occurs when all of them do.
fn text(
    named: &Named,
    whole: &Expr,
    operator: Operator,
    literals: &[&Literal],
    negated: bool,
) -> Result<Node, QueryError> {
    let opposite = match operator {
        Operator::Compare(CompareOp::Equal) => false,
        Operator::Compare(CompareOp::NotEqual) => true,
        _ => return Err(operator_unsupported(named, whole, operator)),
    };
    let Literal::Text(text) = literals[0] else {
        return Err(QueryError::invalid(format!(
            "unexpected value type (expected string, got {})",
            literals[0]
        )));
    };
    if text.bytes().all(|b| b == b' ') {
        return Err(QueryError::invalid(format!(
            "unexpected value for Text type search attribute (no tokens found in {})",
            literals[0]
        )));
    }
    let negated = opposite != negated;
    let occurs = |values| named.test(if negated { Test::NoneOf(values) } else { Test::AnyOf(values) });
    let mut single_words = Vec::new();
    let mut parts = Vec::new();
    for piece in text.split(' ') {
        let mut words: Vec<Value> = words(piece).into_iter().map(Value::Text).collect();
        match words.len() {
            0 => {}
            1 => single_words.append(&mut words),
            _ => {
                let each = words.into_iter().map(|word| occurs(vec![word])).collect();
                parts.push(if negated { Node::Or(each) } else { Node::And(each) });
            }
        }
    }
    if !single_words.is_empty() {
        parts.push(occurs(single_words));
    }
    Ok(if negated { Node::And(parts) } else { Node::Or(parts) })
}
