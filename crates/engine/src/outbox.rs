//! Carries messages between runs: at least once, in order from one run to one target. A message's row goes with the
//! commit in which its sender learns how it ended.

use crate::Engine;
use crate::failure::Failure;
use ahash::HashMap;
use prost::Message as _;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;
use steadfast_machine::planted::{Planted, is_planted};
use steadfast_machine::workflow::message::{Body, Content, Delivered, Envelope};
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::{AnyInput, EntityKey, Message, Reject, Reply, RunKey};
use steadfast_storage::{Commit, Outcome, StoreError};
use uuid::Uuid;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// The store was away (a full disk, say): as soon as it is back, what waits must go on.
const LONGEST_WHEN_AWAY: Duration = Duration::from_secs(2);

/// Messages that are read at once at a start.
const PAGE: usize = 1_000;

#[derive(Default)]
pub struct Outbox {
    /// One line for each sender and target; a line that exists has somebody who works on it.
    lines: Mutex<HashMap<Line, VecDeque<Waiting>>>,
}

type Line = (RunKey, EntityKey);

struct Waiting {
    message: Message,
    /// Whether its commit was written is not known.
    doubtful: bool,
}

fn line_of(message: &Message) -> Line {
    (message.from.clone(), message.to.clone())
}

impl Outbox {
    /// True when the line is new: whoever put the message in has to work on it.
    fn add(&self, added: Waiting) -> bool {
        let mut lines = self.lines.lock().expect("nothing panics while it holds this");
        let line = line_of(&added.message);
        let new = !lines.contains_key(&line);
        let line = lines.entry(line).or_default();
        // A doubtful one whose commit was not written leaves its number to the next.
        let sequence = added.message.sequence;
        let place = line.partition_point(|waiting| waiting.message.sequence < sequence);
        match line.get_mut(place).filter(|waiting| waiting.message.sequence == sequence) {
            Some(waiting) if waiting.doubtful => *waiting = added,
            Some(_) => {}
            None => line.insert(place, added),
        }
        new
    }

    fn next(&self, line: &Line) -> Option<Waiting> {
        let mut lines = self.lines.lock().expect("nothing panics while it holds this");
        let next = lines.get_mut(line).and_then(VecDeque::pop_front);
        if next.is_none() {
            lines.remove(line);
        }
        next
    }
}

/// Takes up what an earlier process left: all of it before anything else happens, so that nothing new gets ahead of it.
pub async fn restore(engine: &Engine) -> Result<(), StoreError> {
    if is_planted(Planted::OutboxNotRestored) {
        return Ok(());
    }
    let mut left = Vec::new();
    loop {
        let after = left.last().map(|last: &Message| (last.from.clone(), last.sequence));
        let page = engine.inner.store.messages(after.as_ref(), PAGE).await?;
        if page.is_empty() {
            break;
        }
        left.extend(page);
    }
    for message in left {
        engine.post(message);
    }
    Ok(())
}

impl Engine {
    /// Sends a message that is stored.
    pub(crate) fn post(&self, message: Message) {
        if !is_planted(Planted::MessageDropped) {
            self.line_up(Waiting { message, doubtful: false });
        }
    }

    /// Sends a message if it turns out to be stored.
    pub(crate) fn post_doubtful(&self, message: Message) {
        if !is_planted(Planted::MessageForgotten) {
            self.line_up(Waiting { message, doubtful: true });
        }
    }

    fn line_up(&self, waiting: Waiting) {
        let line = line_of(&waiting.message);
        if self.inner.outbox.add(waiting) {
            let engine = self.clone();
            self.spawn(async move {
                while let Some(Waiting { message, doubtful }) = engine.inner.outbox.next(&line) {
                    let message = match doubtful {
                        true => engine.stored(&message).await,
                        false => Some(message),
                    };
                    if let Some(message) = message {
                        engine.deliver(message).await;
                    }
                }
            });
        }
    }

    /// The message as it is stored, if it is.
    async fn stored(&self, message: &Message) -> Option<Message> {
        let before = (message.from.clone(), message.sequence - 1);
        loop {
            match self.inner.store.messages(Some(&before), 1).await {
                Ok(read) => {
                    let same = |read: &Message| line_of(read) == line_of(message);
                    return read.into_iter().find(|read| same(read) && read.sequence == message.sequence);
                }
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read");
                    tokio::time::sleep(FIRST_BACKOFF).await;
                }
            }
        }
    }

    async fn deliver(&self, message: Message) {
        let Ok(body) = Body::decode(message.body.clone()) else {
            tracing::error!(from = %message.from, "a message does not decode; it is dropped");
            return self.discard(&message).await;
        };
        let run = Uuid::parse_str(&body.to_run).ok();
        let envelope =
            Envelope { from: message.from.clone(), sequence: message.sequence, body: body.clone() };
        let arrival = AnyInput::message(run, envelope);
        let outcome = self.until_answered(&message.to, arrival).await.map(content);
        let delivered = Delivered { sequence: message.sequence, body, outcome };
        let news = AnyInput::delivered(message.from.entity.kind, message.from.run, delivered);
        // A sender that is gone cannot be told; its message goes all the same.
        if self.until_answered(&message.from.entity, news).await.is_err() {
            self.discard(&message).await;
        }
    }

    /// Tries until it is known what became of it. A refusal is an answer.
    async fn until_answered(&self, key: &EntityKey, input: AnyInput) -> Result<Reply, Reject> {
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.apply(key.clone(), input.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Reject(Reject::ResourceExhausted { .. })) => {
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
                Err(Failure::Unavailable(_)) => {
                    tokio::time::sleep(backoff.min(LONGEST_WHEN_AWAY)).await;
                    backoff = (backoff * 2).min(LONGEST_WHEN_AWAY);
                }
                Err(Failure::Reject(reject)) => return Err(reject),
            }
        }
    }

    /// Takes the row of a message out whose sender cannot do it, as often as it takes; what is left after a restart is
    /// delivered, and comes here, once more.
    async fn discard(&self, message: &Message) {
        let shard = message.from.entity.shard(self.inner.store.shards());
        let mut backoff = FIRST_BACKOFF;
        loop {
            let commit = Commit {
                shard,
                epoch: self.inner.epochs[shard as usize],
                messages_done: vec![(message.from.clone(), message.sequence)],
                ..Commit::default()
            };
            match self.inner.store.commit(commit).await {
                Outcome::Done | Outcome::Fenced => return,
                Outcome::NotWritten(_) | Outcome::Unknown(_) => tokio::time::sleep(backoff).await,
            }
            backoff = (backoff * 2).min(LONGEST_WHEN_AWAY);
        }
    }
}

fn content(reply: Reply) -> Option<Content> {
    match reply {
        Reply::Workflow(reply) => match *reply {
            WorkflowReply::Message(content) => content,
            _ => None,
        },
        _ => None,
    }
}
