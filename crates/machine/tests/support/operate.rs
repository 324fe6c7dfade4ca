//! The inputs of a scenario that operators make.
//!
//!     reset w/1 4 [reason=] [exclude=signals,updates] [request=]      to before the end of the workflow task of event 4
//!     pause w [request=]                         unpause w
//!     options w mask=priority.priority_key,… [priority=] [fairness=] [weight=] [auto-upgrade] [pinned [build=]]
//!     pause-activity w a1|type=A|all             unpause-activity w a1|type=A|all [attempts] [heartbeat] [jitter=]
//!     reset-activity w a1|type=A|all [heartbeat] [keep-paused] [restore] [jitter=]
//!     activity-options w a1|type=A|all restore
//!     activity-options w a1|type=A|all mask=… [queue=] [close=] [start=] [schedule_to_close=] [heartbeat=] [retry=]
//!         [priority=]
//!     batch w …                                  a batch operation comes to it; which ones there are is in `operation.rs`

use super::commands::queue;
use super::line::Line;
use super::operation::operation;
use prost_types::FieldMask;
use steadfast_api::v1::activity::ActivityOptions;
use steadfast_api::v1::common::Priority;
use steadfast_api::v1::deployment::WorkerDeploymentVersion;
use steadfast_api::v1::workflow::versioning_override::{Override, PinnedOverride, PinnedOverrideBehavior};
use steadfast_api::v1::workflow::{VersioningOverride, WorkflowExecutionOptions};
use steadfast_api::v1::workflowservice::{
    UpdateActivityOptionsRequest, UpdateWorkflowExecutionOptionsRequest,
    update_activity_options_request::Activity,
};
use steadfast_machine::batch::{BatchOperation, OperationRow};
use steadfast_machine::workflow::input::{ActivitySelector, Reset, What};
use steadfast_machine::workflow::message::{Body, Content, Envelope};
use steadfast_machine::{EntityKey, Kind};
use uuid::Uuid;

/// `None` for a line that is not an operator's.
pub fn what(line: &mut Line) -> Result<Option<What>, String> {
    Ok(Some(match line.verb.clone().as_str() {
        "reset" => What::Reset(Box::new(reset(line)?)),
        "pause" => What::Pause {
            identity: "operator".into(),
            reason: line.text("reason", "checking"),
            request_id: line.text("request", ""),
        },
        "unpause" => What::Unpause {
            identity: "operator".into(),
            reason: line.text("reason", "checked"),
            request_id: String::new(),
        },
        "options" => What::UpdateOptions(Box::new(options(line)?)),
        "pause-activity" => What::PauseActivity {
            selector: selector(line)?,
            identity: "operator".into(),
            reason: String::new(),
            request_id: String::new(),
        },
        "unpause-activity" => What::UnpauseActivity {
            selector: selector(line)?,
            reset_attempts: line.flag("attempts"),
            reset_heartbeat: line.flag("heartbeat"),
            jitter: line.nanos("jitter")?,
        },
        "reset-activity" => What::ResetActivity {
            selector: selector(line)?,
            reset_heartbeat: line.flag("heartbeat"),
            keep_paused: line.flag("keep-paused"),
            restore_original_options: line.flag("restore"),
            jitter: line.nanos("jitter")?,
        },
        "activity-options" => What::UpdateActivityOptions(Box::new(activity_options(line)?)),
        "batch" => What::Message(batch(line)?),
        _ => return Ok(None),
    }))
}

/// The same batch whenever it comes, so its request id is the same, too.
fn batch(line: &mut Line) -> Result<Envelope, String> {
    let operation = Some(OperationRow { operation: Some(operation(line)?) });
    let event_id = line.number("event", 0)?;
    let operation = BatchOperation {
        operation,
        reason: "a batch".into(),
        request_id: line.text("request", "a batch"),
        event_id,
    };
    let entity = EntityKey { namespace: Uuid::from_u128(1), kind: Kind::Batch, id: "job".into() };
    let to_run = if line.flag("unnamed") { String::new() } else { "named".into() };
    let body = Body { content: Some(Content::BatchOperation(operation)), to_run };
    Ok(Envelope { from: entity.run(Uuid::from_u128(7)), sequence: 0, body })
}

