//! The world of one batch operation, for scenarios of its machine. Its targets are only names here; what it does to a
//! workflow is in the scenarios of workflows.
//!
//! Inputs:
//!
//! ```text
//! start query [rps=]  or  start list=w1,w2,… [rps=]
//! page w1 w2 … [more] [total=]      the page that was asked for is here; `more`: another may follow
//! page again w1 …                   the last page once more
//! refuse why                        the query means nothing
//! done w1   gone w1   fail w1       how the message to w1 ended: done, there was no such workflow, refused
//! elsewhere w1 run 7                w1 is to be reset to a point in that run
//! done again                        the last end comes once more
//! stop      delete
//! limit rate=2 concurrency=3
//! advance 5s                        time passes, alarms go off
//! restart                           what is not stored is lost
//! show                              how far it is
//! ```

use crate::support::line::{Line, nanos};
use crate::support::show::Show;
use crate::support::world::{Fixed, START, Seeded};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use steadfast_api::temporal::api::batch::v1::BatchOperationTermination;
use steadfast_machine::batch::{
    self, CursorRow, Input, Operation, Page, Run, Runs, Start, Target, TargetRow, What,
};
use steadfast_machine::env::Fetched;
use steadfast_machine::workflow::message::{Body, Content, Delivered};
use steadfast_machine::{
    AnyRun, Decision, EntityKey, Env, Kind, Limits, Message, Reject, Reply, RowKey, Time,
};
use uuid::Uuid;

pub struct Batch {
    now: Time,
    ids: Seeded,
    limits: Limits,
    entity: EntityKey,
    run: Option<Run>,
    rows: BTreeMap<RowKey, Bytes>,
    outbox: Vec<Message>,
    /// The page that was asked for last.
    asked: i64,
    /// How a message ended last.
    ended: Option<Box<Delivered>>,
}

impl Batch {
    pub fn new() -> Batch {
        Batch {
            now: START,
            ids: Seeded::new(),
            limits: Limits::default(),
            entity: EntityKey { namespace: Uuid::from_u128(1), kind: Kind::Batch, id: "job".into() },
            run: None,
            rows: BTreeMap::new(),
            outbox: Vec::new(),
            asked: 0,
            ended: None,
        }
    }

    pub fn execute(&mut self, block: &[&str]) -> Result<String, String> {
        let (first, below) = block.split_first().ok_or("a block without an input")?;
        if !below.is_empty() {
            return Err("an input here is one line".into());
        }
        let mut line = Line::parse(first)?;
        let output = match line.verb.as_str() {
            "advance" => {
                let until = self.now.plus(nanos(&line.word()?)?);
                self.advance(until)
            }
            "restart" => {
                self.restart()?;
                String::new()
            }
            "limit" => {
                let set = |number: i64, to: &mut usize| *to = number as usize;
                set(line.number("rate", 50)?, &mut self.limits.batch_operations_per_second);
                set(line.number("concurrency", 5)?, &mut self.limits.batch_concurrency);
                String::new()
            }
            "show" => self.show()?,
            _ => {
                let what = self.input(&mut line)?;
                self.apply(&what)
            }
        };
        line.end()?;
        Ok(output)
    }

    fn input(&mut self, line: &mut Line) -> Result<What, String> {
        Ok(match line.verb.clone().as_str() {
            "start" => What::Start(Box::new(Start {
                operation: Some(Operation::Terminate(BatchOperationTermination::default())),
                targets: line
                    .field("list")
                    .map(|list| list.split(',').map(target).collect())
                    .unwrap_or_default(),
                query: line.word().unwrap_or_default(),
                reason: "why".into(),
                identity: "operator".into(),
                request_id: "start".into(),
                operations_per_second: line.text("rps", "0").parse().map_err(|_| "rps: a number")?,
            })),
            "page" => What::Page(Box::new(self.page(line)?)),
            "refuse" => What::QueryRefused { page: self.asked, message: line.word()? },
            "done" if line.flag("again") => {
                What::Delivered(self.ended.clone().ok_or("nothing has ended yet")?)
            }
            verb @ ("done" | "gone" | "fail" | "elsewhere") => {
                let whom = line.word()?;
                let outcome = match verb {
                    "done" => Ok(None),
                    "gone" => Err(Reject::no_workflow(&whom, None)),
                    "fail" => Err(Reject::invalid("no")),
                    _ => Ok(Some(Content::BatchTarget(Target {
                        workflow_id: whom.clone(),
                        run_id: line.word()?,
                        event_id: line.word()?.parse().map_err(|_| "an event id")?,
                    }))),
                };
                let place = self.outbox.iter().position(|message| *message.to.id == *whom);
                let message = &self.outbox[place.ok_or_else(|| format!("nothing goes to {whom}"))?];
                let body = Body::decode(message.body.clone()).map_err(|error| error.to_string())?;
                let delivered = Box::new(Delivered { sequence: message.sequence, body, outcome });
                self.ended = Some(delivered.clone());
                What::Delivered(delivered)
            }
            "stop" => What::Stop { identity: "operator".into(), reason: "enough".into() },
            "delete" => What::Delete,
            verb => return Err(format!("no input {verb}")),
        })
    }

    fn page(&self, line: &mut Line) -> Result<Page, String> {
        let again = line.flag("again");
        let next = line.flag("more").then(|| CursorRow { start_time: self.asked, ..CursorRow::default() });
        let total = line.number("total", -1)?;
        let targets = std::iter::from_fn(|| line.word().ok()).map(|id| target(&id)).collect();
        let number = if again { self.run()?.core.page } else { self.asked };
        Ok(Page { number, targets, next, total: (total >= 0).then_some(total) })
    }

