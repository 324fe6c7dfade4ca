//! `steadfast server`: the server that keeps what it is told, in one file.

use super::dynamic_config::DynamicConfig;
use super::start_dev::StartDev;
use crate::log::LogFlags;
use clap::{Args, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use steadfast_machine::duration::DAY;
use steadfast_server::serve::{Options, Running, StoreChoice};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ServerCommand {
    #[command(subcommand)]
    command: Option<Sub>,
    #[command(flatten)]
    persistent: Persistent,
}

#[derive(Subcommand)]
enum Sub {
    /// Run a development server: in memory unless it is given a file.
    ///
    /// Takes the flags of `temporal server start-dev`, so that what starts that can start this.
    StartDev(StartDev),
}

/// The flags of `steadfast server` itself.
#[derive(Args)]
struct Persistent {
    /// The database file; made if it is not there.
    #[arg(short = 'f', long, value_name = "PATH", default_value = "steadfast.db")]
    db_filename: PathBuf,
    /// Port of the gRPC API.
    #[arg(short, long, default_value_t = 7233)]
    port: u16,
    /// Address that the gRPC API and the pages listen on.
    #[arg(long, default_value = "localhost")]
    ip: String,
    /// Port of the pages.
    #[arg(long, default_value_t = 8233)]
    ui_port: u16,
    /// Serve no pages.
    #[arg(long)]
    headless: bool,
    /// Port of the metrics for Prometheus, under /metrics; 0 for any that is free.
    #[arg(long, default_value_t = 9233)]
    metrics_port: u16,
    /// Path under which the pages are served.
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = public_path)]
    ui_public_path: String,
    /// Make this namespace if it is not there. Can be passed more than once; "default" is always made.
    #[arg(short, long, value_name = "NAME")]
    namespace: Vec<String>,
    #[command(flatten)]
    dynamic_config: DynamicConfig,
}

impl ServerCommand {
    pub fn run(self, log: &LogFlags) -> Result<(), String> {
        log.start();
        match self.command {
            Some(Sub::StartDev(start_dev)) => start_dev.run(),
            None => self.persistent.run(),
        }
    }
}

impl Persistent {
    fn run(self) -> Result<(), String> {
        let ip = address(&self.ip)?;
        run(Options {
            grpc: SocketAddr::new(ip, self.port),
            ui: (!self.headless).then(|| SocketAddr::new(ip, self.ui_port)),
            ui_public_path: self.ui_public_path,
            metrics: Some(SocketAddr::new(ip, self.metrics_port)),
            store: StoreChoice::File { path: self.db_filename, pragmas: Vec::new() },
            namespaces: with_default(self.namespace),
            retention: 3 * DAY,
            search_attributes: Vec::new(),
            limits: self.dynamic_config.limits()?,
        })
    }
}

/// The address that a flag names.
pub fn address(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    text.parse().map_err(|_| format!("\"{text}\" is not an IP address"))
}

pub fn with_default(mut namespaces: Vec<String>) -> Vec<String> {
    namespaces.insert(0, "default".into());
    namespaces.dedup();
    namespaces
}

/// Runs a server until it is told to stop.
pub fn run(options: Options) -> Result<(), String> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime does not start: {error}"))?;
    runtime.block_on(async {
        let store = options.store.to_string();
        let mut running = Running::start(options).await.map_err(|error| error.to_string())?;
        banner(&running, &store);
        tokio::select! {
            () = told_to_stop() => {}
            error = running.failed() => return Err(error),
        }
        running.stop().await;
        Ok(())
    })
}

fn banner(running: &Running, store: &str) {
    println!("Steadfast {} (Temporal API of {})\n", env!("CARGO_PKG_VERSION"), steadfast_server::API_LEVEL);
    println!("Temporal Server:      {}", shown(running.grpc));
    println!("Temporal Persistence: {store}");
    if let Some(ui) = running.ui {
        println!("Temporal UI:          http://{}", shown(ui));
    }
    if let Some(metrics) = running.metrics {
        println!("Temporal Metrics:     http://{}/metrics", shown(metrics));
    }
}

fn shown(address: SocketAddr) -> String {
    if address.ip().is_loopback() && address.is_ipv4() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

#[cfg(unix)]
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM will not stop the server gently");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn told_to_stop() {
    let _ = tokio::signal::ctrl_c().await;
}

/// A path of the pages, with the slash that people leave out.
pub fn public_path(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._~/".contains(letter);
    match path.chars().all(plain) && !path.contains("//") {
        true => Ok(format!("/{path}")),
        false => Err("it may have letters, digits and - . _ ~ between slashes".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::public_path;

    #[test]
    fn the_path_of_the_pages_is_one_that_can_be_served() {
        for (given, served) in [("/", "/"), ("", "/"), ("ui", "/ui"), ("/a/b/", "/a/b")] {
            assert_eq!(public_path(given).as_deref(), Ok(served));
        }
        for given in ["/{id}", "a b", "a//b", "?"] {
            assert!(public_path(given).is_err(), "{given}");
        }
    }
}
