//! Conditions of workflow rules: the grammar of queries with less in it, and asked term by term.
//!
//! A term compares a name with a literal; AND, OR and parentheses join terms, and nothing else is known (no NOT, no IN, no
//! IS). Names and values have a meaning only to who is asked, and only once their turn comes: left of an OR that holds
//! already, or of an AND that cannot, a term without a meaning does no harm. So it is on the reference.

use crate::error::QueryError;
use crate::filter::CompareOp;
use crate::parse::parse;
use crate::syntax::{Expr, Literal, Operator};

#[derive(Clone, Debug, PartialEq)]
pub struct Condition(Expr);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant<'a> {
    Text(&'a str),
    Int(i64),
    Double(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term<'a> {
    Compare(CompareOp, Constant<'a>),
    StartsWith { negated: bool, prefix: Constant<'a> },
    Between { negated: bool, low: Constant<'a>, high: Constant<'a> },
}

/// What a condition is asked about.
pub trait Subject {
    /// Whether what is known as `name` (exactly so) is as the term says; `None` if that has no meaning.
    fn is(&self, name: &str, term: Term<'_>) -> Option<bool>;
}

impl Condition {
    /// Reads a condition. GROUP BY and ORDER BY may follow and mean nothing.
    ///
    /// # Errors
    /// An empty text, and what [`parse`] refuses; LIMIT.
    pub fn parse(text: &str) -> Result<Condition, QueryError> {
        let query = parse(text)?;
        if query.has_limit {
            return Err(QueryError::unsupported("'limit' clause"));
        }
        query.condition.map(Condition).ok_or_else(|| QueryError::unsupported("'where' clause is missing"))
    }

    /// Whether it holds; `None` if a term that had to be asked has no meaning.
    pub fn holds(&self, subject: &dyn Subject) -> Option<bool> {
        holds(&self.0, subject)
    }
}

fn holds(expression: &Expr, subject: &dyn Subject) -> Option<bool> {
    match expression {
        Expr::Paren(inner) => holds(inner, subject),
        Expr::And(parts) => first(parts, false, subject),
        Expr::Or(parts) => first(parts, true, subject),
        Expr::Compare { left, operator, right } => {
            let value = constant(right)?;
            let term = match operator {
                Operator::Compare(op) => Term::Compare(*op, value),
                Operator::StartsWith { negated } => Term::StartsWith { negated: *negated, prefix: value },
                Operator::In { .. } | Operator::Refused(_) => return None,
            };
            subject.is(name(left)?, term)
        }
        Expr::Between { left, negated, low, high } => {
            let term = Term::Between { negated: *negated, low: constant(low)?, high: constant(high)? };
            subject.is(name(left)?, term)
        }
        _ => None,
    }
}

/// `decisive`, if one of the parts answers so before another has no answer.
fn first(parts: &[Expr], decisive: bool, subject: &dyn Subject) -> Option<bool> {
    for part in parts {
        if holds(part, subject)? == decisive {
            return Some(decisive);
        }
    }
    Some(!decisive)
}

fn name(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Column { name, .. } => Some(name),
        _ => None,
    }
}

fn constant(expression: &Expr) -> Option<Constant<'_>> {
    match expression {
        Expr::Literal { value: Literal::Text(text), .. } => Some(Constant::Text(text)),
        Expr::Literal { value: Literal::Int(number), .. } => Some(Constant::Int(*number)),
        Expr::Literal { value: Literal::Double(number), .. } => Some(Constant::Double(*number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knows one name, `Known`, which is 2.
    struct Two;

    impl Subject for Two {
        fn is(&self, name: &str, term: Term<'_>) -> Option<bool> {
            match (name, term) {
                ("Known", Term::Compare(CompareOp::Equal, Constant::Int(number))) => Some(number == 2),
                ("Known", Term::StartsWith { negated, .. }) => Some(negated),
                ("Known", Term::Between { negated, low: Constant::Int(low), high: Constant::Int(high) }) => {
                    Some((low..=high).contains(&2) != negated)
                }
                _ => None,
            }
        }
    }

    #[test]
    fn terms_are_asked_from_the_left_until_the_answer_is_known() {
        for (text, expected) in [
            ("Known = 2", Some(true)),
            ("(Known = 1)", Some(false)),
            ("Known = 2 OR Unknown = 2", Some(true)),
            ("Unknown = 2 OR Known = 2", None),
            ("Known = 1 AND Unknown = 2", Some(false)),
            ("Known = 2 AND Unknown = 2", None),
            ("Known = 1 OR Known = 2 AND Known BETWEEN 1 AND 3", Some(true)),
            ("Known NOT BETWEEN 1 AND 3", Some(false)),
            ("Known NOT STARTS_WITH 'x' ORDER BY Known", Some(true)),
            ("NOT Known = 1", None),
            ("Known IN (2)", None),
            ("Known IS NOT NULL", None),
            ("2 = Known", None),
            ("known = 2", None),
            ("Known = true", None),
        ] {
            assert_eq!(Condition::parse(text).expect("it is grammatical").holds(&Two), expected, "{text}");
        }
    }

    #[test]
    fn not_everything_is_a_condition() {
        for text in ["", " ", "((", "where Known = 2", "Known = 2 LIMIT 1", "ORDER BY Known"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }
}
