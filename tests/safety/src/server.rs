//! The server as a process: started, killed, stopped, and started again on the same port and file.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};
use test_process::{Process, free_port, server_beside};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// A server that is not up by then has failed to start. Long, as the machine may be busy.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);
/// How often a booting server is asked: the resolution of the time until it serves.
const BOOT_POLL: Duration = Duration::from_millis(1);

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
        let mut command = Command::new(server_beside()?);
        command
            .arg("server")
            .arg("--db-filename")
            .arg(&self.database)
            .args(["--headless", "--metrics-port", "0", "--port", &self.port.to_string()])
            .args(&self.flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        let process = Process::start(&mut command, &self.log)?;
        Ok(Server { process, spawned: Instant::now(), serving_after: None })
    }

    /// Starts the server and waits until it says SERVING.
    ///
    /// # Errors
    /// It ended, or did not serve in a minute; with the end of its log.
    pub async fn start(&self) -> Result<Server> {
        let mut server = self.spawn()?;
        loop {
            server.must_run()?;
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
            if let Some(status) = server.process.ended()? {
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
    process: Process,
    spawned: Instant,
    serving_after: Option<Duration>,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// From the start of the process to SERVING; zero if nobody waited for that.
    pub fn serving_after(&self) -> Duration {
        self.serving_after.unwrap_or_default()
    }

    /// `kill -9`: it gets no chance to do anything.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// Asks it to stop, as service managers do, and waits until it has.
    ///
    /// # Errors
    /// It is gone already, or ends with another status than success.
    pub fn stop(self) -> Result<()> {
        self.process.stop_well()
    }

    /// # Errors
    /// It has ended by itself.
    pub fn must_run(&mut self) -> Result<()> {
        self.process.must_run()
    }

    pub fn last_words(&self) -> String {
        self.process.last_words()
    }
}

async fn is_serving(address: &str) -> bool {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return false };
    let Ok(channel) = endpoint.connect().await else { return false };
    let request = HealthCheckRequest { service: "temporal.api.workflowservice.v1.WorkflowService".into() };
    let reply = HealthClient::new(channel).check(request).await;
    reply.is_ok_and(|reply| reply.into_inner().status() == ServingStatus::Serving)
}
