//! Bad input against a real server process, as tables of cases. How a case is sent and what is looked at after it is here;
//! the tables, a file for each family, are in `tests/suite/`.
//!
//! A case says its class, what it sends, the code and a part of the message that must come back, and whether the database may
//! have changed. After each: the process lives, its log tells of no panic and no error, and a canary workflow is started,
//! polled and completed. After each family `steadfast database check` finds every page, row and checksum of the file in order,
//! and a server starts on it.

mod answer;
mod case;
pub mod grpc;
pub mod h2;
pub mod pages;
pub mod requests;
mod server;
mod suite;
mod world;

pub use answer::Answer;
pub use case::{Act, Case, Expect, Table};
pub use server::{Server, ServerOptions};
pub use suite::{Family, run};
pub use test_process::built_server;
pub use world::World;
