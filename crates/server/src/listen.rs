//! The gRPC server: connections, services, sizes, keepalive, and how it stops. Connections are hyper's; tonic's own server
//! would wrap every call in a timer, a clone of all services and four boxes, and would spin when there are no more file
//! descriptors.

use crate::accept::{Connection, accept};
use crate::dispatch::Dispatch;
use crate::frontend::Frontend;
use crate::grpc::operator_service::OperatorRpcs;
use crate::grpc::workflow_service::WorkflowRpcs;
use crate::limits::{CONNECTION_AGE, CONNECTION_GRACE, HEADER_BYTES, KEEPALIVE, KEEPALIVE_TIMEOUT, STREAMS};
use crate::reflection::{Reflection, V1, V1Alpha};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::pin::pin;
use std::sync::Arc;
use steadfast_api::v1::operatorservice::operator_service_server::OperatorServiceServer;
use steadfast_api::v1::workflowservice::workflow_service_server::WorkflowServiceServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

/// The names that clients ask the health service for. The last is a service that is not here: old tools ask for it to
/// see whether the server is up.
const HEALTHY: &[&str] = &[
    "",
    "temporal.api.workflowservice.v1.WorkflowService",
    "temporal.api.operatorservice.v1.OperatorService",
    "temporal.api.adminservice.v1.AdminService",
];

/// The workflow service, for the network and for callers in this process.
pub fn workflow_service(frontend: Arc<Frontend>) -> WorkflowServiceServer<WorkflowRpcs> {
    let bytes = frontend.limits.request_bytes;
    WorkflowServiceServer::new(WorkflowRpcs(frontend))
        .max_decoding_message_size(bytes)
        .accept_compressed(CompressionEncoding::Gzip)
}

/// The same of the operator service.
pub fn operator_service(frontend: Arc<Frontend>) -> OperatorServiceServer<OperatorRpcs> {
    let bytes = frontend.limits.request_bytes;
    OperatorServiceServer::new(OperatorRpcs(frontend))
        .max_decoding_message_size(bytes)
        .accept_compressed(CompressionEncoding::Gzip)
}

/// Serves until the frontend is told to stop, and the calls that run then are answered.
pub async fn serve(frontend: Arc<Frontend>, listener: TcpListener) {
    let stopping = frontend.stopping.clone();
    let (reporter, health) = tonic_health::server::health_reporter();
    // SDKs compress whatever they send on a channel, this question too.
    let health = health.accept_compressed(CompressionEncoding::Gzip);
    for name in HEALTHY {
        reporter.set_service_status(*name, tonic_health::ServingStatus::Serving).await;
    }
    let reflection = Reflection::default();
    let others = Routes::new(health)
        .add_service(V1(reflection.clone()))
        .add_service(V1Alpha(reflection))
        .add_service(operator_service(frontend.clone()))
        .prepare();
    let dispatch = Dispatch { workflow: workflow_service(frontend), others };

    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            stream = accept(&listener) => stream,
        };
        connections.spawn(connection(stream, dispatch.clone(), stopping.clone()));
    }
    // New callers are refused at once, rather than left in a queue that nobody takes them from.
    drop(listener);
    for name in HEALTHY {
        reporter.set_service_status(*name, tonic_health::ServingStatus::NotServing).await;
    }
    connections.close();
    connections.wait().await;
}

/// One connection, until its caller closes it, it is old, or the server stops; what runs on it is answered.
async fn connection(stream: Connection, dispatch: Dispatch, stopping: CancellationToken) {
    let mut served = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // gRPC has no use for it, and every reply would carry it.
            .auto_date_header(false)
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), dispatch)
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
        () = tokio::time::sleep(CONNECTION_AGE) => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(CONNECTION_GRACE, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection failed");
    }
}
