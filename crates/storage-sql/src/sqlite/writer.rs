//! The one thread that writes.
//!
//! It takes every request that waits, puts the commits among them into one transaction, syncs once and answers all:
//! there is no timer, a group is what gathered while the last one was written. Fences are checked against memory, and
//! memory against the database once a transaction. A commit that fails takes its group back, and then each of the group
//! is written alone, so that only the culprit is refused.

use super::apply::{Applier, ApplyError};
use super::checkpoint::{Checkpoints, WalWatch};
use super::file;
use super::inbox::{Answer, Change, ChangeError, Inbox, Others, Request};
use super::store_error;
use crate::prepared::PreparedCommit;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, Statement};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use steadfast_storage::{Outcome, StoreError};
use tokio::sync::oneshot;

/// Most requests of one group: more would only make the first of them wait longer.
const MAX_GROUP: usize = 512;
/// Most bytes of one group, about.
const MAX_GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How long to wait before a file that failed is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

pub struct Writer {
    pub path: PathBuf,
    pub max_bytes: Option<u64>,
    pub inbox: Arc<Inbox>,
    pub checkpoints: Arc<Checkpoints>,
    #[cfg(test)]
    pub faults: Arc<tests::SyncFaults>,
}

/// Why a session on one connection ended.
enum End {
    Closed,
    /// The connection, or the file below it, cannot be trusted any more.
    Broken(StoreError),
}

impl Writer {
    /// Writes until the inbox is closed and empty.
    pub fn run(self, connection: Connection) {
        let mut connection = connection;
        loop {
            let watch = match WalWatch::install(&mut connection, self.checkpoints.clone()) {
                Ok(watch) => watch,
                Err(error) => {
                    tracing::error!(%error, "the database cannot be watched");
                    return self.inbox.close();
                }
            };
            let reason = match self.session(&connection, watch) {
                Ok(End::Closed) => return self.finish(connection),
                Ok(End::Broken(reason)) => reason,
                Err(error) => store_error(&error),
            };
            tracing::error!(%reason, "the database failed and is opened again");
            drop(connection);
            match self.reopen(reason) {
                Some(reopened) => connection = reopened,
                None => return,
            }
        }
    }

    fn session(&self, connection: &Connection, watch: WalWatch) -> rusqlite::Result<End> {
        let mut session = Session::begin(connection, watch)?;
        #[cfg(test)]
        {
            session.faults = self.faults.clone();
        }
        let mut batch = Vec::new();
        while self.inbox.take(&mut batch, MAX_GROUP, MAX_GROUP_BYTES) {
            if let Err(Broken(reason)) = session.process(&mut batch) {
                for request in batch.drain(..) {
                    refuse(request, &reason);
                }
                return Ok(End::Broken(reason));
            }
        }
        Ok(End::Closed)
    }

    /// Opens the file again after a failure. What a failed sync left in the system's memory may differ from what is on
    /// the disk; moving the whole log into the file, with a sync that succeeds, makes them one. Until then every commit
    /// is refused. None when the store is closed meanwhile.
    fn reopen(&self, mut reason: StoreError) -> Option<Connection> {
        let mut refused = Vec::new();
        // The pause comes first: a file that opens but cannot be used must not make this thread spin.
        while self.inbox.drain_after(REOPEN_PAUSE, &mut refused) {
            for request in refused.drain(..) {
                refuse(request, &reason);
            }
            let opened = file::open_writer(&self.path, self.max_bytes).and_then(|connection| {
                checkpoint_all(&connection)?;
                Ok(connection)
            });
            reason = match opened {
                Ok(connection) => return Some(connection),
                Err(error) => store_error(&error),
            };
            tracing::warn!(%reason, "the database cannot be opened again yet");
        }
        for request in refused {
            refuse(request, &reason);
        }
        None
    }

