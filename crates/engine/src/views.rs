//! Lists, counts and queues, as callers see them.

use crate::Engine;
use crate::failure::Failure;
use crate::matching::{ConfigChange, QueueView};
use std::sync::Arc;
use steadfast_api::v1::taskqueue::TaskQueueConfig;
use steadfast_machine::{Kind, QueueKey, TaskKey};
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

    /// Who polls a queue and what waits in it. What is not in memory of that is looked up.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn describe_queue(&self, queue: &QueueKey) -> Result<QueueView, Failure> {
        let mut view = self.inner.matching.view(queue);
        for level in view.levels.iter_mut().filter(|level| level.backlog > 0 && level.oldest.is_none()) {
            let before =
                TaskKey { queue: queue.clone(), priority: level.priority, order: i64::MIN, run: Uuid::nil() };
            let page = self.inner.store.read_backlog(queue, Some(&before), 1).await?;
            let first = page.tasks.first().filter(|task| task.key.priority == level.priority);
            level.oldest = first.map(|task| task.created);
        }
        Ok(view)
    }

    /// Changes the configuration of a queue.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn configure_queue(
        &self,
        queue: &QueueKey,
        change: ConfigChange,
    ) -> Result<Arc<TaskQueueConfig>, Failure> {
        Ok(self.inner.matching.change_config(queue, change).await?)
    }

    /// Removes what is configured for the queues of a namespace.
    pub async fn forget_queue_configs(&self, namespace: Uuid) -> Result<(), Failure> {
        Ok(self.inner.matching.forget_configs(namespace).await?)
    }

    /// Tasks that memory holds of all queues, for those who watch over its size.
    pub fn tasks_in_memory(&self) -> usize {
        self.inner.matching.held()
    }
}
