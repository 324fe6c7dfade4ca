//! Where the binaries come from, and a copy of the exercise's source to make repairs in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use test_process::{build, root, target};

/// The packages of the example, always built together, here and by start_services.sh: dependencies are then built with the same
/// features everywhere, and so once.
const EXAMPLE: [&str; 4] =
    ["account-api", "money-transfer-api", "transfer-worker", "transfer-worker-exercise"];

/// A binary of the example, built in the profile that tests are built in.
pub fn example_binary(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| build(&root(), &EXAMPLE).expect("the example builds"));
    target().join("debug").join(name)
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
        build(&self.workspace, &EXAMPLE).expect("the copy builds");
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
