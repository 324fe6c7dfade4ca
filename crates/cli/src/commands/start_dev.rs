//! `steadfast server start-dev`, with the flags of `temporal server start-dev`: every SDK has a helper that starts a
//! development server with them.

use super::dynamic_config::DynamicConfig;
use super::server::{address, run, with_default};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use steadfast_machine::duration::DAY;
use steadfast_query::AttributeType;
use steadfast_server::serve::{Options, StoreChoice};

/// The pages' port when only the server's is given.
const UI_PORT_OFFSET: u16 = 1000;

#[derive(Args)]
pub struct StartDev {
    /// Keep what happens in this file. Without it, all is lost when the server stops.
    #[arg(short = 'f', long, value_name = "PATH")]
    db_filename: Option<PathBuf>,
    #[command(flatten)]
    dynamic_config: DynamicConfig,
    /// Serve no pages.
    #[arg(long)]
    headless: bool,
    /// Port of the HTTP API (which is not built yet).
    #[arg(long)]
    http_port: Option<u16>,
    /// Address that the gRPC API listens on.
    #[arg(long, default_value = "localhost")]
    ip: String,
    /// Print the configuration to standard error.
    #[arg(long)]
    log_config: bool,
    /// Port of the metrics for Prometheus, under /metrics [default: any that is free].
    #[arg(long)]
    metrics_port: Option<u16>,
    /// Make this namespace too. Can be passed more than once; "default" is always made.
    #[arg(short, long, value_name = "NAME")]
    namespace: Vec<String>,
    /// Port of the gRPC API; 0 for any that is free.
    #[arg(short, long, default_value_t = 7233)]
    port: u16,
    /// Register a search attribute: Text, Keyword, Int, Double, Bool, Datetime or KeywordList. Can be passed more than
    /// once.
    #[arg(long, value_name = "NAME=TYPE")]
    search_attribute: Vec<String>,
    /// A pragma for SQLite. Can be passed more than once.
    #[arg(long, value_name = "PRAGMA=VALUE")]
    sqlite_pragma: Vec<String>,
    /// Accepted, without effect: the pages are this program's own.
    #[arg(long, value_name = "PATH")]
    ui_asset_path: Option<PathBuf>,
    /// Accepted, without effect: payloads are not decoded remotely yet.
    #[arg(long, value_name = "URL")]
    ui_codec_endpoint: Option<String>,
    /// Accepted, without effect: the pages fetch nothing.
    #[arg(long)]
    ui_disable_news_fetch: bool,
    /// Address of the pages [default: that of --ip].
    #[arg(long)]
    ui_ip: Option<String>,
    /// Port of the pages [default: --port + 1000].
    #[arg(long)]
    ui_port: Option<u16>,
    /// Path under which the pages are served.
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = super::server::public_path)]
    ui_public_path: String,
    #[command(flatten)]
    common: CommonFlags,
}

/// Flags that every command of the `temporal` command line has. They are about its client, or its output; a helper that
/// starts a server may pass them.
#[derive(Args)]
#[command(next_help_heading = "Accepted, without effect")]
struct CommonFlags {
    #[arg(long, hide = true)]
    color: Option<String>,
    #[arg(long, hide = true)]
    command_timeout: Option<String>,
    #[arg(long, hide = true)]
    client_connect_timeout: Option<String>,
    #[arg(long, hide = true)]
    config_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    disable_config_env: bool,
    #[arg(long, hide = true)]
    disable_config_file: bool,
    #[arg(long, hide = true)]
    env: Option<String>,
    #[arg(long, hide = true)]
    env_file: Option<PathBuf>,
    #[arg(long, hide = true)]
    no_json_shorthand_payloads: bool,
    #[arg(short, long, hide = true)]
    output: Option<String>,
    #[arg(long, hide = true)]
    profile: Option<String>,
    #[arg(long, hide = true)]
    time_format: Option<String>,
}

impl StartDev {
    pub fn run(self) -> Result<(), String> {
        let ip = address(&self.ip)?;
        let ui_ip = self.ui_ip.as_deref().map_or(Ok(ip), address)?;
        let ui_port = self.ui_port.unwrap_or(match self.port {
            0 => 0,
            port => port.saturating_add(UI_PORT_OFFSET),
        });
        let limits = self.dynamic_config.limits()?;
        let search_attributes =
            self.search_attribute.iter().map(|text| search_attribute(text)).collect::<Result<_, _>>()?;
        if self.http_port.is_some() {
            tracing::warn!("--http-port has no effect yet");
        }
        let options = Options {
            grpc: SocketAddr::new(ip, self.port),
            ui: (!self.headless).then(|| SocketAddr::new(ui_ip, ui_port)),
            ui_public_path: self.ui_public_path,
            metrics: Some(SocketAddr::new(ip, self.metrics_port.unwrap_or(0))),
            store: match self.db_filename {
                None => StoreChoice::Memory,
                Some(path) => StoreChoice::File { path, pragmas: self.sqlite_pragma },
            },
            namespaces: with_default(self.namespace),
            retention: DAY,
            search_attributes,
            limits,
        };
        if self.log_config {
            eprintln!("{options:#?}");
        }
        run(options)
    }
}

fn search_attribute(text: &str) -> Result<(String, AttributeType), String> {
    let (name, kind) = text
        .split_once('=')
        .ok_or_else(|| format!("invalid search attribute \"{text}\": expected NAME=TYPE"))?;
    let kind = AttributeType::from_name(kind).ok_or_else(|| {
        format!(
            "invalid search attribute type \"{kind}\": expected one of Text, Keyword, Int, Double, Bool, Datetime, \
             KeywordList"
        )
    })?;
    Ok((name.into(), kind))
}
