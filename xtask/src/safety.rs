//! `cargo xtask safety`: the tests of `tests/safety` with many rounds, against a release build.

use crate::run as command;

/// Options go to the program: which tests, and how many rounds of each.
pub fn run(options: &[&str]) -> Result<(), String> {
    command("cargo", &["build", "--release", "-p", "steadfast-cli", "-p", "safety-test"])?;
    command("target/release/safety-test", options)
}
