//! Removes closed runs whose time is over, a few at a time, and sweeps what memory need not hold.

use crate::Engine;
use std::time::Duration;
use steadfast_machine::AnyInput;

const ROUND: Duration = Duration::from_secs(60);

/// Runs that are removed in one go.
const PAGE: usize = 500;

/// Runs for as long as the engine does.
pub async fn run(engine: Engine) {
    loop {
        tokio::time::sleep(ROUND).await;
        engine.inner.matching.sweep();
        for namespace in engine.inner.namespaces.list() {
            remove_expired(&engine, namespace.id, namespace.retention).await;
        }
    }
}

async fn remove_expired(engine: &Engine, namespace: uuid::Uuid, retention: i64) {
    loop {
        let before = engine.now().plus(-retention);
        let expired = match engine.inner.store.expired(namespace, before, PAGE).await {
            Ok(expired) => expired,
            Err(error) => {
                tracing::warn!(%error, "closed runs cannot be looked through");
                return;
            }
        };
        let last = expired.len() < PAGE;
        for key in expired {
            let removed = engine.apply(key.entity.clone(), AnyInput::delete(key.entity.kind, key.run)).await;
            if let Err(crate::Failure::Unavailable(error)) = removed {
                tracing::warn!(%error, run = %key, "a run cannot be removed now");
                return;
            }
        }
        if last {
            return;
        }
    }
}
