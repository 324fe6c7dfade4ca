//! One file per command.

pub mod database;
pub mod server;
pub mod start_dev;
