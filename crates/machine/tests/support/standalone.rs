//! The world of one standalone activity, for scenarios of its machine.
//!
//! Inputs:
//!
//! ```text
//! start queue=q start_to_close=10s schedule_to_close= schedule_to_start= heartbeat= delay= retry=1s,2 priority=
//! take                     a worker takes the task        lost        it was gone when it should get it
//! complete   fail [message] [non-retryable] [delay=1s]   canceled   heartbeat [details=]
//! cancel     terminate     pause [again]   unpause [again] [jitter=]
//! reset [again] [heartbeat] [keep-paused] [restore] [jitter=]
//! options [again] [restore] [queue=] [start_to_close=] … as at the start
//! advance 5s               time passes, alarms go off
//! show                     what there is of it
//! ```
//!
//! Each request has an id of its own, unless it is made `again`.

use crate::support::line::{Line, nanos};
use crate::support::show::Show;
use crate::support::world::{Fixed, START, Seeded};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::common::{Priority, RetryPolicy};
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_machine::env::Fetched;
use steadfast_machine::standalone_activity::{self, Input, Reset, Run, Runs, Start, UpdateOptions, What};
use steadfast_machine::workflow::input::{
    ActivityEnd, ActivityRef, EndActivity, HeartbeatActivity, StartActivity,
};
use steadfast_machine::workflow::reply::WorkflowReply;
use steadfast_machine::workflow::retry;
use steadfast_machine::{
    AnyRun, EntityKey, Env, Kind, Limits, Reject, Reply, RowKey, Task, TaskKey, Time, duration,
};
use uuid::Uuid;

pub struct Standalone {
    now: Time,
    ids: Seeded,
    limits: Limits,
    entity: EntityKey,
    run: Option<Run>,
    rows: BTreeMap<RowKey, Bytes>,
    tasks: BTreeMap<TaskKey, Task>,
    /// The attempt that the worker has.
    attempt: i32,
    /// How many requests of each kind there were.
    requests: BTreeMap<String, i32>,
}

impl Standalone {
    pub fn new() -> Standalone {
        Standalone {
            now: START,
            ids: Seeded::new(),
            limits: Limits::default(),
            entity: EntityKey { namespace: Uuid::from_u128(1), kind: Kind::Activity, id: "a".into() },
            run: None,
            rows: BTreeMap::new(),
            tasks: BTreeMap::new(),
            attempt: 0,
            requests: BTreeMap::new(),
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
            "show" => self.show(),
            _ => {
                let what = self.input(&mut line)?;
                self.apply(&what)
            }
        };
        line.end()?;
        Ok(output)
    }

    fn input(&mut self, line: &mut Line) -> Result<What, String> {
        let again = line.flag("again");
        let count = self.requests.entry(line.verb.clone()).or_default();
        *count += i32::from(!again);
        let request_id = format!("{} {count}", line.verb);
        let (identity, reason) = ("operator".to_owned(), "why".to_owned());
        Ok(match line.verb.clone().as_str() {
            "start" => What::Start(Box::new(start(line, request_id)?)),
            "take" => {
                let (key, task) = self.tasks.pop_first().ok_or("there is no task")?;
                let stamp = task.stamp;
                self.tasks.insert(key, task);
                What::StartAttempt(StartActivity {
                    scheduled_event_id: 1,
                    stamp,
                    identity: "worker".into(),
                    request_id,
                    build_id: String::new(),
                })
            }
            "lost" => What::Undelivered { request_id: self.run()?.activity().request_id.clone() },
            "complete" => self.end(ActivityEnd::Completed(line.payloads("result"))),
            "fail" => {
                let failure = Some(crate::support::commands::failure(line, None)?);
                self.end(ActivityEnd::Failed { failure, last_heartbeat: None })
            }
            "canceled" => self.end(ActivityEnd::Canceled(None)),
            "heartbeat" => What::Heartbeat(Box::new(HeartbeatActivity {
                activity: ActivityRef::Token { scheduled_event_id: 1, attempt: self.attempt },
                identity: String::new(),
                details: line.payloads("details"),
            })),
            "cancel" => What::RequestCancel { identity, request_id, reason },
            "terminate" => What::Terminate { identity, request_id, reason },
            "pause" => What::Pause { identity, request_id, reason },
            "unpause" => What::Unpause { request_id, jitter: line.nanos("jitter")? },
            "reset" => What::Reset(Reset {
                request_id,
                reset_heartbeat: line.flag("heartbeat"),
                keep_paused: line.flag("keep-paused"),
                restore_original_options: line.flag("restore"),
                jitter: line.nanos("jitter")?,
            }),
            "options" => {
                let change = if line.flag("restore") { None } else { Some(options(line)?) };
                What::UpdateOptions(Box::new(UpdateOptions { request_id, change }))
            }
            verb => return Err(format!("no input {verb}")),
        })
    }

