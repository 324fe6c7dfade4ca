//! Random inputs, one after the other: nothing panics, and what has to hold holds after each (`support/check.rs`).
//!
//! The inputs are lines of scenarios, so that a failing sequence can be read, shortened, and kept as one.

// The API marks fields as deprecated that SDKs still send.
#![allow(deprecated)]

mod support;

use proptest::prelude::*;
use support::world::World;

fn one_of(lines: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(lines).prop_map(str::to_owned)
}

/// A command of a worker. Numbers in names are drawn from few, so that things meet.
fn command() -> impl Strategy<Value = String> {
    let n = 0..3;
    prop_oneof![
        6 => (n.clone(), one_of(&[
            "", " eager", " close=3s", " schedule_to_close=4s", " start=2s", " heartbeat=1s", " retry=1s,2,10s,2",
        ])).prop_map(|(n, more)| format!("activity a{n}{more}")),
        4 => (n.clone(), one_of(&["0s", "1s", "5s", "5s", "30s"])).prop_map(|(n, wait)| format!("timer t{n} {wait}")),
        2 => n.clone().prop_map(|n| format!("cancel-timer t{n}")),
        2 => (5..14).prop_map(|id| format!("cancel-activity {id}")),
        3 => (0..2, one_of(&["", " policy=abandon", " policy=cancel", " retry=1s,2,10s,2"]))
            .prop_map(|(n, more)| format!("child c{n}{more}")),
        2 => one_of(&[
            "signal-external c0", "signal-external w", "signal-external c1 child-only", "cancel-external c0",
            "cancel-external c1 child-only",
        ]),
        1 => one_of(&["marker m", "search Kind=a", "search Kind=", "memo k=v", "memo k="]),
        3 => (one_of(&["accept", "reject", "respond"]), n).prop_map(|(verb, n)| format!("{verb} u{n}")),
        2 => one_of(&["done", "done result=r", "failed", "canceled", "continue", "continue backoff=5s"]),
    ]
}

/// A block of lines: an input, and what belongs to it.
fn block() -> impl Strategy<Value = Vec<String>> {
    let n = 0..3;
    let complete =
        one_of(&["", "", " return-new", " force-new", " sticky=s", " sticky=s return-new", " stale"]);
    let outside = one_of(&[
        "start w",
        "start w",
        "start w",
        "start w delay=5s",
        "start w run_timeout=20s",
        "start w execution_timeout=30s",
        "start w conflict=terminate request=r",
        "start w conflict=use-existing request=r2",
        "start w eager",
        "start w callbacks=http://a/ retry=1s,2,10s,3",
        "start w callbacks=http://b/ conflict=use-existing attach",
        "start w retry=1s,2,10s,3",
        "start w cron=@hourly",
        "signal w s",
        "signal w s request=r1",
        "signal-with-start w s",
        "signal-with-start w s delay=5s",
        "cancel w",
        "terminate w",
        "delete w",
        "reset-sticky w",
        "sticky-unavailable w",
        "end-call w 0",
        "end-call w 0 failed=x retryable",
        "restart",
        "query w q",
        "pause w",
        "unpause w",
        "options w mask=priority priority=2",
        "options w mask=priority priority=4",
    ]);
    prop_oneof![
        8 => outside.prop_map(|line| vec![line]),
        8 => Just(vec!["poll w".to_owned()]),
        6 => one_of(&["deliver", "deliver", "deliver all", "deliver twice"]).prop_map(|line| vec![line]),
        4 => (0..2, one_of(&["poll c", "terminate c", "signal c", "start c"])).prop_map(|(n, line)| {
            vec![format!("{line}{n}{}", if line.starts_with("signal") { " s" } else { "" })]
        }),
        2 => (0..2, one_of(&["done", "failed", "continue"]))
            .prop_map(|(n, end)| vec![format!("complete c{n}"), end]),
        8 => (complete, prop::collection::vec(command(), 0..4)).prop_map(|(how, commands)| {
            std::iter::once(format!("complete w{how}")).chain(commands).collect()
        }),
        2 => one_of(&["fail-task w", "fail-task w cause=NonDeterministicError", "fail-task w cause=GrpcMessageTooLarge"])
            .prop_map(|line| vec![line]),
        5 => one_of(&["advance 1s", "advance 5s", "advance 5s", "advance 12s", "advance 60s"])
            .prop_map(|line| vec![line]),
        4 => n.clone().prop_map(|n| vec![format!("activity w a{n}")]),
        4 => (n.clone(), one_of(&["", " failure=boom", " failure=boom non-retryable", " canceled", " by-id"]))
            .prop_map(|(n, end)| vec![format!("end-activity w a{n}{end}")]),
        2 => (n.clone(), one_of(&["heartbeat", "undelivered", "pause-activity", "unpause-activity", "reset-activity"]))
            .prop_map(|(n, verb)| vec![format!("{verb} w a{n}")]),
        1 => n.clone().prop_map(|n| vec![format!("activity-options w a{n} mask=heartbeat_timeout heartbeat=2s")]),
        3 => n.clone().prop_map(|n| vec![format!("update w u{n} name")]),
        1 => n.prop_map(|n| vec![format!("update-with-start w u{n} name conflict=use-existing")]),
        1 => (2..12).prop_map(|event| vec![format!("reset w {event}")]),
    ]
}

fn limits() -> impl Strategy<Value = String> {
    one_of(&[
        "limit",
        "limit buffered_events=2",
        "limit history_events=20",
        "limit pending_activities=1 updates_in_flight=1",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_has_to_hold_holds_after_every_input(limits in limits(), blocks in prop::collection::vec(block(), 1..60)) {
        let mut world = World::new();
        world.execute(&[limits.as_str()]).expect("limits are limits");
        world.execute(&["start w"]).expect("a start is a start");
        for block in blocks {
            let lines: Vec<&str> = block.iter().map(String::as_str).collect();
            // A line about something that is not there is none; a refusal is an output like others.
            let _ = world.execute(&lines);
        }
    }
}
