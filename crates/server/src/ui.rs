//! The pages on their own port. They call the services of this process as any client does, without a network.

use crate::accept;
use crate::frontend::Frontend;
use crate::listen::workflow_service;
use std::sync::Arc;
use steadfast_api::v1::workflowservice::workflow_service_client::WorkflowServiceClient;
use steadfast_ui::{Changes, UiOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Tells the pages when a list may look different.
struct FromEngine(Arc<Frontend>);

impl Changes for FromEngine {
    fn changes(&self, namespace: &str) -> watch::Receiver<u64> {
        match self.0.engine.namespaces().get(namespace) {
            Some(namespace) => self.0.engine.changes(namespace.id),
            // Nothing ever changes in a namespace that is not there; the stream ends at once.
            None => watch::channel(0).1,
        }
    }
}

/// Serves the pages until the frontend is told to stop.
///
/// # Errors
/// The listener fails; the text says so.
pub async fn serve(
    frontend: Arc<Frontend>,
    listener: TcpListener,
    public_path: String,
) -> Result<(), String> {
    let stopping = frontend.stopping.clone();
    let client = WorkflowServiceClient::new(workflow_service(frontend.clone()));
    let options = UiOptions { public_path, ..UiOptions::default() };
    let router = steadfast_ui::router(options, client, Arc::new(FromEngine(frontend)));
    // Open pages hold streams that never end by themselves, so what runs is cut off: a page comes back by itself.
    tokio::select! {
        () = accept::serve_http(listener, router) => Ok(()),
        () = stopping.cancelled() => Ok(()),
    }
}
