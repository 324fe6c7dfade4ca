//! Files that a server must not start on: one that another server has, and ones that are corrupt, truncated, foreign,
//! newer, or without their log. It says why, ends at once, and writes nothing.

use crate::client::Client;
use crate::report::{Report, quantiles};
use crate::server::Setup;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use test_process::free_port;

/// In which a server that refuses must be gone.
const GOAL: Duration = Duration::from_secs(1);
/// A server that is there after this has not refused.
const PATIENCE: Duration = Duration::from_secs(30);

struct Case {
    what: &'static str,
    /// What must be said.
    words: Vec<String>,
    files: Vec<(&'static str, Vec<u8>)>,
}

/// # Errors
/// A server that should start does not; broken promises are in the report.
pub async fn cases() -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(folder.path())?;
    let mut report = Report::new("files that are refused");
    let mut times = Vec::new();

    let server = setup.start().await?;
    let client = Client::new(setup.channel()?, "nobody");
    client.start("kept", "kept").await?;
    let second = Setup { port: free_port()?, ..setup.clone() };
    let words = [server.pid().to_string(), "in use".into()];
    refused(&second, "a second server on one file", &words, &mut times, &mut report)?;
    // The first never noticed.
    client.start("kept", "kept too").await?;
    // A copy of the file alone, taken while the server runs, as a person may do who does not know of the log.
    let without_log = std::fs::read(&setup.database)?;
    server.stop()?;
    let intact = std::fs::read(&setup.database)?;

    for case in damaged(&intact, without_log) {
        let place = tempfile::tempdir()?;
        let own = Setup { database: place.path().join("steadfast.db"), ..setup.clone() };
        for (suffix, content) in &case.files {
            std::fs::write(beside(&own.database, suffix), content)?;
        }
        let before = contents(place.path())?;
        refused(&own, case.what, &case.words, &mut times, &mut report)?;
        let after = contents(place.path())?;
        if before != after {
            report.wrong.push(format!("{}: the files were {:?} before", case.what, before.keys()));
            report.wrong.push(format!("and {:?} after, or other in content", after.keys()));
        }
    }

    let server = setup.start().await?;
    for id in ["kept", "kept too"] {
        if client.history(id, "").await.is_ok_and(|events| events.len() != 2) {
            report.wrong.push(format!("{id} has another history"));
        }
    }
    server.stop()?;
    report.figure("cases", times.len());
    report.figure("refused after", quantiles(&times));
    Ok(report)
}

fn damaged(intact: &[u8], without_log: Vec<u8>) -> Vec<Case> {
    let with = |offset: usize, bytes: &[u8]| {
        let mut file = intact.to_vec();
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        vec![("", file)]
    };
    let case = |what, words: &[&str], files| Case {
        what,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        files,
    };
    let mut other = b"SQLite format 3\0".to_vec();
    other.resize(8192, 0);
    vec![
        case("a text file", &["not a Steadfast database"], vec![("", b"text ".repeat(1000))]),
        case("another program's SQLite file", &["another program's"], vec![("", other)]),
        case("a newer version's file", &["newer version", "77"], with(60, &77u32.to_be_bytes())),
        case("a file without its first bytes", &["damaged"], with(0, b"sqlite")),
        case("a file with a senseless page size", &["damaged"], with(16, &[0, 3])),
        case("a file whose schema is overwritten", &["damaged"], with(100, &[0xff; 64])),
        case(
            "a file without its last page",
            &["damaged"],
            vec![("", intact[..intact.len() - 4096].to_vec())],
        ),
        case("the first half of a file", &["damaged"], vec![("", intact[..intact.len() / 2].to_vec())]),
        case("a file without its log", &["-wal", "missing"], vec![("", without_log)]),
    ]
}

fn refused(
    setup: &Setup,
    what: &str,
    words: &[String],
    times: &mut Vec<Duration>,
    report: &mut Report,
) -> Result<()> {
    let (status, said, took) = setup.refused(PATIENCE)?;
    if status.success() {
        report.wrong.push(format!("{what}: the server ended with success"));
    }
    for word in words {
        if !said.contains(word) {
            report.wrong.push(format!("{what}: {word:?} is not in what it said: {said}"));
        }
    }
    if took > GOAL {
        report.wrong.push(format!("{what}: it took {took:?}"));
    }
    times.push(took);
    Ok(())
}

/// Every file of a folder but the lock, with its bytes.
fn contents(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut contents = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            contents.insert(path.clone(), std::fs::read(&path)?);
        }
    }
    Ok(contents)
}

/// `path` with something after its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
