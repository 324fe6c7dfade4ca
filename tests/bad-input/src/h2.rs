//! HTTP/2 by hand: frames that no library would send.

use crate::world::World;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a server may take to have enough of what it is sent.
const PATIENCE: Duration = Duration::from_secs(15);
/// A connection on which nothing has come for so long stays open.
const QUIET: Duration = Duration::from_secs(1);

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame with the length that it has.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of(payload.len(), kind, flags, stream, payload)
}

/// A frame that says another length.
pub fn frame_of(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (length as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The preface and settings of a client that behaves so far.
pub fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A header block, nothing compressed.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            // A length below 127 is one byte.
            bytes.push(u8::try_from(text.len()).expect("a case's headers are short"));
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// The headers of a call.
pub fn call_headers(method: &str) -> Vec<u8> {
    let path = format!("/temporal.api.workflowservice.v1.WorkflowService/{method}");
    block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

/// What a server made of what it was sent.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The error code of its GOAWAY.
    pub goaway: Option<u32>,
    /// The error codes of the streams that it reset.
    pub resets: Vec<u32>,
    pub closed: bool,
}

impl Outcome {
    /// `GOAWAY 11`, `RST 1`, `closed`, or `open`.
    pub fn code(&self) -> String {
        match (self.goaway, self.resets.first()) {
            // GOAWAY 0 is only a farewell.
            (Some(code), _) if code != 0 => format!("GOAWAY {code}"),
            (_, Some(code)) => format!("RST {code}"),
            _ if self.closed => "closed".into(),
            _ => "open".into(),
        }
    }
}

/// Sends bytes on a connection of their own and listens until the server ends it or says nothing more.
pub async fn send(world: &World, bytes: Vec<u8>) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok(stream) = TcpStream::connect(world.server_addresses().0).await else {
        return outcome;
    };
    let (mut reads, mut writes) = stream.into_split();
    // Whoever writes without reading may wait for ever: the server does not have to take it.
    let writing = tokio::spawn(async move {
        let sent = writes.write_all(&bytes).await;
        (sent, writes)
    });
    let began = Instant::now();
    let mut heard = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while began.elapsed() < PATIENCE {
        match tokio::time::timeout(QUIET, reads.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => {
                heard.extend_from_slice(&buffer[..count]);
                let used = read_frames(&heard, &mut outcome);
                heard.drain(..used);
            }
            Ok(_) => {
                outcome.closed = true;
                break;
            }
            Err(_) => break,
        }
    }
    writing.abort();
    outcome
}

fn read_frames(heard: &[u8], outcome: &mut Outcome) -> usize {
    let mut at = 0;
    while let Some(head) = heard.get(at..at + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some(payload) = heard.get(at + 9..at + 9 + length) else { break };
        let number = |at: usize| {
            payload.get(at..at + 4).map_or(0, |four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
        };
        match head[3] {
            GOAWAY => outcome.goaway = Some(number(4)),
            RST_STREAM => outcome.resets.push(number(0)),
            _ => {}
        }
        at += 9 + length;
    }
    at
}
