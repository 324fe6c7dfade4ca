//! Results, as tables for people and as JSON for programs.

use anyhow::Result;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

use crate::goals::{self, Goal};
use crate::machine::Machine;
use crate::phase::Phase;

pub struct Results {
    pub machine: Machine,
    /// One sync on the disk of the databases, measured before each scenario; sorted.
    pub syncs: Vec<Duration>,
    pub seconds: f64,
    /// One, or the two that are compared.
    pub runs: Vec<Run>,
}

impl Results {
    /// The median of the measurements.
    pub fn sync(&self) -> Option<Duration> {
        self.syncs.get(self.syncs.len() / 2).copied()
    }
}

/// Everything about one server.
pub struct Run {
    /// A short name for it in tables: `server`, or `A` and `B`.
    pub name: String,
    /// Its address, or the command that started it.
    pub server: String,
    pub boot: Option<Boot>,
    pub phases: Vec<Phase>,
}

pub struct Boot {
    /// From the start of the process to SERVING.
    pub serving: Duration,
    /// From the start of the process to the end of a first workflow.
    pub first_workflow: Duration,
    /// Resident bytes half a second after the port is open, before any call.
    pub memory: Option<u64>,
    /// And half a second after a first connection and its call: what answers calls is in memory then.
    pub memory_connected: Option<u64>,
}

pub fn text(results: &Results, with_goals: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail, so the results of `writeln!` are of no interest here.
    let machine = &results.machine;
    let _ = writeln!(
        out,
        "machine: {} cores, {}, {:.0} GB, Linux {}",
        machine.cores,
        machine.cpu,
        machine.memory as f64 / 1e9,
        machine.kernel
    );
    if let (Some(sync), Some(least), Some(most)) =
        (results.sync(), results.syncs.first(), results.syncs.last())
    {
        let (sync, least, most) = (milliseconds(sync), milliseconds(*least), milliseconds(*most));
        let _ = writeln!(
            out,
            "one sync on the disk of the databases: {sync:.3} ms (between scenarios {least:.3} to {most:.3})"
        );
    }
    for run in &results.runs {
        let _ = write!(out, "\n{}: {}\n{}", run.name, run.server, boot_line(run));
        out.push_str(&table(&rows(run)));
        out.push_str(&failures(run));
    }
    if let [first, second] = results.runs.as_slice() {
        out.push_str("\nB divided by A\n");
        out.push_str(&table(&ratios(first, second)));
    }
    if with_goals {
        for run in &results.runs {
            let _ = write!(out, "\ngoals, {}\n", run.name);
            out.push_str(&table(&goal_rows(&goals::check(results, run))));
        }
    }
    out
}

fn boot_line(run: &Run) -> String {
    let Some(boot) = &run.boot else { return String::new() };
    format!(
        "SERVING after {:.0} ms, first workflow finished after {:.0} ms, {} MB resident at start, {} MB after a call\n",
        milliseconds(boot.serving),
        milliseconds(boot.first_workflow),
        number(boot.memory.map(|bytes| bytes as f64 / 1e6), 1),
        number(boot.memory_connected.map(|bytes| bytes as f64 / 1e6), 1),
    )
}

