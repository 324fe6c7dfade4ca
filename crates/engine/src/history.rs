//! Reading histories: stored batches are spliced into replies without decoding an event.

use crate::Engine;
use crate::delivery::with_synthetic;
use crate::entity::{Tail, event_in};
use crate::failure::Failure;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_machine::workflow::reply::StartedWorkflowTask;
use steadfast_machine::workflow::rows::WorkflowTaskRow;
use steadfast_machine::workflow::state::Run;
use steadfast_machine::workflow::synthetic_events;
use steadfast_machine::{AnyRun, Batch, EntityKey, Reject, batch, standalone_activity};
use steadfast_storage::{BranchPart, StoreError};
use tokio::time::Instant;
use uuid::Uuid;

/// Batches of one page, and bytes after which a page is closed (a reply must fit the client's message limit).
pub const PAGE_BATCHES: usize = 256;
const PAGE_BYTES: usize = 2 << 20;

/// The first page of the history that goes with a task.
#[derive(Clone, Debug, Default)]
pub struct TaskHistory {
    pub encoded: Bytes,
    /// The first event of the next page, if there is one.
    pub next: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct HistoryPage {
    pub run: Uuid,
    pub encoded: Bytes,
    /// The first event after the page (of a reverse page: the last before it).
    pub next_event_id: i64,
    /// Nothing is left to read now.
    pub end: bool,
    pub open: bool,
    /// Events that are not in the history but belong behind it, for SDKs.
    pub transient: Vec<HistoryEvent>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub run: Uuid,
    pub open: bool,
    pub next_event_id: i64,
}

impl Progress {
    fn of(run: &Run) -> Progress {
        Progress { run: run.id, open: run.is_open(), next_event_id: run.core.next_event_id }
    }
}

/// What a page of a history needs of its run, as it was when it was looked at.
struct HistoryView {
    run: Uuid,
    open: bool,
    last_event_id: i64,
    parts: Vec<BranchPart>,
    /// The page itself and the event after it, where it is in memory.
    held: Option<(Bytes, i64)>,
    transient: Vec<HistoryEvent>,
}

impl HistoryView {
    /// Of a page forward, if it is one: its first event and the most batches.
    fn of((run, tail): (&Run, &Tail), forward: Option<(i64, usize)>) -> HistoryView {
        // Once an event came before it, a task that is not in the history yet will be written behind that.
        let next = run.core.next_event_id;
        let task = run.core.task.as_ref().filter(|task| task.transient && task.scheduled_event_id == next);
        let transient = task.map(|task| {
            // Whose it is, is known when it is written.
            let task = WorkflowTaskRow { identity: String::new(), ..task.clone() };
            synthetic_events(&run.start.task_queue, run.core.sticky.as_ref(), &task)
        });
        HistoryView {
            run: run.id,
            open: run.is_open(),
            last_event_id: run.core.next_event_id - 1,
            parts: parts(&run.history_parts()),
            held: forward.and_then(|(from, batches)| tail.page(from, run.core.next_event_id, batches)),
            transient: transient.unwrap_or_default(),
        }
    }

    fn page(self, encoded: Bytes, next_event_id: i64, end: bool) -> HistoryPage {
        let HistoryView { run, open, transient, .. } = self;
        HistoryPage { run, encoded, next_event_id, end, open, transient }
    }
}

/// The first event that the worker does not know.
pub fn first_event(task: &StartedWorkflowTask) -> i64 {
    if task.partial { task.previous_started_event_id + 1 } else { 1 }
}

pub fn parts(branches: &[(Uuid, i64)]) -> Vec<BranchPart> {
    branches.iter().map(|(branch, last)| BranchPart { branch: *branch, last_event_id: *last }).collect()
}

impl Engine {
    /// The history that goes with a started workflow task.
    pub async fn task_history(&self, task: &StartedWorkflowTask) -> Result<TaskHistory, Failure> {
        if let Some(history) = &task.history {
            return Ok(TaskHistory { encoded: history.clone(), next: None });
        }
        let read = self.first_page(&task.branches, first_event(task), task.next_event_id);
        let mut page = Box::pin(read).await?;
        if page.next.is_none() {
            page.encoded = with_synthetic(page.encoded, task);
        }
        Ok(page)
    }

