//! What was asked and answered, and when; and what becomes of it when all is over.

use super::linear::{self, Call, NEVER, Verdict};
use super::model::{Act, Answer, Mark, RunId, Step, Told, Workflow};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// More than any history that holds has ever needed, by far.
const MOST_STEPS: usize = 20_000_000;
/// Calls that are shown before and after the place where a history breaks.
const SHOWN: usize = 12;

/// A call as its caller saw it.
#[derive(Clone, Debug)]
pub struct Operation {
    pub act: Act,
    /// None if the caller does not know what became of it.
    pub answer: Option<Answer>,
    pub called: u64,
    pub returned: u64,
}

/// All calls to some workflow ids. Clones write into the same record.
#[derive(Clone)]
pub struct Record {
    began: Instant,
    operations: Arc<Mutex<BTreeMap<String, Vec<Operation>>>>,
}

impl Default for Record {
    fn default() -> Record {
        Record { began: Instant::now(), operations: Arc::default() }
    }
}

impl Record {
    /// Makes the call, and notes what comes of it: `None` if that is not known.
    pub async fn call(
        &self,
        id: &str,
        act: Act,
        call: impl Future<Output = Option<Answer>>,
    ) -> Option<Answer> {
        let called = self.now();
        let operation = Operation { act, answer: None, called, returned: NEVER };
        let place = self.write(|operations| {
            let of_id = operations.entry(id.to_owned()).or_default();
            of_id.push(operation);
            of_id.len() - 1
        });
        let answer = call.await;
        if answer.is_some() {
            let (returned, answer) = (self.now(), answer.clone());
            self.write(|operations| {
                if let Some(operation) = operations.get_mut(id).and_then(|of_id| of_id.get_mut(place)) {
                    (operation.answer, operation.returned) = (answer, returned);
                }
            });
        }
        answer
    }

    pub fn take(&self) -> BTreeMap<String, Vec<Operation>> {
        self.write(std::mem::take)
    }

    /// How many calls were answered so far.
    pub fn answered(&self) -> usize {
        self.write(|operations| operations.values().flatten().filter(|done| done.answer.is_some()).count())
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn write<T>(&self, write: impl FnOnce(&mut BTreeMap<String, Vec<Operation>>) -> T) -> T {
        write(&mut self.operations.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one workflow id's calls come to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Calls with an answer, and calls without one.
    pub answered: usize,
    pub unknown: usize,
    /// Of the latter, those that took effect.
    pub took_effect: usize,
    pub runs: usize,
    pub wrong: Option<String>,
}

/// Checks the calls of one workflow id. The last that were recorded have read every run, all of which were closed then.
pub fn check(id: &str, operations: Vec<Operation>) -> Outcome {
    let mut last: HashMap<RunId, Told> = HashMap::new();
    for operation in &operations {
        if let (Act::History { run: Some(_) }, Some(Answer::History(told))) =
            (&operation.act, &operation.answer)
        {
            last.insert(told.run, told.clone());
        }
    }
    let mut outcome = Outcome { runs: last.len(), ..Outcome::default() };
    let mut calls = Vec::new();
    for operation in operations {
        let answer = match operation.answer {
            Some(answer) => {
                outcome.answered += 1;
                answer
            }
            None => {
                outcome.unknown += 1;
                let Some(answer) = effect(&operation.act, &last) else { continue };
                outcome.took_effect += 1;
                answer
            }
        };
        let step = Step { act: operation.act, answer };
        calls.push(Call { step, called: operation.called, returned: operation.returned });
    }
    outcome.wrong = match linear::check(&Workflow { last }, &calls, MOST_STEPS) {
        Verdict::Linearizable(_) => None,
        Verdict::TooHard => Some(format!("{id}: not decided in {MOST_STEPS} steps")),
        Verdict::Broken(longest) => Some(format!("{id}: {}", story(&calls, &longest))),
    };
    outcome
}

/// The answer that a call would have had, if it is seen in the end that it took effect.
fn effect(act: &Act, last: &HashMap<RunId, Told>) -> Option<Answer> {
    let started = |mark: Mark| last.values().find(|told| told.log.first() == Some(&mark));
    let logged = |mark: Mark| last.values().find(|told| told.log.contains(&mark));
    let closed = |mark: Mark| last.values().any(|told| told.closed_by == Some(mark));
    match act {
        Act::Start { mark, .. } => started(*mark).map(|told| Answer::Started(told.run)),
        Act::SignalWithStart { mark, signal } => match started(*mark) {
            Some(told) => Some(Answer::Started(told.run)),
            None => logged(*signal).map(|told| Answer::Existing(told.run)),
        },
        Act::Signal { mark, .. } => logged(*mark).map(|_| Answer::Done),
        Act::Update { mark, .. } => logged(*mark).map(|told| {
            let length = told.log.iter().take_while(|logged| *logged != mark).count() + 1;
            Answer::Log(told.log[..length].to_vec())
        }),
        Act::Terminate { mark, .. } | Act::Complete { mark, .. } => closed(*mark).then_some(Answer::Done),
        Act::Query | Act::Describe | Act::History { .. } | Act::List => None,
    }
}

/// The place where a history breaks: the last calls that fit, and those of which one should have come next.
fn story(calls: &[Call<Step>], longest: &[usize]) -> String {
    let mut text = format!("no order explains its {} calls; {} of them fit:\n", calls.len(), longest.len());
    let line = |call: &Call<Step>| {
        let ended = match call.returned {
            NEVER => "never".to_owned(),
            time => format!("{:.6}", time as f64 / 1e9),
        };
        format!("{:.6} to {ended}: {:?} -> {:?}", call.called as f64 / 1e9, call.step.act, call.step.answer)
    };
    for index in &longest[longest.len().saturating_sub(SHOWN)..] {
        // Writing to a String does not fail.
        let _ = writeln!(text, "    {}", line(&calls[*index]));
    }
    let mut left: Vec<usize> = (0..calls.len()).filter(|index| !longest.contains(index)).collect();
    left.sort_by_key(|index| calls[*index].called);
    let first_end = left.iter().map(|index| calls[*index].returned).min().unwrap_or(NEVER);
    text.push_str("  and none of these comes next:\n");
    for index in left.iter().filter(|index| calls[**index].called <= first_end).take(SHOWN) {
        let _ = writeln!(text, "    {}", line(&calls[*index]));
    }
    text
}
