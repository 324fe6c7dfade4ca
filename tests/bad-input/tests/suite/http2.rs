//! Class 10, and 5 and 1 below the calls: frames that break the rules of HTTP/2, floods of frames that keep them, and clients
//! that are slow.

use bad_input_test::h2::{self, *};
use bad_input_test::{Answer, Expect, Table, World};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub async fn cases(_: &World, table: &mut Table) {
    frames(table);
    floods(table);
    slow(table);
}

fn row(table: &mut Table, name: &str, codes: &'static [&'static str], bytes: Vec<u8>) {
    let expect = Expect { codes, text: "", may_write: false };
    table.act(name, expect, move |world: Arc<World>| async move {
        let outcome = h2::send(&world, bytes).await;
        Answer::new(outcome.code(), format!("{outcome:?}"))
    });
}

const PROTOCOL_ERROR: &[&str] = &["GOAWAY 1", "RST 1", "closed"];
const FRAME_SIZE_ERROR: &[&str] = &["GOAWAY 6", "RST 6", "GOAWAY 1", "closed"];
/// A frame that does not end is waited for, until the connection is closed as silent.
const WAITED_FOR: &[&str] = &["open", "closed", "GOAWAY 1"];

/// What breaks a rule ends the connection, or the stream.
fn frames(table: &mut Table) {
    table.class(5);
    let after_hello = |frames: &[u8]| [&hello(), frames].concat();
    let headers = || frame(HEADERS, END_HEADERS, 1, &call_headers("StartWorkflowExecution"));
    row(table, "no preface", PROTOCOL_ERROR, vec![b'x'; 100]);
    row(
        table,
        "a preface with another version",
        PROTOCOL_ERROR,
        b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n0000".to_vec(),
    );
    row(table, "HTTP/1.1", PROTOCOL_ERROR, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec());
    row(table, "a frame that is cut off", WAITED_FOR, after_hello(&[0, 0, 9, 1, 4]));
    row(table, "headers that are cut off", WAITED_FOR, after_hello(&headers()[..20]));
    row(table, "a frame of 16 MiB", FRAME_SIZE_ERROR, after_hello(&frame_of(0xff_ffff, DATA, 0, 1, b"x")));
    row(table, "data before headers", PROTOCOL_ERROR, after_hello(&frame(DATA, 0, 1, b"x")));
    row(table, "data on stream 0", PROTOCOL_ERROR, after_hello(&frame(DATA, 0, 0, b"x")));
    row(table, "headers on stream 0", PROTOCOL_ERROR, after_hello(&frame(HEADERS, END_HEADERS, 0, &[])));
    row(
        table,
        "headers on an even stream",
        PROTOCOL_ERROR,
        after_hello(&frame(HEADERS, END_HEADERS, 2, &call_headers("X"))),
    );
    row(
        table,
        "a promise from a client",
        PROTOCOL_ERROR,
        after_hello(&frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
    );
    row(table, "a ping of 7 bytes", FRAME_SIZE_ERROR, after_hello(&frame(PING, 0, 0, &[0; 7])));
    row(table, "a ping on a stream", PROTOCOL_ERROR, after_hello(&frame(PING, 0, 1, &[0; 8])));
    row(table, "settings of 5 bytes", FRAME_SIZE_ERROR, after_hello(&frame(SETTINGS, 0, 0, &[0; 5])));
    row(table, "settings on a stream", PROTOCOL_ERROR, after_hello(&frame(SETTINGS, 0, 1, &[])));
    row(
        table,
        "a window of 2^31",
        &["GOAWAY 3", "GOAWAY 1"],
        after_hello(&frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0])),
    );
    row(table, "a frame size of 1", PROTOCOL_ERROR, after_hello(&frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1])));
    row(table, "a window that grows by 0", PROTOCOL_ERROR, after_hello(&frame(WINDOW_UPDATE, 0, 0, &[0; 4])));
    let grow = frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
    row(
        table,
        "a window that overflows",
        &["GOAWAY 3", "GOAWAY 1"],
        after_hello(&[grow.clone(), grow].concat()),
    );
    row(
        table,
        "a reset of a stream that is not there",
        PROTOCOL_ERROR,
        after_hello(&frame(RST_STREAM, 0, 1, &[0; 4])),
    );
    row(
        table,
        "a continuation of nothing",
        PROTOCOL_ERROR,
        after_hello(&frame(CONTINUATION, END_HEADERS, 1, &[])),
    );
    let interrupted = [frame(HEADERS, 0, 1, &[]), frame(PING, 0, 0, &[0; 8])].concat();
    row(table, "headers interrupted by a ping", PROTOCOL_ERROR, after_hello(&interrupted));
    let kinds: Vec<u8> = (10..=255).flat_map(|kind| frame(kind, 0, 1, b"x")).collect();
    row(table, "frames of types that nobody knows are passed over", &["open"], after_hello(&kinds));
    let bad_blocks: &[(&str, Vec<u8>)] = &[
        ("an index that is not there", vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("an integer that never ends", vec![0xff; 200]),
        ("a text longer than the block", vec![0x00, 0x7f, 0xff, 0x7f]),
        ("a table that grows beyond its size", vec![0x3f, 0xff, 0xff, 0xff, 0x7f]),
        ("Huffman that is none", vec![0x00, 0x81, 0xff, 0x81, 0xff]),
    ];
    for (what, bytes) in bad_blocks {
        let bytes = after_hello(&frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes));
        row(table, &format!("a header block with {what}"), &["GOAWAY 9", "GOAWAY 1", "RST 1"], bytes);
    }
    let pseudo: &[(&str, &[(&str, &str)])] = &[
        ("no path", &[(":method", "POST"), (":scheme", "http")]),
        ("no method", &[(":path", "/"), (":scheme", "http")]),
        ("two paths", &[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":path", "/")]),
        ("a path after a header", &[(":method", "POST"), (":scheme", "http"), ("a", "b"), (":path", "/")]),
        ("a status", &[(":status", "200"), (":method", "POST"), (":scheme", "http"), (":path", "/")]),
        ("capitals", &[(":method", "POST"), (":scheme", "http"), (":path", "/"), ("A", "b")]),
        (
            "a line end in a value",
            &[(":method", "POST"), (":scheme", "http"), (":path", "/"), ("a", "b\r\nc: d")],
        ),
        (
            "a connection header",
            &[(":method", "POST"), (":scheme", "http"), (":path", "/"), ("connection", "close")],
        ),
    ];
    for (what, headers) in pseudo {
        let bytes = after_hello(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(headers)));
        row(table, &format!("a request with {what}"), &["RST 1", "GOAWAY 1", "GOAWAY 9", "open"], bytes);
    }
}

