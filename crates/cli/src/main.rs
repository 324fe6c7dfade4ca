//! The program `steadfast`: one file per command in `commands/`.

mod commands;
mod log;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Calls make and drop some hundreds of small things each, on several threads: a sixth of the server's CPU with the
/// system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A durable execution server that speaks the Temporal API, in one program and one file.
#[derive(Parser)]
#[command(name = "steadfast", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: log::LogFlags,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server.
    Server(commands::server::ServerCommand),
    /// Look after a database file.
    Database(commands::database::DatabaseCommand),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Server(server) => server.run(&arguments.log),
        Command::Database(database) => database.run(&arguments.log),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("Error: {why}");
            ExitCode::FAILURE
        }
    }
}
