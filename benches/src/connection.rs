//! One HTTP/2 connection. Between a call and its stream there is nothing: tonic's own channel puts a queue and two tasks
//! there, which serve a client that must find its server again, and cost the driver a third of its CPU on the cores that
//! it shares with what is measured.

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a server may send before the driver has looked at it: enough that no reply waits.
const WINDOW: u32 = 16 * 1024 * 1024;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// A connection that many calls share.
#[derive(Clone)]
pub struct Connection {
    /// Behind a pointer, as a clone of it takes a lock.
    streams: Arc<SendRequest<Bytes>>,
    /// What generated clients put before the path of a call.
    pub origin: Uri,
}

impl Connection {
    /// # Errors
    /// When `address` is none, or nobody answers there.
    pub async fn open(address: &str) -> Result<Connection> {
        let origin = Uri::builder().scheme("http").authority(address).path_and_query("/").build();
        let origin =
            origin.with_context(|| format!("`{address}` is not an address; it should read host:port"))?;
        let nobody = || format!("no server answers at {address}");
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .with_context(nobody)?
            .with_context(nobody)?;
        stream.set_nodelay(true)?;
        let mut settings = Builder::new();
        settings.initial_window_size(WINDOW).initial_connection_window_size(WINDOW).enable_push(false);
        let (streams, connection) = settings.handshake(stream).await.with_context(nobody)?;
        // Ends when the last call and the last handle are gone. A call that it fails under learns why by itself.
        tokio::spawn(connection);
        Ok(Connection { streams: Arc::new(streams), origin })
    }
}

impl Service<Request<tonic::body::Body>> for Connection {
    type Response = Response<Reply>;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Reply>, Fault>> + Send>>;

    /// Each call waits by itself.
    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let mut streams = SendRequest::clone(&self.streams);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // Every call of the driver sends one message.
            let message = body.collect().await?.to_bytes();
            poll_fn(|context| streams.poll_ready(context)).await?;
            let (response, mut stream) = streams.send_request(Request::from_parts(head, ()), false)?;
            stream.send_data(message, true)?;
            Ok(response.await?.map(Reply))
        })
    }
}

/// The body of a reply.
pub struct Reply(RecvStream);

impl Body for Reply {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.0;
        if let Some(data) = task::ready!(stream.poll_data(context)) {
            let data =
                data.and_then(|data| stream.flow_control().release_capacity(data.len()).map(|()| data));
            return Poll::Ready(Some(data.map(Frame::data)));
        }
        stream
            .poll_trailers(context)
            .map(|trailers| trailers.transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
