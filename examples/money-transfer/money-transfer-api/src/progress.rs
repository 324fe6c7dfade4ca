//! What one transfer is doing: its steps, and what is in its way.
//!
//! The transfer itself says which steps it has taken (the state query), but only while a worker answers. The server says what is
//! pending, how often it was tried and why the last try failed, worker or not. Together they tell a person what to do.

use crate::transfers::{Listed, Standing, Transfers, milliseconds};
use money::{Step, TransferOutcome, TransferState};
use serde::Serialize;
use std::time::SystemTime;
use temporalio_common::protos::temporal::api::failure::v1::Failure;
use temporalio_common::protos::temporal::api::workflow::v1::PendingActivityInfo;

/// A transfer with its steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    #[serde(flatten)]
    pub transfer: Listed,
    pub steps: Vec<StepShown>,
    pub outcome: Option<TransferOutcome>,
    pub trouble: Option<Trouble>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepShown {
    pub step: Step,
    pub words: &'static str,
    pub standing: StepStanding,
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStanding {
    Waiting,
    Current,
    Done,
}

/// What is in a transfer's way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trouble {
    pub place: Place,
    /// The failure, innermost cause last.
    pub text: String,
    /// Where in the source, if the worker said so.
    pub source: Option<String>,
    /// How often it was tried.
    pub attempt: i32,
    /// When it is tried again: milliseconds since 1970.
    pub next_try: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The workflow's own code fails.
    Workflow,
    /// An activity fails; its type.
    Activity(String),
}

/// What was found out about a transfer last time.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The length of the history at that time: nothing new has happened while it is the same.
    history_length: i64,
    state: Option<TransferState>,
    failure: Option<Failure>,
}

impl Known {
    pub fn state(&self) -> Option<&TransferState> {
        self.state.as_ref()
    }
}

/// Looks at one transfer. `known` saves the questions whose answers cannot have changed.
pub async fn look(transfers: &Transfers, transfer: Listed, known: &mut Known) -> Progress {
    let Ok(described) = transfers.describe(&transfer.id).await else {
        return shown(transfer, known.state.clone(), None);
    };
    let history_length = described.workflow_execution_info.as_ref().map_or(0, |info| info.history_length);
    let changed = history_length != known.history_length;
    let failing = described.pending_workflow_task.as_ref().filter(|task| task.attempt > 1);

    if let Some(task) = failing {
        // A worker that fails on this transfer does not answer its queries either.
        if changed || known.failure.is_none() {
            known.failure = transfers.workflow_task_failure(&transfer.id, &transfer.run_id).await;
            known.history_length = history_length;
        }
        let trouble = known.failure.as_ref().map(|failure| Trouble {
            place: Place::Workflow,
            attempt: task.attempt,
            next_try: None,
            ..told_by(failure)
        });
        return shown(transfer, known.state.clone(), trouble);
    }
    if changed || known.state.is_none() {
        known.failure = None;
        if let Some(state) = transfers.state(&transfer.id).await {
            known.state = Some(state);
            known.history_length = history_length;
        }
    }
    let trouble = described.pending_activities.iter().find_map(activity_trouble);
    shown(transfer, known.state.clone(), trouble)
}

fn activity_trouble(activity: &PendingActivityInfo) -> Option<Trouble> {
    let failure = activity.last_failure.as_ref()?;
    let kind = activity.activity_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default();
    let next_try = activity.scheduled_time.and_then(|time| SystemTime::try_from(time).ok());
    Some(Trouble {
        place: Place::Activity(kind),
        attempt: activity.attempt,
        next_try: next_try.and_then(milliseconds),
        ..told_by(failure)
    })
}

/// What a failure says of itself: its messages down to the innermost cause, and the first line of the source it names.
fn told_by(failure: &Failure) -> Trouble {
    let mut text = String::new();
    let mut source = None;
    let mut next = Some(failure);
    while let Some(failure) = next {
        let (message, frames) = failure.message.split_once('\n').unwrap_or((&failure.message, ""));
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(message);
        source = source.or_else(|| place_in_source(&failure.stack_trace)).or_else(|| place_in_source(frames));
        next = failure.cause.as_deref();
    }
    Trouble { place: Place::Workflow, text, source, attempt: 0, next_try: None }
}

/// The file and line of the first frame: of `    at function (file:line:column)` what is in the parentheses.
fn place_in_source(stack_trace: &str) -> Option<String> {
    let frame = stack_trace.lines().find_map(|line| line.trim().strip_prefix("at "))?;
    let place = frame.rsplit_once('(').map_or(frame, |(_, place)| place.trim_end_matches(')'));
    Some(place.to_owned())
}

/// A transfer as far as the list and its own last account of itself tell.
pub fn shown(transfer: Listed, state: Option<TransferState>, trouble: Option<Trouble>) -> Progress {
    let outcome = state.as_ref().and_then(|state| state.outcome.clone());
    let steps = match state {
        Some(state) => steps_of(&state),
        // A transfer that is done has taken all its steps, whoever remembers them.
        None => {
            let standing =
                if transfer.status == Standing::Done { StepStanding::Done } else { StepStanding::Waiting };
            usual_steps().map(|step| StepShown { step, words: step.words(), standing, note: None }).to_vec()
        }
    };
    Progress { transfer, steps, outcome, trouble }
}

fn usual_steps() -> [Step; 3] {
    [Step::CheckBalances, Step::Withdraw, Step::Deposit]
}

fn steps_of(state: &TransferState) -> Vec<StepShown> {
    let refunding = state.current == Some(Step::Refund)
        || state.completed.iter().any(|completed| completed.step == Step::Refund);
    let refund = refunding.then_some(Step::Refund);
    let show = |step: Step| {
        let completed = state.completed.iter().find(|completed| completed.step == step);
        let standing = match completed {
            Some(_) => StepStanding::Done,
            None if state.current == Some(step) => StepStanding::Current,
            None => StepStanding::Waiting,
        };
        StepShown {
            step,
            words: step.words(),
            standing,
            note: completed.map(|completed| completed.note.clone()),
        }
    };
    usual_steps().into_iter().chain(refund).map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_line_is_found_in_a_trace_and_in_a_message() {
        let frames = "\n    at workflow::share (examples/a/src/workflow.rs:61:5)\n    at examples/b.rs:1:1";
        let panic =
            Failure { message: format!("panicked: attempt to divide by zero{frames}"), ..Default::default() };
        let told = told_by(&panic);
        assert_eq!(told.text, "panicked: attempt to divide by zero");
        assert_eq!(told.source.as_deref(), Some("examples/a/src/workflow.rs:61:5"));

        let cause = Failure { message: "connection refused".to_owned(), ..Default::default() };
        let located = Failure {
            message: "no answer".to_owned(),
            stack_trace: "    at examples/a/src/activities.rs:37:9".to_owned(),
            cause: Some(Box::new(cause)),
            ..Default::default()
        };
        let told = told_by(&located);
        assert_eq!(told.text, "no answer: connection refused");
        assert_eq!(told.source.as_deref(), Some("examples/a/src/activities.rs:37:9"));
    }
}
