//! What the suites that drive real binaries share: a process that is started, stopped and killed, with its log; where the
//! binaries are; and a free port.

mod binary;

pub use binary::{build, built_server, root, server_beside, target};

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// How much of a log is worth showing.
const LOG_LINES: usize = 30;

/// Runs until it is stopped, killed or dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; all that it says is added to the log.
    ///
    /// # Errors
    /// The log cannot be written, or there is no such program.
    pub fn start(command: &mut Command, log: &Path) -> Result<Process> {
        let out = append(log)?;
        Process::start_with_output(command, out, log)
    }

    /// The same, but what it says to its standard output goes to a file of its own.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_with_output(command: &mut Command, out: File, log: &Path) -> Result<Process> {
        let command = command.stdin(Stdio::null()).stdout(out).stderr(append(log)?);
        let child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        Ok(Process { child, log: log.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The system does not know it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// # Errors
    /// It has ended by itself; with the end of its log.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            Some(status) => bail!("{} ended with {status}:\n{}", self.log.display(), self.last_words()),
            None => Ok(()),
        }
    }

    /// `kill -9`: it gets no chance to do anything.
    ///
    /// # Errors
    /// The system does not know it.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, as Ctrl+C and service managers do, and waits until it has.
    ///
    /// # Errors
    /// It is gone already.
    pub fn stop(mut self) -> Result<()> {
        self.ask_to_stop().map(drop)
    }

    /// The same for one that has to end well.
    ///
    /// # Errors
    /// It is gone already, or ends with another status than success; with the end of its log.
    pub fn stop_well(mut self) -> Result<()> {
        match self.ask_to_stop()? {
            status if status.success() => Ok(()),
            status => bail!("{} stopped with {status}:\n{}", self.log.display(), self.last_words()),
        }
    }

    fn ask_to_stop(&mut self) -> Result<ExitStatus> {
        self.must_run()?;
        let asked = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        if !asked.success() {
            bail!("the process {} cannot be asked to stop", self.pid());
        }
        Ok(self.child.wait()?)
    }

    /// All that it has logged so far, and those that wrote to this log before it.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// The last lines of the log.
    pub fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Bytes of memory that it has in use.
    pub fn memory(&self) -> u64 {
        const PAGE: u64 = 4096;
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap_or_default();
        text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(log: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(log);
    file.with_context(|| format!("{} cannot be written", log.display()))
}

/// A port that nobody listens on at this moment.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
