//! Changes of configuration, each a transaction of its own on the thread that writes.

use super::inbox::{Change, ChangeError};
use crate::encoding::checksum;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use steadfast_storage::{NamespaceRecord, StoreError};
use uuid::Uuid;

/// Most runs that lose an attribute in one transaction, so that commits do not wait for long.
const WIPED_AT_ONCE: i64 = 500;

fn conflict(reason: String) -> ChangeError {
    ChangeError::Refused(StoreError::Conflict(reason))
}

fn check_version(stored: Option<i64>, expected: u64) -> Result<(), ChangeError> {
    let stored = stored.unwrap_or(0) as u64;
    if stored == expected {
        return Ok(());
    }
    Err(conflict(format!("the stored version is {stored}, not {expected}")))
}

pub fn put_namespace(record: NamespaceRecord) -> Change {
    Box::new(move |connection| {
        let id = record.id.as_bytes();
        let taken = connection
            .prepare_cached("SELECT 1 FROM namespace WHERE name=? AND id<>?")?
            .exists(params![record.name, id])?;
        if taken {
            return Err(conflict(format!("the namespace {} exists already", record.name)));
        }
        let stored = connection
            .query_row("SELECT version FROM namespace WHERE id=?", [id], |row| row.get(0))
            .optional()?;
        check_version(stored, record.version.wrapping_sub(1))?;
        let checksum = checksum(&[id, record.name.as_bytes()], &record.encoded);
        connection.execute(
            "INSERT INTO namespace (id, name, version, checksum, encoded) VALUES (?,?,?,?,?) ON CONFLICT (id) \
             DO UPDATE SET name=excluded.name, version=excluded.version, checksum=excluded.checksum, encoded=excluded.encoded",
            params![id, record.name, record.version as i64, checksum, &record.encoded[..]],
        )?;
        Ok(())
    })
}

pub fn delete_namespace(id: Uuid) -> Change {
    Box::new(move |connection| {
        connection.execute("DELETE FROM namespace WHERE id=?", [id.as_bytes()])?;
        Ok(())
    })
}

pub fn put_config(kind: String, key: String, expected: u64, value: Option<Bytes>) -> Change {
    Box::new(move |connection| {
        let stored = connection
            .query_row("SELECT version FROM config WHERE kind=? AND key=?", [&kind, &key], |row| row.get(0))
            .optional()?;
        check_version(stored, expected)?;
        let Some(value) = &value else {
            connection.execute("DELETE FROM config WHERE kind=? AND key=?", [&kind, &key])?;
            return Ok(());
        };
        let checksum = checksum(&[kind.as_bytes(), key.as_bytes()], value);
        connection.execute(
            "INSERT OR REPLACE INTO config (kind, key, version, checksum, value) VALUES (?,?,?,?,?)",
            params![kind, key, expected as i64 + 1, checksum, &value[..]],
        )?;
        Ok(())
    })
}

/// Wipes some of the values; `left` says whether there may be more.
pub fn wipe_search_attribute(namespace: Uuid, name: String, left: Arc<AtomicBool>) -> Change {
    Box::new(move |connection| {
        let runs = runs_with(connection, namespace, &name)?;
        left.store(runs.len() as i64 == WIPED_AT_ONCE, Ordering::Release);
        let mut delete = connection.prepare_cached("DELETE FROM search_attribute WHERE run=? AND name=?")?;
        for run in runs {
            delete.execute(params![run, name])?;
        }
        Ok(())
    })
}

fn runs_with(connection: &Connection, namespace: Uuid, name: &str) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT run FROM search_attribute \
               WHERE namespace_id=(SELECT number FROM namespace_number WHERE id=?) AND name=? LIMIT ?";
    let mut runs = connection.prepare_cached(sql)?;
    runs.query_map(params![namespace.as_bytes(), name, WIPED_AT_ONCE], |row| row.get(0))?.collect()
}