    pub(crate) async fn first_page(
        &self,
        branches: &[(Uuid, i64)],
        from: i64,
        to: i64,
    ) -> Result<TaskHistory, Failure> {
        let read = self.read_history(&parts(branches), from, to, PAGE_BATCHES, false).await?;
        let (encoded, next) = join(&read, from);
        Ok(TaskHistory { encoded, next: (next < to).then_some(next) })
    }

    /// Batches of a history that has all events before `to`: so where there is nothing to read, something was lost.
    async fn read_history(
        &self,
        parts: &[BranchPart],
        from: i64,
        to: i64,
        limit: usize,
        reverse: bool,
    ) -> Result<Vec<Batch>, StoreError> {
        let read = self.inner.store.read_history(parts, from, to, limit, reverse).await?;
        let reaches = match reverse {
            false => read.first().is_some_and(|batch| batch.first_event_id <= from),
            true => read.first().is_some_and(|batch| batch.first_event_id + batch.events >= to),
        };
        match reaches || from >= to {
            true => Ok(read),
            false => {
                Err(StoreError::Corrupt(format!("the history between events {from} and {to} is not there")))
            }
        }
    }

    /// A page of a run's history, forwards from an event or backwards from it.
    pub async fn history(
        &self,
        key: EntityKey,
        run: Option<Uuid>,
        from_event: i64,
        max_batches: usize,
        reverse: bool,
    ) -> Result<HistoryPage, Failure> {
        let limit = max_batches.clamp(1, PAGE_BATCHES);
        let forward = (!reverse).then_some((from_event.max(1), limit));
        let id = key.id.clone();
        let seen =
            self.look(key, run, move |entity| Some(HistoryView::of(entity.workflow(run)?, forward))).await?;
        let view = seen.ok_or_else(|| Reject::no_workflow(&id, run))?;
        let last = view.last_event_id;
        if reverse {
            let to = if from_event <= 0 { last } else { from_event.min(last) };
            let read = self.read_history(&view.parts, 1, to + 1, limit, true).await?;
            let (encoded, first) = join_reverse(&read, to);
            let next = if read.is_empty() { 0 } else { first - 1 };
            return Ok(view.page(encoded, next, next <= 0));
        }
        let from = from_event.max(1);
        if from > last {
            return Ok(view.page(Bytes::new(), from, true));
        }
        let (encoded, next) = match view.held.clone() {
            Some(held) => held,
            None => join(&self.read_history(&view.parts, from, last + 1, limit, false).await?, from),
        };
        Ok(view.page(encoded, next, next > last))
    }

    /// How far a run is.
    ///
    /// # Errors
    /// There is no such run.
    pub async fn progress(&self, key: EntityKey, run: Option<Uuid>) -> Result<Progress, Failure> {
        let id = key.id.clone();
        let seen =
            self.look(key, run, move |entity| entity.workflow(run).map(|loaded| Progress::of(loaded.0)));
        seen.await?.ok_or_else(|| Reject::no_workflow(&id, run).into())
    }

    /// Waits until the run has the event `beyond_event`, or (with `close_only`) until it is closed, or the deadline;
    /// how far it is then.
    pub async fn wait_history(
        &self,
        key: EntityKey,
        run: Uuid,
        beyond_event: i64,
        close_only: bool,
        deadline: std::time::Instant,
    ) -> Result<Progress, Failure> {
        let mut changes = self.inner.watches.run(&key.run(run));
        let mut shutdown = self.shutdown();
        loop {
            changes.mark_unchanged();
            let progress = self.progress(key.clone(), Some(run)).await?;
            if !progress.open || (!close_only && progress.next_event_id > beyond_event) {
                return Ok(progress);
            }
            tokio::select! {
                biased;
                // The deadline first: a run that never rests must not keep its readers.
                () = tokio::time::sleep_until(Instant::from_std(deadline)) => return Ok(progress),
                _ = shutdown.wait_for(|down| *down) => return Ok(progress),
                () = changes.changed() => {}
            }
        }
    }

    /// The workflow's run as it is stored, with what is volatile.
    pub async fn describe(&self, key: EntityKey, run: Option<Uuid>) -> Result<Arc<Run>, Failure> {
        let id = key.id.clone();
        let found = self.describe_any(key, run).await?;
        let workflow = found.and_then(|run| run.workflow().cloned());
        workflow.ok_or_else(|| Reject::no_workflow(&id, run).into())
    }

