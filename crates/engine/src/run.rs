//! The one write path: nothing else changes a run.
//!
//! What happens to an entity goes through its mailbox, one thing after the other. Whoever puts the first letter into an
//! idle mailbox starts its turn: the letters that wait are decided in order on a working copy, one commit makes all of
//! it durable, and only then replies leave, tasks are offered and waiters wake.

use crate::Engine;
use crate::delivery::{Delivery, with_history};
use crate::entity::{Entity, Loaded, Tail};
use crate::failure::Failure;
use crate::matching::Reserved;
use crate::namespaces::Among;
use crate::transaction::Transaction;
use ahash::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use steadfast_machine::any;
use steadfast_machine::env::Fetched;
use steadfast_machine::planted::{Planted, is_planted};
use steadfast_machine::standalone_activity;
use steadfast_machine::workflow::input::{Input, StartActivity, StartWorkflowTask, What};
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::{
    AnyInput, AnyRun, AnyRuns, EntityKey, Env, Kind, QueueKey, QueueType, Reject, Reply, Task,
};
use steadfast_storage::Outcome;
use tokio::sync::oneshot;
use uuid::Uuid;

const STRIPES: usize = 32;

/// Letters that one commit may answer, and bytes of history after which it is closed.
const LETTERS: usize = 128;
const COMMIT_BYTES: usize = 2 << 20;

/// The part of the memory for loaded entities that those without an open run may take: one in so many.
const CLOSED_SHARE: usize = 32;

/// Letters that may wait for one entity; more are refused.
const WAITING: usize = 10_000;

pub type Answered = Result<Reply, Failure>;
type Look = Box<dyn FnOnce(&Entity) + Send>;

enum Letter {
    Input {
        input: Box<AnyInput>,
        reply: Option<oneshot::Sender<Answered>>,
    },
    /// Looks at the entity as it is stored, with this run loaded.
    View {
        run: Option<Uuid>,
        look: Look,
    },
}

pub struct Mailboxes {
    stripes: Vec<Mutex<Stripe>>,
    open: Budget,
    /// For entities without an open run. They are kept for those who ask right after the close: whoever waits for a
    /// result.
    closed: Budget,
}

/// Bytes of loaded entities. A stripe has to let go only if all are over their limit and it is over its share: a run
/// that is larger than a share would otherwise be read anew for every step.
struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    fn new(limit: usize) -> Budget {
        Budget { limit, used: AtomicUsize::new(0) }
    }

    fn is_over(&self, weight_of_stripe: usize) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit && weight_of_stripe > self.limit / STRIPES
    }
}

#[derive(Default)]
struct Stripe {
    boxes: HashMap<EntityKey, Mailbox>,
    open: Idle,
    closed: Idle,
    tick: u64,
}

/// Entities in whose mailbox nothing happens, the longest idle first.
#[derive(Default)]
struct Idle {
    since: BTreeMap<u64, EntityKey>,
    weight: usize,
}

#[derive(Default)]
struct Mailbox {
    waiting: VecDeque<Letter>,
    /// `None` while its turn lasts.
    entity: Option<Entity>,
    driving: bool,
    tick: u64,
    weight: usize,
    closed: bool,
}

impl Mailboxes {
    pub fn new(cache_bytes: usize) -> Mailboxes {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Mailboxes { stripes, open: Budget::new(cache_bytes), closed: Budget::new(cache_bytes / CLOSED_SHARE) }
    }

