//! The project's goals, and whether a run met them.

use serde::Serialize;

use crate::phase::Phase;
use crate::report::{Results, Run};
use crate::scenario::Scenario;

/// Server CPU of a workflow with one activity, in ms, at 64 in flight.
const ACTIVITY_CPU_MS: f64 = 0.40;
/// The part of the latency goal that is not the disk's, in ms.
const LATENCY_BASE_MS: f64 = 2.0;
/// A workflow with one activity is four commits, each of which waits for a sync.
const LATENCY_SYNCS: f64 = 4.0;
/// Resident memory after start, in MB (of 10^6 bytes).
const START_MEMORY_MB: f64 = 15.0;

#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    pub goal: String,
    /// In the goal's unit; none if the run did not measure it.
    pub measured: Option<f64>,
    pub limit: f64,
    pub unit: &'static str,
    pub met: Option<bool>,
}

/// The goals against one server's run.
pub fn check(results: &Results, run: &Run) -> Vec<Goal> {
    let phase = |in_flight: usize| -> Option<&Phase> {
        run.phases.iter().find(|phase| phase.scenario == Scenario::Activity && phase.in_flight == in_flight)
    };
    let sync_ms = results.sync().map(|sync| sync.as_secs_f64() * 1000.0).unwrap_or(0.0);
    vec![
        goal(
            "one activity: server CPU, 64 in flight",
            phase(64).and_then(Phase::server_cpu_ms),
            ACTIVITY_CPU_MS,
            "ms",
        ),
        goal(
            "one activity: p50 at 1 in flight (2 ms + 4 syncs)",
            phase(1).and_then(|phase| Some(phase.percentile(0.5)?.as_secs_f64() * 1000.0)),
            LATENCY_BASE_MS + LATENCY_SYNCS * sync_ms,
            "ms",
        ),
        goal(
            "memory at start",
            run.boot.as_ref().and_then(|boot| Some(boot.memory? as f64 / 1e6)),
            START_MEMORY_MB,
            "MB",
        ),
    ]
}

fn goal(name: &str, measured: Option<f64>, limit: f64, unit: &'static str) -> Goal {
    Goal { goal: name.into(), measured, limit, unit, met: measured.map(|value| value <= limit) }
}
