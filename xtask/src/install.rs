//! What the tests need from registries, put into the project's own folders: `node_modules` beside each package.json, and
//! one Python environment under `.tools`. What is there already, by the same lockfile, is left alone.

use std::fs;

use crate::{root, run};

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

/// How to get a program that tests need and that no registry of packages has.
pub fn hint(program: &str) -> &'static str {
    match program {
        "go" => "\nGo 1.25 or newer is needed: https://go.dev/dl",
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
