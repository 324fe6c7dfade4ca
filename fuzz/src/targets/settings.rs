//! Dynamic configuration: a first byte that chooses a key (or none: then the key is text, up to `=`), then a value as JSON.
//!
//! Promised beside: what is not taken changes nothing, and the same setting once more changes nothing more.

use steadfast_machine::Limits;
use steadfast_server::dynamic_config::{Effect, apply};

const KEYS: &[&str] = &[
    "limit.maxIDLength",
    "limit.historySize.error",
    "history.maxInFlightUpdates",
    "system.enableActivityEagerExecution",
    "activity.enableStandalone",
    "component.callbacks.allowedAddresses",
    "component.callbacks.request.timeout",
    "history.workflowIdReuseMinimalInterval",
    "frontend.rps",
    "frontend.namespaceRPS",
];

pub fn run(input: &[u8]) {
    let Some((key, rest)) = input.split_first() else { return };
    let rest = String::from_utf8_lossy(rest);
    let (key, value) = match KEYS.get(usize::from(*key) % (KEYS.len() + 1)) {
        Some(key) => (*key, rest.as_ref()),
        None => rest.split_once('=').unwrap_or((&rest, "1")),
    };
    let Ok(value) = serde_json::from_str(value) else { return };
    let mut limits = Limits::default();
    let before = format!("{limits:?}");
    let effect = apply(&mut limits, key, &value);
    let after = format!("{limits:?}");
    assert!(effect == Effect::Applied || before == after, "{effect:?} changed something");
    assert_eq!(apply(&mut limits, key, &value), effect);
    assert_eq!(format!("{limits:?}"), after, "once more is not the same");
    let times = [limits.callback_timeout, limits.callback_first_interval, limits.callback_longest_interval];
    let counts = [limits.history_bytes, limits.history_events, limits.updates_total, limits.run_spacing];
    assert!(times.iter().chain(&counts).all(|number| *number >= 0), "a limit is negative");
}
