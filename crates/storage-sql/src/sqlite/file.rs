//! The database file: who may have it, whether it is ours, how it is made and opened.
//!
//! A file that is foreign, newer or damaged is refused before anything is written to it. A file that is new is made
//! beside its place and renamed, so that no half of one is ever found.

use super::wal;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// "Stdf": says whose database it is.
pub const APPLICATION_ID: i32 = 0x5374_6466;

/// The newest schema that this program knows, kept as SQLite's user_version.
pub const SCHEMA_VERSION: i32 = 2;

/// The schema's steps: the one at index n leads from version n to n + 1.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] =
    [include_str!("../../migrations/sqlite/0001.sql"), include_str!("../../migrations/sqlite/0002.sql")];

/// What the schema of each version sums up to: a file that has just that need not be compared with a fresh one, which takes
/// time and memory at every start.
const SCHEMA_SUMS: [u64; SCHEMA_VERSION as usize] = [0xac98_e5f8_b0e6_b382, 0xd573_a167_de4e_1748];

/// Why a database was not opened. The messages are for whoever started the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} is in use by the process {pid}; two servers cannot share one SQLite file", path.display())]
    InUse { path: PathBuf, pid: String },
    #[error("{} is not a Steadfast database: {reason}. Nothing was written to it", path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error(
        "{} was written by a newer version of Steadfast (schema {version}; this one knows up to {SCHEMA_VERSION}). \
         Nothing was written to it",
        path.display()
    )]
    Newer { path: PathBuf, version: i64 },
    #[error("{} is damaged: {reason}. Nothing was written to it", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "{} was in use when its process ended, and its file {}-wal is missing: what was written last is in that file. \
         Put it back; or, if the database is complete without it (another program moved the log into it, or made a copy \
         of both), say so once with `steadfast database accept {}`. Nothing was written to it",
        path.display(),
        path.display(),
        path.display()
    )]
    MissingWal { path: PathBuf },
    #[error(
        "{} is not there, but its log {}-wal is: a new database would be mixed with it. Put the database back, or move \
         the log away",
        path.display(),
        path.display()
    )]
    StrayWal { path: PathBuf },
    #[error(
        "the log {}-wal is not of {}, which was put in the place of another: they would be mixed. Move the log away; or, \
         if you are certain that it belongs to this database, remove {}.lock. Nothing was written to it",
        path.display(),
        path.display(),
        path.display()
    )]
    ForeignWal { path: PathBuf },
    #[error("{} cannot be opened: {reason}", path.display())]
    Failed { path: PathBuf, reason: String },
}

/// Held as long as the database is open. The operating system lets go of it when the process ends, however it ends.
///
/// It also says of which openings of the database the log beside it may be: each opening has a name, which is in the
/// database too. SQLite does not know a log of another file by itself, and would mix the two.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    log_of: Vec<String>,
}

/// Before the name of an opening, in a line of the lock file.
const LOG_OF: &str = "log of ";

