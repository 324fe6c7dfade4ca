//! The load driver: does the same work on any server that speaks the Temporal API, as worker and as client, on the raw
//! API without an SDK, and says how fast it was and what it cost the server.

mod client;
mod connection;
mod disk;
mod goals;
mod lanes;
mod machine;
mod measure;
mod metrics;
mod phase;
mod process;
mod report;
mod run;
mod scenario;
mod server;
mod worker;
mod workflows;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

use crate::scenario::Scenario;

/// The driver shares the cores with the server: what it takes less is there for what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures a server that speaks the Temporal API: throughput, latency, CPU, memory, disk.
#[derive(Parser, Debug)]
#[command(name = "steadfast-bench", version)]
struct Arguments {
    /// A server that is running: host:port. What the start scenario starts stays open there.
    #[arg(long, conflicts_with_all = ["server_command", "compare"])]
    address: Option<String>,

    /// The process id of the server at --address, to read its CPU and memory.
    #[arg(long, requires = "address")]
    server_pid: Option<u32>,

    /// A command that starts a server in the foreground. Filled in: {port}, {db} (a path for a database file that does
    /// not exist yet), {http_port} and {metrics_port} (free ports). Each scenario gets a fresh server.
    #[arg(long, conflicts_with = "compare")]
    server_command: Option<String>,

    /// Two such commands: the same work on both in turns, with ratios.
    #[arg(long, num_args = 2, value_names = ["COMMAND_A", "COMMAND_B"])]
    compare: Option<Vec<String>>,

    /// Scenarios, separated by commas; `all` for every one.
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,

    /// Units of work that are under way at the same time; one measurement for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    in_flight: Vec<usize>,

    /// Length of one measurement, after a warm-up of a fifth of it (2 s at most).
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,

    /// How often everything is measured; rounds are added up.
    #[arg(long, default_value_t = 1)]
    rounds: u32,

    /// Pollers of each kind: workflow tasks, sticky workflow tasks, activities [default: as many as there is work in
    /// flight, so that no task waits for a poller].
    #[arg(long)]
    pollers: Option<usize>,

    /// Have every activity polled for. Without it the worker asks, as the SDKs' workers do unless they are told not to, to
    /// be given activities with the reply to the decision that schedules them; a server may do that or not.
    #[arg(long)]
    without_eager: bool,

    /// Closed runs on the server before a scenario is measured [default: 1000 for list and count, else 0].
    #[arg(long)]
    closed_runs: Option<u64>,

    /// Open runs that wait, on the server before a scenario is measured. With --address they stay there.
    #[arg(long, default_value_t = 0)]
    open_runs: u64,

    /// Events that the runs of the scenario `step` have before it is measured, at least.
    #[arg(long, default_value_t = 0)]
    history_events: u64,

    /// Starts that wait for workers in the scenario `backlog`.
    #[arg(long, default_value_t = 2000)]
    backlog: u64,

    #[arg(long, default_value = "default")]
    namespace: String,

    /// A folder for databases of the servers that are started, on the disk that is to be measured.
    #[arg(long, default_value = "target/bench")]
    data: PathBuf,

    /// Print JSON on standard output instead of tables.
    #[arg(long)]
    json: bool,

    /// Print the project's goals with what was measured; needs noop and activity among the scenarios, and 1 and 64 in
    /// flight.
    #[arg(long)]
    goals: bool,
}

impl Arguments {
    fn scenarios(&self) -> Result<Vec<Scenario>, String> {
        match self.scenarios.as_slice() {
            [] => Ok(Scenario::DEFAULT.to_vec()),
            [all] if all == "all" => Ok(Scenario::ALL.to_vec()),
            names => names.iter().map(|name| name.parse()).collect(),
        }
    }

    fn pollers(&self) -> usize {
        self.pollers.or(self.in_flight.iter().copied().max()).unwrap_or(1)
    }

    fn check(&self) -> Result<(), String> {
        if self.address.is_none() && self.server_command.is_none() && self.compare.is_none() {
            return Err("say which server: --address, --server-command or --compare".into());
        }
        if !(self.seconds.is_finite() && self.seconds >= 0.1) {
            return Err("--seconds must be at least 0.1".into());
        }
        if self.in_flight.contains(&0) || self.pollers == Some(0) || self.rounds == 0 {
            return Err("--in-flight, --pollers and --rounds must be at least 1".into());
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let scenarios = match arguments.check().and_then(|()| arguments.scenarios()) {
        Ok(scenarios) => scenarios,
        Err(problem) => return complain(&problem),
    };
    // One thread: more would take more of the cores that the server needs, to wake each other.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("no runtime: {error}")),
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run::everything(&arguments, &scenarios) => outcome,
            // Dropping the work ends the servers that it started.
            stopped = asked_to_stop() => stopped,
        }
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => complain(&format!("{error:#}")),
    }
}

/// Waits for Ctrl+C or a termination; never Ok.
async fn asked_to_stop() -> anyhow::Result<bool> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    anyhow::bail!("interrupted")
}

fn complain(problem: &str) -> ExitCode {
    eprintln!("steadfast-bench: {problem}");
    ExitCode::from(2)
}
