//! The server as a process: built once, started on a file and on free ports, its log kept.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use test_process::{Process, built_server};

/// How long a debug build may take until it says where it listens.
const START: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// `KEY=VALUE` of the dynamic configuration.
    pub dynamic_config: Vec<String>,
    /// The most open files of the process, its limit as the shell sets it.
    pub open_files: Option<u32>,
}

pub struct Server {
    process: Process,
    pub grpc: SocketAddr,
    pub ui: SocketAddr,
}

impl Server {
    /// Starts the server on `folder`'s database and waits until it tells its addresses.
    pub fn start(folder: &Path, options: &ServerOptions) -> Server {
        let out = folder.join("out.txt");
        let log = folder.join("log.txt");
        let limit = options.open_files.map_or(String::new(), |files| format!("ulimit -n {files}; "));
        let mut command = Command::new("sh");
        // The shell becomes the server: its process id is the server's.
        command.args(["-c", &format!("{limit}exec \"$@\""), "sh"]).arg(built_server());
        command.args(["server", "start-dev", "--port", "0", "--ui-port", "0", "--namespace", "other"]);
        command.args(["--search-attribute", "Customer=Keyword", "--search-attribute", "Amount=Int"]);
        command.arg("--db-filename").arg(database(folder));
        for setting in &options.dynamic_config {
            command.args(["--dynamic-config-value", setting]);
        }
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let said = File::create(&out).expect("the folder can be written to");
        let started = Process::start_with_output(&mut command, said, &log);
        // From here on it is ended when this is dropped.
        let process = started.expect("the server can be started");
        let mut server = Server { process, grpc: nowhere, ui: nowhere };
        let began = Instant::now();
        loop {
            let said = std::fs::read_to_string(&out).unwrap_or_default();
            if let (Some(grpc), Some(ui)) = (told(&said, "Temporal Server:"), told(&said, "Temporal UI:"))
                && said.contains("Temporal Metrics:")
            {
                (server.grpc, server.ui) = (grpc, ui);
                return server;
            }
            let log = server.log();
            assert!(began.elapsed() < START, "the server does not start:\n{said}\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Bytes of memory that it has in use.
    pub fn memory(&self) -> u64 {
        self.process.memory()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        self.process.ended().expect("a child can be looked at").map(|status| status.to_string())
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(self) {
        self.process.stop().expect("the server runs until it is told to stop");
    }
}

pub fn database(folder: &Path) -> PathBuf {
    folder.join("steadfast.db")
}

/// The address in the banner's line.
fn told(said: &str, what: &str) -> Option<SocketAddr> {
    let line = said.lines().find_map(|line| line.strip_prefix(what))?;
    let address = line.trim().trim_start_matches("http://").replace("localhost", "127.0.0.1");
    address.parse().ok()
}
