//! Lists, counts and queues, as callers see them.

use crate::Engine;
use crate::failure::Failure;
use crate::matching::QueueView;
use steadfast_machine::{Kind, QueueKey};
use steadfast_query::Filter;
use steadfast_storage::{PageKey, VisibilityPage};
use uuid::Uuid;

impl Engine {
    /// A page of the runs of a kind that match, in the reference's order.
    pub async fn list(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: Filter,
        after: Option<PageKey>,
        limit: usize,
    ) -> Result<VisibilityPage, Failure> {
        Ok(self.inner.store.list(namespace, kind, &filter, after, limit).await?)
    }

    pub async fn count(&self, namespace: Uuid, kind: Kind, filter: Filter) -> Result<u64, Failure> {
        Ok(self.inner.store.count(namespace, kind, &filter).await?)
    }

    /// How many runs of a kind match, by status number.
    pub async fn count_by_status(
        &self,
        namespace: Uuid,
        kind: Kind,
        filter: Filter,
    ) -> Result<Vec<(i32, u64)>, Failure> {
        Ok(self.inner.store.count_by_status(namespace, kind, &filter).await?)
    }

    /// The queues with the most tasks waiting, and how many.
    pub fn longest_backlogs(&self, most: usize) -> Vec<(QueueKey, u64)> {
        let mut backlogs = self.inner.matching.backlogs();
        backlogs.sort_by_key(|(_, tasks)| std::cmp::Reverse(*tasks));
        backlogs.truncate(most);
        backlogs
    }

    /// Entities that are in memory, and about the bytes that they take.
    pub fn loaded(&self) -> (usize, usize) {
        self.inner.mailboxes.loaded()
    }

    pub fn describe_queue(&self, queue: &QueueKey) -> QueueView {
        self.inner.matching.view(queue)
    }
}