fn rows(run: &Run) -> Vec<Vec<String>> {
    let head = [
        "scenario",
        "in flight",
        "per second",
        "p50 ms",
        "p99 ms",
        "server CPU ms",
        "driver CPU ms",
        "memory MB",
        "db bytes",
        "written",
        "syncs",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    for phase in &run.phases {
        let mut row = vec![phase.scenario.name().to_owned(), phase.in_flight.to_string()];
        if phase.unimplemented {
            row.push("not implemented".into());
            rows.push(row);
            continue;
        }
        let memory = phase.server.map_or("-".into(), |server| {
            format!("{:.0} > {:.0}", server.memory_before as f64 / 1e6, server.memory_after as f64 / 1e6)
        });
        row.extend([
            number(Some(phase.throughput()), 1),
            number(phase.percentile(0.5).map(milliseconds), 2),
            number(phase.percentile(0.99).map(milliseconds), 2),
            number(phase.server_cpu_ms(), 3),
            number(phase.driver_cpu_ms(), 3),
            memory,
            number(phase.database_bytes(), 0),
            number(phase.written_bytes(), 0),
            number(phase.syncs(), 2),
        ]);
        rows.push(row);
    }
    rows
}

fn failures(run: &Run) -> String {
    let failed = run.phases.iter().filter(|phase| phase.failures > 0 && !phase.unimplemented);
    failed
        .map(|phase| {
            let first = phase.first_failure.as_deref().unwrap_or("unknown");
            let (name, lanes, count) = (phase.scenario.name(), phase.in_flight, phase.failures);
            format!("{name} at {lanes} in flight: {count} failed; first: {first}\n")
        })
        .collect()
}

fn ratios(first: &Run, second: &Run) -> Vec<Vec<String>> {
    let head =
        ["scenario", "in flight", "throughput", "p50", "p99", "server CPU", "memory after", "db bytes"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for a in &first.phases {
        let same = |b: &&Phase| b.scenario == a.scenario && b.in_flight == a.in_flight;
        let Some(b) = second.phases.iter().find(same) else { continue };
        let memory = |phase: &Phase| Some(phase.server?.memory_after as f64);
        let latency = |phase: &Phase, share| phase.percentile(share).map(milliseconds);
        rows.push(vec![
            a.scenario.name().to_owned(),
            a.in_flight.to_string(),
            ratio(Some(a.throughput()), Some(b.throughput())),
            ratio(latency(a, 0.5), latency(b, 0.5)),
            ratio(latency(a, 0.99), latency(b, 0.99)),
            ratio(a.server_cpu_ms(), b.server_cpu_ms()),
            ratio(memory(a), memory(b)),
            ratio(a.database_bytes(), b.database_bytes()),
        ]);
    }
    rows
}

fn goal_rows(goals: &[Goal]) -> Vec<Vec<String>> {
    let mut rows = vec![["goal", "at most", "measured", ""].map(String::from).to_vec()];
    for goal in goals {
        rows.push(vec![
            goal.goal.clone(),
            format!("{:.2} {}", goal.limit, goal.unit),
            goal.measured.map_or("-".into(), |value| format!("{value:.2} {}", goal.unit)),
            match goal.met {
                Some(true) => "met".into(),
                Some(false) => "MISSED".into(),
                None => "not measured".into(),
            },
        ]);
    }
    rows
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a > 0.0 => {
            let ratio = b / a;
            format!("{ratio:.prec$}", prec = if ratio < 0.1 { 4 } else { 2 })
        }
        _ => "-".into(),
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.decimals$}"))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Columns as wide as their widest cell; the first to the left, the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("  {cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        });
        out.push_str(cells.collect::<String>().trim_end());
        out.push('\n');
    }
    out
}

pub fn json(results: &Results, with_goals: bool) -> Result<String> {
    let runs: Vec<Value> = results
        .runs
        .iter()
        .map(|run| {
            let mut value = json!({
                "name": run.name,
                "server": run.server,
                "boot": run.boot.as_ref().map(|boot| json!({
                    "serving_ms": milliseconds(boot.serving),
                    "first_workflow_ms": milliseconds(boot.first_workflow),
                    "memory_bytes": boot.memory,
                    "memory_connected_bytes": boot.memory_connected,
                })),
                "phases": run.phases.iter().map(phase_json).collect::<Vec<_>>(),
            });
            if with_goals {
                value["goals"] = json!(goals::check(results, run));
            }
            value
        })
        .collect();
    let value = json!({
        "machine": results.machine,
        "sync_ms": results.sync().map(milliseconds),
        "seconds": results.seconds,
        "runs": runs,
    });
    Ok(serde_json::to_string_pretty(&value)?)
}

fn phase_json(phase: &Phase) -> Value {
    json!({
        "scenario": phase.scenario.name(),
        "in_flight": phase.in_flight,
        "implemented": !phase.unimplemented,
        "units": phase.units,
        "per_second": phase.throughput(),
        "p50_ms": phase.percentile(0.5).map(milliseconds),
        "p99_ms": phase.percentile(0.99).map(milliseconds),
        "server_cpu_ms": phase.server_cpu_ms(),
        "driver_cpu_ms": phase.driver_cpu_ms(),
        "memory_before_bytes": phase.server.map(|server| server.memory_before),
        "memory_after_bytes": phase.server.map(|server| server.memory_after),
        "database_bytes": phase.database_bytes(),
        "written_bytes": phase.written_bytes(),
        "syncs": phase.syncs(),
        "failures": phase.failures,
        "first_failure": phase.first_failure,
    })
}
