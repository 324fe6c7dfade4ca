//! A copy of a database, made while a server uses it or not, and the word of an operator that a file is complete.

use super::file::{self, FileLock, Found, OpenError, beside};
use super::writer::{new_opening, set_opening, set_state};
use rusqlite::Connection;
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use std::path::Path;
use std::time::Duration;

/// Copies a database to a file that does not exist, complete or not at all: as it is at one moment, with its log.
///
/// # Errors
/// There is no database, the copy exists already, or it cannot be written.
pub fn backup(path: &Path, copy: &Path) -> Result<(), OpenError> {
    let failed = |path: &Path, reason: String| OpenError::Failed { path: path.to_owned(), reason };
    if file::inspect(path)? == Found::Nothing {
        return Err(failed(path, "there is no database".into()));
    }
    if copy.exists() {
        return Err(failed(copy, "it exists already".into()));
    }
    file::check_no_wal_is_there(copy)?;
    file::check_wal_is_there(path)?;
    file::check_whose_wal_it_is(path)?;
    let unfinished = file::unfinished(copy).map_err(|error| failed(copy, error.to_string()))?;
    write(path, &unfinished).map_err(|error| failed(copy, error.to_string()))?;
    file::put_in_place(&unfinished, copy).map_err(|error| failed(copy, error.to_string()))
}

fn write(path: &Path, unfinished: &Path) -> rusqlite::Result<()> {
    let from = file::open_reader(path)?;
    // Without a server this is the last connection: it must leave the log to the server's next start.
    from.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let mut to = Connection::open(unfinished)?;
    // In one go: what a server writes meanwhile would make it begin anew.
    Backup::new(&from, &mut to)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    set_state(&to, "closed")?;
    // Put in the place of what it was copied from, it must not be taken for that.
    set_opening(&to, &new_opening(&to)?)?;
    to.close().map_err(|(_, error)| error)
}

/// Takes an operator's word that a database whose log is missing is complete without it.
///
/// # Errors
/// There is no database, it is in use, or its log is there: then the server takes the log in.
pub fn accept(path: &Path) -> Result<(), OpenError> {
    let failed = |reason: String| OpenError::Failed { path: path.to_owned(), reason };
    file::inspect(path)?;
    let _lock = FileLock::take(path)?;
    if file::inspect(path)? == Found::Nothing {
        return Err(failed("there is no database".into()));
    }
    if beside(path, "-wal").exists() {
        return Err(failed(
            "its log is there, and the next start takes it in: there is nothing to accept".into(),
        ));
    }
    let connection = file::open_reader(path).and_then(|connection| {
        connection.execute_batch("PRAGMA query_only=OFF; PRAGMA synchronous=FULL;")?;
        set_state(&connection, "closed")?;
        connection.close().map_err(|(_, error)| error)
    });
    connection.map_err(|error| failed(error.to_string()))
}
