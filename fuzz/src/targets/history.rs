//! Events folded into a run, as a reset does with what is stored: any events, in any order.
//!
//! Promised beside: the run that comes of them can be stored and read back, and is the same then.

use crate::message;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use std::sync::Arc;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_machine::Limits;
use steadfast_machine::workflow::projection::{derived, fold};
use steadfast_machine::workflow::rows::StartRow;
use steadfast_machine::workflow::{continued_as, state::Run};
use uuid::Uuid;

pub fn run(input: &[u8]) {
    // The source gives zeros when it has nothing left.
    let _ = folded(&mut Unstructured::new(input));
}

fn folded(source: &mut Unstructured<'_>) -> Result<()> {
    let mut events = Vec::new();
    while !source.is_empty() && events.len() < 32 {
        let numbered = HistoryEvent { event_id: events.len() as i64 + 1, ..HistoryEvent::default() };
        let mut event = message::over(&numbered, "temporal.api.history.v1.HistoryEvent", source)?;
        if source.ratio(3_u8, 4_u8)? {
            event.event_id = numbered.event_id;
        }
        event.event_type = kind_of(&event);
        events.push(event);
    }
    let batches = vec![events.clone()];
    let _ = continued_as(&batches);
    let start =
        Arc::new(StartRow { workflow_type: "T".into(), task_queue: "q".into(), ..StartRow::default() });
    let run = fold(Uuid::from_u128(1), &start, &events, &Limits::default());
    let _ = (run.alarm(), run.stored_alarm(), run.history_parts(), derived(&run));
    let encoded: Bytes = run.encode_core();
    let again = Run::decode(run.id, &encoded, &[]).expect("what was encoded decodes");
    assert_eq!(again.encode_core(), encoded, "it is another after it was stored");
    Ok(())
}

/// The type that goes with the attributes, which is how events come; another is left where there are none.
fn kind_of(event: &HistoryEvent) -> i32 {
    let shown = format!("{:?}", event.attributes);
    let name = shown.split('(').nth(1).unwrap_or_default();
    let name = name.strip_suffix("EventAttributes").unwrap_or(name);
    let mut upper = String::from("EVENT_TYPE");
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            upper.push('_');
        }
        upper.push(c.to_ascii_uppercase());
    }
    let known = steadfast_api::v1::enums::EventType::from_str_name(&upper);
    known.map_or(event.event_type, |kind| kind as i32)
}
