//! `steadfast database`: what an operator does with a database file while no server has it.

use crate::log::LogFlags;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use steadfast_storage_sql::{Checked, check};

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
}

impl DatabaseCommand {
    pub fn run(self, log: &LogFlags) -> Result<(), String> {
        log.start();
        let Sub::Check { file } = self.command;
        let checked = check(&file).map_err(|error| error.to_string())?;
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
}
