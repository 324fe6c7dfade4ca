//! Runs a worker: command line, log, connection, and the way out.

use crate::Accounts;
use crate::source_line::{ActivityPanics, LinesInFailures, WorkflowPanics, remember_panics};
use clap::Parser;
use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
use temporalio_common::data_converters::{DataConverter, DefaultPayloadCodec, PayloadConverter};
use temporalio_sdk::workflow_interceptors::WorkflowInterceptorConstructor;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};

/// The worker of the money transfer example.
#[derive(Parser)]
struct Arguments {
    /// The Temporal server's address.
    #[arg(long, env = "TEMPORAL_ADDRESS", default_value = "127.0.0.1:7233")]
    server: String,
    #[arg(long, env = "TEMPORAL_NAMESPACE", default_value = "default")]
    namespace: String,
    /// Where the account API is.
    #[arg(long, env = "ACCOUNT_API_URL", default_value = "http://127.0.0.1:5000")]
    account_api: String,
    /// How long one call to the account API may take, in milliseconds.
    #[arg(long, env = "ACCOUNT_CALL_TIMEOUT_MS", default_value_t = 2000)]
    call_timeout_ms: u64,
}

/// How long activities that are under way may take to end when the worker is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// How long to wait before the next try to reach the server.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Runs until SIGINT or SIGTERM. `options` says which workflows and activities the worker knows.
pub async fn run(options: impl Fn(Accounts) -> Result<WorkerOptions, Box<dyn Error>>) -> ExitCode {
    let arguments = Arguments::parse();
    start_log();
    remember_panics();
    match serve(&arguments, options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "warn,workflow=info,activity=info,worker=info".into());
    let terminal = std::io::stdout().is_terminal();
    tracing_subscriber::fmt().compact().with_env_filter(filter).with_ansi(terminal).init();
}

async fn serve(
    arguments: &Arguments,
    options: impl Fn(Accounts) -> Result<WorkerOptions, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let timeout = Duration::from_millis(arguments.call_timeout_ms);
    let mut options = options(Accounts::at(&arguments.account_api, timeout))?;
    options.graceful_shutdown_period = Some(GRACE);
    options.activity_inbound_interceptor(ActivityPanics);
    options.workflow_interceptor(WorkflowInterceptorConstructor::new(|_| WorkflowPanics));

    let runtime = Runtime::from_current_tokio(Default::default())?;
    let mut stop = std::pin::pin!(told_to_stop());
    loop {
        let client = tokio::select! {
            client = connect(arguments) => client?,
            () = &mut stop => return Ok(()),
        };
        let mut worker = Worker::new(&runtime, client, options.clone())?;
        let shut_down = worker.shutdown_handle();
        tracing::info!(target: "worker", "polls {} at {}", options.task_queue, arguments.server);
        let mut running = std::pin::pin!(worker.run());
        tokio::select! {
            result = &mut running => {
                let why = result.err().map_or("it stopped".to_owned(), |error| error.to_string());
                tracing::warn!(target: "worker", "{why}; starting again");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
            () = &mut stop => {
                shut_down();
                // What does not end in time is tried again by the next worker.
                let _ = tokio::time::timeout(GRACE + Duration::from_secs(1), running).await;
                return Ok(());
            }
        }
    }
}

/// Connects, and waits for a server that is not there yet.
async fn connect(arguments: &Arguments) -> Result<Client, Box<dyn Error>> {
    let target: reqwest::Url = format!("http://{}", arguments.server).parse()?;
    let mut told = false;
    loop {
        let options = ConnectionOptions::new(target.clone())
            .identity(format!("transfer-worker-{}", std::process::id()))
            .connect_timeout(Duration::from_secs(5))
            .dns_load_balancing(None)
            .build();
        match Connection::connect(options).await {
            Ok(connection) => {
                let options = ClientOptions::new(&arguments.namespace).data_converter(DataConverter::new(
                    PayloadConverter::default(),
                    LinesInFailures,
                    DefaultPayloadCodec,
                ));
                return Ok(Client::new(connection, options.build())?);
            }
            Err(error) if !told => {
                tracing::warn!(target: "worker", "waits for the server at {}: {error}", arguments.server);
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
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