    fn end(&self, end: ActivityEnd) -> What {
        let activity = ActivityRef::Token { scheduled_event_id: 1, attempt: self.attempt };
        What::End(Box::new(EndActivity { activity, identity: "worker".into(), end }))
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
        let input = Input::current(what.clone());
        let decision = match standalone_activity::apply(&self.entity, runs, &input, &mut env) {
            Ok(decision) => decision,
            Err(reject) => return format!("rejected: {}\n", told(&reject)),
        };
        let mut output = String::new();
        for change in decision.runs {
            let Some(AnyRun::Activity(next)) = change.next else {
                panic!("an activity is not deleted here");
            };
            for key in &change.rows {
                match next.encode_row(key) {
                    Some(bytes) => self.rows.insert(key.clone(), bytes),
                    None => self.rows.remove(key),
                };
            }
            let rows: Vec<_> = self.rows.clone().into_iter().collect();
            let stored = Run::decode(next.id, &next.encode_core(), &rows).expect("stored rows decode");
            assert_eq!(stored, *next, "what is stored is what is in memory");
            let before = self.run.take();
            assert!(change.durable || before.as_ref() == Some(&*next), "what changes is stored");
            if before.as_ref().map(Run::phase) != Some(next.phase()) {
                let _ = writeln!(output, "  {}, {:?}", next.phase(), next.status());
            }
            if before.as_ref().and_then(Run::alarm) != next.alarm() {
                let _ = writeln!(output, "  alarm {}", next.alarm().map_or("none".into(), Self::time));
            }
            self.run = Some(Run::clone(&next));
        }
        for task in decision.tasks_added {
            let _ = writeln!(output, "  + task in {}{}", task.key.queue.name, level(&task.key));
            self.tasks.insert(task.key.clone(), task);
        }
        for key in decision.tasks_finished {
            if self.tasks.remove(&key).is_some() {
                let _ = writeln!(output, "  - task in {}{}", key.queue.name, level(&key));
            }
        }
        self.check();
        match decision.reply {
            Ok(reply) => self.reply(&mut output, &reply),
            Err(reject) => {
                let _ = writeln!(output, "refused: {}", told(&reject));
            }
        }
        output
    }

    /// What is queued has one task, nothing else has one, and what is paused is in no queue.
    fn check(&self) {
        let Some(run) = &self.run else { return };
        let row = run.activity();
        assert_eq!(usize::from(row.queued.is_some()), self.tasks.len(), "a task for what is queued");
        assert!(row.queued.is_none() || run.phase() == standalone_activity::Phase::Scheduled);
    }

