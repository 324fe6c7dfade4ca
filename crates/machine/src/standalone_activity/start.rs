//! A standalone activity is started.

use super::state::{Run, StandaloneStartRow};
use super::{Start, Step};
use crate::decision::{Decision, Reply};
use crate::duration;
use crate::env::Env;
use crate::key::{EntityKey, RowTable};
use crate::reject::Reject;
use crate::workflow::commands_is_null;
use crate::workflow::reply::{Started, WorkflowReply};
use crate::workflow::rows::{ActivityRow, AttributesRow};
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::enums::{
    ActivityExecutionStatus as Status, ActivityIdConflictPolicy as Conflict, ActivityIdReusePolicy as Reuse,
    WorkflowExecutionStatus,
};
use uuid::Uuid;

pub fn apply(
    entity: &EntityKey,
    current: Option<&Run>,
    start: &Start,
    env: &mut Env<'_>,
) -> Result<Decision, Reject> {
    if let Some(run) = current
        && let Some(existing) = settle(run, start)?
    {
        return Ok(Decision::reply(existing));
    }
    let id = env.ids.run_id(env.now, current.map(|run| run.id));
    let mut search_attributes = start.search_attributes.clone();
    if let Some(attributes) = &mut search_attributes {
        attributes.indexed_fields.retain(|_, payload| !commands_is_null(payload));
    }
    let now = env.now;
    let first = now.plus(start.start_delay);
    let activity = ActivityRow {
        scheduled_event_id: 1,
        activity_id: entity.id.to_string(),
        activity_type: start.activity_type.clone(),
        task_queue: start.task_queue.clone(),
        schedule_to_close: start.schedule_to_close,
        schedule_to_start: start.schedule_to_start,
        start_to_close: start.start_to_close,
        heartbeat: start.heartbeat,
        retry_policy: Some(start.retry_policy.clone()),
        attempt: 1,
        scheduled_time: first.0,
        first_scheduled_time: first.0,
        event_time: now.0,
        priority: start.priority.clone(),
        ..ActivityRow::default()
    };
    let options = ActivityOptions { start_delay: duration::if_set(start.start_delay), ..activity.options() };
    let row = StandaloneStartRow {
        options: Some(options),
        input: start.input.clone(),
        header: start.header.clone(),
        request_id: start.request_id.clone(),
        user_metadata: start.user_metadata.clone(),
        links: start.links.clone(),
        identity: start.identity.clone(),
    };
    let run = Run::new(id, row, AttributesRow { memo: None, search_attributes });
    let mut step = Step::on(entity, &run);
    step.put(RowTable::Start);
    step.put(RowTable::Attributes);
    step.visibility = true;
    step.run.core.start_time = now.0;
    step.run.core.last_time = now.0;
    step.run.core.start_delay = start.start_delay;
    step.run.core.activity = Some(activity);
    if start.start_delay == 0 {
        step.dispatch(env);
    }
    let reply = started(id, true);
    Ok(step.finish(reply))
}

fn started(run_id: Uuid, started: bool) -> Reply {
    WorkflowReply::Started(Started {
        run_id,
        started,
        status: WorkflowExecutionStatus::Running,
        first_run_id: String::new(),
        link: None,
        eager_task: None,
    })
    .into()
}

/// The id policies: `None` for a new run.
fn settle(run: &Run, start: &Start) -> Result<Option<Reply>, Reject> {
    if run.start.request_id == start.request_id {
        return Ok(Some(started(run.id, false)));
    }
    let already = || Reject::ActivityAlreadyStarted {
        message: "activity execution already started".into(),
        start_request_id: run.start.request_id.clone(),
        run_id: run.id,
    };
    if run.is_open() {
        return match start.conflict {
            Conflict::UseExisting => Ok(Some(started(run.id, false))),
            _ => Err(already()),
        };
    }
    let allowed = match start.reuse {
        Reuse::RejectDuplicate => false,
        Reuse::AllowDuplicateFailedOnly => run.status() != Status::Completed,
        _ => true,
    };
    if allowed { Ok(None) } else { Err(already()) }
}