impl FileLock {
    /// # Errors
    /// Another process (or another store in this one) has the database.
    pub fn take(database: &Path) -> Result<FileLock, OpenError> {
        let path = beside(database, ".lock");
        let failed =
            |error: io::Error| failed(database, format!("its lock file {}: {error}", path.display()));
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.take(32).read_to_string(&mut holder).map_err(failed)?;
                let holder = holder.lines().next().unwrap_or_default();
                let pid = if holder.is_empty() { "(unknown)".to_owned() } else { holder.to_owned() };
                return Err(OpenError::InUse { path: database.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let log_of = names_in(&mut file).map_err(failed)?;
        let mut lock = FileLock { file, log_of };
        lock.write().map_err(failed)?;
        Ok(lock)
    }

    fn write(&mut self) -> io::Result<()> {
        let mut text = format!("{}\n", std::process::id());
        self.log_of.iter().for_each(|name| text.extend([LOG_OF, name, "\n"]));
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }

    /// Notes, durably, that the log is of one of these openings from now on.
    pub fn log_is_of(&mut self, names: Vec<String>) -> io::Result<()> {
        self.log_of = names;
        self.write()?;
        self.file.sync_all()
    }
}

/// The names of openings in a lock file.
fn names_in(file: &mut File) -> io::Result<Vec<String>> {
    let mut known = String::new();
    match file.take(1024).read_to_string(&mut known) {
        // What is not text was not written by this program, or not to its end: then nothing is known.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => known.clear(),
        read => _ = read?,
    }
    Ok(known.lines().filter_map(|line| line.strip_prefix(LOG_OF)).map(str::to_owned).collect())
}

/// `path` with something after its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(path: &Path, reason: impl ToString) -> OpenError {
    OpenError::Failed { path: path.to_owned(), reason: reason.to_string() }
}

/// What stands at the path before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// A database of this program, of this version.
    Database {
        version: i32,
    },
}

/// Reads the first hundred bytes and the sizes, without SQLite and without writing.
pub fn inspect(path: &Path) -> Result<Found, OpenError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed(path, error)),
    };
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    if metadata.is_dir() {
        return Err(OpenError::Foreign { path: path.to_owned(), reason: "it is a directory".into() });
    }
    if metadata.len() == 0 {
        return Ok(Found::Nothing);
    }
    let foreign = |reason: &str| OpenError::Foreign { path: path.to_owned(), reason: reason.into() };
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    let mut header = [0; 100];
    if file.read_exact(&mut header).is_err() {
        return Err(foreign("it is too short for a SQLite file"));
    }
    let number = |offset: usize| {
        u32::from_be_bytes([header[offset], header[offset + 1], header[offset + 2], header[offset + 3]])
    };
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    if number(68) != APPLICATION_ID as u32 {
        let sqlite = header.starts_with(b"SQLite format 3\0");
        return Err(foreign(if sqlite {
            "it is another program's SQLite file"
        } else {
            "it is no SQLite file"
        }));
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged("its first bytes are not those of a SQLite file".into()));
    }
    let version = i64::from(number(60));
    if version > i64::from(SCHEMA_VERSION) {
        return Err(OpenError::Newer { path: path.to_owned(), version });
    }
    if version == 0 || !page_size.is_power_of_two() || page_size < 512 {
        return Err(damaged(format!("its header says schema {version}, pages of {page_size} bytes")));
    }
    let wal = std::fs::metadata(beside(path, "-wal")).map_or(0, |wal| wal.len());
    let expected = u64::from(number(28)) * page_size;
    if wal == 0 && metadata.len() < expected {
        return Err(damaged(format!("it has {} bytes of {expected}", metadata.len())));
    }
    Ok(Found::Database { version: version as i32 })
}

/// Whether a log lies where a new database is to be made.
pub fn check_no_wal_is_there(path: &Path) -> Result<(), OpenError> {
    let log = |suffix: &str| std::fs::metadata(beside(path, suffix)).map_or(0, |log| log.len());
    match log("-wal") + log("-journal") {
        0 => Ok(()),
        _ => Err(OpenError::StrayWal { path: path.to_owned() }),
    }
}

/// Whether the log beside the database is that of another: of the one that was there before a copy was put in its place.
/// It may be asked with the lock held or while a server has it: what that server wrote to the lock file is right.
pub fn check_whose_wal_it_is(path: &Path) -> Result<(), OpenError> {
    let nothing_in_it = std::fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len()) == 0;
    let log_of = match File::open(beside(path, ".lock")) {
        Ok(mut file) => names_in(&mut file).map_err(|error| failed(path, error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(path, error)),
    };
    if nothing_in_it || log_of.is_empty() {
        return Ok(());
    }
    let opening = as_it_lies_there(path).and_then(|connection| opening(&connection));
    match opening {
        Ok(Some(opening)) if !log_of.contains(&opening) => {
            Err(OpenError::ForeignWal { path: path.to_owned() })
        }
        // An older program did not name its openings; what cannot be read the log may mend.
        _ => Ok(()),
    }
}

