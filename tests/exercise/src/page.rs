//! The server's pages in a real browser: tests/browser has the driver, and tests/browser/look.mjs is how it is called.

use std::path::Path;
use std::process::Command;
use test_process::root;

/// Asserts that from the list of workflows at `pages` one click leads to the page of `workflow`, and that what is to be
/// seen there matches each of the regular expressions. Pictures of it are left in the folder of that name below the one
/// that LOOK_PICTURES names, if it does.
pub(crate) fn assert_seen(pages: &str, workflow: &str, patterns: &[&str], name: &str) {
    let folder = root().join("tests/browser");
    let mut look = Command::new("node");
    look.arg("look.mjs").args([pages, workflow]).args(patterns).current_dir(&folder);
    if let Some(pictures) = std::env::var_os("LOOK_PICTURES") {
        let pictures = Path::new(&pictures).join(name);
        std::fs::create_dir_all(&pictures).expect("the folder for pictures can be made");
        look.env("LOOK_PICTURES", pictures);
    }
    let output = look.output().expect("node can be started: cargo xtask test exercise makes sure of it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\n(the packages of {} come with: cargo xtask test exercise)",
        folder.display()
    );
}