    fn reply(&mut self, output: &mut String, reply: &Reply) {
        let text = match reply {
            Reply::Done => return,
            Reply::Workflow(reply) => match &**reply {
                WorkflowReply::Started(_) => return,
                WorkflowReply::Activity(task) => {
                    self.attempt = task.attempt;
                    let known = if task.heartbeat_details.is_some() { " with heartbeat details" } else { "" };
                    format!("attempt {}{known}", task.attempt)
                }
                WorkflowReply::Heartbeat { cancel_requested, paused, reset } => {
                    let told = [(cancel_requested, "cancel"), (paused, "paused"), (reset, "reset")];
                    let told: Vec<_> = told.iter().filter(|(is, _)| **is).map(|(_, name)| *name).collect();
                    format!("heartbeat {}", told.join(" "))
                }
                WorkflowReply::ActivityOptions(options) => told_options(options),
                WorkflowReply::ActivityFailed { .. } => return,
                other => format!("{other:?}"),
            },
            other => format!("{other:?}").to_lowercase(),
        };
        let _ = writeln!(output, "reply: {}", text.trim());
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

    fn show(&self) -> String {
        let Some(run) = &self.run else { return "nothing\n".into() };
        let (row, mut text) = (run.activity(), String::new());
        let _ = write!(text, "{}, attempt {}", run.phase(), row.attempt);
        if let Some(time) = run.retry_time() {
            let _ = write!(text, ", backoff until {}", Self::time(time));
        }
        if row.heartbeat_details.is_some() {
            text.push_str(", heartbeat details");
        }
        if let Some(failure) = &row.last_failure {
            let _ = write!(text, ", last failure {}", failure.message);
        }
        let _ = writeln!(text, "\n{}", told_options(&row.options()));
        if let Some(outcome) = &run.outcome {
            let message = outcome.failure.as_ref().map_or("a result", |failure| &failure.message);
            let _ = writeln!(text, "outcome: {message}");
        }
        text
    }
}

fn level(key: &TaskKey) -> String {
    if key.priority == 3 { String::new() } else { format!(" priority {}", key.priority) }
}

fn told(reject: &Reject) -> String {
    let kind = format!("{reject:?}");
    format!("{} {}", kind.split(['(', ' ']).next().unwrap_or_default(), reject.message())
}

fn start(line: &mut Line, request_id: String) -> Result<Start, String> {
    let priority = line.number("priority", 0)? as i32;
    Ok(Start {
        activity_type: "A".into(),
        task_queue: line.text("queue", "q"),
        schedule_to_close: line.nanos("schedule_to_close")?,
        schedule_to_start: line.nanos("schedule_to_start")?,
        start_to_close: nanos(&line.text("start_to_close", "10s"))?,
        heartbeat: line.nanos("heartbeat")?,
        start_delay: line.nanos("delay")?,
        retry_policy: retry::with_defaults(line.retry()?.unwrap_or_default()),
        request_id,
        priority: (priority != 0).then(|| Priority { priority_key: priority, ..Priority::default() }),
        ..Start::default()
    })
}

/// The options that are set, as they would be written in an input.
fn told_options(options: &ActivityOptions) -> String {
    let mut text = format!("queue={}", options.task_queue.as_ref().map_or("", |queue| &queue.name));
    let policy = options.retry_policy.clone().unwrap_or_default();
    for (name, value) in [
        ("schedule_to_close", &options.schedule_to_close_timeout),
        ("schedule_to_start", &options.schedule_to_start_timeout),
        ("start_to_close", &options.start_to_close_timeout),
        ("heartbeat", &options.heartbeat_timeout),
        ("delay", &options.start_delay),
        ("retry", &policy.initial_interval),
    ] {
        match duration::known(value.as_ref()) {
            0 => {}
            nanos => {
                let _ = write!(text, " {name}={}s", nanos as f64 / 1e9);
            }
        }
    }
    if let Some(priority) = &options.priority {
        let _ = write!(text, " priority={}", priority.priority_key);
    }
    text
}

/// New options, and the paths of those that are given.
fn options(line: &mut Line) -> Result<(ActivityOptions, Vec<String>), String> {
    let mut options = ActivityOptions::default();
    let mut paths = Vec::new();
    let mut add = |path: &str| paths.push(path.to_owned());
    if let Some(name) = line.field("queue") {
        options.task_queue = Some(TaskQueue { name, ..TaskQueue::default() });
        add("task_queue.name");
    }
    for (name, path, field) in [
        ("schedule_to_close", "scheduleToCloseTimeout", &mut options.schedule_to_close_timeout),
        ("schedule_to_start", "schedule_to_start_timeout", &mut options.schedule_to_start_timeout),
        ("start_to_close", "start_to_close_timeout", &mut options.start_to_close_timeout),
        ("heartbeat", "heartbeat_timeout", &mut options.heartbeat_timeout),
        ("delay", "start_delay", &mut options.start_delay),
    ] {
        *field = line.duration(name)?;
        if field.is_some() {
            add(path);
        }
    }
    if let Some(policy) = line.retry()? {
        options.retry_policy = Some(RetryPolicy { ..retry::with_defaults(policy) });
        add("retry_policy");
    }
    let priority = line.number("priority", 0)? as i32;
    if priority != 0 {
        options.priority = Some(Priority { priority_key: priority, ..Priority::default() });
        add("priority.priority_key");
    }
    Ok((options, paths))
}