    fn run(&self) -> Result<&Run, String> {
        self.run.as_ref().ok_or_else(|| "it is not started".into())
    }

    fn time(time: Time) -> String {
        Show { start: START, name: &|_| None }.time(time)
    }

    fn apply(&mut self, what: &What) -> String {
        let runs = Runs { current: self.run.as_ref(), named: self.run.as_ref() };
        let mut env = Env {
            now: self.now,
            ids: &mut self.ids,
            limits: &self.limits,
            namespace: &Fixed(0, &[]),
            fetched: &Fetched::default(),
        };
        match batch::apply(&self.entity, runs, &Input::current(what.clone()), &mut env) {
            Ok(decision) => self.store(decision),
            Err(reject) => {
                let kind = format!("{reject:?}");
                let kind = kind.split(['(', ' ']).next().unwrap_or_default();
                let id = self.run.as_ref().map_or(String::new(), |run| run.id.to_string());
                format!("rejected: {kind} {}\n", reject.message().replace(&id, "RUN"))
            }
        }
    }

    fn store(&mut self, decision: Decision) -> String {
        let mut output = String::new();
        for change in decision.runs {
            let Some(next) = change.next else {
                output.push_str("  deleted\n");
                (self.run, self.rows) = (None, BTreeMap::new());
                continue;
            };
            let AnyRun::Batch(next) = next else { panic!("only a batch lives in this world") };
            for key in &change.rows {
                match next.encode_row(key) {
                    Some(bytes) => self.rows.insert(key.clone(), bytes),
                    None => self.rows.remove(key),
                };
            }
            let before = self.run.take();
            let strip = |run: &Run| Run { asked: None, ..run.clone() };
            assert_eq!(self.stored(&next), strip(&next), "what is stored is what is in memory");
            let same = before.as_ref().is_some_and(|before| strip(before) == strip(&next));
            assert!(change.durable || same, "what changes is stored");
            if before.as_ref().map(Run::status) != Some(next.status()) {
                let _ = writeln!(output, "  {:?}", next.status());
            }
            if before.as_ref().and_then(Run::alarm) != next.alarm() {
                let _ = writeln!(output, "  alarm {}", next.alarm().map_or("none".into(), Self::time));
            }
            self.run = Some(Run::clone(&next));
        }
        for message in decision.messages {
            let _ = writeln!(output, "  > {}", told(&message));
            self.outbox.push(message);
        }
        for (_, sequence) in decision.messages_done {
            self.outbox.retain(|message| message.sequence != sequence);
        }
        for page in decision.pages {
            let count = if page.count { " and the count" } else { "" };
            let after = page.after.map_or(String::new(), |after| format!(" after {}", after.start_time));
            let _ = writeln!(output, "  ask for page {}{after}{count}", page.number);
            self.asked = page.number;
        }
        self.check();
        if matches!(decision.reply, Ok(Reply::Stale)) {
            output.push_str("reply: stale\n");
        }
        output
    }

    fn stored(&self, run: &Run) -> Run {
        let rows: Vec<_> = self.rows.clone().into_iter().collect();
        Run::decode(run.id, &run.encode_core(), &rows).expect("stored rows decode")
    }

    /// What is under way has a message, and an open batch waits for something.
    fn check(&self) {
        let Some(run) = &self.run else { return };
        let sequences: Vec<i64> = self.outbox.iter().map(|message| message.sequence).collect();
        assert_eq!(run.core.in_flight, sequences, "each message that is waited for is in the outbox");
        assert!(sequences.len() <= self.limits.batch_concurrency, "no more are under way than may be");
        let waits = !sequences.is_empty() || run.stored_alarm().is_some();
        assert_eq!(run.is_open(), waits && run.is_open(), "an open batch waits for something");
        assert!(run.is_open() || run.alarm().is_none(), "one that is over waits for nothing");
    }

    fn advance(&mut self, until: Time) -> String {
        let mut output = String::new();
        while let Some(alarm) = self.run.as_ref().and_then(Run::alarm).filter(|alarm| *alarm <= until) {
            self.now = self.now.max(alarm);
            let _ = writeln!(output, "{}", Self::time(self.now));
            output.push_str(&self.apply(&What::AlarmDue));
            assert_ne!(self.run.as_ref().and_then(Run::alarm), Some(alarm), "an alarm does something");
        }
        self.now = until;
        output
    }

    fn restart(&mut self) -> Result<(), String> {
        self.run = Some(self.stored(self.run()?));
        Ok(())
    }

    fn show(&self) -> Result<String, String> {
        let core = &self.run()?.core;
        let end = if core.end_reason.is_empty() { String::new() } else { format!(": {}", core.end_reason) };
        Ok(format!(
            "{:?}, {} of {} done, {} failed, {} under way{end}\n",
            self.run()?.status(),
            core.succeeded,
            core.total,
            core.failed,
            core.in_flight.len()
        ))
    }
}

/// `w` or `w/run`.
fn target(text: &str) -> TargetRow {
    let (workflow_id, run_id) = text.split_once('/').unwrap_or((text, ""));
    TargetRow { workflow_id: workflow_id.to_owned(), run_id: run_id.to_owned() }
}

fn told(message: &Message) -> String {
    let body = Body::decode(message.body.clone()).expect("a message decodes");
    let run = if body.to_run.is_empty() { String::new() } else { format!(" run {}", body.to_run) };
    match body.content {
        Some(Content::BatchOperation(operation)) if operation.event_id != 0 => {
            format!("{}{run} event {}", message.to.id, operation.event_id)
        }
        _ => format!("{}{run}", message.to.id),
    }
}
