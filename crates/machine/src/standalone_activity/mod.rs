//! The machine of standalone activities: activities that no workflow owns. They have no history; their outcome is a row.
//!
//! ```text
//! scheduled ──start──► started ──► completed, failed, canceled, terminated, timed out
//!   ▲  ▲ │                │
//!   │  │ └─pause─► paused ◄─ the attempt fails, and a pause was asked for while it ran
//!   │  └──unpause────┘    │
//!   └── backing off ◄─────┘
//! ```

mod attempt;
mod end;
mod operate;
mod options;
mod start;
pub mod state;

pub use state::{OutcomeRow, Phase, Run, StandaloneRow, StandaloneStartRow};

use crate::decision::{Decision, Reply, RunChange, Task};
use crate::env::Env;
use crate::key::{EntityKey, QueueKey, QueueType, RowKey, RowTable, TaskKey, Time};
use crate::reject::Reject;
use crate::workflow::input::{EndActivity, HeartbeatActivity, StartActivity};
use crate::workflow::rows::QueuedRow;
use std::collections::BTreeSet;
use std::sync::Arc;
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::common::{Header, Link, Payloads, Priority, RetryPolicy, SearchAttributes};
use steadfast_api::v1::enums::{ActivityIdConflictPolicy, ActivityIdReusePolicy};
use steadfast_api::v1::sdk::UserMetadata;
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

/// Everything that can happen to a standalone activity.
#[derive(Clone, Debug)]
pub enum What {
    Start(Box<Start>),
    /// A worker takes the attempt.
    StartAttempt(StartActivity),
    /// The poller was gone when the attempt was handed to it.
    Undelivered {
        request_id: String,
    },
    End(Box<EndActivity>),
    Heartbeat(Box<HeartbeatActivity>),
    RequestCancel {
        identity: String,
        request_id: String,
        reason: String,
    },
    Terminate {
        identity: String,
        request_id: String,
        reason: String,
    },
    Pause {
        identity: String,
        request_id: String,
        reason: String,
    },
    Unpause {
        request_id: String,
        /// Nanoseconds within which the attempt starts at a random moment.
        jitter: i64,
    },
    Reset(Reset),
    UpdateOptions(Box<UpdateOptions>),
    Delete,
    AlarmDue,
}

#[derive(Clone, Debug, Default)]
pub struct Reset {
    pub request_id: String,
    pub reset_heartbeat: bool,
    pub keep_paused: bool,
    pub restore_original_options: bool,
    /// Nanoseconds within which the attempt starts at a random moment.
    pub jitter: i64,
}

#[derive(Clone, Debug, Default)]
pub struct UpdateOptions {
    pub request_id: String,
    /// New options and the paths of those that count; `None` restores the options of the start.
    pub change: Option<(ActivityOptions, Vec<String>)>,
}

/// A request to start, checked and with its defaults filled in by the server. Durations are nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub activity_type: String,
    pub task_queue: String,
    pub schedule_to_close: i64,
    pub schedule_to_start: i64,
    pub start_to_close: i64,
    pub heartbeat: i64,
    pub start_delay: i64,
    pub retry_policy: RetryPolicy,
    pub input: Option<Payloads>,
    pub header: Option<Header>,
    pub request_id: String,
    pub identity: String,
    pub reuse: ActivityIdReusePolicy,
    pub conflict: ActivityIdConflictPolicy,
    pub search_attributes: Option<SearchAttributes>,
    pub user_metadata: Option<UserMetadata>,
    pub priority: Option<Priority>,
    pub links: Vec<Link>,
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
    let run =
        runs.named.ok_or_else(|| Reject::not_found(format!("activity not found for ID: {}", entity.id)))?;
    let mut step = Step::on(entity, run);
    let reply = match &input.what {
        What::Start(_) => unreachable!("handled above"),
        What::StartAttempt(attempt) => Ok(attempt::start(&mut step, attempt, env)),
        What::Undelivered { request_id } => Ok(attempt::undelivered(&mut step, request_id, env)),
        What::End(end) => end::by_worker(&mut step, end, env),
        What::Heartbeat(beat) => attempt::heartbeat(&mut step, beat, env),
        What::RequestCancel { identity, request_id, reason } => {
            end::request_cancel(&mut step, identity, request_id, reason, env)
        }
        What::Terminate { identity, request_id, reason } => {
            end::terminate(&mut step, identity, request_id, reason, env)
        }
        What::Pause { identity, request_id, reason } => {
            operate::pause(&mut step, identity, request_id, reason, env)
        }
        What::Unpause { request_id, jitter } => operate::unpause(&mut step, request_id, *jitter, env),
        What::Reset(reset) => operate::reset(&mut step, reset, env),
        What::UpdateOptions(update) => options::update(&mut step, update, env),
        What::Delete => Ok(end::delete(&mut step)),
        What::AlarmDue => Ok(attempt::alarm(&mut step, env)),
    }?;
    Ok(step.finish(reply))
}