    fn finish(&self, connection: Connection) {
        let closed = set_state(&connection, "closed").and_then(|()| checkpoint_all(&connection));
        if let Err(error) = closed {
            tracing::warn!(%error, "the database was not closed in order; nothing is lost");
            // The last connection would take an empty log away as it closes, and its absence would look like a loss.
            if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
                tracing::warn!(%error, "the log may not stay");
            }
        }
    }
}

/// Notes in the file whether a process uses it.
pub fn set_state(connection: &Connection, state: &str) -> rusqlite::Result<()> {
    connection.execute("UPDATE meta SET value=? WHERE key='state'", [state]).map(|_| ())
}

/// Names what uses the file from now on.
pub fn set_opening(connection: &Connection, opening: &str) -> rusqlite::Result<()> {
    let put = "INSERT INTO meta (key, value) VALUES ('opening', ?) ON CONFLICT (key) DO UPDATE SET value=excluded.value";
    connection.execute(put, [opening]).map(|_| ())
}

/// A name for it that no other has.
pub fn new_opening(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("SELECT hex(randomblob(8))", [], |row| row.get(0))
}

/// Moves the whole log into the file and empties it.
pub fn checkpoint_all(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    match busy {
        false => Ok(()),
        true => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("a read lasts too long".into()),
        )),
    }
}

/// The database cannot be used on this connection any more; every request in hand was answered.
struct Broken(StoreError);

struct Session<'c> {
    connection: &'c Connection,
    applier: Applier<'c>,
    begin: Statement<'c>,
    commit: Statement<'c>,
    generation: Statement<'c>,
    raise_epoch: Statement<'c>,
    raise_generation: Statement<'c>,
    /// What memory knows of the fences, and as of which generation.
    known_generation: i64,
    epochs: Vec<u64>,
    watch: WalWatch,
    group: Vec<Member>,
    #[cfg(test)]
    faults: Arc<tests::SyncFaults>,
}

/// What shares a transaction.
enum Member {
    Commit(PreparedCommit, Answer),
    Acquire(u32, oneshot::Sender<Result<u64, StoreError>>),
}

/// What becomes of a member if its transaction does.
enum Verdict {
    Written,
    Acquired(u64),
    Fenced,
    Refused(StoreError),
    Unknown(StoreError),
}

enum GroupError {
    /// Nothing of the group is written, and it was taken back.
    NotWritten(ApplyError),
    /// The transaction's end failed: perhaps it is written.
    Unknown(rusqlite::Error),
}

