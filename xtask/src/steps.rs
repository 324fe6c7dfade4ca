//! `cargo xtask test`: named steps, each a command, in the order in which they fail soonest. It stops at the first that
//! fails. The closing line counts the tests that the steps ran; a step that runs no tests counts as one.

use std::io::{BufRead, BufReader, Write};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use crate::{command, install, root, tidy};

struct Step {
    name: &'static str,
    what: &'static str,
    /// A folder whose package-lock.json is installed first, into its own node_modules.
    node: Option<&'static str>,
    /// A folder whose requirements.txt is installed first, into the project's own environment; `python` in the commands
    /// is the one of that environment.
    python: Option<&'static str>,
    action: Action,
}

enum Action {
    /// Programs with their arguments, one after the other, in the folder of the workspace.
    Commands(&'static [&'static [&'static str]]),
    /// A check that is part of xtask.
    Own(fn() -> Result<(), String>),
}

/// To add a step, add it here: when a folder with tests of its own arrives, its step arrives in the same commit, so no
/// step is ever skipped because something is missing.
const STEPS: &[Step] = &[
    Step {
        name: "format",
        what: "rustfmt has nothing to change",
        node: None,
        python: None,
        action: Action::Commands(&[&["cargo", "fmt", "--all", "--check"]]),
    },
    Step {
        name: "tidy",
        what: "edges between crates, length of files, reasons of TODOs, folders named in ARCHITECTURE.md",
        node: None,
        python: None,
        action: Action::Own(|| tidy::check(&root())),
    },
    // Before the Rust steps: the server embeds the pages that this one builds.
    Step {
        name: "web",
        what: "the pages: types, unit tests, build",
        node: Some("web"),
        python: None,
        action: Action::Commands(&[
            &["npm", "--prefix", "web", "run", "--silent", "check"],
            &["npm", "--prefix", "web", "run", "--silent", "test"],
            &["npm", "--prefix", "web", "run", "--silent", "build"],
        ]),
    },
    Step {
        name: "clippy",
        what: "no warnings in any target",
        node: None,
        python: None,
        action: Action::Commands(&[&[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]]),
    },
    Step {
        name: "rust",
        what: "all Rust tests of the workspace but those of a step of their own",
        node: None,
        python: None,
        action: Action::Commands(&[&[
            "cargo",
            "test",
            "--workspace",
            "--exclude",
            "exercise-test",
            "--exclude",
            "safety-test",
            "--exclude",
            "bad-input-test",
            "--locked",
            "--no-fail-fast",
        ]]),
    },
    Step {
        name: "safety",
        what: "the server killed, cut off, without space, with a wrong clock, on damaged files: a few rounds of each",
        node: None,
        python: None,
        action: Action::Commands(&[
            &["cargo", "build", "-p", "steadfast-cli", "--locked"],
            &["cargo", "test", "-p", "safety-test", "--locked", "--no-fail-fast"],
        ]),
    },
    Step {
        name: "bad-input",
        what: "bad input of every class against a running server: refused clearly, and nothing is harmed",
        node: None,
        python: None,
        action: Action::Commands(&[&["cargo", "test", "-p", "bad-input-test", "--locked"]]),
    },
    Step {
        name: "pages",
        what: "the pages in Chromium, on a server of their own, at / and under a path",
        node: Some("tests/browser"),
        python: None,
        action: Action::Commands(&[
            &["cargo", "build", "-p", "steadfast-cli", "--locked"],
            &["npm", "--prefix", "tests/browser", "run", "--silent", "test"],
        ]),
    },
    // Builds and starts the server and the example, and so comes after what is quicker to fail.
    Step {
        name: "exercise",
        what: "the money transfer example: the exercise as a learner does it, and everything killed at random",
        node: Some("tests/browser"),
        python: None,
        action: Action::Commands(&[&["cargo", "test", "-p", "exercise-test", "--locked", "--no-fail-fast"]]),
    },
    Step {
        name: "python",
        what: "the official Python SDK against the server, killed and not",
        node: None,
        python: Some("tests/python"),
        action: Action::Commands(&[
            &["cargo", "build", "-p", "steadfast-cli", "--locked"],
            &["python", "-m", "pytest", "-p", "no:cacheprovider", "tests/python"],
        ]),
    },
    Step {
        name: "typescript",
        what: "the official TypeScript SDK against the server",
        node: Some("tests/typescript"),
        python: None,
        action: Action::Commands(&[
            &["cargo", "build", "-p", "steadfast-cli", "--locked"],
            &["npm", "--prefix", "tests/typescript", "run", "--silent", "check"],
            &["npm", "--prefix", "tests/typescript", "run", "--silent", "test"],
        ]),
    },
    Step {
        name: "go",
        what: "the official Go SDK against the server",
        node: None,
        python: None,
        action: Action::Commands(&[
            &["cargo", "build", "-p", "steadfast-cli", "--locked"],
            &["go", "-C", "tests/go", "test", "-count=1", "-v", "./..."],
        ]),
    },
    Step {
        name: "java",
        what: "the official Java SDK against the server",
        node: None,
        python: None,
        action: Action::Commands(&[
            &["cargo", "build", "-p", "steadfast-cli", "--locked"],
            &["mvn", "-B", "--no-transfer-progress", "-f", "tests/java/pom.xml", "test"],
        ]),
    },
];

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Runs the named steps, or all, and says what came of them; the error is one of how it was called.
pub fn test(names: &[&str]) -> Result<ExitCode, String> {
    if names == ["--list"] {
        for step in STEPS {
            println!("{:<10} {}", step.name, step.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut chosen = Vec::new();
    for name in names {
        let known = STEPS.iter().find(|step| step.name == *name);
        chosen.push(known.ok_or_else(|| format!("no step `{name}`; there are: {}", all_names()))?);
    }
    if chosen.is_empty() {
        chosen.extend(STEPS);
    }

    let mut total = Counts::default();
    let mut times = Vec::new();
    let mut stopped = None;
    for step in chosen {
        println!("--- {}: {}", step.name, step.what);
        let began = Instant::now();
        let (counts, outcome) = step.run();
        total.passed += counts.passed;
        total.failed += counts.failed;
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        times.push(format!("{:<10} {word:<7} {:>7.1} s", step.name, began.elapsed().as_secs_f64()));
        if let Err(problem) = outcome {
            stopped = Some((step.name, problem));
            break;
        }
    }
    println!("---\n{}", times.join("\n"));
    if let Some((name, problem)) = &stopped {
        println!("stopped at the step `{name}`: {problem}\nalone: cargo xtask test {name}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if stopped.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn all_names() -> String {
    STEPS.iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
}

impl Step {
    fn run(&self) -> (Counts, Result<(), String>) {
        let mut counts = Counts::default();
        let outcome = self.install().and_then(|()| match self.action {
            Action::Own(check) => check(),
            Action::Commands(lines) => lines.iter().try_for_each(|words| execute(words, &mut counts)),
        });
        match &outcome {
            Ok(()) if counts == Counts::default() => counts.passed = 1,
            // The runner may have died before it could say what failed.
            Err(_) if counts.failed == 0 => counts.failed = 1,
            _ => {}
        }
        (counts, outcome)
    }

    fn install(&self) -> Result<(), String> {
        self.node.map_or(Ok(()), install::node)?;
        self.python.map_or(Ok(()), install::python)
    }
}

/// Runs a command; its standard output is passed on line by line and read for the summaries of test runners.
fn execute(words: &[&str], counts: &mut Counts) -> Result<(), String> {
    let line = words.join(" ");
    let program = match words {
        ["python", ..] => install::PYTHON.to_owned(),
        ["go", "-C", folder, ..] => install::go(folder)?,
        _ => words[0].to_owned(),
    };
    let mut child = command(&program, &words[1..])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start `{line}`: {error}{}", install::hint(&program)))?;
    if let Some(output) = child.stdout.take() {
        for text in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&text);
            // A closed terminal is no reason to end the tests.
            let _ = writeln!(std::io::stdout(), "{text}");
            if let Some(found) = summary(&text) {
                counts.passed += found.passed;
                counts.failed += found.failed;
            }
        }
    }
    let status = child.wait().map_err(|error| format!("`{line}` was lost: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("`{line}` ended with {status}"))
}

/// The counts in a summary line of cargo test, pytest, node's test runner or Maven, or in go's line about one test; none
/// for any other line.
fn summary(line: &str) -> Option<Counts> {
    let line = line.trim();
    if let Some(count) = line.strip_prefix("ℹ pass ").or(line.strip_prefix("# pass ")) {
        return Some(Counts { passed: count.parse().ok()?, failed: 0 });
    }
    if let Some(count) = line.strip_prefix("ℹ fail ").or(line.strip_prefix("# fail ")) {
        return Some(Counts { passed: 0, failed: count.parse().ok()? });
    }
    if line.starts_with("--- PASS: ") {
        return Some(Counts { passed: 1, failed: 0 });
    }
    if line.starts_with("--- FAIL: ") {
        return Some(Counts { passed: 0, failed: 1 });
    }
    // Maven says the same of each class, with the time it took, before it adds up.
    if line.contains("Tests run: ") && !line.contains("Time elapsed") {
        let failed = after(line, "Failures") + after(line, "Errors");
        let passed = after(line, "run").saturating_sub(failed + after(line, "Skipped"));
        return Some(Counts { passed, failed });
    }
    let cargo = line.starts_with("test result: ");
    let pytest = line.starts_with("==") && line.ends_with("==") && line.contains(" in ");
    (cargo || pytest).then(|| Counts {
        passed: before(line, "passed"),
        failed: before(line, "failed") + before(line, "errors"),
    })
}

/// The number that stands before a word: 12 in `12 passed`.
fn before(line: &str, word: &str) -> u64 {
    pairs(line).find(|pair| pair.1 == word).and_then(|pair| pair.0.parse().ok()).unwrap_or(0)
}

/// The number that stands after a word: 12 in `Failures: 12`.
fn after(line: &str, word: &str) -> u64 {
    pairs(line).find(|pair| pair.0 == word).and_then(|pair| pair.1.parse().ok()).unwrap_or(0)
}

/// Each word of a line with the next one.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = || line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words().zip(words().skip(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_the_runners_are_read() {
        let counts = |passed, failed| Some(Counts { passed, failed });
        let cargo = "test result: FAILED. 8 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(summary(cargo), counts(8, 1));
        assert_eq!(summary("===== 1 failed, 12 passed in 3.21s ====="), counts(12, 1));
        assert_eq!(summary("ℹ pass 7"), counts(7, 0));
        assert_eq!(summary("# fail 2"), counts(0, 2));
        assert_eq!(summary("    --- PASS: TestSignals (0.31s)"), counts(1, 0));
        assert_eq!(summary("[ERROR] Tests run: 9, Failures: 1, Errors: 2, Skipped: 1"), counts(5, 3));
        assert_eq!(
            summary("[INFO] Tests run: 9, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 1 s"),
            None
        );
        assert_eq!(summary("test machine::it ... ok"), None);
    }
}
