//! `cargo xtask bench`: release builds of the server and of the load driver, and the default set on one database file.

use crate::run as command;

/// The default configuration: what a person gets who types this, but for the port and the place of the file. Its
/// metrics are on, as the number of syncs comes from them.
const SERVER: &str = "target/release/steadfast server start-dev --headless --ip 127.0.0.1 --port {port} \
                      --metrics-port {metrics_port} --db-filename {db} --log-level error";

/// Options go to the driver. Those that say which server is measured replace our own.
pub fn run(options: &[&str]) -> Result<(), String> {
    command("cargo", &["build", "--release", "-p", "steadfast-bench"])?;
    let chosen = ["--address", "--server-command", "--compare"];
    let other_server =
        options.iter().any(|option| chosen.contains(&option.split('=').next().unwrap_or(option)));
    let mut arguments = vec!["--goals"];
    if !other_server {
        command("cargo", &["build", "--release", "-p", "steadfast-cli"])?;
        arguments.extend(["--server-command", SERVER]);
    }
    arguments.extend(options);
    command("target/release/steadfast-bench", &arguments)
}
