//! The one error of the language: a refusal for the caller, always InvalidArgument on the wire.

use std::fmt;

/// What kind of mistake a query holds; decides the prefix of the message, which clients and tests look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryErrorKind {
    /// The text is not a query at all.
    Malformed,
    /// A query, but an expression in it has no meaning.
    InvalidExpression,
    /// A query that SQL would know and this language leaves out.
    NotSupported,
    /// A literal that the attribute cannot be compared with.
    InvalidValue,
}

/// Why a query was refused. Its `Display` is the message for the caller, complete with prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    kind: QueryErrorKind,
    message: String,
    position: Option<usize>,
}

impl QueryError {
    /// A syntax error at a character position, counted from 1.
    pub(crate) fn malformed(message: impl Into<String>, position: usize) -> Self {
        Self { kind: QueryErrorKind::Malformed, message: message.into(), position: Some(position) }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: QueryErrorKind::InvalidExpression, message: message.into(), position: None }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: QueryErrorKind::NotSupported, message: message.into(), position: None }
    }

    pub(crate) fn invalid_value(message: impl Into<String>) -> Self {
        Self { kind: QueryErrorKind::InvalidValue, message: message.into(), position: None }
    }

    pub(crate) fn at(mut self, position: usize) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// What is wrong, without a prefix.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn kind(&self) -> QueryErrorKind {
        self.kind
    }

    /// Where in the query the mistake is, in characters counted from 1, when it is in one place.
    pub fn position(&self) -> Option<usize> {
        self.position
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid query: ")?;
        f.write_str(match self.kind {
            QueryErrorKind::Malformed => "malformed SQL query: ",
            QueryErrorKind::InvalidExpression => "invalid expression: ",
            QueryErrorKind::NotSupported => "operation is not supported: ",
            QueryErrorKind::InvalidValue => "",
        })?;
        f.write_str(&self.message)
    }
}

impl std::error::Error for QueryError {}
