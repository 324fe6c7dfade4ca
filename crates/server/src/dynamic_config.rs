//! The reference's dynamic configuration, as far as it means something here. Scripts and test suites pass dozens of
//! keys, many of which the reference itself has dropped: unknown ones are taken with a warning.

use serde_json::Value;
use steadfast_machine::Limits;
use steadfast_machine::duration::SECOND;
use steadfast_machine::limits::AddressRule;

/// What a key and its value did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is in force.
    Applied,
    /// It asks for what is always so here.
    AlwaysSo,
    /// It is known, but this server does otherwise, or cannot.
    Ignored,
    Unknown,
    /// The value is not of the key's type.
    BadValue,
}

/// Switches that are always on here.
const ALWAYS_ON: &[&str] = &[
    "activity.enablestandalone",
    "frontend.activityapisenabled",
    "frontend.enableexecutemultioperation",
    "frontend.enableupdateworkflowexecution",
    "frontend.enableupdateworkflowexecutionasyncaccepted",
    "history.enablerequestidreflinks",
    "system.enableeagerworkflowstart",
    "system.forcesearchattributescacherefreshonread",
    "matching.usenewmatcher",
];

/// Known keys without a meaning here, because there is nothing to cache, to wait for, or to rate.
const WITHOUT_MEANING: &[&str] = &[
    "frontend.enableserverversioncheck",
    "frontend.namespacerps.namespacereplicationinducingapis",
    "frontend.namespacerps.visibility",
    "frontend.rps",
    "frontend.rps.namespacereplicationinducingapis",
    "system.refreshnexusendpointsminwait",
    "system.visibilitypersistencemaxreadqps",
    "system.visibilitypersistencemaxwriteqps",
    "worker.buildidscavengerenabled",
];

/// Applies one setting. Keys are compared without regard to case.
pub fn apply(limits: &mut Limits, key: &str, value: &Value) -> Effect {
    let key = key.to_ascii_lowercase();
    if ALWAYS_ON.contains(&key.as_str()) {
        return match value {
            Value::Bool(true) => Effect::AlwaysSo,
            Value::Bool(false) => Effect::Ignored,
            _ => Effect::BadValue,
        };
    }
    if WITHOUT_MEANING.contains(&key.as_str()) {
        return Effect::AlwaysSo;
    }
    let size = value.as_u64().and_then(|number| usize::try_from(number).ok());
    let set = |field: &mut usize| match size {
        Some(size) => {
            *field = size;
            Effect::Applied
        }
        None => Effect::BadValue,
    };
    let set_count = |field: &mut i64| match value.as_i64() {
        Some(number) if number >= 0 => {
            *field = number;
            Effect::Applied
        }
        _ => Effect::BadValue,
    };
    let set_switch = |field: &mut bool| match value.as_bool() {
        Some(on) => {
            *field = on;
            Effect::Applied
        }
        None => Effect::BadValue,
    };
    let set_time = |field: &mut i64| match value.as_str().and_then(nanos) {
        Some(nanos) => {
            *field = nanos;
            Effect::Applied
        }
        None => Effect::BadValue,
    };
    match key.as_str() {
        "frontend.namespacerps" => set(&mut limits.namespace_calls),
        "limit.maxidlength" => set(&mut limits.id_bytes),
        "limit.blobsize.error" => set(&mut limits.blob_bytes),
        "limit.memosize.error" => set(&mut limits.memo_bytes),
        "limit.historysize.error" => set_count(&mut limits.history_bytes),
        "limit.historycount.error" => set_count(&mut limits.history_events),
        "limit.mutablestatesize.error" => set_count(&mut limits.state_bytes),
        "system.transactionsizelimit" => set_count(&mut limits.step_bytes),
        "limit.historysize.suggestcontinueasnew" => set_count(&mut limits.suggest_continue_bytes),
        "limit.historycount.suggestcontinueasnew" => set_count(&mut limits.suggest_continue_events),
        "limit.numpendingactivities.error" => set(&mut limits.pending_activities),
        "limit.numpendingchildexecutions.error" => set(&mut limits.pending_children),
        "limit.numpendingsignals.error" => set(&mut limits.pending_signals),
        "limit.numpendingcancelrequests.error" => set(&mut limits.pending_cancels),
        "history.maximumsignalsperexecution" => set_count(&mut limits.signals_per_run),
        "history.maxinflightupdates" => set(&mut limits.updates_in_flight),
        "history.maxtotalupdates" => set_count(&mut limits.updates_total),
        "history.maximumbufferedeventsbatch" => set(&mut limits.buffered_events),
        "history.maxbufferedquerycount" => set(&mut limits.buffered_queries),
        "frontend.maxlinksperrequest" => set(&mut limits.links_per_request),
        "frontend.namespacecount" => set(&mut limits.long_calls),
        "frontend.enablebatcher" => set_switch(&mut limits.batches),
        "frontend.maxconcurrentbatchoperationpernamespace" => set(&mut limits.batches_at_once),
        "worker.batcherrps" => set(&mut limits.batch_operations_per_second),
        "worker.batcherconcurrency" => set(&mut limits.batch_concurrency),
        "frontend.linkmaxsize" => set(&mut limits.link_bytes),
        "system.enableactivityeagerexecution" => set_switch(&mut limits.eager_activities),
        "system.enablecrossnamespacecommands" => set_switch(&mut limits.cross_namespace_commands),
        "frontend.workflowpauseenabled" => set_switch(&mut limits.workflow_pause),
        "frontend.workflowrulesapisenabled" => set_switch(&mut limits.workflow_rules),
        "history.enablestandaloneactivityoperatorcommands" => set_switch(&mut limits.activity_operations),
        "system.maxcallbacksperworkflow" => set(&mut limits.callbacks_per_run),
        "component.callbacks.allowedaddresses"
        | "chasm.callback.allowedaddresses"
        | "callback.allowedaddresses" => match addresses(value) {
            Some(rules) => {
                limits.callback_addresses = rules;
                Effect::Applied
            }
            None => Effect::BadValue,
        },
        "component.callbacks.request.timeout" => set_time(&mut limits.callback_timeout),
        "component.callbacks.retrypolicy.initialinterval" => set_time(&mut limits.callback_first_interval),
        "component.callbacks.retrypolicy.maxinterval" => set_time(&mut limits.callback_longest_interval),
        "history.workflowidreuseminimalinterval" => set_time(&mut limits.run_spacing),
        "history.workflowtaskheartbeattimeout" => set_time(&mut limits.workflow_task_heartbeat),
        _ => Effect::Unknown,
    }
}

