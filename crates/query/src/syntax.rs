//! The syntax tree. It also holds what the language refuses (LIKE, functions, arithmetic), so that the refusal can say
//! what was meant instead of "syntax error".

use std::fmt;

use crate::filter::CompareOp;

/// A parsed query: grammatical, but its names and values are not looked at yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub(crate) condition: Option<Expr>,
    pub(crate) group_by: Vec<Expr>,
    pub(crate) has_order_by: bool,
    pub(crate) has_limit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operator {
    Compare(CompareOp),
    In {
        negated: bool,
    },
    StartsWith {
        negated: bool,
    },
    /// LIKE, REGEXP and `<=>`: parsed to be refused by name.
    Refused(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Predicate {
    Null,
    True,
    False,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Null,
}

/// An expression; `at` is a position in characters, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Not(Box<Expr>),
    Compare { left: Box<Expr>, operator: Operator, right: Box<Expr> },
    Between { left: Box<Expr>, negated: bool, low: Box<Expr>, high: Box<Expr> },
    Is { left: Box<Expr>, negated: bool, predicate: Predicate },
    Paren(Box<Expr>),
    Tuple(Vec<Expr>),
    Column { name: String, at: usize },
    Literal { value: Literal, at: usize },
    Call { name: String, at: usize },
    Arithmetic { at: usize },
}

impl Expr {
    /// What the expression is, as an error names it.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            Expr::Or(_) | Expr::And(_) | Expr::Not(_) => "a logical expression",
            Expr::Compare { .. } | Expr::Between { .. } | Expr::Is { .. } => "a comparison",
            Expr::Paren(_) => "an expression in parentheses",
            Expr::Tuple(_) => "a list",
            Expr::Column { .. } => "a column name",
            Expr::Literal { value: Literal::Null, .. } => "NULL",
            Expr::Literal { .. } => "a literal",
            Expr::Call { .. } => "a function call",
            Expr::Arithmetic { .. } => "an arithmetic expression",
        }
    }

    /// Where the expression begins.
    pub(crate) fn position(&self) -> Option<usize> {
        match self {
            Expr::Or(parts) | Expr::And(parts) | Expr::Tuple(parts) => parts.first()?.position(),
            Expr::Not(inner) | Expr::Paren(inner) => inner.position(),
            Expr::Compare { left, .. } | Expr::Between { left, .. } | Expr::Is { left, .. } => {
                left.position()
            }
            Expr::Column { at, .. }
            | Expr::Literal { at, .. }
            | Expr::Call { at, .. }
            | Expr::Arithmetic { at } => Some(*at),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Compare(op) => op.symbol(),
            Operator::In { negated: false } => "in",
            Operator::In { negated: true } => "not in",
            Operator::StartsWith { negated: false } => "starts_with",
            Operator::StartsWith { negated: true } => "not starts_with",
            Operator::Refused(name) => name,
        })
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            Literal::Int(number) => write!(f, "{number}"),
            Literal::Double(number) => write!(f, "{number}"),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Null => f.write_str("null"),
        }
    }
}

/// Prints the operands of a comparison for an error message; what cannot be an operand is only described.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Compare { left, operator, right } => write!(f, "{left} {operator} {right}"),
            Expr::Column { name, .. } => f.write_str(name),
            Expr::Literal { value, .. } => write!(f, "{value}"),
            Expr::Paren(inner) => write!(f, "({inner})"),
            Expr::Tuple(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if index == 0 { "(" } else { ", " })?;
                }
                f.write_str(")")
            }
            other => write!(f, "<{}>", other.description()),
        }
    }
}