fn reset(line: &mut Line) -> Result<Reset, String> {
    let finish_event_id = line.word()?.parse().map_err(|_| "reset: an event id")?;
    let exclude = line.text("exclude", "");
    let excludes = |kind: &str| exclude.split(',').any(|excluded| excluded == kind);
    Ok(Reset {
        // The same words once more are another request only where they say so.
        request_id: line.field("request").unwrap_or_else(|| line.text.clone()),
        reason: line.text("reason", "again"),
        identity: "operator".into(),
        finish_event_id,
        exclude_signals: excludes("signals"),
        exclude_updates: excludes("updates"),
        ..Reset::default()
    })
}

pub fn mask(line: &mut Line) -> Option<FieldMask> {
    let paths = line.field("mask")?;
    Some(FieldMask { paths: paths.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect() })
}

pub fn priority(line: &mut Line) -> Result<Option<Priority>, String> {
    let (key, fairness, weight) = (line.field("priority"), line.field("fairness"), line.field("weight"));
    if key.is_none() && fairness.is_none() && weight.is_none() {
        return Ok(None);
    }
    let number = |text: Option<String>| text.map_or(Ok(0.0), |text| text.parse::<f32>());
    Ok(Some(Priority {
        priority_key: number(key).map_err(|_| "priority: a number")? as i32,
        fairness_key: fairness.unwrap_or_default(),
        fairness_weight: number(weight).map_err(|_| "weight: a number")?,
    }))
}

fn options(line: &mut Line) -> Result<UpdateWorkflowExecutionOptionsRequest, String> {
    let mut versioning = line.flag("auto-upgrade").then_some(Override::AutoUpgrade(true));
    if line.flag("pinned") {
        let build = line.field("build");
        versioning = Some(Override::Pinned(PinnedOverride {
            behavior: PinnedOverrideBehavior::Pinned as i32,
            version: build.map(|build_id| WorkerDeploymentVersion { build_id, deployment_name: "d".into() }),
        }));
    }
    let versioning_override =
        versioning.map(|one| VersioningOverride { r#override: Some(one), ..VersioningOverride::default() });
    Ok(UpdateWorkflowExecutionOptionsRequest {
        update_mask: mask(line),
        workflow_execution_options: Some(WorkflowExecutionOptions {
            versioning_override,
            priority: priority(line)?,
            ..WorkflowExecutionOptions::default()
        }),
        identity: "operator".into(),
        ..UpdateWorkflowExecutionOptionsRequest::default()
    })
}

fn selector(line: &mut Line) -> Result<ActivitySelector, String> {
    if let Some(kind) = line.field("type") {
        return Ok(ActivitySelector::Type(kind));
    }
    if line.flag("all") {
        return Ok(ActivitySelector::All);
    }
    Ok(ActivitySelector::Id(line.word()?))
}

fn activity_options(line: &mut Line) -> Result<UpdateActivityOptionsRequest, String> {
    let activity = match selector(line)? {
        ActivitySelector::Id(id) => Activity::Id(id),
        ActivitySelector::Type(kind) => Activity::Type(kind),
        ActivitySelector::All => Activity::MatchAll(true),
    };
    Ok(UpdateActivityOptionsRequest {
        activity: Some(activity),
        restore_original: line.flag("restore"),
        update_mask: mask(line),
        activity_options: Some(ActivityOptions {
            task_queue: queue(line.field("queue")),
            start_to_close_timeout: line.duration("close")?,
            schedule_to_start_timeout: line.duration("start")?,
            schedule_to_close_timeout: line.duration("schedule_to_close")?,
            heartbeat_timeout: line.duration("heartbeat")?,
            retry_policy: line.retry()?,
            priority: priority(line)?,
            ..ActivityOptions::default()
        }),
        ..UpdateActivityOptionsRequest::default()
    })
}
