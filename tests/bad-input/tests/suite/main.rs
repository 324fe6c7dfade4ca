//! The tables, by class of bad input (the numbers are those of the 30 classes that docs/reliability.md lists):
//!
//! | class | file |
//! |---|---|
//! | 1 too large a message, 2 too large a payload or id | `sizes.rs` |
//! | 4 too much pending, 30 illegal answers of a worker | `commands.rs` |
//! | 6 NUL, invalid UTF-8 | `text.rs` |
//! | 7 visibility queries | `queries.rs` |
//! | 12 replayed tokens, 13 forged tokens | `tokens.rs` |
//! | 21 schedules, 22 durations | `times.rs` |

// Fields that the API has deprecated are bad input like any other.
#![allow(deprecated)]

mod commands;
mod pages;
mod queries;
mod sizes;
mod text;
mod times;
mod tokens;
mod wire;

use bad_input_test::{Family, ServerOptions, run};
use std::process::ExitCode;

/// A file's table, on a server with the settings that everybody has.
macro_rules! families {
    ($($name:ident),*) => {
        vec![$(Family {
            name: stringify!($name),
            options: ServerOptions::default(),
            cases: |world, table| Box::pin($name::cases(world, table)),
        }),*]
    };
}

#[tokio::main]
async fn main() -> ExitCode {
    run(families![sizes, wire, text, queries, tokens, pages, times, commands]).await
}
