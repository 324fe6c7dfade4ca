//! Links to events, as replies carry them.

use crate::env::Env;
use crate::key::RunKey;
use steadfast_api::v1::common::Link;
use steadfast_api::v1::common::link::workflow_event::{EventReference, Reference, RequestIdReference};
use steadfast_api::v1::common::link::{Variant, WorkflowEvent};
use steadfast_api::v1::enums::EventType;

pub fn to_event(run: &RunKey, event_id: i64, event_type: EventType, env: &Env<'_>) -> Link {
    let reference = Reference::EventRef(EventReference { event_id, event_type: event_type as i32 });
    link(run, reference, env)
}

pub fn to_request(run: &RunKey, request_id: &str, event_type: EventType, env: &Env<'_>) -> Link {
    let reference = Reference::RequestIdRef(RequestIdReference {
        request_id: request_id.to_owned(),
        event_type: event_type as i32,
    });
    link(run, reference, env)
}

fn link(run: &RunKey, reference: Reference, env: &Env<'_>) -> Link {
    Link {
        variant: Some(Variant::WorkflowEvent(WorkflowEvent {
            namespace: env.namespace.name().to_owned(),
            workflow_id: run.entity.id.to_string(),
            run_id: run.run.to_string(),
            reference: Some(reference),
        })),
    }
}
