//! What the kernel knows about a process: CPU time, resident memory, bytes sent to the disk. Linux only, read from
//! /proc, so that a server is measured from outside and needs to cooperate in nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The unit of CPU times in /proc/PID/stat. The kernel's interface has it fixed at a hundred a second on every
/// architecture that we run on, whatever the kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;

/// A process that is being watched.
#[derive(Clone, Debug)]
pub struct Process {
    directory: PathBuf,
}

/// One reading. Counters only ever grow, so two readings are compared by subtraction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time of all threads, dead ones included.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Bytes that the process caused to be sent to the block layer; none where the file system does not count them
    /// or we may not ask.
    pub written: Option<u64>,
}

impl Process {
    pub fn new(pid: u32) -> Self {
        Process { directory: PathBuf::from(format!("/proc/{pid}")) }
    }

    /// The driver itself: on a small machine its own CPU is part of what limits the throughput.
    pub fn own() -> Self {
        Process { directory: PathBuf::from("/proc/self") }
    }

    /// None once the process is gone.
    pub fn usage(&self) -> Option<Usage> {
        let stat = fs::read_to_string(self.directory.join("stat")).ok()?;
        let status = fs::read_to_string(self.directory.join("status")).ok()?;
        let written = fs::read_to_string(self.directory.join("io")).ok();
        Some(Usage {
            cpu: cpu_time(&stat)?,
            resident: field(&status, "VmRSS:").unwrap_or(0) * 1024,
            written: written.and_then(|io| field(&io, "write_bytes:")),
        })
    }
}

/// Fields 14 and 15 of the line; counted after the closing parenthesis, as the command name may hold spaces.
fn cpu_time(stat: &str) -> Option<Duration> {
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The size of a database in bytes: its file and the companions that SQLite keeps beside it (`-wal`, `-shm`).
/// Zero when the server has made no such file, which is how an in-memory server shows itself.
pub fn database_size(file: &Path) -> u64 {
    ["", "-wal", "-shm"]
        .iter()
        .filter_map(|suffix| {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            fs::metadata(name).ok()
        })
        .map(|found| found.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_counts_after_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a ) name) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 4 0 100";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
    }

    #[test]
    fn own_usage_is_readable() {
        let usage = Process::own().usage().expect("a running process has a /proc entry");
        assert!(usage.resident > 0);
    }
}
