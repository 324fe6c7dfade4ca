//! Scenarios of the machines as plain text.
//!
//! A file in `scenarios/` (of workflows), `scenarios/standalone/` (of a standalone activity) or `scenarios/batch/` (of a batch operation) is a list of blocks: a line with an input, indented lines that belong to it (the commands of a
//! completion), `----`, and what came of it. Run with `UPDATE_SCENARIOS=1` the test writes what comes of the inputs
//! into the files instead of comparing. `support/input.rs`, `support/standalone.rs` and
//! `support/batch.rs` list the inputs.

// The API marks fields as deprecated that SDKs still send.
#![allow(deprecated)]

#[path = "support/batch.rs"]
mod batch;
#[path = "support/standalone.rs"]
mod standalone;
mod support;

use batch::Batch;
use standalone::Standalone;
use std::fmt::Write as _;
use std::path::Path;
use support::world::World;

#[test]
fn scenarios() {
    check("tests/scenarios", |text| {
        let mut world = World::new();
        run(text, |input| world.execute(input))
    });
}

#[test]
fn scenarios_of_standalone_activities() {
    check("tests/scenarios/standalone", |text| {
        let mut world = Standalone::new();
        run(text, |input| world.execute(input))
    });
}

#[test]
fn scenarios_of_batch_operations() {
    check("tests/scenarios/batch", |text| {
        let mut world = Batch::new();
        run(text, |input| world.execute(input))
    });
}

/// Compares each file of a folder with what comes of its inputs.
fn check(folder: &str, run: impl Fn(&str) -> Result<String, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of the scenarios is part of the source")
        .map(|entry| entry.expect("its entries can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    let mut wrong = String::new();
    for path in paths {
        let expected = std::fs::read_to_string(&path).expect("a scenario is text");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let actual = run(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
        if actual == expected {
            continue;
        }
        if update {
            std::fs::write(&path, actual).expect("a scenario can be rewritten");
        } else {
            let _ = writeln!(wrong, "{name} differs:\n{}", difference(&expected, &actual));
        }
    }
    assert!(wrong.is_empty(), "{wrong}\nUPDATE_SCENARIOS=1 accepts what is");
}

/// The file as it would be with the outputs of its inputs.
fn run(text: &str, mut execute: impl FnMut(&[&str]) -> Result<String, String>) -> Result<String, String> {
    let mut output = String::new();
    let mut input: Vec<&str> = Vec::new();
    let mut in_output = false;
    for (number, line) in text.lines().enumerate() {
        if in_output {
            if !line.is_empty() {
                continue;
            }
            in_output = false;
        }
        if line == "----" {
            let came = execute(&input).map_err(|error| format!("line {}: {error}", number + 1))?;
            output.push_str("----\n");
            output.push_str(&came);
            input.clear();
            in_output = true;
            continue;
        }
        if line.starts_with('#') && input.is_empty() || line.is_empty() {
            if !input.is_empty() {
                return Err(format!("line {}: a block without ----", number + 1));
            }
        } else {
            input.push(line);
        }
        output.push_str(line);
        output.push('\n');
    }
    if !input.is_empty() {
        return Err("the last block has no ----".into());
    }
    Ok(output)
}

fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    let same = expected.iter().zip(&actual).take_while(|(a, b)| a == b).count();
    let same_end =
        expected[same..].iter().rev().zip(actual[same..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut text = format!("from line {}:\n", same + 1);
    for line in &expected[same..expected.len() - same_end] {
        let _ = writeln!(text, "  - {line}");
    }
    for line in &actual[same..actual.len() - same_end] {
        let _ = writeln!(text, "  + {line}");
    }
    text
}
