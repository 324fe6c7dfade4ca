//! Removes closed runs whose time is over, a few at a time, and sweeps what memory need not hold.

use crate::{Engine, Failure};
use std::time::Duration;
use steadfast_machine::{AnyInput, Reject, RunKey};

const ROUND: Duration = Duration::from_secs(60);

/// Runs that are removed in one go.
const PAGE: usize = 500;

/// Of these, so many at once: they share commits, and what is removed keeps up with what is started.
const TOGETHER: usize = 64;

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
        for some in expired.chunks(TOGETHER) {
            if let Err(failure) = engine.delete_runs(some).await {
                tracing::warn!(?failure, "closed runs cannot be removed now");
                return;
            }
        }
        if last {
            return;
        }
    }
}

impl Engine {
    /// Removes runs, all at once; how many there were. One that is gone already is none.
    ///
    /// # Errors
    /// One of them cannot be removed now.
    pub async fn delete_runs(&self, runs: &[RunKey]) -> Result<usize, Failure> {
        let deletes: Vec<_> = runs
            .iter()
            .map(|run| {
                let (engine, run) = (self.clone(), run.clone());
                let delete = AnyInput::delete(run.entity.kind, run.run);
                tokio::spawn(async move { engine.apply(run.entity, delete).await })
            })
            .collect();
        let (mut deleted, mut failed) = (0, None);
        for delete in deletes {
            match delete.await.unwrap_or_else(|_| Err(Failure::lost())) {
                Ok(_) => deleted += 1,
                Err(Failure::Reject(Reject::NotFound(_))) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        failed.map_or(Ok(deleted), Err)
    }
}