const CALM: &[&str] = &["GOAWAY 11", "RST 7", "RST 11", "closed", "open"];
const CALMED: &[&str] = &["GOAWAY 11", "GOAWAY 1", "closed"];

/// What keeps the rules, too often. The canary that follows tells that others do not suffer.
fn floods(table: &mut Table) {
    table.class(10);
    let flood = |count: usize, one: &dyn Fn(u32) -> Vec<u8>| {
        let mut bytes = hello();
        (0..count).for_each(|at| bytes.extend(one(at as u32 * 2 + 1)));
        bytes
    };
    let headers = call_headers("GetSystemInfo");
    let reset = |stream: u32| {
        [frame(HEADERS, END_HEADERS, stream, &headers), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    row(table, "50,000 calls each reset at once", CALMED, flood(50_000, &reset));
    let empty = |stream: u32| frame(HEADERS, END_HEADERS | END_STREAM, stream, &call_headers("X"));
    row(table, "20,000 calls of a method that is not there", CALM, flood(20_000, &empty));
    let bad = |stream: u32| frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[("A", "b")]));
    row(table, "20,000 calls that the server resets", CALMED, flood(20_000, &bad));
    let more = frame(CONTINUATION, 0, 1, &block(&[("a", "b")]));
    let endless = [frame(HEADERS, 0, 1, &headers), more.repeat(100_000)].concat();
    row(table, "100,000 continuations", CALMED, [hello(), endless].concat());
    let empty = [frame(HEADERS, 0, 1, &headers), frame(CONTINUATION, 0, 1, &[]).repeat(100_000)].concat();
    row(table, "100,000 empty continuations", CALMED, [hello(), empty].concat());
    let large = frame(CONTINUATION, 0, 1, &block(&[("a", &"x".repeat(100))]).repeat(150));
    let large = [frame(HEADERS, 0, 1, &headers), large.repeat(1000)].concat();
    row(table, "15 MB of continuations", CALMED, [hello(), large].concat());
    // One entry of the table, named again and again: little on the wire, much when it is unpacked.
    let indexed = [&[0x40, 1, b'a', 100][..], &[b'x'; 100], &[0xbe; 16_000]].concat();
    row(
        table,
        "a header named 16,000 times by its index",
        &["RST 1", "GOAWAY 1", "GOAWAY 11", "closed", "open"],
        {
            [hello(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &[headers.clone(), indexed].concat())]
                .concat()
        },
    );
    row(table, "200,000 settings", CALM, [hello(), frame(SETTINGS, 0, 0, &[]).repeat(200_000)].concat());
    row(table, "200,000 pings", CALM, [hello(), frame(PING, 0, 0, &[0; 8]).repeat(200_000)].concat());
    let window = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    row(table, "200,000 windows", CALM, [hello(), window.repeat(200_000)].concat());
    let nothing = frame(DATA, 0, 1, &[]).repeat(200_000);
    let nothing = [frame(HEADERS, END_HEADERS, 1, &headers), nothing].concat();
    row(table, "200,000 pieces of no data", CALM, [hello(), nothing].concat());
    let padded = frame(DATA, 8, 1, &[&[255][..], &[0; 255]].concat()).repeat(200);
    let padded = [frame(HEADERS, END_HEADERS, 1, &headers), padded].concat();
    row(table, "data that is nothing but padding", CALM, [hello(), padded].concat());
    let open = |stream: u32| frame(HEADERS, END_HEADERS, stream, &headers);
    row(
        table,
        "20,000 calls that never end",
        &["RST 7", "GOAWAY 11", "GOAWAY 1", "open", "closed"],
        flood(20_000, &open),
    );
    let priorities = |stream: u32| frame(2, 0, stream, &[0, 0, 0, 0, 16]);
    row(table, "100,000 priorities", CALM, flood(100_000, &priorities));
    let goodbyes = frame(GOAWAY, 0, 0, &[0; 8]).repeat(10_000);
    row(table, "10,000 farewells", CALM, [hello(), goodbyes].concat());
}

