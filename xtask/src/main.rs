//! Chores: `cargo xtask test` runs everything that must hold, `cargo xtask bench` measures. Without dependencies, so
//! that it is built in a moment on a fresh machine.

mod bench;
mod fuzz;
mod install;
mod safety;
mod steps;
mod tidy;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask test [STEP...]     all checks and tests, or the named steps
cargo xtask test --list        the steps
cargo xtask tidy               the checks of the tree's shape alone
cargo xtask bench [OPTION...]  release builds, then the load driver with the project's goals; options go to the driver
cargo xtask safety [OPTION...] kills, power cuts and other disasters in their hundreds; options go to tests/safety
cargo xtask fuzz [TARGET...] [--seconds N]     what parses, under libFuzzer: 300 seconds for each target";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", names @ ..] => steps::test(names),
        ["tidy"] => tidy::check(&root()).map(|()| ExitCode::SUCCESS),
        ["bench", options @ ..] => bench::run(options).map(|()| ExitCode::SUCCESS),
        ["safety", options @ ..] => safety::run(options).map(|()| ExitCode::SUCCESS),
        ["fuzz", arguments @ ..] => fuzz::fuzz(arguments).map(|()| ExitCode::SUCCESS),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        [other, ..] => Err(format!("no chore `{other}`\n{USAGE}")),
    };
    match outcome {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(PathBuf::from).unwrap_or(own)
}

/// A command in the folder of the workspace.
fn command(program: &str, arguments: &[&str]) -> Command {
    // A program of the project's own is named from the workspace, wherever we were called.
    let program = if program.starts_with(".tools/") { root().join(program) } else { PathBuf::from(program) };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command to its end, its output to ours.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let line = format!("{program} {}", arguments.join(" "));
    let status =
        command(program, arguments).status().map_err(|error| format!("cannot start `{line}`: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("`{line}` ended with {status}"))
}

/// What a command prints on its standard output.
fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let line = format!("{program} {}", arguments.join(" "));
    let done =
        command(program, arguments).output().map_err(|error| format!("cannot start `{line}`: {error}"))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(format!("`{line}` failed: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}
