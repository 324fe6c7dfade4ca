//! The visibility query language, from text to an answer, without I/O.
//!
//! A query goes through stages, one file each:
//!
//! 1. [`parse`]: text → syntax tree. Knows the grammar and nothing about names.
//! 2. [`resolve`]: names → attributes (a [`Schema`] tells the custom ones), literals → values of the attribute's type.
//!    The result, a [`Filter`], contains no negation: it is pushed down to the tests, so that the three-valued logic
//!    of SQL ("unknown" for a row that lacks the attribute) becomes plain true and false, the same on every store.
//! 3. [`Filter::matches`] evaluates it over a [`Row`] in memory, [`Filter::sql`] writes it as a WHERE clause with bound
//!    parameters. The two are tested against each other.
//!
//! Workflow rules have a smaller language with the same grammar: [`Condition`].
//!
//! Beside the language stands what the server must know about attributes elsewhere too: the registry of system and
//! predefined ones ([`attribute`]) and the checks of values that a caller wants to set ([`values`]).

pub mod attribute;
mod condition;
mod error;
mod evaluate;
mod filter;
mod lex;
pub mod limits;
mod literal;
mod parse;
mod resolve;
mod sql;
mod syntax;
pub mod values;

pub use attribute::{Attribute, AttributeType, Column};
pub use condition::{Condition, Constant, Subject, Term};
pub use error::{QueryError, QueryErrorKind};
pub use evaluate::Row;
pub use filter::{Cell, CompareOp, Filter, GroupBy, OPEN_CLOSE_TIME, Value};
pub use literal::{parse_datetime, status_name};
pub use parse::parse;
pub use resolve::{Schema, resolve};
pub use sql::{Dialect, Sqlite};
pub use syntax::Query;
