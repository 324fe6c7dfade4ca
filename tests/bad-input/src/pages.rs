//! HTTP/1.1 by hand: what a client library would refuse to send goes out too.

use crate::answer::Answer;
use crate::world::World;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a request to the pages; line ends in its head may be written as `\n`.
pub async fn send(world: &World, request: &[u8]) -> Answer {
    send_to(world.server_addresses().1, &with_line_ends(request)).await
}

/// `GET path`, as a browser on this machine sends it, and the connection closed after it.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n")
}

/// A POST of JSON with these further lines of head.
pub fn post(path: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\nConnection: close\nContent-Length: {length}\n{lines}\n\n{body}")
}

/// Sends bytes and reads until the other side closes.
pub async fn send_to(address: SocketAddr, request: &[u8]) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        // A server that has heard enough may close before it has all.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        if answer.is_empty() { read.map(|_| answer) } else { Ok(answer) }
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Err(_) => Answer::new("NoAnswer", format!("not closed within {PATIENCE:?}")),
        Ok(Err(error)) => Answer::new("Closed", error.to_string()),
        Ok(Ok(answer)) if answer.is_empty() => Answer::new("Closed", ""),
        Ok(Ok(answer)) => {
            let text = String::from_utf8_lossy(&answer).into_owned();
            let code = text.split(' ').nth(1).unwrap_or_default().to_owned();
            Answer::new(format!("HTTP {code}"), text)
        }
    }
}

fn with_line_ends(request: &[u8]) -> Vec<u8> {
    let end = request.windows(2).position(|two| two == b"\n\n").map_or(request.len(), |at| at + 2);
    let mut sent = Vec::with_capacity(request.len() + 32);
    for byte in &request[..end] {
        if *byte == b'\n' {
            sent.push(b'\r');
        }
        sent.push(*byte);
    }
    sent.extend_from_slice(&request[end..]);
    sent
}
