//! The machine that the numbers belong to: without it a row in a table means nothing.

use serde::Serialize;
use std::fs;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    /// Bytes.
    pub memory: u64,
    pub kernel: String,
}

impl Machine {
    pub fn here() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory_info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Machine {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            cpu: value(&cpu_info, "model name").unwrap_or_else(|| "unknown".into()),
            memory: value(&memory_info, "MemTotal")
                .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib * 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().into(),
        }
    }
}

/// The value of the first `name : value` line.
fn value(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