    fn stripe(&self, key: &EntityKey) -> MutexGuard<'_, Stripe> {
        let stripe = key.shard(STRIPES as u32) as usize;
        self.stripes[stripe].lock().expect("nothing panics while it holds this")
    }

    /// Puts a letter in; the entity comes back when the mailbox was idle: then the caller has to drive it.
    fn push(&self, key: &EntityKey, letter: Letter) -> Result<Option<Entity>, Letter> {
        let mut guard = self.stripe(key);
        let stripe = &mut *guard;
        let mailbox = stripe.boxes.entry(key.clone()).or_default();
        // What the engine tells of something that was let in before is let in too: one for each at most.
        let told = matches!(letter, Letter::Input { reply: None, .. });
        if mailbox.waiting.len() >= WAITING && !told {
            return Err(letter);
        }
        mailbox.waiting.push_back(letter);
        if mailbox.driving {
            return Ok(None);
        }
        mailbox.driving = true;
        let (idle, budget) = match mailbox.closed {
            true => (&mut stripe.closed, &self.closed),
            false => (&mut stripe.open, &self.open),
        };
        idle.since.remove(&mailbox.tick);
        idle.lighter(std::mem::take(&mut mailbox.weight), budget);
        Ok(Some(mailbox.entity.take().unwrap_or_default()))
    }

    /// Entities in memory, and the bytes of those in whose mailbox nothing happens.
    pub fn loaded(&self) -> (usize, usize) {
        let stripes =
            self.stripes.iter().map(|stripe| stripe.lock().expect("nothing panics while it holds this"));
        stripes.fold((0, 0), |(entities, bytes), stripe| {
            (entities + stripe.boxes.len(), bytes + stripe.open.weight + stripe.closed.weight)
        })
    }

    /// Looks at an entity at once if nothing happens to it and what is to be seen is in memory; else gives `look` back.
    fn peek<T, L: FnOnce(&Entity) -> T>(&self, key: &EntityKey, run: Option<Uuid>, look: L) -> Result<T, L> {
        let stripe = self.stripe(key);
        let resting = stripe.boxes.get(key).filter(|mailbox| mailbox.waiting.is_empty());
        match resting.and_then(|mailbox| mailbox.entity.as_ref()) {
            Some(entity) if entity.holds(run) => Ok(look(entity)),
            _ => Err(look),
        }
    }

    /// The letters of the next turn; when there are none the entity is put away.
    fn next(&self, key: &EntityKey, entity: &mut Entity) -> Option<Vec<Letter>> {
        let mut guard = self.stripe(key);
        let stripe = &mut *guard;
        let mailbox = stripe.boxes.get_mut(key)?;
        if !mailbox.waiting.is_empty() {
            let count = mailbox.waiting.len().min(LETTERS);
            return Some(mailbox.waiting.drain(..count).collect());
        }
        mailbox.driving = false;
        let entity = std::mem::take(entity);
        if entity.runs.is_empty() {
            // There is no such entity, or memory was dropped: nothing is worth keeping.
            stripe.boxes.remove(key);
            return None;
        }
        mailbox.closed = !entity.runs.values().any(|loaded| loaded.run.is_open());
        stripe.tick += 1;
        mailbox.tick = stripe.tick;
        mailbox.weight = entity.weight();
        let (idle, budget) = match mailbox.closed {
            true => (&mut stripe.closed, &self.closed),
            false => (&mut stripe.open, &self.open),
        };
        idle.weight += mailbox.weight;
        budget.used.fetch_add(mailbox.weight, Ordering::Relaxed);
        mailbox.entity = Some(entity);
        idle.since.insert(stripe.tick, key.clone());
        stripe.closed.evict(&mut stripe.boxes, &self.closed);
        stripe.open.evict(&mut stripe.boxes, &self.open);
        None
    }
}

impl Idle {
    /// Puts out the longest idle until the rest fits. What is volatile is not: somebody waits for it.
    fn evict(&mut self, boxes: &mut HashMap<EntityKey, Mailbox>, budget: &Budget) {
        let mut kept = Vec::new();
        while budget.is_over(self.weight) {
            let Some((tick, key)) = self.since.pop_first() else { break };
            let Some(mailbox) = boxes.get(&key) else { continue };
            let volatile = |loaded: &Loaded| loaded.run.has_volatile();
            if mailbox.entity.as_ref().is_some_and(|entity| entity.runs.values().any(volatile)) {
                kept.push((tick, key));
                continue;
            }
            self.lighter(mailbox.weight, budget);
            boxes.remove(&key);
        }
        self.since.extend(kept);
    }

    fn lighter(&mut self, weight: usize, budget: &Budget) {
        self.weight -= weight;
        budget.used.fetch_sub(weight, Ordering::Relaxed);
    }
}

