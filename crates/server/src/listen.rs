//! The gRPC server: services, sizes, keepalive, and how it stops.

use crate::direct::Direct;
use crate::frontend::Frontend;
use crate::grpc::operator_service::OperatorRpcs;
use crate::grpc::workflow_service::WorkflowRpcs;
use crate::limits::{KEEPALIVE, KEEPALIVE_TIMEOUT};
use crate::reflection::{Reflection, V1, V1Alpha};
use http::{HeaderValue, Response};
use std::sync::Arc;
use steadfast_api::v1::operatorservice::operator_service_server::OperatorServiceServer;
use steadfast_api::v1::workflowservice::workflow_service_server::WorkflowServiceServer;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::util::MapResponseLayer;

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

/// Serves until the frontend is told to stop, and the calls that run then are answered.
///
/// # Errors
/// The listener fails.
pub async fn serve(frontend: Arc<Frontend>, listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let stopping = frontend.stopping.clone();
    let (reporter, health) = tonic_health::server::health_reporter();
    // SDKs compress whatever they send on a channel, this question too.
    let health = health.accept_compressed(CompressionEncoding::Gzip);
    for name in HEALTHY {
        reporter.set_service_status(*name, tonic_health::ServingStatus::Serving).await;
    }
    let operator = OperatorServiceServer::new(OperatorRpcs(frontend.clone()))
        .max_decoding_message_size(frontend.limits.request_bytes)
        .accept_compressed(CompressionEncoding::Gzip);
    let reflection = Reflection::default();
    let stop = async move {
        stopping.cancelled().await;
        for name in HEALTHY {
            reporter.set_service_status(*name, tonic_health::ServingStatus::NotServing).await;
        }
    };
    Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(MapResponseLayer::new(too_large_is_exhausted))
        .layer(Direct(workflow_service(frontend)))
        .add_service(health)
        .add_service(V1(reflection.clone()))
        .add_service(V1Alpha(reflection))
        .add_service(operator)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
}

/// A request that is too large is RESOURCE_EXHAUSTED in every other implementation of gRPC, and SDKs count on that; this
/// one says OUT_OF_RANGE, which the API uses for nothing else.
fn too_large_is_exhausted(mut response: Response<Body>) -> Response<Body> {
    const STATUS: &str = "grpc-status";
    const OUT_OF_RANGE: &str = "11";
    const RESOURCE_EXHAUSTED: &str = "8";
    let headers = response.headers_mut();
    if headers.get(STATUS).is_some_and(|code| code == OUT_OF_RANGE) {
        headers.insert(STATUS, HeaderValue::from_static(RESOURCE_EXHAUSTED));
    }
    response
}