/// The one of the two addresses that is meant.
type Port = fn(&World) -> std::net::SocketAddr;

/// Clients that take their time.
fn slow(table: &mut Table) {
    table.class(10);
    // Time passes, and canaries are sent.
    let ended = Expect { codes: &["Ok"], text: "", may_write: true };
    let all: [(&str, Port, &[u8]); 4] = [
        ("gRPC that says nothing", |world| world.server_addresses().0, b""),
        ("gRPC that says half a preface", |world| world.server_addresses().0, &PREFACE[..10]),
        ("a page's client that says nothing", |world| world.server_addresses().1, b""),
        (
            "a page's client that says half a head",
            |world| world.server_addresses().1,
            b"GET / HTTP/1.1\r\nHost: loc",
        ),
    ];
    // All wait at the same time.
    table.act(
        "500 connections that never say enough are closed in 15 s",
        ended,
        move |world: Arc<World>| async move {
            let mut waiting = Vec::new();
            for at in 0..500 {
                let (name, address, said) = all[at % all.len()];
                let mut stream =
                    TcpStream::connect(address(&world)).await.expect("the server takes connections");
                stream.write_all(said).await.expect("it is short");
                waiting.push((name, stream));
            }
            let began = Instant::now();
            for (name, mut stream) in waiting {
                let left = Duration::from_secs(15).saturating_sub(began.elapsed());
                let mut rest = Vec::new();
                if tokio::time::timeout(left, stream.read_to_end(&mut rest)).await.is_err() {
                    return Answer::new("Failed", format!("{name} is still connected"));
                }
            }
            Answer::new("Ok", "")
        },
    );
    table.act(
        "a canary completes beside 200 clients that read nothing",
        ended,
        |world: Arc<World>| async move {
            let mut streams = Vec::new();
            let ping = frame(PING, 0, 0, &[0; 8]).repeat(10_000);
            for _ in 0..200 {
                let mut stream =
                    TcpStream::connect(world.server_addresses().0).await.expect("the server answers");
                stream.write_all(&hello()).await.expect("it is short");
                // Nobody reads the answers, so at some point nothing more is taken.
                let _ = tokio::time::timeout(Duration::from_millis(20), stream.write_all(&ping)).await;
                streams.push(stream);
            }
            Answer::from_result(world.healthy().await)
        },
    );
}
