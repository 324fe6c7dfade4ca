//! The shape of the tree, as a test: what reviewers would otherwise have to see each time.

use std::fs;
use std::path::Path;

use crate::output;

/// A file that passes this has two subjects.
const MAX_LINES: usize = 800;
const COUNTED: &[&str] = &["rs", "ts", "tsx", "py"];

/// What each crate under `crates/` may depend on among ours, also by way of others. Development dependencies are free.
const ALLOWED: &[(&str, &[&str])] = &[
    ("steadfast-api", &[]),
    ("steadfast-query", &["steadfast-api"]),
    ("steadfast-machine", &["steadfast-api"]),
    ("steadfast-storage", &["steadfast-api", "steadfast-machine", "steadfast-query"]),
    (
        "steadfast-storage-sql",
        &["steadfast-api", "steadfast-machine", "steadfast-query", "steadfast-storage"],
    ),
    ("steadfast-engine", &["steadfast-api", "steadfast-machine", "steadfast-query", "steadfast-storage"]),
    ("steadfast-ui", &["steadfast-api"]),
    (
        "steadfast-server",
        &[
            "steadfast-api",
            "steadfast-machine",
            "steadfast-query",
            "steadfast-storage",
            "steadfast-storage-sql",
            "steadfast-engine",
            "steadfast-ui",
        ],
    ),
    (
        "steadfast-sim",
        &["steadfast-api", "steadfast-machine", "steadfast-query", "steadfast-storage", "steadfast-engine"],
    ),
    (
        "steadfast-cli",
        &[
            "steadfast-api",
            "steadfast-machine",
            "steadfast-query",
            "steadfast-storage",
            "steadfast-storage-sql",
            "steadfast-engine",
            "steadfast-ui",
            "steadfast-server",
        ],
    ),
];

/// The crates that only decide, and what would give them a clock, chance, a wire or a disk if they named it.
const PURE: &[&str] = &["steadfast-machine", "steadfast-query"];
const IMPURE: &[&str] =
    &["tokio", "tonic", "axum", "hyper", "rusqlite", "tokio-postgres", "sqlx", "rand", "getrandom"];

/// All that is not tidy, in one message.
pub fn check(root: &Path) -> Result<(), String> {
    let files = tracked_files()?;
    let mut found = Vec::new();
    for file in &files {
        // A file that was deleted but not yet committed has nothing to check, and neither has a picture.
        if let Ok(text) = fs::read_to_string(root.join(file)) {
            found.extend(check_text(file, &text));
        }
    }
    found.extend(check_folders(root, &files));
    found.extend(check_edges(root, &files)?);
    match found.len() {
        0 => Ok(()),
        count => Err(format!("{count} found\n{}", found.join("\n"))),
    }
}

/// What git would commit: known files and new ones, but none that are ignored.
fn tracked_files() -> Result<Vec<String>, String> {
    output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])
        .map(|list| list.lines().map(str::to_owned).collect())
}

fn check_text(file: &str, text: &str) -> Vec<String> {
    let extension = file.rsplit('.').next().unwrap_or_default();
    if !COUNTED.contains(&extension) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let count = text.lines().count();
    if count > MAX_LINES {
        found.push(format!("{file}: {count} lines, at most {MAX_LINES}: it has two subjects"));
    }
    for (index, line) in text.lines().enumerate() {
        if bare_todo(line) {
            found.push(format!("{file}:{}: a {MARK} needs its reason in parentheses after it", index + 1));
        }
    }
    found
}

/// The word, as a comment has it: spelled in parts, or this file would find itself.
const MARK: &str = concat!("TO", "DO");

/// True if the line has a mark that is not followed by `(some reason)`.
fn bare_todo(line: &str) -> bool {
    line.match_indices(MARK).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let rest = &line[at + MARK.len()..];
        let a_word = |c: char| c.is_alphanumeric() || c == '_';
        if before.is_some_and(a_word) || rest.starts_with(a_word) {
            return false;
        }
        let reason = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        reason.is_none_or(|(reason, _)| reason.trim().is_empty())
    })
}

/// Every folder under `crates/` has an owner: a line in ARCHITECTURE.md.
fn check_folders(root: &Path, files: &[String]) -> Vec<String> {
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let unnamed = crate_folders(files).into_iter().filter(|folder| {
        // In the drawing of the tree a folder stands under `crates/`, so its own name is enough.
        let alone = format!("{folder}/");
        !page.split(|c: char| c.is_whitespace() || "`()|,;".contains(c)).any(|word| {
            word == alone
                || word.strip_prefix("crates/").is_some_and(|rest| rest.starts_with(folder.as_str()))
        })
    });
    unnamed.map(|folder| format!("crates/{folder}: not named in ARCHITECTURE.md")).collect()
}

fn crate_folders(files: &[String]) -> Vec<String> {
    let mut folders: Vec<String> = files
        .iter()
        .filter_map(|file| file.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"))
        .map(str::to_owned)
        .collect();
    folders.sort();
    folders
}

fn check_edges(root: &Path, files: &[String]) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for folder in crate_folders(files) {
        let manifest = fs::read_to_string(root.join("crates").join(&folder).join("Cargo.toml"))
            .map_err(|error| format!("crates/{folder}/Cargo.toml: {error}"))?;
        let name = package_name(&manifest).ok_or_else(|| format!("crates/{folder}: no package name"))?;
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            found.push(format!("{name}: say in xtask/src/tidy.rs what it may depend on"));
            continue;
        };
        for other in dependencies(name, false)? {
            if other.starts_with("steadfast-") && other != name && !allowed.contains(&other.as_str()) {
                found.push(format!("{name} must not depend on {other}, not even by way of others"));
            }
        }
        if PURE.contains(&name) {
            for other in dependencies(name, true)?.iter().filter(|other| IMPURE.contains(&other.as_str())) {
                found.push(format!("{name} must not depend on {other}: it only decides"));
            }
        }
    }
    Ok(found)
}

fn package_name(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find(|line| line.starts_with("name"))?;
    line.split('"').nth(1)
}

/// The names of what a crate depends on in a build, directly or in all.
fn dependencies(name: &str, direct: bool) -> Result<Vec<String>, String> {
    let mut arguments =
        vec!["tree", "--locked", "-p", name, "-e", "normal", "--prefix", "none", "--format", "{p}"];
    if direct {
        arguments.extend(["--depth", "1"]);
    }
    let tree = output("cargo", &arguments)?;
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_todo_has_a_reason() {
        assert!(bare_todo(&format!("// {MARK}: later")));
        assert!(bare_todo(&format!("// {MARK}() later")));
        assert!(!bare_todo(&format!("// {MARK}(the API has no such field yet): later")));
        assert!(!bare_todo(&format!("let {MARK}S = 1;")));
    }

    #[test]
    fn long_files_are_found_by_their_kind() {
        let long = "x\n".repeat(MAX_LINES + 1);
        assert_eq!(check_text("a/b.rs", &long).len(), 1);
        assert_eq!(check_text("a/b.json", &long).len(), 0);
    }

    #[test]
    fn every_crate_is_allowed_only_what_is_listed_itself() {
        for (_, allowed) in ALLOWED {
            for name in *allowed {
                assert!(ALLOWED.iter().any(|(known, _)| known == name), "{name} is in no line of its own");
            }
        }
    }
}
