//! The targets by hand.

use fuzz_targets::{Plan, TARGETS, Target, escaped, explore, try_one, unescaped};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
fuzz-targets list                       the targets
fuzz-targets try TARGET INPUT|FILE      one input again, as it is printed, or a file that libFuzzer has left
fuzz-targets run TARGET SECONDS [SEED]  changes of known inputs for some time, without libFuzzer
fuzz-targets corpus TARGET FOLDER       writes the known inputs into a folder, a file each, for libFuzzer";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match act(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn act(words: &[&str]) -> Result<(), String> {
    match words {
        ["list"] => {
            for Target { name, what, .. } in TARGETS {
                println!("{name:<10} {what}");
            }
            Ok(())
        }
        ["try", target, input] => {
            let input = match std::fs::read(input) {
                Ok(bytes) => bytes,
                Err(_) => unescaped(input).ok_or("that is no input: a \\ needs something after it")?,
            };
            println!("{}", escaped(&input));
            if try_one(named(target)?, &input) { Ok(()) } else { Err("it does what none may".into()) }
        }
        ["run", target, seconds, seed @ ..] => {
            let seconds = seconds.parse().map_err(|_| USAGE)?;
            let seed = seed.first().map_or(Ok(0), |seed| seed.parse()).map_err(|_| USAGE)?;
            let tried =
                explore(named(target)?, Plan { seed, time: Duration::from_secs(seconds), most: u64::MAX })
                    .map_err(|found| found.to_string())?;
            println!("{target}: {tried} inputs, none did what it may not");
            Ok(())
        }
        ["corpus", target, folder] => {
            let folder = Path::new(folder);
            let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
            std::fs::create_dir_all(folder).map_err(problem)?;
            for (number, input) in named(target)?.corpus().iter().enumerate() {
                std::fs::write(folder.join(format!("known-{number}")), input).map_err(problem)?;
            }
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn named(name: &str) -> Result<&'static Target, String> {
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    Target::named(name).ok_or_else(|| format!("no target {name}; there are: {}", names()))
}
