//! gRPC calls, well formed or not: a path, headers and the bytes of the body go out as they are given.

use crate::answer::Answer;
use crate::world::World;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use prost::Message;
use std::time::Duration;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower_service::Service;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The deadline that calls tell, long enough for a poll.
const TIMEOUT: (&str, &str) = ("grpc-timeout", "10S");

/// Calls the method that takes this request.
pub async fn call<M: Message>(world: &World, request: &M) -> Answer {
    let path = path::<M>();
    send(world.channel(), &path, &[TIMEOUT], frame(0, &request.encode_to_vec())).await
}

/// The same with another deadline, as the header spells it; an empty one is none.
pub async fn call_within<M: Message>(world: &World, request: &M, timeout: &str) -> Answer {
    let body = frame(0, &request.encode_to_vec());
    send(world.channel(), &path::<M>(), &[("grpc-timeout", timeout)], body).await
}

/// The same with bytes that need not be a message.
pub async fn call_bytes(world: &World, path: &str, message: &[u8]) -> Answer {
    send(world.channel(), path, &[TIMEOUT], frame(0, message)).await
}

/// Calls the method and reads its reply.
pub async fn ask<M: Message, R: Message + Default>(world: &World, request: &M) -> Result<R, Answer> {
    let body = frame(0, &request.encode_to_vec());
    let (answer, reply) = exchange(world.channel(), &path::<M>(), &[TIMEOUT], body).await;
    if answer.code != "Ok" {
        return Err(answer);
    }
    R::decode(reply.get(5..).unwrap_or_default())
        .map_err(|error| Answer::new("Undecodable", error.to_string()))
}

/// `/package.Service/Method`, from the name of the request's type.
pub fn path<M>() -> String {
    let name = std::any::type_name::<M>();
    let method = name.rsplit("::").next().and_then(|name| name.strip_suffix("Request")).unwrap_or_default();
    let service = if name.contains("operatorservice") {
        "temporal.api.operatorservice.v1.OperatorService"
    } else {
        "temporal.api.workflowservice.v1.WorkflowService"
    };
    format!("/{service}/{method}")
}

/// A message as the body carries it: a flag, its length, its bytes.
pub fn frame(flag: u8, message: &[u8]) -> Bytes {
    frame_of(flag, message.len(), message)
}

/// One that says another length than it has.
pub fn frame_of(flag: u8, length: usize, message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(flag);
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

/// A POST with these headers and this body over HTTP/2.
pub async fn send(channel: Channel, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
    exchange(channel, path, headers, body).await.0
}

async fn exchange(
    mut channel: Channel,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> (Answer, Bytes) {
    let mut request = Request::post(path).version(http::Version::HTTP_2);
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/grpc");
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let request = request.header("te", "trailers").body(Body::new(Full::new(body)));
    let request = request.expect("a case gives headers that can be sent");
    let answered = async {
        futures::future::poll_fn(|context| channel.poll_ready(context)).await?;
        let response = channel.call(request).await?;
        let (head, body) = response.into_parts();
        // A body that breaks off has no trailers, and is told as that.
        let collected = body.collect().await;
        let trailers = collected.as_ref().ok().and_then(|body| body.trailers().cloned());
        let data = collected.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Ok::<_, tonic::transport::Error>((head, trailers, data))
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Err(_) => (Answer::new("NoAnswer", format!("nothing within {PATIENCE:?}")), Bytes::new()),
        Ok(Err(error)) => {
            let status = Status::from_error(Box::new(error));
            (Answer::new("Broken", status.to_string()), Bytes::new())
        }
        Ok(Ok((head, trailers, data))) => (answer(&head, trailers.as_ref(), &data), data),
    }
}

fn answer(head: &http::response::Parts, trailers: Option<&HeaderMap>, data: &Bytes) -> Answer {
    let status =
        trailers.and_then(Status::from_header_map).or_else(|| Status::from_header_map(&head.headers));
    match status {
        Some(status) => {
            let cause = head
                .headers
                .get("x-resource-exhausted-cause")
                .or_else(|| trailers.and_then(|trailers| trailers.get("x-resource-exhausted-cause")));
            let cause = cause.map(|cause| format!(" cause={cause:?}")).unwrap_or_default();
            Answer::new(code_name(status.code()), format!("{}{cause}", status.message()))
        }
        None => Answer::new(
            format!("HTTP {}", head.status.as_u16()),
            format!("{:?} {}", head.headers, String::from_utf8_lossy(data)),
        ),
    }
}

fn code_name(code: Code) -> String {
    format!("{code:?}")
}
