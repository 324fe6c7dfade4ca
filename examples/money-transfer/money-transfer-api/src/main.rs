//! The money transfer API: starts transfers as workflows, shows how they get on, and serves the page for it.
//!
//! It keeps nothing. What a transfer does is asked of the Temporal server ([`transfers`], [`progress`]), what an account holds of
//! the account API ([`bank`]); [`live`] puts both together for everybody who watches.

mod bank;
mod live;
mod progress;
mod routes;
mod transfers;

use clap::Parser;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

/// The money transfer example's page and API.
#[derive(Parser)]
struct Arguments {
    /// The port to listen on, on this machine only.
    #[arg(long, env = "MONEY_TRANSFER_API_PORT", default_value_t = 5001)]
    port: u16,
    /// The Temporal server's address.
    #[arg(long, env = "TEMPORAL_ADDRESS", default_value = "127.0.0.1:7233")]
    server: String,
    #[arg(long, env = "TEMPORAL_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Where the server's web UI is, for the links from each transfer.
    #[arg(long, env = "TEMPORAL_UI_URL", default_value = "http://localhost:8080")]
    server_ui: String,
    /// Where the account API is.
    #[arg(long, env = "ACCOUNT_API_URL", default_value = "http://127.0.0.1:5000")]
    account_api: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "warn,money_transfer_api=info".into());
    tracing_subscriber::fmt()
        .compact()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::stdout().is_terminal())
        .init();
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("money-transfer-api: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    let transfers = Arc::new(transfers::Transfers::new(&arguments.server, &arguments.namespace)?);
    let bank = Arc::new(bank::Bank::at(&arguments.account_api));
    let ui = format!("{}/namespaces/{}", arguments.server_ui.trim_end_matches('/'), arguments.namespace);
    let live = live::Live::start(Arc::clone(&transfers), Arc::clone(&bank), ui);

    let address = SocketAddr::from(([127, 0, 0, 1], arguments.port));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on port {}: {error}", arguments.port))?;
    tracing::info!("the money transfer API listens on http://{address}");
    tokio::select! {
        served = axum::serve(listener, routes::router(transfers, bank, live)) => {
            served.map_err(|error| error.to_string())
        }
        () = told_to_stop() => Ok(()),
    }
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("the process may listen to SIGTERM");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
