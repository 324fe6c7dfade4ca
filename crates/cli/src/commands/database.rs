//! `steadfast database`: what an operator does with a database file.

use crate::log::LogFlags;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use steadfast_storage_sql::{Checked, accept, backup, check};

#[derive(Args)]
pub struct DatabaseCommand {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// Read every page and every row of a database file, and say what is damaged.
    ///
    /// The server must not run. Nothing is written to the file. Ends with 0 if all is well, else with 1.
    Check {
        /// The database file.
        file: PathBuf,
    },
    /// Copy a database to another file, also while a server uses it: as it is at one moment, complete or not at all.
    ///
    /// To restore it, stop the server, move the old file and those beside it (-wal, -shm) away, and put the copy in its
    /// place.
    Backup {
        /// The database file.
        file: PathBuf,
        /// The file to make.
        copy: PathBuf,
    },
    /// State that a database file is complete although its log (FILE-wal) is missing.
    ///
    /// A server refuses to start on one whose log is gone, as what was written last is in the log. Use this only if another
    /// program has moved the log into the file, or the file is a copy that such a program has made of both.
    Accept {
        /// The database file.
        file: PathBuf,
    },
}

impl DatabaseCommand {
    pub fn run(self, log: &LogFlags) -> Result<(), String> {
        log.start();
        match self.command {
            Sub::Check { file } => checked(&file),
            Sub::Backup { file, copy } => backup(&file, &copy).map_err(|error| error.to_string()),
            Sub::Accept { file } => accept(&file).map_err(|error| error.to_string()),
        }
    }
}

fn checked(file: &Path) -> Result<(), String> {
    let checked = check(file).map_err(|error| error.to_string())?;
    let Checked { runs, events, listed, tasks, messages, damage, more_damage } = &checked;
    println!("{}", file.display());
    println!(
        "{runs} runs, {events} events of their histories, {listed} list entries, {tasks} tasks, {messages} messages"
    );
    if damage.is_empty() {
        println!("no damage found");
        return Ok(());
    }
    damage.iter().for_each(|wrong| println!("damaged: {wrong}"));
    if *more_damage > 0 {
        println!("and {more_damage} more");
    }
    let count = damage.len() as u64 + more_damage;
    Err(format!("{} is damaged in {count} places; restore it from a backup", file.display()))
}
