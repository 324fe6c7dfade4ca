//! What calls may be answered if they happened one after the other: one workflow id, its runs, and what each of them was
//! told, in order.
//!
//! Everything a client says is a mark that no one else says: the input of a start or a signal, the argument of an update,
//! the reason of an end. A run's log is the marks that its history shows. Since every run is closed and read in the end, what
//! each log came to is known to the search from the beginning: a step that leads elsewhere is none. That loses nothing (what
//! is read in the end has to fit, too), and is why calls of unknown outcome do not make the search long.

use super::linear::Specification;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use steadfast_api::v1::enums::{WorkflowIdConflictPolicy as Conflict, WorkflowIdReusePolicy as Reuse};
use uuid::Uuid;

pub type Mark = u32;
pub type RunId = Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Open,
    Completed,
    Terminated,
    /// None of the others: no client here can bring it about.
    Other(i32),
}

/// What is asked, of the current run unless a run is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Start {
        mark: Mark,
        /// The same request may be made twice, with different marks.
        request: Mark,
        conflict: Conflict,
        reuse: Reuse,
    },
    /// Signals the run with `signal`, or starts one with `mark` that has the signal.
    SignalWithStart {
        mark: Mark,
        signal: Mark,
    },
    Signal {
        run: Option<RunId>,
        request: Mark,
        mark: Mark,
    },
    /// Answered with the log as the worker saw it, this update included.
    Update {
        id: Mark,
        mark: Mark,
    },
    Terminate {
        run: Option<RunId>,
        mark: Mark,
    },
    /// The worker completes the run, in which it has seen this.
    Complete {
        run: RunId,
        mark: Mark,
        seen: Vec<Mark>,
    },
    Query,
    Describe,
    History {
        run: Option<RunId>,
    },
    List,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Started(RunId),
    /// The run that there was, by the conflict policy or because of the request id.
    Existing(RunId),
    /// Refused because of this run.
    AlreadyExists(RunId),
    Done,
    /// There is no such run, or it is closed.
    NotFound,
    /// What the worker saw of the run.
    Log(Vec<Mark>),
    Described(RunId, Status),
    History(Told),
    /// All runs, the newest first.
    Listed(Vec<(RunId, Status)>),
}

