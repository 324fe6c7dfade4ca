//! The long run: every kind of test, with as many rounds as it is told.

use anyhow::{Result, bail};
use clap::Parser;
use safety_test::report::Report;
use safety_test::{clock, flip, full, histories, kill, overload, power, refuse};
use std::process::ExitCode;
use std::time::Duration;

/// Kills, power cuts and the other disasters, against the real server. Without a name, all of them.
#[derive(Parser)]
struct Arguments {
    /// Which to run: kill, power, full, clock, refuse, flip, histories, overload.
    names: Vec<String>,
    /// How often the server is killed.
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// How often the power is cut.
    #[arg(long, default_value_t = 200)]
    cuts: usize,
    /// How often the disk is full.
    #[arg(long, default_value_t = 20)]
    fills: usize,
    /// How often the clock is set.
    #[arg(long, default_value_t = 20)]
    jumps: usize,
    /// How many bits are flipped.
    #[arg(long, default_value_t = 1000)]
    flips: usize,
    /// How many histories of calls are recorded; with kills in every other one.
    #[arg(long, default_value_t = 100)]
    histories: usize,
    /// Calls of each history.
    #[arg(long, default_value_t = 2000)]
    calls: usize,
    /// Seconds for which three times as much is asked for as can be done.
    #[arg(long, default_value_t = 20)]
    rush: u64,
    /// What all random choices come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const NAMES: [&str; 8] = ["kill", "power", "full", "clock", "refuse", "flip", "histories", "overload"];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False if a promise was broken.
#[tokio::main]
async fn run(arguments: &Arguments) -> Result<bool> {
    for name in &arguments.names {
        if !NAMES.contains(&name.as_str()) {
            bail!("there is no test `{name}`; there are: {}", NAMES.join(", "));
        }
    }
    let mut right = true;
    for name in NAMES {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let report = one(name, arguments).await?;
        print!("{}", report.text());
        right &= report.wrong.is_empty();
    }
    Ok(right)
}

async fn one(name: &str, arguments: &Arguments) -> Result<Report> {
    match name {
        "kill" => kill::rounds(arguments.kills, arguments.seed).await,
        "power" => power::rounds(arguments.cuts, arguments.seed).await,
        "full" => full::rounds(arguments.fills, arguments.seed).await,
        "clock" => clock::jumps(arguments.jumps, arguments.seed).await,
        "refuse" => refuse::cases().await,
        "flip" => flip::bits(arguments.flips, arguments.seed).await,
        "histories" => histories::runs(arguments.histories, arguments.calls, arguments.seed).await,
        "overload" => overload::rush(Duration::from_secs(arguments.rush)).await,
        other => bail!("there is no test `{other}`"),
    }
}
