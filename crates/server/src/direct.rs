//! The short way to the workflow service. A router asks every service in turn and boxes what it finds; nearly all calls
//! are for this one, and the router was a tenth of what a call costs.

use crate::grpc::workflow_service::WorkflowRpcs;
use futures_util::future::Either;
use http::{Request, Response};
use std::convert::Infallible;
use std::task::{Context, Poll};
use steadfast_api::v1::workflowservice::workflow_service_server::{SERVICE_NAME, WorkflowServiceServer};
use tonic::body::Body;
use tower::{Layer, Service};

/// Puts the workflow service before a router.
#[derive(Clone)]
pub struct Direct(pub WorkflowServiceServer<WorkflowRpcs>);

impl<Router> Layer<Router> for Direct {
    type Service = WorkflowFirst<Router>;

    fn layer(&self, router: Router) -> WorkflowFirst<Router> {
        WorkflowFirst { workflow: self.0.clone(), router }
    }
}

#[derive(Clone)]
pub struct WorkflowFirst<Router> {
    workflow: WorkflowServiceServer<WorkflowRpcs>,
    router: Router,
}

impl<Router> Service<Request<Body>> for WorkflowFirst<Router>
where
    Router: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<
        <WorkflowServiceServer<WorkflowRpcs> as Service<Request<Body>>>::Future,
        <Router as Service<Request<Body>>>::Future,
    >;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The workflow service is always ready.
        self.router.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().strip_prefix('/');
        let for_workflows =
            path.and_then(|path| path.strip_prefix(SERVICE_NAME)).is_some_and(|rest| rest.starts_with('/'));
        match for_workflows {
            true => Either::Left(self.workflow.call(request)),
            false => Either::Right(self.router.call(request)),
        }
    }
}
