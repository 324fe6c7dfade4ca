//! Turns a table of RPCs into the implementation of a service. Every call passes here: its headers are read before its
//! handler runs, and its refusal becomes a status after.

use crate::call::Call;
use crate::metrics::Running;
use crate::status::Refusal;
use std::future::Future;
use std::pin::Pin;
use steadfast_machine::Reject;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

/// What a service's method gives back; the signature that tonic's traits have once their `async` is resolved.
pub(super) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;

pub(super) fn unbuilt(method: &str) -> Refusal {
    Reject::Unimplemented(format!("{method} is not implemented by this server")).into()
}

pub(super) fn answer<Reply>(
    running: &Running<'_>,
    answer: Result<Reply, Refusal>,
) -> Result<Response<Reply>, Status> {
    let answer = match answer {
        Ok(reply) => Ok(Response::new(reply)),
        Err(refusal) => {
            tracing::debug!(method = running.operation(), ?refusal, "refused");
            Err(refusal.into())
        }
    };
    running.ended(&answer);
    answer
}

pub(super) fn call(method: &'static str, headers: &MetadataMap) -> Result<Call, Status> {
    Ok(Call::new(method, headers)?)
}

/// `service!(Trait for Type; method(Request) -> Response = handler; …)`; without `= handler` the RPC is not built.
macro_rules! service {
    ($trait:ident for $type:ident; $($rpc:ident($request:ident) -> $response:ident $(= $handler:path)?;)*) => {
        impl $trait for $type {
            $(
                fn $rpc<'life0, 'async_trait>(
                    &'life0 self,
                    request: tonic::Request<$request>,
                ) -> crate::grpc::table::Answer<'async_trait, $response>
                where
                    'life0: 'async_trait,
                    Self: 'async_trait,
                {
                    crate::grpc::table::service!(@answer self, request, stringify!($request) $(, $handler)?)
                }
            )*
        }

        impl $type {
            /// Every RPC of the service.
            pub const RPCS: &'static [crate::grpc::Rpc] = &[$(crate::grpc::Rpc {
                name: crate::grpc::table::method(stringify!($request)),
                built: crate::grpc::table::service!(@built $($handler)?),
            },)*];
        }
    };
    (@answer $self:ident, $sent:ident, $name:expr, $handler:path) => {
        Box::pin(async move {
            let (headers, _, message) = $sent.into_parts();
            let call = crate::grpc::table::call(const { crate::grpc::table::method($name) }, &headers)?;
            let running = $self.0.metrics.begin(call.method);
            // Awaited here and not passed on: a handler's future is large, and each hand that it goes through copies it.
            let answer = match $self.0.admission.enter(running.kind(), running.since()) {
                Ok(_admitted) => $handler(&$self.0, call, message).await,
                Err(refused) => Err(refused.into()),
            };
            crate::grpc::table::answer(&running, answer)
        })
    };
    (@answer $self:ident, $sent:ident, $name:expr) => {{
        let _ = $sent;
        Box::pin(async { Err(crate::grpc::table::unbuilt(crate::grpc::table::method($name)).into()) })
    }};
    (@built $handler:path) => { true };
    (@built) => { false };
}
pub(super) use service;

/// The name of an RPC, from that of its request.
pub(super) const fn method(request: &'static str) -> &'static str {
    match request.split_at_checked(request.len() - "Request".len()) {
        Some((name, _)) => name,
        None => request,
    }
}
