//! Each target: what was found before, and so many changes of it, the same everywhere. `STEADFAST_FUZZ_SECONDS` and `STEADFAST_FUZZ_SEED` for
//! more, and for others.

use fuzz_targets::{Plan, TARGETS, Target, explore};
use std::time::Duration;

/// For each target: far more than its inputs take, so that their number decides.
const SECONDS: u64 = 60;
/// Inputs of a target.
const INPUTS: u64 = 15_000;
/// Inputs of those that build a world for each.
const WORLDS: u64 = 1_000;

fn look(name: &str) {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse().expect("a number"));
    let seconds = number("STEADFAST_FUZZ_SECONDS");
    let plan = Plan {
        seed: number("STEADFAST_FUZZ_SEED").unwrap_or(0),
        time: Duration::from_secs(seconds.unwrap_or(SECONDS)),
        // A quick machine is not to find at a change of something else what slower ones did not: that is what longer runs are for.
        most: match name {
            _ if seconds.is_some() => u64::MAX,
            "machine" | "requests" | "pages" => WORLDS,
            _ => INPUTS,
        },
    };
    let target = Target::named(name).expect("the target exists");
    match explore(target, plan) {
        Ok(tried) => println!("{name}: {tried} inputs"),
        Err(found) => panic!("{found}"),
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            look(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried() {
            let tried = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), tried);
        }
    };
}

targets! { query values cron settings headers addresses tokens rows history machine requests pages }

#[test]
fn every_target_has_one_for_libfuzzer() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("it is part of the source");
    for Target { name, .. } in TARGETS {
        let file = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{file}\"")), "{name} is not in libfuzzer/Cargo.toml");
        let text = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(text.contains(&format!("targets::{name}::run")), "libfuzzer/{file}");
    }
}