impl Engine {
    /// Applies an input, and answers once what it did is durable.
    ///
    /// # Errors
    /// A refusal, after which nothing has changed, or that the outcome is not known.
    pub async fn apply(&self, key: EntityKey, input: impl Into<AnyInput>) -> Result<Reply, Failure> {
        let (reply, answer) = oneshot::channel();
        self.push(key.clone(), Letter::Input { input: Box::new(input.into()), reply: Some(reply) });
        let mut waiting = Waiting { engine: self, key, answer };
        let answer = (&mut waiting.answer).await;
        answer.unwrap_or_else(|_| match *self.inner.shutdown.borrow() {
            true => Err(Failure::stopping()),
            false => Err(Failure::lost()),
        })
    }

    /// Applies an input whose outcome nobody waits for.
    pub(crate) fn tell(&self, key: EntityKey, input: impl Into<AnyInput>) {
        self.push(key, Letter::Input { input: Box::new(input.into()), reply: None });
    }

    /// Looks at an entity as it is stored, after everything that was asked of it before.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        key: EntityKey,
        run: Option<Uuid>,
        look: impl FnOnce(&Entity) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let look = match self.inner.mailboxes.peek(&key, run, look) {
            Ok(seen) => return Ok(seen),
            Err(look) => look,
        };
        let (sender, seen) = oneshot::channel();
        let look: Look = Box::new(move |entity| {
            // Whoever asked may have gone: then nobody wants to know.
            let _ = sender.send(look(entity));
        });
        self.push(key, Letter::View { run, look });
        seen.await.map_err(|_| Failure::lost())
    }

    fn push(&self, key: EntityKey, letter: Letter) {
        match self.inner.mailboxes.push(&key, letter) {
            Ok(None) => {}
            Ok(Some(entity)) => {
                let engine = self.clone();
                // On the heap before it is handed on: the runtime would copy four kilobytes from hand to hand.
                tokio::spawn(Box::pin(async move { engine.drive(key, entity).await }));
            }
            Err(Letter::Input { reply: Some(reply), .. }) => {
                let _ = reply.send(Err(Reject::busy("too many requests wait for this workflow").into()));
            }
            Err(_) => {}
        }
    }

    async fn drive(&self, key: EntityKey, mut entity: Entity) {
        let driving = Driving { mailboxes: &self.inner.mailboxes, key: &key };
        while let Some(letters) = self.inner.mailboxes.next(driving.key, &mut entity) {
            self.turn(&key, &mut entity, letters).await;
        }
        std::mem::forget(driving);
    }

    /// One turn: everything in `letters` happens, in one commit (or a few, if they are large).
    async fn turn(&self, key: &EntityKey, entity: &mut Entity, letters: Vec<Letter>) {
        let mut turn = Turn::default();
        let mut letters = letters.into_iter();
        while let Some(letter) = letters.next() {
            // What is rare has a place of its own: a turn's future is as large as its largest branch.
            if !entity.holds(letter.run())
                && let Err(failure) = Box::pin(self.load(key, entity, letter.run())).await
            {
                letter.fail(failure.clone());
                turn.fail(self, key, failure);
                return letters.for_each(|letter| letter.fail(Failure::lost()));
            }
            match letter {
                Letter::View { look, .. } => turn.looks.push(look),
                Letter::Input { input, reply } => self.happen(key, entity, &mut turn, &input, reply).await,
            }
            if turn.transaction.bytes() > COMMIT_BYTES {
                let full = std::mem::take(&mut turn);
                if !self.finish(key, entity, full).await {
                    return letters.for_each(|letter| letter.fail(Failure::lost()));
                }
            }
        }
        self.finish(key, entity, turn).await;
    }

    async fn load(&self, key: &EntityKey, entity: &mut Entity, named: Option<Uuid>) -> Result<(), Failure> {
        let store = &*self.inner.store;
        entity.load_latest(key, store).await?;
        if let Some(run) = named {
            entity.load_run(key, run, store).await?;
        }
        Ok(())
    }

    /// Decides one input, and pairs the tasks that it makes with workers who wait for them.
    async fn happen(
        &self,
        key: &EntityKey,
        entity: &Entity,
        turn: &mut Turn,
        input: &AnyInput,
        reply: Option<oneshot::Sender<Answered>>,
    ) {
        let tasks = match self.decide(key, entity, &mut turn.transaction, input).await {
            Ok((answer, tasks)) => {
                turn.replies.push((reply, answer.map_err(Failure::from)));
                tasks
            }
            Err(failure) => {
                turn.replies.push((reply, Err(failure)));
                return;
            }
        };
        let mut tasks = VecDeque::from(tasks);
        while let Some(task) = tasks.pop_front() {
            if let Some(reserved) = self.inner.matching.reserve(&task) {
                self.pair(key, entity, turn, task, reserved).await;
            } else if task.sticky && !self.inner.matching.is_polled(&task.key.queue) {
                let what = What::StickyUnavailable {
                    scheduled_event_id: task.scheduled_event_id,
                    stamp: task.stamp,
                };
                let moved = Input::run(task.run.run, what).into();
                if let Ok((_, more)) = self.decide(key, entity, &mut turn.transaction, &moved).await {
                    tasks.extend(more);
                }
            }
        }
    }

    async fn pair(&self, key: &EntityKey, entity: &Entity, turn: &mut Turn, task: Task, reserved: Reserved) {
        let request_id = self.request_id();
        let input = start_input(&task, reserved.info(), request_id);
        let queue = task.key.queue;
        match self.decide(key, entity, &mut turn.transaction, &input).await {
            Ok((Ok(Reply::Workflow(reply)), _)) => turn.pairs.push((queue, reserved, reply)),
            _ => self.inner.matching.release(&queue, reserved),
        }
    }

    pub(crate) fn request_id(&self) -> String {
        steadfast_machine::Ids::uuid(&mut self.inner.ids.source()).to_string()
    }

    async fn decide(
        &self,
        key: &EntityKey,
        entity: &Entity,
        transaction: &mut Transaction,
        input: &AnyInput,
    ) -> Result<(Result<Reply, Reject>, Vec<Task>), Failure> {
        let namespace = self.inner.namespaces.by_id(key.namespace);
        // In one that is deleted nothing begins or goes on any more: else what begins last would stay.
        let namespace = namespace
            .filter(|namespace| input.is_delete() || !namespace.is_deleted())
            .ok_or_else(|| Reject::NamespaceNotFound(key.namespace.to_string()))?;
        let runs = AnyRuns {
            current: transaction.current(entity),
            named: match input.run() {
                Some(id) => transaction.run(entity, id),
                None => transaction.current(entity),
            },
        };
        let needs = any::needs(runs, input);
        let fetched = match needs.is_empty() {
            true => Fetched::default(),
            false => Box::pin(self.fetch(key, entity, transaction, runs, &needs)).await?,
        };
        let mut ids = self.inner.ids.source_for(&self.inner.matching);
        let mut env = Env {
            now: self.inner.clock.now(),
            ids: &mut ids,
            limits: &self.inner.limits,
            namespace: &Among { own: &namespace, all: &self.inner.namespaces },
            fetched: &fetched,
        };
        let mut decision = any::apply(key, runs, input, &mut env)?;
        let reply = std::mem::replace(&mut decision.reply, Ok(Reply::Done));
        Ok((reply, transaction.absorb(decision)))
    }

    /// Commits, and acts on it. False if what memory held had to be dropped.
    async fn finish(&self, key: &EntityKey, entity: &mut Entity, mut turn: Turn) -> bool {
        turn.planted_replies();
        let outcome = if turn.transaction.durable() {
            let shard = key.shard(self.inner.store.shards());
            let epoch = self.inner.epochs[shard as usize];
            let namespace = self.inner.namespaces.by_id(key.namespace);
            match namespace {
                Some(namespace) => {
                    let commit = turn.transaction.commit(key, shard, epoch, &*namespace);
                    self.inner.store.commit(commit).await
                }
                None => Outcome::NotWritten("the namespace is gone".into()),
            }
        } else {
            Outcome::Done
        };
        match outcome {
            Outcome::Done => {
                self.act(key, entity, turn);
                true
            }
            outcome => {
                tracing::warn!(?outcome, workflow_id = %key.id, "a commit did not come about");
                let failure = match &outcome {
                    Outcome::NotWritten(error) => Failure::Unavailable(error.clone()),
                    _ => Failure::lost(),
                };
                self.forget_callers(entity);
                if !is_planted(Planted::MemoryKept) {
                    *entity = Entity::default();
                }
                if matches!(outcome, Outcome::Unknown(_)) {
                    self.recover(key, &turn);
                }
                turn.fail(self, key, failure);
                false
            }
        }
    }

    /// Those who wait for something volatile that is dropped now.
    fn forget_callers(&self, entity: &Entity) {
        for caller in entity.runs.values().flat_map(|loaded| loaded.run.waiting_callers()) {
            self.inner.callers.answer(caller, Err(Failure::lost()));
        }
    }

    /// A commit that may have been written: what it would have set going is looked up in storage.
    fn recover(&self, key: &EntityKey, turn: &Turn) {
        let tasks = turn.transaction.tasks_added.values().filter(|_| !is_planted(Planted::TaskForgotten));
        for task in tasks {
            self.inner.matching.restore(&task.key.queue, 1);
        }
        for id in turn.transaction.runs.keys() {
            self.inner.alarms.put(&key.run(*id), Some(self.now()), true);
        }
        for message in &turn.transaction.messages {
            self.post_doubtful(message.clone());
        }
    }

    /// Everything that may be seen from outside, now that it is durable.
    fn act(&self, key: &EntityKey, entity: &mut Entity, turn: Turn) {
        let Turn { mut transaction, replies, pairs, looks } = turn;
        let mut listed = false;
        for (id, changed) in std::mem::take(&mut transaction.runs) {
            let run_key = key.run(id);
            let (alarm, stored) = changed.alarm();
            if !is_planted(Planted::AlarmNotArmed) {
                self.inner.alarms.put(&run_key, alarm, stored);
            }
            let news = !changed.batches.is_empty() || changed.run.is_none() || changed.durable;
            listed |= changed.visibility || changed.run.is_none();
            entity.install(id, changed.run, &changed.batches);
            if news {
                self.inner.watches.run_changed(&run_key);
            }
        }
        if listed {
            self.inner.watches.lists_changed(key.namespace);
        }
        for task in transaction.finished() {
            self.inner.matching.finished(task);
        }
        for (reply, answer) in replies {
            let answer = answer.map(|reply| with_history(entity, reply));
            if let Some(reply) = reply
                && let Err(unheard) = reply.send(answer)
            {
                self.unheard(key, unheard);
            }
        }
        for (_, reserved, reply) in pairs {
            reserved.hand(Delivery::new(self, key, entity, reply));
        }
        for task in std::mem::take(&mut transaction.tasks_added).into_values() {
            self.inner.matching.offer(*task);
        }
        for answer in std::mem::take(&mut transaction.answers) {
            self.inner.callers.answer(answer.to, answer.answer.map_err(Failure::from));
        }
        for query in std::mem::take(&mut transaction.queries) {
            let Some(run) = entity.runs.get(&query.run.run).and_then(|loaded| loaded.run.workflow()) else {
                continue;
            };
            let sticky = run.core.sticky.as_ref();
            let sticky = sticky.map(|sticky| (sticky.queue.clone(), sticky.schedule_to_start));
            let normal = run.start.task_queue.clone();
            self.dispatch_query(key, query, sticky, &normal);
        }
        for message in std::mem::take(&mut transaction.messages) {
            self.post(message);
        }
        for call in std::mem::take(&mut transaction.calls) {
            self.call_back(call);
        }
        for page in std::mem::take(&mut transaction.pages) {
            self.read_page(page);
        }
        for look in looks {
            look(entity);
        }
        entity.shed();
    }
}