/// A list of `{"Pattern": …, "AllowInsecure": …}`; what has no pattern is left out, as the reference does.
fn addresses(value: &Value) -> Option<Vec<AddressRule>> {
    let entries = value.as_array()?;
    let field = |entry: &Value, name: &str| {
        let entry = entry.as_object()?;
        entry.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let rule = |entry: &Value| {
        let pattern = field(entry, "Pattern")?.as_str()?.to_owned();
        let allow_insecure = field(entry, "AllowInsecure").and_then(|on| on.as_bool()).unwrap_or(false);
        (!pattern.is_empty()).then_some(AddressRule { pattern, allow_insecure })
    };
    Some(entries.iter().filter_map(rule).collect())
}

/// `"0s"`, `"1s"`, `"1.5s"`, `"500ms"`, `"10m"` and `"1h"`, in nanoseconds.
fn nanos(text: &str) -> Option<i64> {
    let units = [("ms", SECOND / 1000), ("s", SECOND), ("m", 60 * SECOND), ("h", 3600 * SECOND)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    let number: f64 = number.parse().ok()?;
    (0.0..1e9).contains(&number).then_some((number * unit as f64) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn known_keys_change_the_limits_whatever_their_case() {
        let mut limits = Limits::default();
        let applied = apply(&mut limits, "limit.historyCount.suggestContinueAsNew", &json!(50));
        assert_eq!(applied, Effect::Applied);
        assert_eq!(limits.suggest_continue_events, 50);
        assert_eq!(apply(&mut limits, "LIMIT.BLOBSIZE.ERROR", &json!(1000)), Effect::Applied);
        assert_eq!(limits.blob_bytes, 1000);
        apply(&mut limits, "history.workflowIdReuseMinimalInterval", &json!("250ms"));
        assert_eq!(limits.run_spacing, SECOND / 4);
    }

    #[test]
    fn addresses_for_callbacks_replace_those_before() {
        let mut limits = Limits::default();
        let value = json!([{"Pattern": "*.example", "AllowInsecure": true}, {"Pattern": "a:1"}, {"odd": 1}]);
        assert_eq!(apply(&mut limits, "component.callbacks.allowedAddresses", &value), Effect::Applied);
        let rule = |pattern: &str, allow_insecure| AddressRule { pattern: pattern.into(), allow_insecure };
        assert_eq!(limits.callback_addresses, [rule("*.example", true), rule("a:1", false)]);
        let odd = json!("*");
        assert_eq!(apply(&mut limits, "component.callbacks.allowedAddresses", &odd), Effect::BadValue);
        apply(&mut limits, "component.callbacks.retryPolicy.maxInterval", &json!("10m"));
        assert_eq!(limits.callback_longest_interval, 600 * SECOND);
    }

    #[test]
    fn other_keys_and_values_are_told_apart_and_change_nothing() {
        let mut limits = Limits::default();
        for (key, value, effect) in [
            ("frontend.enableUpdateWorkflowExecution", json!(true), Effect::AlwaysSo),
            ("frontend.enableUpdateWorkflowExecution", json!(false), Effect::Ignored),
            ("nobody.knowsThis", json!(1), Effect::Unknown),
            ("limit.maxIDLength", json!("long"), Effect::BadValue),
            ("limit.historySize.error", json!(-1), Effect::BadValue),
        ] {
            assert_eq!(apply(&mut limits, key, &value), effect, "{key}");
        }
        assert_eq!(limits.id_bytes, Limits::default().id_bytes);
    }
}