    /// The standalone activity as it is stored.
    pub async fn describe_activity(
        &self,
        key: EntityKey,
        run: Option<Uuid>,
    ) -> Result<Arc<standalone_activity::Run>, Failure> {
        let id = key.id.clone();
        let found = self.describe_any(key, run).await?;
        let activity = found.and_then(|run| run.activity().cloned());
        activity.ok_or_else(|| Reject::not_found(format!("activity not found for ID: {id}")).into())
    }

    /// The batch operation as it is stored.
    pub async fn describe_batch(&self, key: EntityKey) -> Result<Arc<batch::Run>, Failure> {
        let id = key.id.clone();
        let found = self.describe_any(key, None).await?;
        let batch = found.and_then(|run| run.batch().cloned());
        batch.ok_or_else(|| Reject::no_workflow(&id, None).into())
    }

    async fn describe_any(&self, key: EntityKey, run: Option<Uuid>) -> Result<Option<AnyRun>, Failure> {
        self.look(key, run, move |entity| match run {
            Some(run) => entity.runs.get(&run).map(|loaded| loaded.run.clone()),
            None => entity.current().map(|loaded| loaded.run.clone()),
        })
        .await
    }

    /// Waits until a standalone activity has changed since `seen` (its count of transitions) or, if `close_only`,
    /// is closed; or until the deadline.
    pub async fn wait_activity(
        &self,
        key: EntityKey,
        run: Option<Uuid>,
        seen: i64,
        close_only: bool,
        deadline: std::time::Instant,
    ) -> Result<Arc<standalone_activity::Run>, Failure> {
        let id = self.describe_activity(key.clone(), run).await?.id;
        let mut changes = self.inner.watches.run(&key.run(id));
        let mut shutdown = self.shutdown();
        loop {
            changes.mark_unchanged();
            let run = self.describe_activity(key.clone(), Some(id)).await?;
            let found = if close_only { !run.is_open() } else { run.core.transitions != seen };
            if found {
                return Ok(run);
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(Instant::from_std(deadline)) => return Ok(run),
                _ = shutdown.wait_for(|down| *down) => return Ok(run),
                () = changes.changed() => {}
            }
        }
    }

    pub(crate) async fn read_event(
        &self,
        branches: &[(Uuid, i64)],
        event_id: i64,
    ) -> Result<Option<HistoryEvent>, Failure> {
        let read = self.inner.store.read_history(&parts(branches), event_id, event_id + 1, 1, false).await?;
        Ok(read.first().and_then(|batch| event_in(batch, event_id)))
    }

    pub(crate) async fn read_batches(
        &self,
        branches: &[(Uuid, i64)],
        from: i64,
        to: i64,
    ) -> Result<Vec<Batch>, Failure> {
        Ok(self.inner.store.read_history(&parts(branches), from, to, usize::MAX, false).await?)
    }
}

/// The batches as one encoded history, and the id after its last event.
fn join(batches: &[Batch], from: i64) -> (Bytes, i64) {
    let mut joined = BytesMut::new();
    let mut next = from;
    for batch in batches {
        if !joined.is_empty() && joined.len() + batch.encoded.len() > PAGE_BYTES {
            break;
        }
        joined.extend_from_slice(&batch.encoded);
        next = batch.first_event_id + batch.events;
    }
    (joined.freeze(), next)
}

/// Newest first: here events have to be turned round, so the batches are decoded.
fn join_reverse(batches: &[Batch], to: i64) -> (Bytes, i64) {
    use prost::Message as _;
    use steadfast_api::v1::history::History;
    let mut joined = BytesMut::new();
    let mut first = to + 1;
    for batch in batches {
        if !joined.is_empty() && joined.len() + batch.encoded.len() > PAGE_BYTES {
            break;
        }
        let Ok(mut history) = History::decode(batch.encoded.clone()) else { break };
        history.events.retain(|event| event.event_id <= to);
        history.events.reverse();
        joined.extend_from_slice(&history.encode_to_vec());
        first = batch.first_event_id;
    }
    (joined.freeze(), first)
}
