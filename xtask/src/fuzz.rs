//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, which looks for inputs that reach code no input has reached. What it
//! has learned stays in `target/fuzz-corpus`, and the next run goes on from there.

use crate::{command, output, root, run};

/// Seconds for each target.
const SECONDS: &str = "300";
const TARGET_DIR: &str = "target/fuzz";
const USAGE: &str = "cargo xtask fuzz [TARGET...] [--seconds N]";

/// All targets or the named ones, one after the other; stops at the first that is found to do what it may not.
pub fn fuzz(arguments: &[&str]) -> Result<(), String> {
    let (names, seconds) = match arguments {
        [names @ .., "--seconds", seconds] => (names, *seconds),
        names => (names, SECONDS),
    };
    if seconds.parse::<u32>().is_err() || names.iter().any(|name| name.starts_with('-')) {
        return Err(USAGE.into());
    }
    let known = output("cargo", &["run", "--quiet", "-p", "fuzz-targets", "--", "list"])?;
    let known: Vec<&str> = known.lines().filter_map(|line| line.split(' ').next()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!("no target {unknown}; there are: {}", known.join(", ")));
    }
    needed()?;
    let chosen = if names.is_empty() { &known[..] } else { names };
    chosen.iter().try_for_each(|target| one(target, seconds))
}

fn one(target: &str, seconds: &str) -> Result<(), String> {
    let folder = root().join("target/fuzz-corpus");
    let (learned, begin) = (folder.join(target), folder.join(format!("{target}-known")));
    std::fs::create_dir_all(&learned).map_err(|error| format!("{}: {error}", learned.display()))?;
    let (learned, begin) = (learned.display().to_string(), begin.display().to_string());
    run("cargo", &["run", "--quiet", "-p", "fuzz-targets", "--", "corpus", target, &begin])?;
    let time = format!("-max_total_time={seconds}");
    #[rustfmt::skip]
    let arguments = [
        "+nightly", "fuzz", "run", "--fuzz-dir", "fuzz/libfuzzer", "--target-dir", TARGET_DIR, "--sanitizer", "none", target,
        &learned, &begin, "--", &time, "-max_len=4096", "-len_control=0", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1",
    ];
    run("cargo", &arguments).map_err(|error| {
        format!(
            "{error}\nthe input is in fuzz/libfuzzer/artifacts/{target}: cargo run -p fuzz-targets -- try {target} FILE\n\
             prints it as a line for fuzz/corpus/{target}.txt"
        )
    })
}

/// Looks for what is not part of every Rust.
fn needed() -> Result<(), String> {
    let there =
        |arguments: &[&str]| command("cargo", arguments).output().is_ok_and(|done| done.status.success());
    if !there(&["+nightly", "--version"]) {
        return Err("a nightly compiler is needed: rustup toolchain install nightly".into());
    }
    if !there(&["+nightly", "fuzz", "--version"]) {
        return Err("cargo-fuzz is needed: cargo install cargo-fuzz --locked".into());
    }
    Ok(())
}
