//! Runs the families one after the other, each on a server of its own, and counts cases as a test runner counts tests.

use crate::case::{Case, Table};
use crate::server::ServerOptions;
use crate::world::World;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The cases of one file.
pub struct Family {
    pub name: &'static str,
    pub options: ServerOptions,
    pub cases: for<'a> fn(&'a World, &'a mut Table) -> BoxFuture<'a, ()>,
}

/// A case that takes longer is named.
const SLOW: Duration = Duration::from_secs(3);

/// How often a refused case after which the database was another is looked at once more. A timer of an earlier case may
/// have fired in that moment; what the case itself writes it writes every time.
const LOOKS: u32 = 3;

/// What is wrong after a case.
enum Wrong {
    /// It was refused, and the database is another.
    Written,
    Other(String),
}

impl From<String> for Wrong {
    fn from(text: String) -> Wrong {
        Wrong::Other(text)
    }
}

#[derive(Clone, Copy, Default)]
struct Counts {
    passed: u32,
    failed: u32,
}

/// Runs all cases, or those whose family, class or name contains the first argument; says which failed and how.
pub async fn run(families: Vec<Family>) -> ExitCode {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut classes: BTreeMap<u8, Counts> = BTreeMap::new();
    let mut failures = Vec::new();
    for family in families {
        let began = Instant::now();
        let world = World::new(&family.options).await;
        let mut table = Table::default();
        (family.cases)(&world, &mut table).await;
        let cases = table.cases().into_iter().filter(|case| {
            let name = full_name(&family, case);
            name.contains(&wanted)
        });
        let mut count = 0;
        let mut doubtful = Vec::new();
        for case in cases {
            count += 1;
            let (class, name) = (case.class, full_name(&family, &case));
            let counts = classes.entry(class).or_default();
            let case_began = Instant::now();
            let outcome = one(&world, case).await;
            if case_began.elapsed() > SLOW {
                println!("{name}: {:.1} s", case_began.elapsed().as_secs_f64());
            }
            match outcome {
                Ok(()) => counts.passed += 1,
                Err(Wrong::Written) => doubtful.push((class, name)),
                Err(Wrong::Other(wrong)) => {
                    counts.failed += 1;
                    println!("FAILED {name}: {wrong}");
                    failures.push(name);
                }
            }
            if world.server().ended().is_some() {
                failures.push(format!("{}: the rest of the family, as the server is gone", family.name));
                break;
            }
        }
        if count == 0 {
            continue;
        }
        for (class, name) in doubtful {
            let counts = classes.entry(class).or_default();
            match writes_again(&world, &family, &name).await {
                false => counts.passed += 1,
                true => {
                    counts.failed += 1;
                    println!("FAILED {name}: refused, but something was written");
                    failures.push(name);
                }
            }
        }
        if let Err(wrong) = world.check_database().await {
            println!("FAILED {} after all: {wrong}", family.name);
            failures.push(format!("{}: the database", family.name));
        }
        println!("{:<12} {count:>4} cases {:>6.1} s", family.name, began.elapsed().as_secs_f64());
    }
    let list = classes.iter().map(|(class, counts)| format!("{class}: {}", counts.passed + counts.failed));
    println!("cases by class: {}", list.collect::<Vec<_>>().join(", "));
    let passed: u32 = classes.values().map(|counts| counts.passed).sum();
    let word = if failures.is_empty() { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {} failed", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `queries/07 a UNION`.
fn full_name(family: &Family, case: &Case) -> String {
    format!("{}/{:02} {}", family.name, case.class, case.name)
}

/// Whether a case of this family writes something each time that it is tried while nothing else happens.
async fn writes_again(world: &Arc<World>, family: &Family, name: &str) -> bool {
    for _ in 0..LOOKS {
        world.settled().await;
        let mut table = Table::default();
        (family.cases)(world, &mut table).await;
        world.settled().await;
        let Some(case) = table.cases().into_iter().find(|case| full_name(family, case) == name) else {
            return true;
        };
        if one(world, case).await.is_ok() {
            println!("{name}: something else was written beside it; alone it writes nothing");
            return false;
        }
    }
    true
}

async fn one(world: &Arc<World>, case: Case) -> Result<(), Wrong> {
    let before = world.version();
    let answer = (case.act)(world.clone()).await;
    let after = world.version();
    let healthy = world.healthy().await;
    if !case.expect.met_by(&answer) {
        let (code, text) = (&answer.code, shortened(&answer.text));
        return Err(format!("{code} {text:?} came back; expected {:?}{}", case.expect, also(healthy)).into());
    }
    healthy?;
    match before != after && !case.expect.may_write {
        true => Err(Wrong::Written),
        false => Ok(()),
    }
}

fn also(healthy: Result<(), String>) -> String {
    healthy.err().map_or(String::new(), |wrong| format!("; and {wrong}"))
}

fn shortened(text: &str) -> String {
    text.chars().take(400).collect()
}
