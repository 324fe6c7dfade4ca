//! What the tests need from registries, put into the project's own folders: `node_modules` beside each package.json, and
//! under `.tools` one Python environment, and a Go where the machine's is too old. What is there already, by the same
//! lockfile, is left alone.

use std::fs;

use crate::{command, root, run};

/// The interpreter of the project's own environment.
pub const PYTHON: &str = ".tools/python/bin/python";
const ENVIRONMENT: &str = ".tools/python";

/// The packages of `folder`/package-lock.json.
pub fn node(folder: &str) -> Result<(), String> {
    let lock = read(&format!("{folder}/package-lock.json"))?;
    let stamp = root().join(folder).join("node_modules/.installed-lock.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run("npm", &["--prefix", folder, "ci", "--no-audit", "--no-fund"]).map_err(|error| {
        format!("{error}\nNode 20 or newer with npm is needed, and a way to its registry")
    })?;
    write(&stamp, &lock)
}

/// The packages of `folder`/requirements.txt, which pins all of them.
pub fn python(folder: &str) -> Result<(), String> {
    let requirements = format!("{folder}/requirements.txt");
    let wanted = read(&requirements)?;
    // One environment serves all folders, so each leaves its own stamp.
    let stamp = root().join(ENVIRONMENT).join(format!("{}.installed", folder.replace('/', "-")));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let needed = |error| {
        format!("{error}\nPython 3.10 or newer with its venv module is needed, and a way to its registry")
    };
    if !root().join(PYTHON).exists() {
        run("python3", &["-m", "venv", ENVIRONMENT]).map_err(needed)?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &requirements];
    run(PYTHON, &pip).map_err(needed)?;
    write(&stamp, &wanted)
}

/// A Go that is new enough for `folder`/go.mod: the machine's, or else one that the machine's fetches as a module, which
/// even those can that are too old to do it by themselves (the one of Debian 12, say).
pub fn go(folder: &str) -> Result<String, String> {
    let module = read(&format!("{folder}/go.mod"))?;
    let wanted = module.lines().find_map(|line| line.strip_prefix("go ")).unwrap_or("1");
    let environment = output_of_go(&["env", "GOVERSION", "GOOS", "GOARCH"])?;
    let [found, system, processor] = environment.lines().collect::<Vec<_>>()[..] else {
        return Err(format!("`go env` says {environment:?}"));
    };
    if numbers(found) >= numbers(wanted) {
        return Ok("go".to_owned());
    }
    let own = format!(".tools/go-{wanted}");
    if !root().join(&own).exists() {
        println!("the machine has {found}: fetching Go {wanted}");
        let toolchain = format!("golang.org/toolchain@v0.0.1-go{wanted}.{system}-{processor}");
        let needed = |error| format!("{error}\nGo {wanted} or newer is needed: https://go.dev/dl");
        let fetched = output_of_go(&["mod", "download", "-json", &toolchain]).map_err(needed)?;
        let dir = fetched.split("\"Dir\": \"").nth(1).and_then(|rest| rest.split('"').next());
        let dir = dir.ok_or_else(|| needed(format!("`go mod download` says {fetched}")))?;
        // A module's files can be read and no more, and a compiler has to run.
        let unfinished = format!("{own}.unfinished");
        fs::create_dir_all(root().join(".tools")).map_err(|error| format!(".tools: {error}"))?;
        run("cp", &["-R", dir, &unfinished])?;
        run("chmod", &["-R", "u+rwx", &unfinished])?;
        run("mv", &[&unfinished, &own])?;
    }
    Ok(format!("{own}/bin/go"))
}

/// What the machine's own Go says.
fn output_of_go(arguments: &[&str]) -> Result<String, String> {
    let line = format!("go {}", arguments.join(" "));
    let output = command("go", arguments)
        .env("GOTOOLCHAIN", "local")
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start `{line}`: {error}{}", hint("go")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(said).ok_or_else(|| format!("`{line}` ended with {}", output.status))
}

/// The numbers of a version: `go1.25.4` and `1.25.4` are [1, 25, 4].
fn numbers(version: &str) -> Vec<u32> {
    let digits = version.trim_start_matches("go").split(|c: char| !c.is_ascii_digit());
    digits.map_while(|number| number.parse().ok()).collect()
}

/// How to get a program that tests need and that no registry of packages has.
pub fn hint(program: &str) -> &'static str {
    match program {
        "go" => "\nGo is needed: apt-get install golang-go, or https://go.dev/dl",
        "mvn" => "\nMaven and a JDK, 17 or newer, are needed: apt-get install maven default-jdk-headless",
        "npm" => "\nNode 20 or newer with npm is needed: https://nodejs.org",
        _ => "",
    }
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))
}

fn write(file: &std::path::Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_by_their_numbers() {
        assert_eq!(numbers("go1.25.4"), [1, 25, 4]);
        assert!(numbers("go1.19.8") < numbers("1.25.4"));
        assert!(numbers("go1.26rc1") >= numbers("1.25.4"));
        assert!(numbers("go1.25.10") >= numbers("1.25.4"));
    }
}