impl<'c> Session<'c> {
    fn begin(connection: &'c Connection, watch: WalWatch) -> rusqlite::Result<Session<'c>> {
        let mut session = Session {
            connection,
            applier: Applier::new(connection)?,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            generation: connection.prepare("SELECT value FROM meta WHERE key='generation'")?,
            raise_epoch: connection
                .prepare("UPDATE shard SET epoch=epoch+1 WHERE shard=? RETURNING epoch")?,
            raise_generation: connection.prepare("UPDATE meta SET value=value+1 WHERE key='generation'")?,
            known_generation: 0,
            epochs: Vec::new(),
            watch,
            group: Vec::new(),
            #[cfg(test)]
            faults: Arc::default(),
        };
        session.read_epochs()?;
        Ok(session)
    }

    fn read_epochs(&mut self) -> rusqlite::Result<()> {
        self.known_generation = self.generation.query_row([], |row| row.get(0))?;
        let mut epochs = self.connection.prepare_cached("SELECT epoch FROM shard ORDER BY shard")?;
        let read = epochs.query_map([], |row| row.get::<_, i64>(0).map(|epoch| epoch as u64))?;
        self.epochs = read.collect::<rusqlite::Result<_>>()?;
        Ok(())
    }

    /// Does all requests of a batch, in their order. On an error those that are left in the batch have no answer yet.
    fn process(&mut self, batch: &mut Vec<Request>) -> Result<(), Broken> {
        let mut changes = Ok(());
        let mut requests = batch.drain(..);
        for request in requests.by_ref() {
            match request {
                Request::Commit(commit, answer) => self.group.push(Member::Commit(commit, answer)),
                Request::Acquire(shard, answer) => self.group.push(Member::Acquire(shard, answer)),
                Request::Change(change, answer) => {
                    changes = self.write_group();
                    if let Err(Broken(reason)) = &changes {
                        let _ = answer.send(Err(reason.clone()));
                        break;
                    }
                    changes = self.write_change(change, answer);
                    if changes.is_err() {
                        break;
                    }
                }
            }
        }
        let rest: Vec<Request> = requests.collect();
        *batch = rest;
        changes?;
        self.write_group()
    }

    fn write_group(&mut self) -> Result<(), Broken> {
        let mut group = std::mem::take(&mut self.group);
        if group.is_empty() {
            return Ok(());
        }
        let written = self.write_members(&mut group);
        group.clear();
        self.group = group;
        written
    }

    /// Writes the members together, or else one by one, and answers all of them.
    fn write_members(&mut self, group: &mut Vec<Member>) -> Result<(), Broken> {
        match self.transaction(group) {
            Ok(verdicts) => {
                // Before the answers: who has one can read the count.
                let written = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Written));
                self.watch.count(written.count());
                answer(group.drain(..).zip(verdicts));
                self.watch.after_commit(self.connection);
                Ok(())
            }
            Err(GroupError::Unknown(error)) => {
                let reason = store_error(&error);
                answer(group.drain(..).map(|member| (member, Verdict::Unknown(reason.clone()))));
                Err(Broken(reason))
            }
            Err(GroupError::NotWritten(error)) => {
                let reason = error.reason();
                let broken = self.take_back(&error);
                if broken.is_err() || group.len() == 1 {
                    answer(group.drain(..).map(|member| (member, Verdict::Refused(reason.clone()))));
                    return broken;
                }
                let mut members = std::mem::take(group).into_iter();
                while let Some(member) = members.next() {
                    if let Err(broken) = self.write_members(&mut vec![member]) {
                        answer(members.map(|member| (member, Verdict::Refused(broken.0.clone()))));
                        return Err(broken);
                    }
                }
                Ok(())
            }
        }
    }

    /// One transaction with all of the group.
    fn transaction(&mut self, group: &[Member]) -> Result<Vec<Verdict>, GroupError> {
        let verdicts = self.changes(group).map_err(GroupError::NotWritten)?;
        match self.end() {
            Ok(_) => Ok(verdicts),
            // Nothing was synced and the log has no end mark: certainly not written.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                Err(GroupError::NotWritten(error.into()))
            }
            Err(error) => Err(GroupError::Unknown(error)),
        }
    }

    #[cfg(not(test))]
    fn end(&mut self) -> rusqlite::Result<usize> {
        self.commit.execute([])
    }

    #[cfg(test)]
    fn end(&mut self) -> rusqlite::Result<usize> {
        let fault = self.faults.take();
        if fault != Some(tests::SyncFault::NotWritten) {
            self.commit.execute([])?;
        }
        fault.map_or(Ok(0), |_| Err(tests::sync_error()))
    }

    fn changes(&mut self, group: &[Member]) -> Result<Vec<Verdict>, ApplyError> {
        self.begin.execute([])?;
        let generation: i64 = self.generation.query_row([], |row| row.get(0))?;
        if generation != self.known_generation {
            self.read_epochs()?;
        }
        let mut verdicts = Vec::with_capacity(group.len());
        for member in group {
            verdicts.push(match member {
                Member::Commit(commit, _) => self.write_commit(commit)?,
                Member::Acquire(shard, _) => self.write_acquire(*shard)?,
            });
        }
        self.applier.flush_counters()?;
        Ok(verdicts)
    }

    fn write_commit(&mut self, commit: &PreparedCommit) -> Result<Verdict, ApplyError> {
        match self.epochs.get(commit.shard as usize) {
            None => Ok(Verdict::Refused(no_shard(commit.shard))),
            Some(epoch) if *epoch != commit.epoch => Ok(Verdict::Fenced),
            Some(_) => self.applier.apply(commit).map(|()| Verdict::Written),
        }
    }

    fn write_acquire(&mut self, shard: u32) -> Result<Verdict, ApplyError> {
        if shard as usize >= self.epochs.len() {
            return Ok(Verdict::Refused(no_shard(shard)));
        }
        let epoch = self.raise_epoch.query_row([shard], |row| row.get::<_, i64>(0))? as u64;
        self.raise_generation.execute([])?;
        self.known_generation += 1;
        self.epochs[shard as usize] = epoch;
        Ok(Verdict::Acquired(epoch))
    }

    /// Ends a transaction that failed, and forgets what it changed in memory.
    fn take_back(&mut self, error: &ApplyError) -> Result<(), Broken> {
        let rolled_back =
            if self.connection.is_autocommit() { Ok(()) } else { self.connection.execute_batch("ROLLBACK") };
        let remembered =
            rolled_back.and_then(|()| self.applier.forget(self.connection)).and_then(|()| self.read_epochs());
        if let Err(error) = remembered {
            return Err(Broken(store_error(&error)));
        }
        match error {
            ApplyError::Sql(error) if is_fatal(error) => Err(Broken(store_error(error))),
            _ => Ok(()),
        }
    }

    fn write_change(
        &mut self,
        mut change: Change,
        answer: oneshot::Sender<Result<(), StoreError>>,
    ) -> Result<(), Broken> {
        let changed = self.begin.execute([]).map_err(ChangeError::from).and_then(|_| change(self.connection));
        let error = match changed {
            Ok(()) => match self.end() {
                Ok(_) => {
                    // It may have touched what is remembered.
                    let forgotten = self.applier.forget(self.connection);
                    let _ = answer.send(Ok(()));
                    self.watch.after_commit(self.connection);
                    return forgotten.map_err(|error| Broken(store_error(&error)));
                }
                Err(error) => ChangeError::Sql(error),
            },
            Err(error) => error,
        };
        let (error, reason) = match error {
            ChangeError::Refused(error) => (ApplyError::Refused(String::new()), error),
            ChangeError::Sql(error) => {
                let reason = store_error(&error);
                (ApplyError::Sql(error), reason)
            }
        };
        let _ = answer.send(Err(reason));
        self.take_back(&error)
    }
}

