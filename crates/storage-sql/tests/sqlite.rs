//! The SQLite store and the promises of every store.

use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steadfast_storage::conformance::Fixture;
use steadfast_storage_sql::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use uuid::Uuid;

/// A database in a directory of its own.
struct Files {
    directory: TempDir,
    /// Rises with every crash: the survivor is a copy.
    generation: u32,
}

impl Files {
    fn new() -> Files {
        Files { directory: tempfile::tempdir().expect("a temporary directory"), generation: 0 }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(format!("steadfast-{}.db", self.generation))
    }
}

#[async_trait]
impl Fixture for Files {
    type Store = SqliteStore;

    async fn open(&mut self) -> SqliteStore {
        let options = SqliteOptions { shards: 4, ..SqliteOptions::new(self.path(), Uuid::from_u128(42)) };
        SqliteStore::open(&options).expect("the database opens")
    }

    /// A process that is killed leaves its files as they are at that moment: a copy is what the next one finds.
    async fn crash(&mut self, store: Arc<SqliteStore>) {
        let killed = self.path();
        self.generation += 1;
        copy_files(&killed, &self.path());
        drop(store);
    }
}

/// The file itself last: the log may be moved into it meanwhile, but never before the log was synced.
fn copy_files(from: &Path, to: &Path) {
    for suffix in ["-wal", ""] {
        let name = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::copy(name(from), name(to)).expect("both files are there while the store is open");
    }
}

steadfast_storage::conformance_suite!(Files::new());
