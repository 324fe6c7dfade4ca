//! Serves the pages in front of any server that speaks the Temporal API:
//! `cargo run -p steadfast-ui --example serve -- --server 127.0.0.1:7233 --port 8080 [--public-path /x/y]`

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_ui::{Changes, UiOptions};
use tokio::sync::watch;

/// Another server does not tell what changed: look again every half second.
struct Ticking(watch::Receiver<u64>);

impl Changes for Ticking {
    fn changes(&self, _namespace: &str) -> watch::Receiver<u64> {
        self.0.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flags: HashMap<&str, &str> =
        arguments.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    let flag = |name: &str, default: &'static str| flags.get(name).copied().unwrap_or(default).to_owned();

    let (tick, ticks) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            tick.send_modify(|n| *n += 1);
        }
    });
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{}", flag("--server", "127.0.0.1:7233")))?
            .connect_lazy();
    let options = UiOptions {
        public_path: flag("--public-path", ""),
        default_namespace: flag("--namespace", "default"),
        ..UiOptions::default()
    };
    let router = steadfast_ui::router(options, WorkflowServiceClient::new(channel), Arc::new(Ticking(ticks)));
    let listener =
        tokio::net::TcpListener::bind(("127.0.0.1", flag("--port", "8080").parse::<u16>()?)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
