//! Namespaces and other versioned configuration.

use super::world::*;
use crate::rows::NamespaceRecord;
use crate::store::{Store, StoreError};
use uuid::Uuid;

pub async fn namespaces_have_versions_and_names_of_their_own<F: Fixture>(world: World<F>) {
    let record = |id: u128, name: &str, version: u64| NamespaceRecord {
        id: Uuid::from_u128(id),
        name: name.into(),
        version,
        encoded: bytes(&format!("{name} {version}")),
    };
    let put = async |record| world.store.put_namespace(record).await;
    let conflict = |result| assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");

    assert_eq!(put(record(1, "one", 1)).await, Ok(()));
    conflict(put(record(1, "one", 1)).await);
    conflict(put(record(1, "one", 3)).await);
    conflict(put(record(2, "one", 1)).await);
    conflict(put(record(2, "two", 2)).await);
    assert_eq!(put(record(2, "two", 1)).await, Ok(()));
    assert_eq!(put(record(1, "renamed", 2)).await, Ok(()));
    conflict(put(record(2, "renamed", 2)).await);
    assert_eq!(put(record(3, "one", 1)).await, Ok(()), "a name is free again after a rename");

    assert_eq!(world.store.delete_namespace(Uuid::from_u128(2)).await, Ok(()));
    assert_eq!(world.store.delete_namespace(Uuid::from_u128(2)).await, Ok(()));
    let world = world.crash().await;
    let mut stored = world.store.namespaces().await.unwrap();
    stored.sort_by_key(|record| record.id);
    assert_eq!(stored, [record(1, "renamed", 2), record(3, "one", 1)]);
}

pub async fn configs_have_versions<F: Fixture>(world: World<F>) {
    let put = async |kind: &str, key: &str, expected: u64, value: Option<&str>| {
        world.store.put_config(kind, key, expected, value.map(bytes)).await
    };
    let conflict = |result| assert!(matches!(result, Err(StoreError::Conflict(_))), "{result:?}");

    assert_eq!(put("endpoint", "a", 0, Some("a1")).await, Ok(()));
    conflict(put("endpoint", "a", 0, Some("again")).await);
    conflict(put("endpoint", "b", 1, Some("never written")).await);
    assert_eq!(put("endpoint", "a", 1, Some("a2")).await, Ok(()));
    assert_eq!(put("endpoint", "b", 0, Some("")).await, Ok(()));
    assert_eq!(put("endpoints", "c", 0, Some("another kind")).await, Ok(()));
    assert_eq!(put("queue", "a", 0, Some("q")).await, Ok(()));
    conflict(put("queue", "a", 7, None).await);
    assert_eq!(put("queue", "a", 1, None).await, Ok(()));
    assert_eq!(put("queue", "never", 0, None).await, Ok(()));
    let world = world.crash().await;
    let stored = world.store.configs("endpoint").await.unwrap();
    assert_eq!(stored, [("a".into(), 2, bytes("a2")), ("b".into(), 1, bytes(""))], "in the order of keys");
    assert_eq!(world.store.configs("queue").await.unwrap(), []);
    let again = world.store.put_config("queue", "a", 0, Some(bytes("new"))).await;
    assert_eq!(again, Ok(()));
}
