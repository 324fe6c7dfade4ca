//! Where the server's log goes: to standard error, quiet unless asked.

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt};

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
    /// Starts logging. `RUST_LOG` overrides the level, for a closer look at one part: `warn,steadfast_engine=debug`.
    pub fn start(&self) {
        let level = match self.log_level {
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Never => LevelFilter::OFF,
        };
        let asked = std::env::var("RUST_LOG").ok().and_then(|targets| targets.parse::<Targets>().ok());
        let filter = asked.unwrap_or_else(|| Targets::new().with_default(level));
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = match self.log_format {
            LogFormat::Text => lines.compact().with_filter(filter).boxed(),
            LogFormat::Json => lines.json().with_filter(filter).boxed(),
        };
        // Only a second start could fail, and there is none.
        let _ = Registry::default().with(lines).try_init();
    }
}
