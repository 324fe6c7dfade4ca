//! A workflow rule of the namespace pauses an activity that is about to start, as an operator would.
//!
//! The rules are asked when a worker is to get the first attempt, when an attempt has failed, when the next one is due, and
//! when an operator puts an activity into its queue again. They are not asked for an activity that a worker gets with the
//! answer to its workflow task.

use super::rows::{ActivityRow, PauseRow};
use super::step::Step;
use crate::env::{Env, RuledActivity};
use crate::key::Time;

/// The pause that a rule wants for the activity as it is now.
pub fn pause(step: &Step, row: &ActivityRow, env: &Env<'_>) -> Option<PauseRow> {
    let now = step.now(env);
    let activity = RuledActivity {
        workflow_id: &step.key.entity.id,
        workflow_type: &step.run.start.workflow_type,
        workflow_start: Time(step.run.core.start_time),
        workflow_status: if step.run.is_paused() { "Paused" } else { "Running" },
        activity_id: &row.activity_id,
        activity_type: &row.activity_type,
        task_queue: &row.task_queue,
        attempt: row.attempt,
        backoff: row.scheduled_time.saturating_sub(row.last_attempt_end),
        started: (row.started_time != 0).then_some(Time(row.started_time)),
        failed: row.last_failure.as_ref().is_some_and(|failure| !failure.message.is_empty()),
    };
    let rule = env.namespace.pausing_rule(&activity, now)?;
    Some(PauseRow {
        time: now.0,
        identity: rule.identity,
        reason: rule.reason,
        request_id: String::new(),
        rule_id: rule.id,
    })
}
