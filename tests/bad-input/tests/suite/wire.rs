//! Classes 1, 5 and 20 on the gRPC port: bodies that are no message, headers that are no gRPC, and compression bombs.

use bad_input_test::grpc::{call_bytes, call_within, frame, frame_of, path, send};
use bad_input_test::requests::*;
use bad_input_test::{Expect, Table, World};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::io::Write;
use steadfast_api::v1::workflowservice::StartWorkflowExecutionRequest as Start;

const UNDECODED: &[&str] = &["Internal", "InvalidArgument"];
const BROKEN: &[&str] = &["Internal", "InvalidArgument", "Unknown", "Unimplemented"];

pub async fn cases(_: &World, table: &mut Table) {
    messages(table);
    frames(table);
    headers(table);
    compressed(table);
}

fn refused(codes: &'static [&'static str]) -> Expect {
    Expect { codes, text: "", may_write: false }
}

/// What is in the frame.
fn messages(table: &mut Table) {
    table.class(5);
    let deep = |levels: usize| {
        // A failure whose cause is a failure whose cause …: field 4 of Failure, field 2 of the request that fails a task.
        let mut message = Vec::new();
        for _ in 0..levels {
            let mut outer = vec![0x22];
            prost::encoding::encode_varint(message.len() as u64, &mut outer);
            outer.extend(message);
            message = outer;
        }
        let mut request = vec![0x1a];
        prost::encoding::encode_varint(message.len() as u64, &mut request);
        request.extend(message);
        request
    };
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("random bytes", (0..200_u32).map(|at| (at * 37 % 251) as u8).collect()),
        ("field number 0", vec![0x00, 0x01]),
        ("a wire type that is none", vec![0x0f]),
        ("a group that never ends", vec![0x0b]),
        ("the end of a group that never began", vec![0x0c]),
        ("a length beyond the end", vec![0x0a, 0x7f, b'x']),
        ("a length of 2^64-1", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("a varint of 11 bytes", vec![0x80; 11]),
        ("a varint that is cut off", vec![0x0a, 0x80]),
        ("a number where a text is expected", vec![0x08, 0x01]),
        ("a text where a message is expected", vec![0x1a, 0x01, b'x']),
        ("groups 10,000 deep", vec![0x0b; 10_000]),
    ];
    for (name, message) in bad {
        let path = path::<Start>();
        table.act(name, refused(UNDECODED), |world| async move { call_bytes(&world, &path, &message).await });
    }
    for levels in [101, 5_000] {
        let message = deep(levels);
        table.act(&format!("a failure of {levels} causes"), refused(UNDECODED), |world| async move {
            let path = path::<steadfast_api::v1::workflowservice::RespondWorkflowTaskFailedRequest>();
            call_bytes(&world, &path, &message).await
        });
    }
    table.invalid("a message without a field", Start::default(), "");
    let mut unknown = start(|_| {}).encode_to_vec();
    // Field 2047, a varint.
    unknown.extend([0xf8, 0x7f, 0x01]);
    let taken = Expect { codes: &["Ok"], text: "", may_write: true };
    table.act("a field that nobody knows is passed over", taken, |world| async move {
        call_bytes(&world, &path::<Start>(), &unknown).await
    });
    for (name, number) in [("9999", 9999), ("-1", -1), ("2^31-1", i32::MAX), ("-2^31", i32::MIN)] {
        table.taken(
            &format!("reuse policy {name} counts as not given"),
            start(|r| r.workflow_id_reuse_policy = number),
        );
        table.taken(
            &format!("conflict policy {name} counts as not given"),
            start(|r| r.workflow_id_conflict_policy = number),
        );
        table.refused(
            &format!("reset type {name}"),
            reset(|r| r.reset_reapply_type = number),
            &["InvalidArgument", "FailedPrecondition", "NotFound"],
            "",
        );
        let mut of_no_kind = queue(&fresh("kind"));
        of_no_kind.kind = number;
        let unknown_kind = poll(|r| r.task_queue = Some(of_no_kind));
        table.act(
            &format!("a queue of kind {name}"),
            refused(&["Ok", "InvalidArgument"]),
            |world| async move { call_within(&world, &unknown_kind, "2100m").await },
        );
        table.refused(
            &format!("a queue of type {name}"),
            describe_queue(|r| r.task_queue_type = number),
            &["Ok", "InvalidArgument"],
            "",
        );
    }
}

/// The frame around it.
fn frames(table: &mut Table) {
    let message = start(|_| {}).encode_to_vec();
    let whole = frame(0, &message);
    let cut = whole.slice(..whole.len() - 7);
    let two: Bytes = [&whole[..], &whole[..]].concat().into();
    let rows: Vec<(&str, Bytes)> = vec![
        ("no body", Bytes::new()),
        ("half a prefix", Bytes::from_static(&[0, 0, 0])),
        ("a frame that is cut off", cut),
        ("a frame that says it is longer", frame_of(0, message.len() + 100, &message)),
        ("a frame that says it is shorter", frame_of(0, message.len() - 3, &message)),
        ("a flag of 2", frame(2, &message)),
        ("a flag of 255", frame(255, &message)),
        ("a compressed frame without saying how", frame(1, &message)),
        ("two messages in a call of one", two),
    ];
    for (name, body) in rows {
        // What is whole was heard before what comes after it is refused.
        let may_write = name.starts_with("two");
        let codes: &[&str] = if may_write { &["Internal", "InvalidArgument", "Ok"] } else { BROKEN };
        let expect = Expect { may_write, ..refused(codes) };
        table.act(
            name,
            expect,
            |world| async move { send(world.channel(), &path::<Start>(), &[], body).await },
        );
    }
    table.class(1);
    let huge = frame_of(0, u32::MAX as usize, b"x");
    table.act("a frame that says it is 4 GiB", refused(&["ResourceExhausted"]), |world| async move {
        send(world.channel(), &path::<Start>(), &[], huge).await
    });
    let expect = refused(&["Unknown", "Internal", "Broken", "HTTP 431", "ResourceExhausted"]);
    table.act("a header of 100 KB", expect, |world| async move {
        let value = "x".repeat(100_000);
        let body = frame(0, &start(|_| {}).encode_to_vec());
        send(world.another_channel(), &path::<Start>(), &[("x-large", &value)], body).await
    });
}

