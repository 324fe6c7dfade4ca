//! The machine of batch operations: one thing is done to every workflow that a query finds, or that a list names.
//!
//! ```text
//! running ──every target was dealt with──► completed
//!    ├─────the query means nothing───────► failed
//!    └─────somebody stops it─────────────► terminated
//! ```
//!
//! The targets come page by page (`page.rs`): a page that is wanted is asked for once the commit is durable, and what it
//! holds comes back as an input. Until then the run's alarm is due, so what stops in between leads to another question.
//! What is done to a target is a message to it (`send.rs`), at the rate and with as many under way as the limits allow; how
//! that ended comes back from the outbox. So what a batch holds is a page and a few messages, however many targets match.

mod end;
pub mod listed;
mod message;
mod page;
mod send;
mod start;
pub mod state;

pub use message::{BatchOperation, Operation, OperationRow, Target};
pub use state::{BatchRow, BatchStartRow, CursorRow, PageRow, Run, TargetRow};

use crate::any::AnyRun;
use crate::decision::{Decision, Message, PageDue, Reply, RunChange};
use crate::env::Env;
use crate::key::{EntityKey, RowKey, RowTable, RunKey, Time};
use crate::reject::Reject;
use crate::workflow::message::{Body, Content, Delivered};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct Input {
    pub run: Option<Uuid>,
    pub what: What,
}

impl Input {
    pub fn current(what: What) -> Input {
        Input { run: None, what }
    }

    pub fn run(run: Uuid, what: What) -> Input {
        Input { run: Some(run), what }
    }
}

/// Everything that can happen to a batch operation.
#[derive(Clone, Debug)]
pub enum What {
    Start(Box<Start>),
    /// A page that was asked for.
    Page(Box<Page>),
    /// The query of the batch means nothing in its namespace.
    QueryRefused {
        page: i64,
        message: String,
    },
    /// How a message to a target ended.
    Delivered(Box<Delivered>),
    Stop {
        identity: String,
        reason: String,
    },
    Delete,
    AlarmDue,
}

/// A request to start, checked by the server.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub operation: Option<Operation>,
    /// Finds the targets; empty where `targets` names them.
    pub query: String,
    pub targets: Vec<TargetRow>,
    pub reason: String,
    pub identity: String,
    /// At most so many operations a second, if the limits do not allow fewer; 0 for as many as they allow.
    pub operations_per_second: f32,
    pub request_id: String,
}

#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The page that it is, from 1.
    pub number: i64,
    pub targets: Vec<TargetRow>,
    /// Where the page after it begins, if there may be one.
    pub next: Option<CursorRow>,
    /// How many targets there are in all; counted with the first page.
    pub total: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Runs<'a> {
    pub current: Option<&'a Run>,
    pub named: Option<&'a Run>,
}

/// Decides what an input does. A `Reject` means that nothing changes at all.
pub fn apply(
    entity: &EntityKey,
    runs: Runs<'_>,
    input: &Input,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    if let What::Start(start) = &input.what {
        return start::apply(entity, runs.current, start, env);
    }
    let run = runs.named.ok_or_else(|| Reject::no_workflow(&entity.id, input.run))?;
    let mut step = Step::on(entity, run);
    let reply = match &input.what {
        What::Start(_) => unreachable!("handled above"),
        What::Page(page) => page::arrived(&mut step, page),
        What::QueryRefused { page, message } => page::refused(&mut step, *page, message, env),
        What::Delivered(delivered) => send::delivered(&mut step, delivered),
        What::Stop { identity, reason } => end::stop(&mut step, identity, reason, env)?,
        What::Delete => end::delete(&mut step),
        What::AlarmDue => Reply::Stale,
    };
    Ok(step.finish(reply, env))
}

/// One step on one run: a working copy, and what it changes.
pub(crate) struct Step {
    pub key: RunKey,
    pub run: Run,
    rows: BTreeSet<RowKey>,
    pub visibility: bool,
    pub durable: bool,
    pub deleted: bool,
    pub messages_done: Vec<i64>,
    pub pages: Vec<PageDue>,
    messages: Vec<Message>,
}

impl Step {
    fn on(entity: &EntityKey, run: &Run) -> Step {
        Step {
            key: entity.run(run.id),
            run: run.clone(),
            rows: BTreeSet::new(),
            visibility: false,
            durable: false,
            deleted: false,
            messages_done: Vec::new(),
            pages: Vec::new(),
            messages: Vec::new(),
        }
    }

    pub fn now(&self, env: &Env<'_>) -> Time {
        env.now.max(Time(self.run.core.last_time))
    }

    pub fn put(&mut self, table: RowTable) {
        self.durable = true;
        self.rows.insert(RowKey::single(table));
    }

    /// Puts a message into the outbox. Its end is waited for.
    pub fn send(&mut self, target: &TargetRow, content: Content) {
        let sequence = self.run.core.next_message;
        self.run.core.next_message += 1;
        self.run.core.in_flight.push(sequence);
        self.durable = true;
        let body = Body { content: Some(content), to_run: target.run_id.clone() };
        self.messages.push(Message {
            from: self.key.clone(),
            to: EntityKey::workflow(self.key.entity.namespace, &target.workflow_id),
            sequence,
            body: Bytes::from(body.encode_to_vec()),
        });
    }

    /// Whatever happened, what can go on does: messages are sent, a page is asked for, or the batch is over.
    fn finish(mut self, reply: Reply, env: &mut Env<'_>) -> Decision {
        if self.run.is_open() && !self.deleted {
            send::all_that_may(&mut self, env);
            if self.run.wants_page() {
                page::ask(&mut self, env);
            } else if self.run.is_done() {
                end::completed(&mut self, env);
            }
        }
        if self.durable {
            self.run.core.transitions += 1;
            self.run.core.last_time = self.now(env).0;
        }
        let stale = matches!(reply, Reply::Stale) && !self.durable;
        let mut decision = Decision::reply(if stale { Reply::Stale } else { Reply::Done });
        let key = self.key;
        decision.messages_done = self.messages_done.iter().map(|sequence| (key.clone(), *sequence)).collect();
        decision.messages = self.messages;
        decision.pages = self.pages;
        decision.runs.push(RunChange {
            key,
            durable: self.durable || self.deleted,
            next: (!self.deleted).then_some(AnyRun::Batch(Arc::new(self.run))),
            rows: self.rows,
            batches: Vec::new(),
            visibility: self.visibility,
        });
        decision
    }
}