/// A run as its history tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub run: RunId,
    pub status: Status,
    /// The mark of whoever closed it; none if a start did.
    pub closed_by: Option<Mark>,
    pub log: Vec<Mark>,
    /// A worker has a workflow task: signals that come meanwhile are shown when it is done.
    pub task_out: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub act: Act,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct State {
    current: Option<Run>,
    /// In the order in which they were started.
    earlier: Arc<Vec<Run>>,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // What the earlier runs were need not be looked at to tell most states apart.
        self.current.hash(hasher);
        self.earlier.len().hash(hasher);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Run {
    id: RunId,
    status: Status,
    request: Option<Mark>,
    log: Vec<Mark>,
    /// So much of the log has been seen, and so is shown to whoever comes later.
    shown: usize,
    /// Requests of signals.
    requests: Vec<Mark>,
    /// Id of each update, and how long the log was with it.
    updates: Vec<(Mark, usize)>,
}

/// One workflow id.
pub struct Workflow {
    /// Each run as it was read when all was over.
    pub last: HashMap<RunId, Told>,
}

impl Specification for Workflow {
    type State = State;
    type Step = Step;

    fn begin(&self) -> State {
        State::default()
    }

    fn after(&self, state: &State, step: &Step) -> Option<State> {
        match &step.act {
            Act::Start { mark, request, conflict, reuse } => {
                self.start(state, *mark, *request, *conflict, *reuse, &step.answer)
            }
            Act::SignalWithStart { mark, signal } => {
                self.signal_with_start(state, *mark, *signal, &step.answer)
            }
            Act::Signal { run, request, mark } => {
                let target = state.target(*run).or_else(|| state.earlier(*run));
                // A request that was done before is done, also when its run has closed.
                if target.is_some_and(|target| target.requests.contains(request)) {
                    return (step.answer == Answer::Done).then(|| state.clone());
                }
                if state.open(*run).is_none() {
                    return refused(state, &step.answer);
                }
                let mut after = state.clone();
                let run = after.current.as_mut()?;
                run.requests.push(*request);
                self.add(run, *mark)?;
                (step.answer == Answer::Done).then_some(after)
            }
            Act::Update { id, mark } => self.update(state, *id, *mark, &step.answer),
            Act::Terminate { run, mark } => match state.open(*run) {
                Some(_) if step.answer == Answer::Done => self.close(state, Status::Terminated, Some(*mark)),
                Some(_) => None,
                None => refused(state, &step.answer),
            },
            Act::Complete { run, mark, seen } => match state.open(Some(*run)) {
                // A run does not complete over what its worker has not seen.
                Some(open) if step.answer == Answer::Done && open.log == *seen => {
                    self.close(state, Status::Completed, Some(*mark))
                }
                Some(_) => None,
                None => refused(state, &step.answer),
            },
            Act::Query => match (&state.current, &step.answer) {
                (Some(run), Answer::Log(log)) if run.log == *log => Some(state.showing(log.len())),
                (None, Answer::NotFound) => Some(state.clone()),
                _ => None,
            },
            Act::Describe => match (&state.current, &step.answer) {
                (Some(run), Answer::Described(id, status)) if run.id == *id && run.status == *status => {
                    Some(state.clone())
                }
                (None, Answer::NotFound) => Some(state.clone()),
                _ => None,
            },
            Act::History { run } => self.history(state, *run, &step.answer),
            Act::List => {
                let Answer::Listed(runs) = &step.answer else { return None };
                let current = state.current.iter().map(|run| (run.id, run.status));
                let earlier = state.earlier.iter().rev().map(|run| (run.id, run.status));
                let right = current.chain(earlier).eq(runs.iter().copied());
                right.then(|| state.clone())
            }
        }
    }
}

fn refused(state: &State, answer: &Answer) -> Option<State> {
    (*answer == Answer::NotFound).then(|| state.clone())
}

impl State {
    /// The current run, if it is the one that is meant.
    fn target(&self, run: Option<RunId>) -> Option<&Run> {
        self.current.as_ref().filter(|current| run.is_none_or(|run| run == current.id))
    }

    fn earlier(&self, run: Option<RunId>) -> Option<&Run> {
        self.earlier.iter().find(|earlier| run == Some(earlier.id))
    }

    fn open(&self, run: Option<RunId>) -> Option<&Run> {
        self.target(run).filter(|run| run.status == Status::Open)
    }

    fn showing(&self, shown: usize) -> State {
        let mut after = self.clone();
        if let Some(run) = &mut after.current {
            run.shown = run.shown.max(shown);
        }
        after
    }
}

impl Workflow {
    fn start(
        &self,
        state: &State,
        mark: Mark,
        request: Mark,
        conflict: Conflict,
        reuse: Reuse,
        answer: &Answer,
    ) -> Option<State> {
        let Some(run) = &state.current else { return self.begin_run(state, mark, Some(request), answer) };
        let unchanged = |right: bool| right.then(|| state.clone());
        if run.request == Some(request) {
            return unchanged(*answer == Answer::Started(run.id));
        }
        if run.status == Status::Open {
            return match conflict {
                Conflict::UseExisting => unchanged(*answer == Answer::Existing(run.id)),
                Conflict::TerminateExisting => {
                    let closed = self.close(state, Status::Terminated, None)?;
                    self.begin_run(&closed, mark, Some(request), answer)
                }
                _ => unchanged(*answer == Answer::AlreadyExists(run.id)),
            };
        }
        let refused = match reuse {
            Reuse::AllowDuplicateFailedOnly => run.status == Status::Completed,
            Reuse::RejectDuplicate => true,
            _ => false,
        };
        if refused {
            return unchanged(*answer == Answer::AlreadyExists(run.id));
        }
        self.begin_run(state, mark, Some(request), answer)
    }

    fn signal_with_start(&self, state: &State, mark: Mark, signal: Mark, answer: &Answer) -> Option<State> {
        if let Some(run) = state.open(None) {
            let mut after = state.clone();
            self.add(after.current.as_mut()?, signal)?;
            return (*answer == Answer::Existing(run.id)).then_some(after);
        }
        let mut after = self.begin_run(state, mark, None, answer)?;
        self.add(after.current.as_mut()?, signal)?;
        Some(after)
    }

    fn update(&self, state: &State, id: Mark, mark: Mark, answer: &Answer) -> Option<State> {
        let Some(run) = &state.current else { return refused(state, answer) };
        if let Some((_, length)) = run.updates.iter().find(|(known, _)| *known == id) {
            let right = matches!(answer, Answer::Log(log) if *log == run.log[..*length]);
            return right.then(|| state.clone());
        }
        if run.status != Status::Open {
            return refused(state, answer);
        }
        let mut after = state.clone();
        let run = after.current.as_mut()?;
        self.add(run, mark)?;
        run.updates.push((id, run.log.len()));
        // The worker had to see every signal that came before it. Updates that it answers together are shown together.
        let of_update = |place: usize| run.updates.iter().any(|(_, length)| *length == place);
        let signals = (0..=run.log.len()).rev().find(|place| !of_update(*place));
        run.shown = run.shown.max(signals.unwrap_or_default());
        matches!(answer, Answer::Log(log) if *log == run.log).then_some(after)
    }

    fn history(&self, state: &State, id: Option<RunId>, answer: &Answer) -> Option<State> {
        let Answer::History(told) = answer else {
            let there = state.target(id).is_some() || state.earlier(id).is_some();
            return refused(state, answer).filter(|_| !there);
        };
        if id.is_some_and(|id| id != told.run) {
            return None;
        }
        let Some(run) = state.target(id).filter(|run| run.id == told.run) else {
            // A run that is over stays as it is.
            let over = state.earlier(id).is_some();
            return (over && self.last.get(&told.run) == Some(told)).then(|| state.clone());
        };
        let whole = run.log == told.log;
        let begins = run.log.starts_with(&told.log) && told.log.len() >= run.shown;
        let waits = run.status == Status::Open && told.task_out && begins;
        (run.status == told.status && (whole || waits)).then(|| state.showing(told.log.len()))
    }

    /// A new run takes the place of the current one, which is closed.
    fn begin_run(&self, state: &State, mark: Mark, request: Option<Mark>, answer: &Answer) -> Option<State> {
        let Answer::Started(id) = *answer else { return None };
        let mut after = state.clone();
        if let Some(old) = after.current.take() {
            Arc::make_mut(&mut after.earlier).push(old);
        }
        let mut run = Run {
            id,
            status: Status::Open,
            request,
            log: Vec::new(),
            shown: 1,
            requests: Vec::new(),
            updates: Vec::new(),
        };
        self.add(&mut run, mark)?;
        after.current = Some(run);
        Some(after)
    }

    fn close(&self, state: &State, status: Status, by: Option<Mark>) -> Option<State> {
        let mut after = state.clone();
        let run = after.current.as_mut()?;
        run.status = status;
        run.shown = run.log.len();
        let last = self.last.get(&run.id)?;
        (last.status == status && last.closed_by == by && last.log == run.log).then_some(after)
    }

    /// None if this is not what comes next in the log that the run had in the end.
    fn add(&self, run: &mut Run, mark: Mark) -> Option<()> {
        let last = self.last.get(&run.id)?;
        (last.log.get(run.log.len()) == Some(&mark)).then(|| run.log.push(mark))
    }
}