/// Tells each member what became of it.
fn answer(members: impl Iterator<Item = (Member, Verdict)>) {
    let mut commits = Vec::with_capacity(members.size_hint().0);
    for (member, verdict) in members {
        match member {
            Member::Commit(_, answer) => commits.push((answer, verdict.outcome())),
            // Whoever asked may be gone.
            Member::Acquire(_, answer) => drop(answer.send(verdict.epoch())),
        }
    }
    Others::answer(commits);
}

impl Verdict {
    fn outcome(self) -> Outcome {
        match self {
            Verdict::Written => Outcome::Done,
            Verdict::Fenced => Outcome::Fenced,
            Verdict::Refused(reason) => Outcome::NotWritten(bare(&reason)),
            Verdict::Unknown(reason) => Outcome::Unknown(bare(&reason)),
            Verdict::Acquired(_) => unreachable!("a commit acquires nothing"),
        }
    }

    fn epoch(self) -> Result<u64, StoreError> {
        match self {
            Verdict::Acquired(epoch) => Ok(epoch),
            Verdict::Refused(reason) | Verdict::Unknown(reason) => Err(reason),
            Verdict::Written | Verdict::Fenced => unreachable!("what acquires is no commit"),
        }
    }
}

/// Answers a request that was not tried.
fn refuse(request: Request, reason: &StoreError) {
    match request {
        Request::Commit(_, answer) => {
            drop(answer.send((Outcome::NotWritten(bare(reason)), Others::default())));
        }
        Request::Acquire(_, answer) => drop(answer.send(Err(reason.clone()))),
        Request::Change(_, answer) => drop(answer.send(Err(reason.clone()))),
    }
}

