//! Where the binaries come from, and a copy of the exercise's source to make repairs in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package lies two folders below the workspace").to_owned()
}

fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// The packages of the example, always built together, here and by start_services.sh: dependencies are then built with the same
/// features everywhere, and so once.
const EXAMPLE: [&str; 4] =
    ["account-api", "money-transfer-api", "transfer-worker", "transfer-worker-exercise"];

/// A binary of the example, built in the profile that tests are built in.
pub fn example_binary(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| build(&root(), &EXAMPLE));
    target().join("debug").join(name)
}

/// The server: the binary that STEADFAST_SERVER names, or our own.
pub fn server() -> PathBuf {
    static BUILT: Once = Once::new();
    match std::env::var_os("STEADFAST_SERVER") {
        Some(named) => PathBuf::from(named),
        None => {
            BUILT.call_once(|| build(&root(), &["steadfast-cli"]));
            target().join("debug/steadfast")
        }
    }
}

fn build(workspace: &Path, packages: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .expect("cargo can be started, as it has started this test");
    assert!(output.status.success(), "{packages:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A copy of the exercise's source, for a learner to work in. It is a workspace of its own with the same lockfile, profiles
/// and folders, so it shares everything that is built already, and its files are named as in the original. Its version is
/// another: to cargo these are other packages, so that it never takes the repaired worker for the one of the exercise.
pub struct ExerciseSource {
    workspace: PathBuf,
}

const ALL: &str = "examples/money-transfer";
const EXERCISE: &str = "examples/money-transfer/worker-exercise";

impl ExerciseSource {
    pub fn copy_into(folder: &Path) -> ExerciseSource {
        let workspace = folder.join("copy");
        copy_folder(&root().join(ALL), &workspace.join(ALL));
        fs::copy(root().join("Cargo.lock"), workspace.join("Cargo.lock"))
            .expect("the lockfile can be copied");
        let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
        let members =
            manifest.lines().find(|line| line.starts_with("members = ")).expect("it names its members");
        let version = format!("version = {:?}", env!("CARGO_PKG_VERSION"));
        assert!(manifest.contains(&version), "the packages have the version of the workspace");
        let manifest = manifest
            .replace(members, &format!("members = [\"{ALL}/*\"]"))
            .replace(&version, &format!("version = {:?}", concat!(env!("CARGO_PKG_VERSION"), "-copy")));
        fs::write(workspace.join("Cargo.toml"), manifest).expect("the copy can be written to");
        ExerciseSource { workspace }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.workspace.join(EXERCISE).join("src").join(name)
    }

    /// The place of the only line that contains `text`, as failures name it: `path/from/the/workspace.rs:12`.
    pub fn place(&self, file: &str, text: &str) -> String {
        let source = fs::read_to_string(self.file(file)).expect("the copy can be read");
        let lines: Vec<usize> = source
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(text))
            .map(|(at, _)| at + 1)
            .collect();
        let [line] = lines[..] else { panic!("{text:?} is in {} lines of {file}", lines.len()) };
        format!("{EXERCISE}/src/{file}:{line}")
    }

    /// Edits a file: replaces the only occurrence of `old`.
    pub fn edit(&self, file: &str, old: &str, new: &str) {
        let path = self.file(file);
        let source = fs::read_to_string(&path).expect("the copy can be read");
        assert_eq!(source.matches(old).count(), 1, "{old:?} is to be found once in {file}");
        fs::write(&path, source.replace(old, new)).expect("the copy can be written to");
    }

    /// Repairs the first mistake.
    pub fn repair_workflow(&self) {
        let mistake = "    // Whole units will do, nobody wants cents in a log.
    let one_percent = balance.units() / 100 / 100;
    amount.units() / one_percent
";
        self.edit("workflow.rs", mistake, "    amount.cents() * 100 / balance.cents()\n");
    }

    /// Repairs the second mistake.
    pub fn repair_activity(&self) {
        self.edit("activities.rs", "\"/account/{}/withdraw\"", "\"/accounts/{}/withdraw\"");
    }

    /// Builds the worker and puts it where the next build does not reach it.
    pub fn build(&self, name: &str) -> PathBuf {
        build(&self.workspace, &EXAMPLE);
        let built = self.workspace.join(name);
        fs::copy(target().join("debug/transfer-worker-exercise"), &built).expect("the worker can be copied");
        built
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the copy can be written to");
    for entry in fs::read_dir(from).expect("the source can be read") {
        let entry = entry.expect("the source can be read");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).expect("the copy can be written to");
        }
    }
}
