//! Starts the account API.

use account_api::chaos::{Chaos, Level};
use account_api::{Store, router};
use clap::Parser;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The bank of the money transfer example.
#[derive(Parser)]
struct Arguments {
    /// The port to listen on, on this machine only.
    #[arg(long, env = "ACCOUNT_API_PORT", default_value_t = 5000)]
    port: u16,
    /// The file that holds the accounts; created when it does not exist.
    #[arg(long, env = "ACCOUNT_API_DB", default_value = "data/accounts.db")]
    db: PathBuf,
    /// How bad the day is at first; can be changed while it runs, with PUT /chaos.
    #[arg(long, env = "ACCOUNT_API_CHAOS", value_enum, default_value = "none")]
    chaos: Level,
    /// The seed of the chaos.
    #[arg(long, env = "ACCOUNT_API_SEED", default_value_t = 1)]
    seed: u64,
    /// How long a call hangs when it hangs, in milliseconds.
    #[arg(long, env = "ACCOUNT_API_HANG_MS", default_value_t = 5000)]
    hang_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().compact().with_target(false).with_ansi(std::io::stdout().is_terminal()).init();
    let arguments = Arguments::parse();
    match serve(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("account-api: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    let store = Store::open(&arguments.db)
        .map_err(|error| format!("cannot open {}: {error}", arguments.db.display()))?;
    let chaos = Chaos::new(arguments.chaos, arguments.seed, Duration::from_millis(arguments.hang_ms));
    let address = SocketAddr::from(([127, 0, 0, 1], arguments.port));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on port {}: {error}", arguments.port))?;
    tracing::info!("the account API listens on http://{address}, chaos: {:?}", arguments.chaos);
    // A booking is durable before it is answered, so there is nothing to wait for when the process is told to stop.
    tokio::select! {
        served = axum::serve(listener, router(store, chaos)) => served.map_err(|error| error.to_string()),
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
