//! Classes 27 and 28: a second server on the file, and files that are no database of ours. What happens to a database that is
//! damaged while it is in use is tested with the crashes.

use bad_input_test::{Answer, Expect, Table, World, built_server};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Writes the file.
type Make = fn(&Path);

pub async fn cases(_: &World, table: &mut Table) {
    let fine = Expect { codes: &["Ok"], text: "", may_write: false };
    table.class(27);
    table.act("a second server on the file ends at once and names the first", fine, |world| async move {
        let pid = world.server().pid().to_string();
        Answer::from_result(refuses(&world.folder().join("steadfast.db"), &pid))
    });
    table.class(28);
    let rows: [(&str, Make, &str); 5] = [
        ("a text", |path| write(path, &b"hello, this is no database at all\n".repeat(100)), ""),
        (
            "random bytes",
            |path| write(path, &(0..8192_u32).map(|at| (at * 97 % 253) as u8).collect::<Vec<_>>()),
            "",
        ),
        (
            "the beginning of a database",
            |path| write(path, b"SQLite format 3\0\x10\0\x02\x02\0\x40\x20\x20"),
            "",
        ),
        ("another program's database", |path| sql(path, "CREATE TABLE run (a); PRAGMA user_version = 7"), ""),
        (
            "a database of a newer version",
            |path| sql(path, "PRAGMA application_id = 1; PRAGMA user_version = 9999"),
            "",
        ),
    ];
    for (what, make, text) in rows {
        table.act(&format!("{what} is refused and left alone"), fine, move |world| async move {
            let path = world.folder().join("foreign.db");
            let _ = std::fs::remove_file(&path);
            make(&path);
            let before = std::fs::read(&path).expect("it was just written");
            let refused = refuses(&path, text);
            let same = std::fs::read(&path).is_ok_and(|after| after == before);
            Answer::from_result(refused.and(if same {
                Ok(())
            } else {
                Err("the file was written to".into())
            }))
        });
    }
    table.act("a folder is refused", fine, |world| async move {
        Answer::from_result(refuses(world.folder(), ""))
    });
    table.act("a file in a folder that is not there is refused", fine, |world| async move {
        Answer::from_result(refuses(&world.folder().join("nowhere/steadfast.db"), ""))
    });
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the folder can be written to");
}

fn sql(path: &Path, statements: &str) {
    let connection = rusqlite::Connection::open(path).expect("the folder can be written to");
    connection.execute_batch(statements).expect("it is SQL");
}

/// A server that is given this file ends with an error in one line, soon, and the line has `text` in it.
fn refuses(path: &Path, text: &str) -> Result<(), String> {
    let began = Instant::now();
    let ended = Command::new(built_server())
        .args(["server", "start-dev", "--port", "0", "--ui-port", "0", "--db-filename"])
        .arg(path)
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    if ended.status.success() {
        return Err(format!("it ended well: {said}"));
    }
    if began.elapsed() > Duration::from_secs(5) {
        return Err(format!("it took {:?}", began.elapsed()));
    }
    let clear = !said.trim().is_empty() && !said.contains("panicked") && said.contains(text);
    if clear { Ok(()) } else { Err(said) }
}
