//! The server as a process: started, killed, stopped, and started again on the same port and file.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// A server that is not up by then has failed to start. Long, as the machine may be busy.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);
/// How often a booting server is asked: the resolution of the time until it serves.
const BOOT_POLL: Duration = Duration::from_millis(1);
/// How much of a log is worth showing.
const LOG_LINES: usize = 30;

/// How a server is started: the same each time.
#[derive(Clone, Debug)]
pub struct Setup {
    pub database: PathBuf,
    pub port: u16,
    /// What the servers say, one after the other.
    pub log: PathBuf,
    /// Added to the command line.
    pub flags: Vec<String>,
    /// Added to the environment.
    pub environment: Vec<(String, String)>,
}

impl Setup {
    /// A database in this folder, the log beside it, and a free port.
    pub fn new(folder: &Path) -> Result<Setup> {
        Ok(Setup {
            database: folder.join("steadfast.db"),
            port: free_port()?,
            log: folder.join("server.log"),
            flags: Vec::new(),
            environment: Vec::new(),
        })
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A connection that is made when it is first used, and again after each time that the server went away.
    pub fn channel(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address()))?;
        Ok(endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true).connect_lazy())
    }

    /// Starts the process, and does not wait.
    pub fn spawn(&self) -> Result<Server> {
        let out = File::options().create(true).append(true).open(&self.log)?;
        let err = out.try_clone()?;
        let child = Command::new(binary()?)
            .arg("server")
            .arg("--db-filename")
            .arg(&self.database)
            .args(["--headless", "--metrics-port", "0", "--port", &self.port.to_string()])
            .args(&self.flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .context("the server cannot be started")?;
        Ok(Server { child, log: self.log.clone(), spawned: Instant::now(), serving_after: None })
    }

    /// Starts the server and waits until it says SERVING.
    ///
    /// # Errors
    /// It ended, or did not serve in a minute; with the end of its log.
    pub async fn start(&self) -> Result<Server> {
        let mut server = self.spawn()?;
        loop {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}:\n{}", server.last_words());
            }
            if is_serving(&self.address()).await {
                server.serving_after = Some(server.spawned.elapsed());
                return Ok(server);
            }
            if server.spawned.elapsed() > BOOT_PATIENCE {
                bail!("the server was not SERVING after {BOOT_PATIENCE:?}:\n{}", server.last_words());
            }
            tokio::time::sleep(BOOT_POLL).await;
        }
    }

    /// Starts a server that is expected to refuse: waits for its end, and gives its status, what it said, and how long
    /// it took.
    ///
    /// # Errors
    /// It does not end by itself within `patience`.
    pub fn refused(&self, patience: Duration) -> Result<(ExitStatus, String, Duration)> {
        let before = std::fs::metadata(&self.log).map_or(0, |log| log.len()) as usize;
        let mut server = self.spawn()?;
        loop {
            if let Some(status) = server.child.try_wait()? {
                let took = server.spawned.elapsed();
                let log = std::fs::read(&self.log)?;
                let said = String::from_utf8_lossy(log.get(before..).unwrap_or_default()).into_owned();
                return Ok((status, said, took));
            }
            if server.spawned.elapsed() > patience {
                bail!("the server is still there after {patience:?}:\n{}", server.last_words());
            }
            std::thread::sleep(BOOT_POLL);
        }
    }
}

/// A server that runs until it is killed, stopped or dropped.
pub struct Server {
    child: Child,
    log: PathBuf,
    spawned: Instant,
    serving_after: Option<Duration>,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// From the start of the process to SERVING; zero if nobody waited for that.
    pub fn serving_after(&self) -> Duration {
        self.serving_after.unwrap_or_default()
    }

    /// `kill -9`: it gets no chance to do anything.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, as service managers do, and waits until it has.
    ///
    /// # Errors
    /// It is gone already, or ends with another status than success.
    pub fn stop(mut self) -> Result<()> {
        self.must_run()?;
        signal(self.pid(), "TERM")?;
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(()),
            false => bail!("the server stopped with {status}:\n{}", self.last_words()),
        }
    }

    /// # Errors
    /// It has ended by itself.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended with {status}:\n{}", self.last_words()),
            None => Ok(()),
        }
    }

    /// The last lines of the log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by its name.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status()?;
    match status.success() {
        true => Ok(()),
        false => bail!("the process {pid} cannot be sent SIG{name}"),
    }
}

async fn is_serving(address: &str) -> bool {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return false };
    let Ok(channel) = endpoint.connect().await else { return false };
    let request = HealthCheckRequest { service: "temporal.api.workflowservice.v1.WorkflowService".into() };
    let reply = HealthClient::new(channel).check(request).await;
    reply.is_ok_and(|reply| reply.into_inner().status() == ServingStatus::Serving)
}

/// The server's binary: the one that STEADFAST_SERVER names, or the one that was built beside this program.
pub fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("STEADFAST_SERVER") {
        return Ok(PathBuf::from(named));
    }
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join("steadfast"));
    let found = beside.into_iter().find(|path| path.is_file());
    found.context("there is no binary of the server; build it: cargo build -p steadfast-cli")
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
