//! Stores on SQL databases.
//!
//! [`SqliteStore`] keeps everything in one file. What every SQL store shares, the encodings of rows and their checksums,
//! stands beside it.

pub mod encoding;
mod prepared;
pub mod sqlite;

pub use sqlite::{Checked, OpenError, SqliteOptions, SqliteStore, accept, backup, check};