/// The headers, and where it is sent.
fn headers(table: &mut Table) {
    table.class(5);
    let path_of_start = path::<Start>();
    let mut row = |name: &str, codes, headers: &'static [(&'static str, &'static str)], path: &str| {
        let path = path.to_owned();
        let body = frame(0, &start(|_| {}).encode_to_vec());
        table.act(name, refused(codes), move |world| async move {
            send(world.channel(), &path, headers, body).await
        });
    };
    let content: &[&str] = &["HTTP 415", "Unknown"];
    row("JSON", content, &[("content-type", "application/json")], &path_of_start);
    row("a form", content, &[("content-type", "application/x-www-form-urlencoded")], &path_of_start);
    row("text", content, &[("content-type", "text/plain")], &path_of_start);
    row("gRPC-Web", content, &[("content-type", "application/grpc-web")], &path_of_start);
    row("no type", content, &[("content-type", "")], &path_of_start);
    row("a type that begins like gRPC", content, &[("content-type", "application/grpcx")], &path_of_start);
    row("gRPC with JSON in it", content, &[("content-type", "application/grpc+json")], &path_of_start);
    let unknown: &[&str] = &["Unimplemented"];
    row(
        "a method that is not there",
        unknown,
        &[],
        "/temporal.api.workflowservice.v1.WorkflowService/Nothing",
    );
    row("a service that is not there", unknown, &[], "/temporal.server.Internal/Shutdown");
    row("a path that is none", unknown, &[], "/");
    row("a path with dots", unknown, &[], "/temporal.api.workflowservice.v1.WorkflowService/../Start");
    row(
        "another case of letters",
        unknown,
        &[],
        "/temporal.api.workflowservice.v1.workflowservice/StartWorkflowExecution",
    );
    row("an encoding that is not there", unknown, &[("grpc-encoding", "br")], &path_of_start);
    row("zstd", unknown, &[("grpc-encoding", "zstd")], &path_of_start);
    let client: &[&str] = &["InvalidArgument", "FailedPrecondition"];
    row(
        "a client's version that is none",
        client,
        &[("client-name", "temporal-go"), ("client-version", "x")],
        &path_of_start,
    );
    row(
        "a client of the future",
        client,
        &[("client-name", "temporal-go"), ("client-version", "99.0.0")],
        &path_of_start,
    );
    // Our own client gives up too, and breaks the call off.
    let empty: &[&str] =
        &["Broken", "DeadlineExceeded", "Cancelled", "FailedPrecondition", "InvalidArgument", "Unknown"];
    for timeout in ["0n", "1n", "-1S", "S", "1.5S", "99999999999S", "18446744073709551616S", "x", "1000m"] {
        let request = poll(|_| {});
        table.act(
            &format!("a poll with the deadline {timeout:?}"),
            refused(empty),
            move |world| async move { call_within(&world, &request, timeout).await },
        );
    }
    let request = poll(|_| {});
    table.act("a poll without a deadline", refused(&["InvalidArgument"]), |world| async move {
        call_within(&world, &request, "").await
    });
}

/// Class 20.
fn compressed(table: &mut Table) {
    table.class(20);
    let zipped = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
    };
    let zeros = |megabytes: usize| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let some = vec![0; 1 << 20];
        (0..megabytes).try_for_each(|_| encoder.write_all(&some)).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let message = zipped(&start(|_| {}).encode_to_vec());
    let mut damaged = message.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let cut = message[..message.len() - 4].to_vec();
    let bomb = zeros(1024);
    let nested = zipped(&bomb);
    let exhausted: &[&str] = &["ResourceExhausted"];
    for (name, codes, body) in [
        ("5 MB of zeros", exhausted, frame(1, &zeros(5))),
        ("1 GiB of zeros", exhausted, frame(1, &bomb)),
        ("a bomb in a bomb", &["ResourceExhausted", "Internal", "InvalidArgument"], frame(1, &nested)),
        ("gzip that is damaged", BROKEN, frame(1, &damaged)),
        ("gzip that is cut off", BROKEN, frame(1, &cut)),
        ("no gzip at all", BROKEN, frame(1, b"hello")),
        ("gzip of nothing", &["InvalidArgument"], frame(1, &zipped(b""))),
    ] {
        table.act(name, refused(codes), move |world| async move {
            send(world.channel(), &path::<Start>(), &[("grpc-encoding", "gzip")], body).await
        });
    }
    let taken = Expect { codes: &["Ok"], text: "", may_write: true };
    table.act("a message in order, compressed", taken, |world| async move {
        send(world.channel(), &path::<Start>(), &[("grpc-encoding", "gzip")], frame(1, &message)).await
    });
    let page = format!(
        "POST /ui/api/namespaces/default/workflows/open/x/signal HTTP/1.1\nHost: localhost\nConnection: close\n\
         Content-Type: application/json\nContent-Encoding: gzip\nContent-Length: {}\n\n",
        5000
    );
    let body = [page.into_bytes(), zeros(5)[..5000].to_vec()].concat();
    table.page("a bomb for the pages is not opened", body, &["HTTP 400", "HTTP 415", "HTTP 422"], "");
}
