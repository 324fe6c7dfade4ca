//! RecordMarker: side effects, local activities, patches.

use super::{Completion, Done, check_field, check_size};
use crate::env::Env;
use crate::workflow::events::Attributes;
use crate::workflow::step::Step;
use prost::Message as _;
use steadfast_api::v1::command::{Command, RecordMarkerCommandAttributes};
use steadfast_api::v1::enums::WorkflowTaskFailedCause as Cause;
use steadfast_api::v1::history::MarkerRecordedEventAttributes;

pub fn record(
    step: &mut Step,
    completion: &Completion<'_>,
    command: &Command,
    attributes: &RecordMarkerCommandAttributes,
    env: &mut Env<'_>,
) -> Done {
    let cause = Cause::BadRecordMarkerAttributes;
    check_field(cause, "RecordMarkerCommand", "MarkerName", &attributes.marker_name, env)?;
    let size = attributes.details.iter().map(|(name, details)| name.len() + details.encoded_len()).sum();
    check_size(cause, "RecordMarkerCommandAttributes.Details", size, env)?;
    step.write_full(
        env,
        Attributes::MarkerRecordedEventAttributes(MarkerRecordedEventAttributes {
            marker_name: attributes.marker_name.clone(),
            details: attributes.details.clone(),
            workflow_task_completed_event_id: completion.completed_event_id,
            header: attributes.header.clone(),
            failure: attributes.failure.clone(),
        }),
        command.user_metadata.clone(),
        Vec::new(),
    );
    Ok(())
}
