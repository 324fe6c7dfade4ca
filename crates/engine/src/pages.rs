//! Reads the pages of targets that batch operations ask for.
//!
//! That a page is wanted is in the batch's rows, and its alarm is due until the page is there: what is given up here, or
//! lost with the process, is asked for again.

use crate::Engine;
use crate::failure::Failure;
use std::time::Duration;
use steadfast_machine::batch::{CursorRow, Input, Page, TargetRow, What};
use steadfast_machine::decision::PageDue;
use steadfast_machine::{Kind, Reject, Time};
use steadfast_query::{Filter, QueryError, parse, resolve};
use steadfast_storage::PageKey;
use uuid::Uuid;

/// Tries, and the time between two. All of them together take less time than the batch waits before it asks again.
const TRIES: usize = 20;
const BACKOFF: Duration = Duration::from_secs(1);

impl Engine {
    /// Reads a page, and brings it to the batch that asked for it.
    pub(crate) fn read_page(&self, due: PageDue) {
        let engine = self.clone();
        self.spawn(async move {
            for _ in 0..TRIES {
                match engine.bring_page(&due).await {
                    Ok(()) => return,
                    Err(failure) => {
                        tracing::warn!(?failure, batch = %due.run, "a page of targets is not there yet");
                    }
                }
                tokio::time::sleep(BACKOFF).await;
            }
        });
    }

    async fn bring_page(&self, due: &PageDue) -> Result<(), Failure> {
        let entity = due.run.entity.clone();
        // A namespace that is gone took its batches with it.
        let Some(namespace) = self.inner.namespaces.by_id(entity.namespace) else { return Ok(()) };
        let filter =
            |query: &str| -> Result<Filter, QueryError> { resolve(parse(query)?, &*namespace)?.for_list() };
        let what = match filter(&due.query) {
            Ok(filter) => What::Page(Box::new(self.page(due, filter).await?)),
            Err(error) => {
                tracing::warn!(%error, batch = %due.run, "the query of a batch operation means nothing");
                What::QueryRefused { page: due.number, message: error.to_string() }
            }
        };
        match self.apply(entity, Input::run(due.run.run, what)).await {
            Ok(_) => Ok(()),
            Err(busy @ Failure::Reject(Reject::ResourceExhausted { .. })) => Err(busy),
            Err(Failure::Reject(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn page(&self, due: &PageDue, filter: Filter) -> Result<Page, Failure> {
        let namespace = due.run.entity.namespace;
        let total = match due.count {
            true => {
                let count = self.inner.store.count(namespace, Kind::Workflow, &filter).await?;
                Some(i64::try_from(count).unwrap_or(i64::MAX))
            }
            false => None,
        };
        let after = due.after.as_ref().map(|after| PageKey {
            close_time: Time(after.close_time),
            start_time: Time(after.start_time),
            run: Uuid::from_slice(&after.run).unwrap_or_default(),
        });
        let page = self.inner.store.list(namespace, Kind::Workflow, &filter, after, due.limit).await?;
        let targets = page.rows.into_iter().map(|(key, _)| TargetRow {
            workflow_id: key.entity.id.to_string(),
            run_id: key.run.to_string(),
        });
        Ok(Page {
            number: due.number,
            targets: targets.collect(),
            next: page.next.map(|next| CursorRow {
                close_time: next.close_time.0,
                start_time: next.start_time.0,
                run: next.run.as_bytes().to_vec(),
            }),
            total,
        })
    }
}