/// Somebody who waits for an answer. What a worker was given in one that comes when it has gone is taken back.
struct Waiting<'a> {
    engine: &'a Engine,
    key: EntityKey,
    answer: oneshot::Receiver<Answered>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(unheard) = self.answer.try_recv() {
            self.engine.unheard(&self.key, unheard);
        }
    }
}

/// A turn that lasts. Should one panic, its entity is dropped from memory, and those who wait are told: the next letter
/// finds what is stored.
struct Driving<'a> {
    mailboxes: &'a Mailboxes,
    key: &'a EntityKey,
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        let mailbox = self.mailboxes.stripe(self.key).boxes.remove(self.key);
        for letter in mailbox.into_iter().flat_map(|mailbox| mailbox.waiting) {
            letter.fail(Failure::lost());
        }
    }
}

impl Letter {
    /// The run that it names.
    fn run(&self) -> Option<Uuid> {
        match self {
            Letter::Input { input, .. } => input.run(),
            Letter::View { run, .. } => *run,
        }
    }

    fn fail(self, failure: Failure) {
        // A view that fails drops its sender, which its caller sees as the same.
        if let Letter::Input { reply: Some(reply), .. } = self {
            let _ = reply.send(Err(failure));
        }
    }
}

/// What a turn has gathered before its commit.
#[derive(Default)]
struct Turn {
    transaction: Transaction,
    replies: Vec<(Option<oneshot::Sender<Answered>>, Answered)>,
    pairs: Vec<(QueueKey, Reserved, Box<WorkflowReply>)>,
    looks: Vec<Look>,
}

