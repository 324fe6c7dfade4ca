//! The order of things: servers up and down, phases one after the other, results collected and shown.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::sleep;

use crate::Arguments;
use crate::disk;
use crate::machine::Machine;
use crate::measure::{self, Plan};
use crate::phase::Phase;
use crate::process::Process;
use crate::report::{self, Boot, Results, Run};
use crate::scenario::Scenario;
use crate::server::{Server, Target};
use crate::worker::WorkerOptions;

/// Starts whose median is the boot time.
const BOOTS: usize = 3;
/// After which a server that came up has settled, and its memory is what it is "at start".
const SETTLED: Duration = Duration::from_millis(500);
const FIRST_WORKFLOW_PATIENCE: Duration = Duration::from_secs(30);

/// Measures all that was asked for and prints it. False if some unit of work failed.
pub async fn everything(arguments: &Arguments, scenarios: &[Scenario]) -> Result<bool> {
    // Of the servers that we start; the disk of one that runs elsewhere is not ours to measure.
    let mut syncs = Vec::new();
    let runs = match (&arguments.address, &arguments.server_command, &arguments.compare) {
        (Some(address), _, _) => vec![running_server(arguments, scenarios, address).await?],
        (_, Some(command), _) => own_servers(arguments, scenarios, &[command.as_str()], &mut syncs).await?,
        (_, _, Some(commands)) => {
            let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
            own_servers(arguments, scenarios, &commands, &mut syncs).await?
        }
        _ => unreachable!("the arguments were checked: one of the three is there"),
    };
    syncs.sort();
    let results = Results { machine: Machine::here(), syncs, seconds: arguments.seconds, runs };
    match arguments.json {
        true => println!("{}", report::json(&results, arguments.goals)?),
        false => print!("{}", report::text(&results, arguments.goals)),
    }
    Ok(results
        .runs
        .iter()
        .flat_map(|run| &run.phases)
        .all(|phase| phase.failures == 0 || phase.unimplemented))
}

async fn running_server(arguments: &Arguments, scenarios: &[Scenario], address: &str) -> Result<Run> {
    let target = Target {
        address: address.into(),
        namespace: arguments.namespace.clone(),
        process: arguments.server_pid.map(Process::new),
        database: None,
        metrics_port: None,
    };
    let mut run = Run { name: "server".into(), server: address.into(), boot: None, phases: Vec::new() };
    for _ in 0..arguments.rounds {
        for scenario in scenarios {
            phases(arguments, &target, *scenario, &mut run).await?;
        }
    }
    Ok(run)
}

/// Each scenario on a fresh server, so that what one leaves behind is not charged to the next; several commands take
/// turns, so that a machine that slows down or speeds up does so for all.
async fn own_servers(
    arguments: &Arguments,
    scenarios: &[Scenario],
    commands: &[&str],
    syncs: &mut Vec<Duration>,
) -> Result<Vec<Run>> {
    fs::create_dir_all(&arguments.data).with_context(|| format!("creating {}", arguments.data.display()))?;
    let mut runs = Vec::new();
    let names = match commands.len() {
        1 => ["server", ""],
        _ => ["A", "B"],
    };
    for (command, name) in commands.iter().zip(names) {
        eprintln!("{name}: {command}");
        let boot = boot(arguments, command).await?;
        runs.push(Run {
            name: name.into(),
            server: (*command).to_owned(),
            boot: Some(boot),
            phases: Vec::new(),
        });
    }
    for _ in 0..arguments.rounds {
        for scenario in scenarios {
            // Close to what is judged by it, and while nothing else is running: disks have moods.
            syncs.push(disk::sync_time(&arguments.data)?);
            for (command, run) in commands.iter().zip(&mut runs) {
                let server = start(arguments, command).await?;
                phases(arguments, &server.target, *scenario, run).await?;
                server.stop().await?;
            }
        }
    }
    Ok(runs)
}

async fn start(arguments: &Arguments, command: &str) -> Result<Server> {
    start_and_settle(arguments, command, None).await
}

async fn start_and_settle(arguments: &Arguments, command: &str, settled: Option<Duration>) -> Result<Server> {
    let data = Path::new(&arguments.data).canonicalize()?;
    Server::start(command, &arguments.namespace, &data, settled).await
}

async fn phases(arguments: &Arguments, target: &Target, scenario: Scenario, run: &mut Run) -> Result<()> {
    let worker = WorkerOptions { pollers: arguments.pollers(), eager: !arguments.without_eager };
    let closed = arguments.closed_runs.unwrap_or(scenario.closed_runs());
    measure::leave_behind(target, Scenario::Noop, closed, worker).await?;
    measure::leave_behind(target, Scenario::Idle, arguments.open_runs, worker).await?;
    let time = Duration::from_secs_f64(arguments.seconds);
    if scenario == Scenario::Backlog {
        eprintln!("{}: a backlog of {}", run.name, arguments.backlog);
        let in_flight = arguments.in_flight.iter().copied().max().unwrap_or(1);
        let plan = Plan { scenario, in_flight, time, history_events: 0, worker };
        keep(&mut run.phases, measure::drain(target, plan, arguments.backlog).await?);
        return Ok(());
    }
    for in_flight in &arguments.in_flight {
        let history_events = arguments.history_events;
        let plan = Plan { scenario, in_flight: *in_flight, time, history_events, worker };
        eprintln!("{}: {} at {in_flight} in flight", run.name, scenario.name());
        let phase = measure::run(target, plan).await?;
        keep(&mut run.phases, phase);
    }
    Ok(())
}

fn keep(phases: &mut Vec<Phase>, phase: Phase) {
    let same = |known: &&mut Phase| known.scenario == phase.scenario && known.in_flight == phase.in_flight;
    match phases.iter_mut().find(same) {
        Some(known) => known.absorb(phase),
        None => phases.push(phase),
    }
}

async fn boot(arguments: &Arguments, command: &str) -> Result<Boot> {
    let mut serving = Vec::new();
    let mut first_workflow = Vec::new();
    for _ in 0..BOOTS {
        let server = start(arguments, command).await?;
        serving.push(server.serving_after);
        let deadline = Instant::now() + FIRST_WORKFLOW_PATIENCE;
        measure::first_workflow(&server.target, deadline).await?;
        first_workflow.push(server.spawned.elapsed());
        server.stop().await?;
    }
    let server = start_and_settle(arguments, command, Some(SETTLED)).await?;
    let memory = server.memory_at_start;
    sleep(SETTLED).await;
    let resident = server.target.process.as_ref().and_then(Process::usage).map(|usage| usage.resident);
    server.stop().await?;
    serving.sort();
    first_workflow.sort();
    Ok(Boot {
        serving: serving[BOOTS / 2],
        first_workflow: first_workflow[BOOTS / 2],
        memory,
        memory_connected: resident,
    })
}
