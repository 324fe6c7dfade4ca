//! Where the binaries come from.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names the server's binary to every suite.
const NAMED: &str = "STEADFAST_SERVER";

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package lies two folders below the workspace").to_owned()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}

/// Builds packages in the profile that tests are built in.
///
/// # Errors
/// They do not build; with what the compiler says.
pub fn build(workspace: &Path, packages: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("{packages:?} do not build: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The server's binary: the one that STEADFAST_SERVER names, or our own, which is built first.
///
/// # Panics
/// It does not build.
pub fn built_server() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| match std::env::var_os(NAMED) {
        Some(named) => PathBuf::from(named),
        None => {
            build(&root(), &["steadfast-cli"]).expect("the server builds");
            target().join("debug/steadfast")
        }
    });
    built.clone()
}

/// The server's binary: the one that STEADFAST_SERVER names, or the one that was built beside this program, in its profile.
///
/// # Errors
/// There is none.
pub fn server_beside() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(NAMED) {
        return Ok(PathBuf::from(named));
    }
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("steadfast"));
    let found = beside.into_iter().find(|path| path.is_file());
    found.context("there is no binary of the server; build it: cargo build -p steadfast-cli")
}
