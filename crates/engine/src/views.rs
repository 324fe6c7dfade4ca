//! Lists, counts and queues, as callers see them.

use crate::Engine;
use crate::failure::Failure;
use crate::matching::QueueView;
use steadfast_machine::{Kind, QueueKey};
use steadfast_query::Filter;
use steadfast_storage::{PageKey, VisibilityPage};
use uuid::Uuid;

impl Engine {
    /// A page of the workflows that match, in the reference's order.
    pub async fn list(
        &self,
        namespace: Uuid,
        filter: Filter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<VisibilityPage, Failure> {
        Ok(self.inner.store.list(namespace, Kind::Workflow, &filter, after, limit).await?)
    }

    pub async fn count(&self, namespace: Uuid, filter: Filter) -> Result<u64, Failure> {
        Ok(self.inner.store.count(namespace, Kind::Workflow, &filter).await?)
    }

    /// How many workflows match, by status number.
    pub async fn count_by_status(&self, namespace: Uuid, filter: Filter) -> Result<Vec<(i32, u64)>, Failure> {
        Ok(self.inner.store.count_by_status(namespace, Kind::Workflow, &filter).await?)
    }

    pub fn describe_queue(&self, queue: &QueueKey) -> QueueView {
        self.inner.matching.view(queue)
    }
}