/// One step on one run: a working copy, and what it changes.
pub(crate) struct Step {
    entity: EntityKey,
    pub run: Run,
    rows: BTreeSet<RowKey>,
    pub visibility: bool,
    pub durable: bool,
    pub deleted: bool,
    tasks_added: Vec<Task>,
    tasks_finished: Vec<TaskKey>,
}

impl Step {
    fn on(entity: &EntityKey, run: &Run) -> Step {
        Step {
            entity: entity.clone(),
            run: run.clone(),
            rows: BTreeSet::new(),
            visibility: false,
            durable: false,
            deleted: false,
            tasks_added: Vec::new(),
            tasks_finished: Vec::new(),
        }
    }

    pub fn now(&self, env: &Env<'_>) -> Time {
        env.now.max(Time(self.run.core.last_time))
    }

    pub fn put(&mut self, table: RowTable) {
        self.durable = true;
        self.rows.insert(RowKey::single(table));
    }

    fn task_key(&self, queued: &QueuedRow) -> TaskKey {
        TaskKey {
            queue: QueueKey {
                namespace: self.entity.namespace,
                name: Arc::from(queued.queue.as_str()),
                kind: QueueType::Activity,
            },
            priority: queued.priority as u8,
            order: queued.order,
            run: self.run.id,
        }
    }

    /// Nobody who holds a task of it may start it.
    pub fn invalidate(&mut self) {
        self.durable = true;
        self.run.core.stamps = self.run.core.stamps.wrapping_add(1);
        self.run.activity_mut().stamp = self.run.core.stamps;
    }

    /// Puts the attempt that is due into its queue.
    pub fn dispatch(&mut self, env: &mut Env<'_>) {
        self.invalidate();
        let row = self.run.activity_mut();
        let stamp = row.stamp;
        let level = match row.priority.as_ref().map_or(0, |priority| priority.priority_key) {
            0 => 3,
            key => key.clamp(1, 5) as u32,
        };
        let queue = QueueKey {
            namespace: self.entity.namespace,
            name: Arc::from(row.task_queue.as_str()),
            kind: QueueType::Activity,
        };
        let order = env.ids.place(&queue, level as u8, row.priority.as_ref(), env.now);
        let queued = QueuedRow { queue: row.task_queue.clone(), priority: level, order };
        row.queued = Some(queued.clone());
        let expires =
            (row.schedule_to_start > 0).then(|| Time(row.scheduled_time).plus(row.schedule_to_start));
        let priority = row.priority.clone();
        let task = Task {
            key: self.task_key(&queued),
            run: self.entity.run(self.run.id),
            scheduled_event_id: 1,
            stamp,
            expires,
            sticky: false,
            stored: true,
            priority,
            created: Task::created(order, env.now),
        };
        self.tasks_added.push(task);
    }

    /// The attempt is started, or void: its task goes.
    pub fn unqueue(&mut self) {
        if let Some(queued) = self.run.activity_mut().queued.take() {
            let key = self.task_key(&queued);
            self.tasks_finished.push(key);
        }
    }

    fn finish(mut self, reply: Reply) -> Decision {
        let mut decision = Decision::reply(reply);
        if self.durable {
            self.run.core.transitions += 1;
        }
        decision.runs.push(RunChange {
            key: self.entity.run(self.run.id),
            durable: self.durable || self.deleted,
            next: (!self.deleted).then_some(crate::any::AnyRun::Activity(std::sync::Arc::new(self.run))),
            rows: self.rows,
            batches: Vec::new(),
            visibility: self.visibility,
        });
        decision.tasks_added = self.tasks_added;
        decision.tasks_finished = self.tasks_finished;
        decision
    }
}
