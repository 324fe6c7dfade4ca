//! Callers who wait for an answer that comes with a later input: queries and updates.

use crate::Engine;
use crate::failure::Failure;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use steadfast_api::v1::query::WorkflowQueryResult;
use steadfast_machine::decision::QueryTask;
use steadfast_machine::workflow::input::{Input, What};
use steadfast_machine::workflow::query_reply;
use steadfast_machine::{CallerId, EntityKey, QueueKey, QueueType, Reject, Reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A query is refused early when nobody polled its queue for so long.
const QUERY_POLLER_MEMORY: Duration = Duration::from_secs(20);

/// How long before its deadline such a query is refused, so that the refusal arrives.
const QUERY_REFUSED_BEFORE: Duration = Duration::from_secs(1);

/// With less time than that, a query still gets this much to come to its queue.
const QUERY_SHORTEST: Duration = Duration::from_millis(100);

pub struct Callers {
    next: AtomicU64,
    waiting: Mutex<HashMap<CallerId, Waiting>>,
}

struct Waiting {
    sender: oneshot::Sender<Result<Reply, Failure>>,
    /// The queue in which its query waits for a worker, if it does.
    queue: Option<QueueKey>,
}

impl Callers {
    /// Names begin at random: an answer to a query of an earlier process must not find a caller of this one.
    pub fn new(first: u64) -> Callers {
        Callers { next: AtomicU64::new(first), waiting: Mutex::default() }
    }

    pub fn next(&self) -> CallerId {
        CallerId(self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }

    fn register(&self, caller: CallerId) -> oneshot::Receiver<Result<Reply, Failure>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().expect("nothing panics while it holds this");
        waiting.insert(caller, Waiting { sender, queue: None });
        receiver
    }

    pub fn answer(&self, caller: CallerId, answer: Result<Reply, Failure>) -> bool {
        let waiting = self.waiting.lock().expect("nothing panics while it holds this").remove(&caller);
        waiting.is_some_and(|waiting| waiting.sender.send(answer).is_ok())
    }

    fn set_queue(&self, caller: CallerId, queue: &QueueKey) -> bool {
        let mut waiting = self.waiting.lock().expect("nothing panics while it holds this");
        let Some(waiting) = waiting.get_mut(&caller) else { return false };
        waiting.queue = Some(queue.clone());
        true
    }

    fn queue(&self, caller: CallerId) -> Option<QueueKey> {
        let waiting = self.waiting.lock().expect("nothing panics while it holds this");
        waiting.get(&caller)?.queue.clone()
    }

    fn forget(&self, caller: CallerId) -> Option<Option<QueueKey>> {
        let mut waiting = self.waiting.lock().expect("nothing panics while it holds this");
        waiting.remove(&caller).map(|waiting| waiting.queue)
    }
}

/// Takes a caller out when it goes away before it was answered.
struct Registered<'a> {
    engine: &'a Engine,
    caller: CallerId,
    key: &'a EntityKey,
    run: Option<uuid::Uuid>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let Some(queue) = self.engine.inner.callers.forget(self.caller) else { return };
        if let Some(queue) = queue {
            self.engine.inner.matching.take_query(&queue, self.caller);
        }
        let forget = Input { run: self.run, first_run: None, what: What::ForgetCaller(self.caller) };
        self.engine.tell(self.key.clone(), forget);
    }
}

impl Engine {
    /// Applies an input whose answer may come later, and waits for it. `None`: the deadline passed, and the caller is
    /// forgotten.
    pub async fn wait(
        &self,
        caller: CallerId,
        key: EntityKey,
        input: Input,
        deadline: std::time::Instant,
    ) -> Result<Option<Reply>, Failure> {
        let receiver = self.inner.callers.register(caller);
        let _registered = Registered { engine: self, caller, key: &key, run: input.run };
        match self.apply(key.clone(), input).await? {
            Reply::Wait => {}
            reply => return Ok(Some(reply)),
        }
        let mut shutdown = self.shutdown();
        tokio::select! {
            biased;
            answer = tokio::time::timeout_at(Instant::from_std(deadline), receiver) => match answer {
                Ok(Ok(answer)) => answer.map(Some),
                Ok(Err(_)) => Err(Failure::lost()),
                Err(_) => Ok(None),
            },
            _ = shutdown.wait_for(|down| *down) => Err(Failure::stopping()),
        }
    }

    /// The same for a query: one that waits in a queue that nobody polls is refused a little before its deadline.
    pub async fn wait_for_query(
        &self,
        caller: CallerId,
        key: EntityKey,
        input: Input,
        deadline: std::time::Instant,
    ) -> Result<Option<Reply>, Failure> {
        let now = Instant::now();
        let early = Instant::from_std(deadline).checked_sub(QUERY_REFUSED_BEFORE).unwrap_or(now);
        let early = early.max(now + QUERY_SHORTEST);
        let answer = self.wait(caller, key, input, deadline);
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = tokio::time::sleep_until(early) => {}
        }
        match self.inner.callers.queue(caller) {
            Some(queue) if !self.has_worker(&queue) => Err(Reject::FailedPrecondition(
                "no poller seen for task queue recently, worker may be down".into(),
            )
            .into()),
            _ => answer.await,
        }
    }

    /// A worker's answer to a query that came without a workflow task.
    pub async fn respond_query(&self, caller: CallerId, result: WorkflowQueryResult) -> Result<(), Failure> {
        let answer = query_reply(&result).map_err(Failure::from);
        if self.inner.callers.answer(caller, answer) {
            return Ok(());
        }
        Err(Reject::not_found("query task not found, or already expired").into())
    }

    /// Brings a query to a worker: to the one that has the run in its cache, if there is one, else to any.
    pub(crate) fn dispatch_query(
        &self,
        key: &EntityKey,
        query: QueryTask,
        sticky: Option<(String, i64)>,
        normal: &str,
    ) {
        let queue =
            |name: &str| QueueKey { namespace: key.namespace, name: name.into(), kind: QueueType::Workflow };
        let normal = queue(normal);
        let sticky = sticky.map(|(name, patience)| (queue(&name), patience));
        let Some((sticky, patience)) = sticky else { return self.offer_query(&normal, query) };
        if !self.inner.matching.is_polled(&sticky) {
            // Whoever gets it now gets the whole history, and so does who gets the next workflow task.
            self.tell(key.clone(), Input::run(query.run.run, What::ResetSticky));
            return self.offer_query(&normal, query);
        }
        let caller = query.caller;
        let run = query.run.run;
        self.offer_query(&sticky, query);
        let engine = self.clone();
        let key = key.clone();
        self.spawn(async move {
            tokio::time::sleep(Duration::from_nanos(u64::try_from(patience).unwrap_or(0))).await;
            if let Some(query) = engine.inner.matching.take_query(&sticky, caller) {
                engine.tell(key, Input::run(run, What::ResetSticky));
                engine.offer_query(&normal, query);
            }
        });
    }

    pub(crate) fn offer_query(&self, queue: &QueueKey, query: QueryTask) {
        if self.inner.callers.set_queue(query.caller, queue) {
            self.inner.matching.offer_query(queue, query);
        }
    }

    /// Whether a worker polls this queue, or did within the last seconds.
    pub fn has_worker(&self, queue: &QueueKey) -> bool {
        self.inner.matching.polled_within(queue, QUERY_POLLER_MEMORY)
    }
}
