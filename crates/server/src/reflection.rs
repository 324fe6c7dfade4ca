//! gRPC reflection, built when somebody asks for it: decoding the descriptors of the whole API takes more memory than
//! the rest of an idle server.

use http::Request;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower_service::Service;

/// Both versions of the service; `V1` and `V1Alpha` give them their names.
#[derive(Clone, Default)]
pub struct Reflection {
    built: Arc<OnceLock<Routes>>,
}

impl Reflection {
    fn routes(&self) -> Routes {
        self.built.get_or_init(build).clone()
    }
}

fn build() -> Routes {
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(steadfast_api::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder().routes();
    match descriptors().build_v1() {
        Ok(service) => routes = routes.add_service(service),
        Err(error) => tracing::error!(%error, "no reflection: the descriptors do not fit together"),
    }
    match descriptors().build_v1alpha() {
        Ok(service) => routes = routes.add_service(service),
        Err(error) => tracing::error!(%error, "no reflection: the descriptors do not fit together"),
    }
    routes
}

macro_rules! version {
    ($type:ident, $name:literal) => {
        #[derive(Clone, Default)]
        pub struct $type(pub Reflection);

        impl NamedService for $type {
            const NAME: &'static str = $name;
        }

        impl Service<Request<Body>> for $type {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<Body>) -> Self::Future {
                let mut routes = self.0.routes();
                Box::pin(async move { routes.call(request).await })
            }
        }
    };
}

version!(V1, "grpc.reflection.v1.ServerReflection");
version!(V1Alpha, "grpc.reflection.v1alpha.ServerReflection");
