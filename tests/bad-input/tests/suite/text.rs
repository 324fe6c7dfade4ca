//! Class 6: NUL characters and bytes that are no UTF-8, in every place where a client names something.

use bad_input_test::requests::*;
use bad_input_test::{Expect, Table, World, grpc};
use prost::Message;
use steadfast_api::v1::common::{Memo, SearchAttributes, WorkflowExecution};

const NUL: &str = "a\0b";

pub async fn cases(_: &World, table: &mut Table) {
    table.class(6);
    let named = |id: &str| Some(WorkflowExecution { workflow_id: id.into(), run_id: String::new() });
    table.invalid("NUL in a workflow id", start(|r| r.workflow_id = NUL.into()), "NUL");
    table.invalid("nothing but a NUL", start(|r| r.workflow_id = "\0".into()), "NUL");
    table.invalid("NUL in a workflow type", start(|r| r.workflow_type = Some(workflow_type(NUL))), "NUL");
    table.invalid("NUL in a queue", start(|r| r.task_queue = Some(queue(NUL))), "NUL");
    table.invalid("NUL in a request id", start(|r| r.request_id = NUL.into()), "NUL");
    table.invalid("NUL in an identity that polls", poll(|r| r.identity = NUL.into()), "NUL");
    table.invalid("NUL in a polled queue", poll(|r| r.task_queue = Some(queue(NUL))), "NUL");
    table.invalid(
        "NUL in a polled activity queue",
        poll_activity(|r| r.task_queue = Some(queue(NUL))),
        "NUL",
    );
    table.invalid("NUL in a signal's name", signal(|r| r.signal_name = NUL.into()), "NUL");
    table.invalid("NUL in a signal's request id", signal(|r| r.request_id = NUL.into()), "NUL");
    table.invalid("NUL in a started signal's name", signal_with_start(|r| r.signal_name = NUL.into()), "NUL");
    table.invalid("NUL in a started workflow's id", signal_with_start(|r| r.workflow_id = NUL.into()), "NUL");
    table.invalid("NUL in a standalone activity", start_activity(|r| r.activity_id = NUL.into()), "NUL");
    table.invalid("NUL in a job id", batch(|r| r.job_id = NUL.into()), "NUL");
    table.invalid("NUL in the reason of a batch", batch(|r| r.reason = NUL.into()), "NUL");
    table.invalid(
        "NUL in a signal of a batch",
        batch(|r| r.operation = Some(batch_signal(NUL, None))),
        "NUL",
    );
    table.invalid("NUL in the id of a job that is stopped", stop_batch(|r| r.job_id = NUL.into()), "NUL");
    table.invalid("NUL in a described job id", describe_batch(|r| r.job_id = NUL.into()), "NUL");
    table.invalid("NUL in a new namespace", register(|r| r.namespace = NUL.into()), "");
    table.refused(
        "NUL in a namespace",
        start(|r| r.namespace = NUL.into()),
        &["NotFound", "InvalidArgument"],
        "",
    );
    table.refused("NUL in a signalled id", signal(|r| r.workflow_execution = named(NUL)), MISSING, "");
    table.refused("NUL in a described id", describe(|r| r.execution = named(NUL)), MISSING, "");
    table.refused("NUL in a deleted id", delete(|r| r.workflow_execution = named(NUL)), MISSING, "");
    table.refused("NUL in a queried id", query(|r| r.execution = named(NUL)), MISSING, "");
    table.refused("NUL in an updated id", update(|r| r.workflow_execution = named(NUL)), MISSING, "");
    table.refused("NUL in a history's id", history(|r| r.execution = named(NUL)), MISSING, "");
    table.invalid("NUL in a query's value", list(|r| r.query = "WorkflowId = 'a\0b'".into()), "U+0000");
    table.taken("NUL in a payload is data", start(|r| r.input = payloads("\0\0")));
    table.taken("NUL in a memo's value is data", start(|r| r.memo = Some(memo("note"))));
    table.invalid(
        "NUL in a search attribute",
        start(|r| r.search_attributes = customer("\"a\\u0000b\"")),
        "",
    );
    let bytes_that_are_no_text: &[(&str, &[u8])] = &[
        ("a lone continuation byte", b"\x80"),
        ("an overlong slash", b"\xc0\xaf"),
        ("half a surrogate pair", b"\xed\xa0\x80"),
        ("beyond Unicode", b"\xf5\x80\x80\x80"),
        ("a character that is cut off", b"\xe2\x82"),
    ];
    for (what, bytes) in bytes_that_are_no_text {
        // The workflow id is the second field of a start.
        spoiled(table, &format!("{what} in a workflow id"), start(|r| r.workflow_id = "??".into()), bytes);
        spoiled(
            table,
            &format!("{what} in a queue's name"),
            start(|r| r.task_queue = Some(queue("??"))),
            bytes,
        );
    }
}

const MISSING: &[&str] = &["NotFound", "InvalidArgument"];

fn memo(key: &str) -> Memo {
    Memo { fields: [(key.to_owned(), payload("\0"))].into() }
}

fn customer(json: &str) -> Option<SearchAttributes> {
    Some(SearchAttributes { indexed_fields: [("Customer".to_owned(), payload(json.to_owned()))].into() })
}

/// The request with the text `??` in it replaced by `bytes`, repeated to the same length as far as that goes.
fn spoiled<M: Message>(table: &mut Table, name: &str, request: M, bytes: &[u8]) {
    let mut encoded = request.encode_to_vec();
    let at = encoded.windows(2).position(|two| two == b"??").expect("the marker is in the request");
    encoded[at] = bytes[0];
    encoded[at + 1] = *bytes.get(1).unwrap_or(&b'x');
    let path = grpc::path::<M>();
    let expect = Expect { codes: &["Internal", "InvalidArgument"], text: "UTF-8", may_write: false };
    table.act(name, expect, move |world| async move { grpc::call_bytes(&world, &path, &encoded).await });
}
