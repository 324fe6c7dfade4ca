//! Where the server's log goes: to standard error, quiet unless asked.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// The flags that every command of the `temporal` command line has and that mean something here.
#[derive(Args)]
pub struct LogFlags {
    /// How much to log.
    #[arg(long, global = true, value_enum, default_value = "warn", ignore_case = true)]
    pub log_level: LogLevel,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value = "text", ignore_case = true)]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
    Never,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum LogFormat {
    #[value(alias = "pretty")]
    Text,
    Json,
}

impl LogFlags {
    /// Starts logging. `RUST_LOG` overrides the level, for a closer look at one part.
    pub fn start(&self) {
        let level = match self.log_level {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Never => "off",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let to = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // Only a second start could fail, and there is none.
        let _ = match self.log_format {
            LogFormat::Text => to.compact().try_init(),
            LogFormat::Json => to.json().try_init(),
        };
    }
}
