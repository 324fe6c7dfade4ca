//! One file per command.

pub mod server;
pub mod start_dev;
