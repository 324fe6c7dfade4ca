//! The server under test: one that runs already, or one that the driver starts with a fresh database, times on its
//! way up, and ends.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::client;
use crate::connection::Connection;
use crate::process::Process;

/// A server that is not up by then has failed to start.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);
/// How often a booting server is asked: the resolution of the boot time.
const BOOT_POLL: Duration = Duration::from_millis(1);
/// How much of a dead server's log is worth showing.
const LOG_LINES: usize = 12;

/// Where to send the work, and what can be seen of the server from outside.
pub struct Target {
    pub address: String,
    pub namespace: String,
    pub process: Option<Process>,
    pub database: Option<PathBuf>,
    pub metrics_port: Option<u16>,
}

/// A server of the driver's own. It is killed when this is dropped; its database is scratch, and goes with it.
pub struct Server {
    pub target: Target,
    pub spawned: Instant,
    /// From the start of the process to SERVING.
    pub serving_after: Duration,
    /// Resident bytes before the first call, if they were asked for.
    pub memory_at_start: Option<u64>,
    child: Child,
    _files: Scratch,
}

/// A folder that goes with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that cannot be removed is left in the scratch place; the numbers are right all the same.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Server {
    /// Starts `command` with `{port}`, `{db}`, `{http_port}` and `{metrics_port}` filled in, and waits for SERVING. After
    /// `settled` without a call its memory is read, if that is asked for.
    pub async fn start(
        command: &str,
        namespace: &str,
        data: &Path,
        settled: Option<Duration>,
    ) -> Result<Server> {
        let port = free_port()?;
        let metrics_port = free_port()?;
        let files = Scratch(data.join(format!("server-{}-{port}", std::process::id())));
        fs::create_dir_all(&files.0).with_context(|| format!("creating {}", files.0.display()))?;
        let database = files.0.join("bench.db");
        let line = command
            .replace("{port}", &port.to_string())
            .replace("{http_port}", &free_port()?.to_string())
            .replace("{metrics_port}", &metrics_port.to_string())
            .replace("{db}", &database.display().to_string());
        let log = files.0.join("server.log");
        let output = File::create(&log)?;

        let spawned = Instant::now();
        // `exec`, so that the process we watch is the server and not its shell.
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {line}")])
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .context("starting a shell for the server command")?;
        let process = child.id().map(Process::new);
        let address = format!("127.0.0.1:{port}");
        let mut memory_at_start = None;
        if let Some(settled) = settled {
            wait_until_listening(&address, &mut child, &log, &line).await?;
            sleep(settled).await;
            memory_at_start = process.as_ref().and_then(Process::usage).map(|usage| usage.resident);
        }
        wait_until_serving(&address, &mut child, &log, &line).await?;
        let serving_after = spawned.elapsed();
        let target = Target {
            address,
            namespace: namespace.into(),
            process,
            database: command.contains("{db}").then_some(database),
            metrics_port: command.contains("{metrics_port}").then_some(metrics_port),
        };
        Ok(Server { target, spawned, serving_after, memory_at_start, child, _files: files })
    }

    /// Ends the server and waits until it is gone, so that it does not weigh on the next measurement.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("ending the server")
    }
}

/// Until somebody listens on the port.
async fn wait_until_listening(address: &str, child: &mut Child, log: &Path, line: &str) -> Result<()> {
    wait_until(async || TcpStream::connect(address).await.is_ok(), child, log, line).await
}

async fn wait_until_serving(address: &str, child: &mut Child, log: &Path, line: &str) -> Result<()> {
    let is_serving = async || match Connection::open(address).await {
        Ok(connection) => client::is_serving(connection).await,
        Err(_) => false,
    };
    wait_until(is_serving, child, log, line).await
}

async fn wait_until(is_up: impl AsyncFn() -> bool, child: &mut Child, log: &Path, line: &str) -> Result<()> {
    let deadline = Instant::now() + BOOT_PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("the server ended with {status}: {line}\n{}", last_lines(log));
        }
        if is_up().await {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the server was not up after {BOOT_PATIENCE:?}: {line}\n{}", last_lines(log));
        }
        sleep(BOOT_POLL).await;
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// A port that nobody listened on a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}