impl Turn {
    /// Only for the simulator's tests: replies that leave too early.
    fn planted_replies(&mut self) {
        let all = is_planted(Planted::AcknowledgeBeforeCommit);
        if !all && !is_planted(Planted::RefuseBeforeCommit) {
            return;
        }
        for (reply, answer) in &mut self.replies {
            if (all || answer.is_err())
                && let Some(reply) = reply.take()
            {
                let _ = reply.send(answer.clone());
            }
        }
    }

    fn fail(self, engine: &Engine, key: &EntityKey, failure: Failure) {
        let _ = key;
        for (reply, answer) in self.replies {
            // A refusal was decided on a state that is not going to be: it fails with the rest.
            let answer = match answer {
                Err(Failure::Unavailable(error)) => Err(Failure::Unavailable(error)),
                _ => Err(failure.clone()),
            };
            if let Some(reply) = reply {
                let _ = reply.send(answer);
            }
        }
        for (queue, reserved, _) in self.pairs {
            engine.inner.matching.release(&queue, reserved);
        }
    }
}

/// The input by which a worker takes a task.
pub(crate) fn start_input(task: &Task, info: &crate::matching::PollerInfo, request_id: String) -> AnyInput {
    let run = task.run.run;
    let attempt = || StartActivity {
        scheduled_event_id: task.scheduled_event_id,
        stamp: task.stamp,
        identity: info.identity.clone(),
        request_id: request_id.clone(),
        build_id: info.build_id.clone(),
    };
    match (task.run.entity.kind, task.key.queue.kind) {
        (Kind::Activity, _) => {
            standalone_activity::Input::run(run, standalone_activity::What::StartAttempt(attempt())).into()
        }
        (_, QueueType::Activity) => Input::run(run, What::StartActivity(attempt())).into(),
        _ => {
            let start = StartWorkflowTask {
                scheduled_event_id: task.scheduled_event_id,
                stamp: task.stamp,
                identity: info.identity.clone(),
                request_id,
                sticky: task.sticky,
                build_id: info.build_id.clone(),
                deployment_name: info.deployment_name.clone(),
            };
            Input::run(run, What::StartWorkflowTask(start)).into()
        }
    }
}

impl Entity {
    fn install(&mut self, id: Uuid, run: Option<AnyRun>, batches: &[steadfast_machine::Batch]) {
        let Some(run) = run else {
            self.runs.remove(&id);
            // There may be an older one.
            self.latest = None;
            return;
        };
        match self.runs.get_mut(&id) {
            Some(loaded) => loaded.run = run,
            None => {
                self.runs.insert(id, Loaded { run, tail: Tail::default() });
            }
        }
        if let Some(loaded) = self.runs.get_mut(&id) {
            loaded.tail.extend(batches);
        }
        // After a removal in the same turn it is not known, and this may be another old run.
        if self.latest.is_some_and(|known| known.is_none_or(|latest| id > latest)) {
            self.latest = Some(Some(id));
        }
    }

    /// Lets go of earlier runs that are closed. Only after the looks: one of them may be at a run that closed in the
    /// same turn.
    fn shed(&mut self) {
        let latest = self.latest.flatten();
        self.runs
            .retain(|id, loaded| loaded.run.is_open() || Some(*id) == latest || loaded.run.has_volatile());
    }
}
