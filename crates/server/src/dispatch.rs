//! Which service a call is for. A router asks every service in turn and boxes what it finds; nearly all calls are for the
//! workflow service, which is therefore asked first.

use crate::grpc::workflow_service::WorkflowRpcs;
use futures_util::future::{Either, Map, Ready, ready};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::convert::Infallible;
use steadfast_api::v1::workflowservice::workflow_service_server::{SERVICE_NAME, WorkflowServiceServer};
use tonic::body::Body;
use tonic::service::Routes;
use tower_service::Service;

/// All services of the gRPC port.
#[derive(Clone)]
pub struct Dispatch {
    pub workflow: WorkflowServiceServer<WorkflowRpcs>,
    pub others: Routes,
}

type ForWorkflows = <WorkflowServiceServer<WorkflowRpcs> as Service<Request<Body>>>::Future;
type ForOthers = <Routes as Service<Request<Body>>>::Future;
type Answer = Result<Response<Body>, Infallible>;

impl hyper::service::Service<Request<Incoming>> for Dispatch {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Map<Either<ForWorkflows, Either<ForOthers, Ready<Answer>>>, fn(Answer) -> Answer>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        use futures_util::FutureExt as _;
        if !is_grpc(request.headers()) {
            let mut refused = Response::new(Body::empty());
            *refused.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Either::Right(Either::Right(ready(Ok(refused)))).map(too_large_is_exhausted);
        }
        let request = request.map(Body::new);
        let path = request.uri().path().strip_prefix('/');
        let for_workflows =
            path.and_then(|path| path.strip_prefix(SERVICE_NAME)).is_some_and(|rest| rest.starts_with('/'));
        let answer = match for_workflows {
            true => Either::Left(self.workflow.clone().call(request)),
            false => Either::Right(Either::Left(self.others.clone().call(request))),
        };
        answer.map(too_large_is_exhausted)
    }
}

/// Whether the body is messages as gRPC frames them. What a foreign page can make a browser send is of another type.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b";") || rest.starts_with(b"+proto"))
}

/// A request that is too large is RESOURCE_EXHAUSTED in every other implementation of gRPC, and SDKs count on that; this
/// one says OUT_OF_RANGE, which the API uses for nothing else.
fn too_large_is_exhausted(answer: Answer) -> Answer {
    const STATUS: &str = "grpc-status";
    const OUT_OF_RANGE: &str = "11";
    const RESOURCE_EXHAUSTED: &str = "8";
    answer.map(|mut response| {
        let headers = response.headers_mut();
        if headers.get(STATUS).is_some_and(|code| code == OUT_OF_RANGE) {
            headers.insert(STATUS, HeaderValue::from_static(RESOURCE_EXHAUSTED));
        }
        response
    })
}
