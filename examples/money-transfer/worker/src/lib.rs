//! What the two workers of the money transfer example have in common: everything but the transfer itself.
//!
//! The workflow and the activities are in the binary, `workflow.rs` and `activities.rs`: read those first. The worker of the
//! exercise has its own copy of those two files, with mistakes in them, and shares the rest:
//!
//! - [`accounts`]: the calls to the account API, and which of its errors are worth another try
//! - [`source_line`]: failures that name the line of the source they come from, which the SDK leaves out
//! - [`mod@run`]: command line, connection, log, stop

pub mod accounts;
pub mod run;
pub mod source_line;

pub use accounts::{AccountError, Accounts};
pub use run::run;
pub use source_line::AtThisLine;
