//! One file per command.

pub mod database;
pub mod dynamic_config;
pub mod server;
pub mod start_dev;
