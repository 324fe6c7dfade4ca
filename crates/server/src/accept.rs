//! Connections, from whoever opens them: one that says nothing is closed, and when the process has no file left for the
//! next one it waits for others to end instead of asking again and again.

use crate::limits::{ACCEPT_PAUSE, HANDSHAKE};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

/// Bytes with which a client of HTTP/2 says what it speaks.
const PREFACE: usize = 24;

/// Waits for the next connection.
pub async fn accept(listener: &TcpListener) -> Connection {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it replies wait for each other; a connection that refuses is as good, only slower.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection without TCP_NODELAY");
                }
                return Connection::new(stream);
            }
            // The caller went away between its call and our answer.
            Err(error) if of_one_connection(&error) => {}
            // No file descriptors or memory for one more: those that are open go on, and make room when they end.
            Err(error) => {
                tracing::warn!(%error, "no new connections for a moment");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// Serves HTTP/1.1 and 2 on a listener, for ever: the head of a request must be there in time.
pub async fn serve_http(listener: TcpListener, router: Router) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HANDSHAKE).keep_alive_timeout(HANDSHAKE);
    loop {
        let stream = TokioIo::new(accept(&listener).await);
        let (builder, service) = (builder.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            if let Err(error) = builder.serve_connection_with_upgrades(stream, service).await {
                tracing::debug!(%error, "a connection of the pages ended");
            }
        });
    }
}

/// A connection that must have said what it speaks in time.
pub struct Connection {
    stream: TcpStream,
    /// Until enough bytes have come: how many, and until when the rest may.
    silent: Option<(usize, Pin<Box<Sleep>>)>,
}

impl Connection {
    fn new(stream: TcpStream) -> Connection {
        Connection { stream, silent: Some((0, Box::pin(tokio::time::sleep(HANDSHAKE)))) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((heard, deadline)) = &mut self.silent {
            *heard += buffer.filled().len() - before;
            if *heard >= PREFACE {
                self.silent = None;
            } else if read.is_pending() && deadline.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
