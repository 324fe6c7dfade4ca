//! The tables, by class of bad input (the numbers are those of the 30 classes that docs/reliability.md lists):
//!
//! | class | file |
//! |---|---|
//! | 1 too large a message | `sizes.rs`, `wire.rs`, `pages.rs` |
//! | 2 too large a payload or id | `sizes.rs` |
//! | 3 too long a history, 8 signal floods, 9 poll floods, 23 the same at once | `floods.rs` |
//! | 4 too much pending, 30 illegal answers of a worker | `commands.rs` |
//! | 5 what does not decode, frames that are broken | `wire.rs`, `http2.rs`, `pages.rs` |
//! | 6 NUL, invalid UTF-8 | `text.rs` |
//! | 7 visibility queries | `queries.rs` |
//! | 10 floods of frames, slow clients | `http2.rs` |
//! | 11 connections and files used up | `connections.rs` |
//! | 12 replayed tokens, 13 forged tokens | `tokens.rs` |
//! | 15 paths, 16 scripts in names, 17 foreign origins, 18 foreign hosts | `pages.rs` |
//! | 19 addresses to call | `addresses.rs` |
//! | 20 compression bombs | `wire.rs` |
//! | 21 schedules, 22 durations | `times.rs` |
//! | 27 two servers, 28 files that are no database | `files.rs` |
//!
//! Not here: 14 (JWT), the JSON part of 1 and 5 (the HTTP API), bodies of Nexus in 1, and 29 (PostgreSQL), because there is
//! nothing yet that takes them; 24 to 26 (disk full, clocks, power cuts), which are tested with the crashes.

// Fields that the API has deprecated are bad input like any other.
#![allow(deprecated)]

mod addresses;
mod commands;
mod connections;
mod files;
mod floods;
mod http2;
mod pages;
mod queries;
mod sizes;
mod text;
mod times;
mod tokens;
mod wire;

use bad_input_test::{Family, ServerOptions, run};
use std::process::ExitCode;

/// A file's table, and the settings of its server.
macro_rules! family {
    ($name:literal, $($module:ident)::+, $options:expr) => {
        Family {
            name: $name,
            options: $options,
            cases: |world, table| Box::pin($($module)::+::cases(world, table)),
        }
    };
}

#[tokio::main]
async fn main() -> ExitCode {
    run(vec![
        family!("sizes", sizes, ServerOptions::default()),
        family!("wire", wire, ServerOptions::default()),
        family!("http2", http2, ServerOptions::default()),
        family!("text", text, ServerOptions::default()),
        family!("queries", queries, ServerOptions::default()),
        family!("floods", floods, floods::options()),
        family!("parked", floods::parked, floods::parked::options()),
        family!("connections", connections, connections::options()),
        family!("tokens", tokens, ServerOptions::default()),
        family!("pages", pages, ServerOptions::default()),
        family!("addresses", addresses, ServerOptions::default()),
        family!("times", times, ServerOptions::default()),
        family!("files", files, ServerOptions::default()),
        family!("commands", commands, ServerOptions::default()),
    ])
    .await
}
