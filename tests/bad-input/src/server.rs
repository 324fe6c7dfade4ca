//! The server as a process: built once, started on a file and on free ports, its log kept.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

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
    child: Child,
    pub grpc: SocketAddr,
    pub ui: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts the server on `folder`'s database and waits until it tells its addresses.
    pub fn start(folder: &Path, options: &ServerOptions) -> Server {
        let out = folder.join("out.txt");
        let log = folder.join("log.txt");
        let write = |path: &Path| File::create(path).expect("the folder can be written to");
        let append = |path: &Path| {
            File::options().create(true).append(true).open(path).expect("the log can be written")
        };
        let limit = options.open_files.map_or(String::new(), |files| format!("ulimit -n {files}; "));
        let mut command = Command::new("sh");
        // The shell becomes the server: its process id is the server's.
        command.args(["-c", &format!("{limit}exec \"$@\""), "sh"]).arg(binary());
        command.args(["server", "start-dev", "--port", "0", "--ui-port", "0", "--namespace", "other"]);
        command.args(["--search-attribute", "Customer=Keyword", "--search-attribute", "Amount=Int"]);
        command.arg("--db-filename").arg(database(folder));
        for setting in &options.dynamic_config {
            command.args(["--dynamic-config-value", setting]);
        }
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let child = command
            .stdin(Stdio::null())
            .stdout(write(&out))
            .stderr(append(&log))
            .spawn()
            .expect("the server can be started");
        // From here on it is ended when this is dropped.
        let mut server = Server { child, grpc: nowhere, ui: nowhere, log };
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
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().expect("a child can be looked at").map(|status| status.to_string())
    }

    /// Bytes of memory that it has in use.
    pub fn memory(&self) -> u64 {
        const PAGE: u64 = 4096;
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap_or_default();
        text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "the server is gone already");
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// The binary that STEADFAST_SERVER names, or our own.
pub fn binary() -> PathBuf {
    static BUILT: Once = Once::new();
    if let Some(named) = std::env::var_os("STEADFAST_SERVER") {
        return PathBuf::from(named);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this package lies two folders below the workspace");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), |target| root.join(target));
    BUILT.call_once(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "steadfast-cli"])
            .current_dir(root)
            .env("CARGO_TARGET_DIR", &target)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the server does not build");
    });
    target.join("debug/steadfast")
}