/// Why a commit was not written. That it was not says its outcome already.
fn bare(reason: &StoreError) -> String {
    match reason {
        StoreError::Unavailable(reason) => reason.clone(),
        other => other.to_string(),
    }
}

fn no_shard(shard: u32) -> StoreError {
    StoreError::Unavailable(format!("there is no shard {shard}"))
}

impl ApplyError {
    fn reason(&self) -> StoreError {
        match self {
            ApplyError::Sql(error) => store_error(error),
            ApplyError::Refused(reason) => StoreError::Unavailable(reason.clone()),
        }
    }
}

/// Whether the connection must not be used on. A full disk and a busy file pass; a constraint is the commit's fault.
fn is_fatal(error: &rusqlite::Error) -> bool {
    use ErrorCode::*;
    match error.sqlite_error_code() {
        Some(code) => !matches!(code, DiskFull | DatabaseBusy | ConstraintViolation | TooBig | OutOfMemory),
        None => false,
    }
}

/// Makes a file that was opened ready for this version: leads it to the newest schema.
pub fn prepare_file(mut connection: Connection, version: i32, opening: &str) -> rusqlite::Result<Connection> {
    file::migrate(&mut connection, version)?;
    // Queues without a backlog are names that workers made up long ago.
    connection.execute_batch("DELETE FROM queue WHERE tasks=0")?;
    set_state(&connection, "open")?;
    set_opening(&connection, opening)?;
    checkpoint_all(&connection)?;
    Ok(connection)
}

#[cfg(test)]
pub mod tests {
    //! A sync that fails, which no file system does on demand: the transaction's end is made to fail here.

    use crate::sqlite::SqliteStore;
    use rusqlite::ffi;
    use std::sync::Mutex;
    use std::time::Duration;
    use steadfast_storage::conformance::world::*;
    use steadfast_storage::{Outcome, Store};
    use uuid::Uuid;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum SyncFault {
        Written,
        NotWritten,
    }

    #[derive(Default)]
    pub struct SyncFaults(Mutex<Option<SyncFault>>);

    impl SyncFaults {
        pub fn set(&self, fault: SyncFault) {
            *self.0.lock().expect("no panic while locked") = Some(fault);
        }

        pub fn take(&self) -> Option<SyncFault> {
            self.0.lock().expect("no panic while locked").take()
        }
    }

    pub fn sync_error() -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None)
    }

    #[tokio::test]
    async fn after_a_failed_sync_the_outcome_is_unknown_and_the_file_is_opened_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = crate::SqliteOptions::new(directory.path().join("unknown.db"), Uuid::from_u128(1));
        let store = SqliteStore::open(&options).expect("the database opens");
        let mut epoch = store.acquire(0).await.expect("a shard");
        for (number, fault) in [(1, SyncFault::Written), (2, SyncFault::NotWritten), (3, SyncFault::Written)]
        {
            let commit = |number: u64, epoch| steadfast_storage::Commit {
                shard: 0,
                epoch,
                runs: vec![put(&run("unknown", number), "core")],
                ..Default::default()
            };
            store.faults.set(fault);
            let outcome = store.commit(commit(number, epoch)).await;
            assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
            let written = store.load_run(&run("unknown", number)).await.expect("reads go on").is_some();
            assert_eq!(written, fault == SyncFault::Written);
            // It goes on by itself, under the same epoch.
            let begun = std::time::Instant::now();
            loop {
                match store.commit(commit(number + 10, epoch)).await {
                    Outcome::Done => break,
                    Outcome::NotWritten(_) if begun.elapsed() < Duration::from_secs(20) => {}
                    outcome => panic!("{outcome:?}"),
                }
                tokio::task::yield_now().await;
            }
            let raised = store.acquire(0).await.expect("a shard");
            assert_eq!(raised, epoch + 1);
            epoch = raised;
        }
        assert_eq!(store.run_ids(&entity("unknown")).await.expect("reads go on").len(), 5);
    }
}