/// The name of the opening that the database was last changed by.
pub fn opening(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut names = connection.prepare("SELECT value FROM meta WHERE key='opening'")?;
    names.query_map([], |row| row.get(0))?.next().transpose()
}

/// The file alone, without its log: `immutable` keeps SQLite from making any file.
fn as_it_lies_there(path: &Path) -> rusqlite::Result<Connection> {
    let uri = format!("file:{}?immutable=1", percent_encoded(path));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags)
}

/// Whether the process that had the file last left work in a write-ahead log that is gone now.
pub fn check_wal_is_there(path: &Path) -> Result<(), OpenError> {
    if beside(path, "-wal").exists() {
        return Ok(());
    }
    let state = as_it_lies_there(path).and_then(|connection| {
        connection.query_row("SELECT value FROM meta WHERE key='state'", [], |row| row.get::<_, String>(0))
    });
    match state.as_deref() {
        Ok("open") => Err(OpenError::MissingWal { path: path.to_owned() }),
        Ok("closed") => Ok(()),
        Ok(other) => {
            Err(OpenError::Damaged { path: path.to_owned(), reason: format!("its state is {other:?}") })
        }
        Err(error) => Err(OpenError::Damaged { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// Whether the log is such that SQLite would take damage in it for its end.
pub fn check_wal(path: &Path) -> Result<(), OpenError> {
    match wal::damage(&beside(path, "-wal")).map_err(|error| failed(path, error))? {
        Some(reason) => Err(OpenError::Damaged { path: path.to_owned(), reason }),
        None => Ok(()),
    }
}

pub fn percent_encoded(path: &Path) -> String {
    let mut encoded = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                encoded.push(*byte as char)
            }
            _ => encoded.push_str(&format!("%{byte:02x}")),
        }
    }
    encoded
}

/// Makes a new database at the path, complete or not at all.
pub fn create(path: &Path, shards: u32, cluster_id: Uuid, page_size: u32) -> Result<(), OpenError> {
    let failed = |reason: &dyn ToString| failed(path, reason.to_string());
    let unfinished = unfinished(path).map_err(|error| failed(&error))?;
    build(&unfinished, shards, cluster_id, page_size).map_err(|error| failed(&error))?;
    put_in_place(&unfinished, path).map_err(|error| failed(&error))
}

/// Where a file is made before it gets its name. What a process that ended left there is removed.
pub fn unfinished(path: &Path) -> io::Result<PathBuf> {
    let unfinished = beside(path, ".new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(unfinished),
    }
}

/// Gives a finished file its name, durably.
pub fn put_in_place(unfinished: &Path, path: &Path) -> io::Result<()> {
    File::open(unfinished)?.sync_all()?;
    std::fs::rename(unfinished, path)?;
    sync_directory(path)
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

fn build(path: &Path, shards: u32, cluster_id: Uuid, page_size: u32) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(&format!(
        "PRAGMA page_size={page_size}; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=DELETE;"
    ))?;
    let transaction = connection.transaction()?;
    create_schema(&transaction)?;
    let mut put = transaction.prepare("INSERT INTO meta (key, value) VALUES (?, ?)")?;
    put.execute(("cluster_id", cluster_id.as_bytes().as_slice()))?;
    put.execute(("generation", 0))?;
    put.execute(("state", "closed"))?;
    drop(put);
    for shard in 0..shards.max(1) {
        transaction.execute("INSERT INTO shard (shard, epoch) VALUES (?, 0)", [shard])?;
    }
    transaction.commit()?;
    connection.execute_batch(&format!(
        "PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION};"
    ))?;
    // The mode is kept in the file; every later connection finds it.
    connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

/// The newest schema in an empty database.
pub fn create_schema(connection: &Connection) -> rusqlite::Result<()> {
    create_schema_of(connection, SCHEMA_VERSION)
}

fn create_schema_of(connection: &Connection, version: i32) -> rusqlite::Result<()> {
    MIGRATIONS.iter().take(version as usize).try_for_each(|migration| connection.execute_batch(migration))
}

/// How the schema of a database differs from what its version makes.
#[derive(Debug, PartialEq, Eq)]
pub struct SchemaDifference {
    pub lacks: Vec<String>,
    pub has_too_much: Vec<String>,
}

/// By the text of its statements, without comments.
pub fn schema_difference(connection: &Connection, version: i32) -> rusqlite::Result<SchemaDifference> {
    let found = schema_of(connection)?;
    if version > 0 && SCHEMA_SUMS.get(version as usize - 1) == Some(&sum(&found)) {
        return Ok(SchemaDifference { lacks: Vec::new(), has_too_much: Vec::new() });
    }
    let fresh = Connection::open_in_memory()?;
    create_schema_of(&fresh, version)?;
    let wanted = schema_of(&fresh)?;
    let but = |one: &[String], other: &[String]| {
        one.iter().filter(|statement| !other.contains(statement)).cloned().collect()
    };
    Ok(SchemaDifference { lacks: but(&wanted, &found), has_too_much: but(&found, &wanted) })
}

/// The statements that make the schema of a database, but for names that SQLite makes itself.
fn schema_of(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT type || ' ' || name || ' of ' || tbl_name || ': ' || coalesce(sql, 'made by SQLite') \
         FROM sqlite_schema WHERE tbl_name<>'sqlite_stat1' ORDER BY type, name",
    )?;
    let text = |row: &rusqlite::Row<'_>| row.get::<_, String>(0).map(|text| without_comments(&text));
    statement.query_map([], text)?.collect()
}

fn sum(schema: &[String]) -> u64 {
    schema.iter().fold(0, |seed, statement| xxh3_64_with_seed(statement.as_bytes(), seed))
}

/// The words of a statement: our schema has no `--` within quotes.
fn without_comments(statement: &str) -> String {
    let code = statement.lines().map(|line| line.split("--").next().unwrap_or_default());
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Leads an older database to the newest schema, one step a transaction.
pub fn migrate(connection: &mut Connection, version: i32) -> rusqlite::Result<()> {
    for step in version..SCHEMA_VERSION {
        let transaction = connection.transaction()?;
        transaction.execute_batch(MIGRATIONS[step as usize])?;
        transaction.pragma_update(None, "user_version", step + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The connection that writes. It never checkpoints by itself.
pub fn open_writer(path: &Path, max_bytes: Option<u64>) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    if let Some(max_bytes) = max_bytes {
        let page_size: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = (max_bytes / u64::from(page_size)).clamp(1, u64::from(u32::MAX - 1));
        connection.query_row(&format!("PRAGMA max_page_count={pages}"), [], |_| Ok(()))?;
    }
    connection
        .execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8192;")?;
    Ok(connection)
}

/// The connection of the thread that moves the write-ahead log into the file.
pub fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection
        .execute_batch("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-64;")?;
    Ok(connection)
}

/// A connection that only reads. It is not opened read-only, as the files beside the database may have to be made.
pub fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = open(path)?;
    connection
        .execute_batch("PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-4096;")?;
    Ok(connection)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(64);
    // Without it a statement is compiled anew whenever a value is bound that could make another plan the better one.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_schemas() {
        let sums = (1..=SCHEMA_VERSION).map(|version| {
            let fresh = Connection::open_in_memory().expect("SQLite opens");
            create_schema_of(&fresh, version).expect("the schema is made");
            sum(&schema_of(&fresh).expect("the schema is read"))
        });
        assert_eq!(sums.collect::<Vec<_>>(), SCHEMA_SUMS);
    }
}
