//! A process that a test starts, stops and kills, and the one way to wait for something.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs until it is told to stop, killed, or dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says is added to the log.
    pub fn start(command: &mut Command, log: &Path) -> Process {
        let out = File::options().create(true).append(true).open(log).expect("the log can be written");
        let err = out.try_clone().expect("the log can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        Process { child, log: log.to_owned() }
    }

    /// Asks it to stop, as Ctrl+C and service managers do, and waits until it has.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.is_ok_and(|status| status.success()), "the process {pid} is gone already");
        self.child.wait().expect("a child can be waited for");
    }

    /// `kill -9`: it gets no chance to do anything.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Fails the test, with the end of the log, if the process has died by itself.
    pub fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child can be looked at") {
            panic!("{} ended with {status}:\n{}", self.log.display(), self.last_words());
        }
    }

    /// The last lines of the log.
    pub fn last_words(&self) -> String {
        const LINES: usize = 30;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the machine has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Asks again and again until the answer is good: `Ok` is the answer, `Err` says what is missing.
///
/// # Panics
/// With what was missing last, when `limit` has passed.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        let missing = match ask().await {
            Ok(answer) => return answer,
            Err(missing) => missing,
        };
        assert!(began.elapsed() < limit, "waited {limit:?} until {what}: {missing}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
