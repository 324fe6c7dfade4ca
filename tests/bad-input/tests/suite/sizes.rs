//! Classes 1, 2 and 4: messages, payloads and ids that are too large, and too much of them.

use bad_input_test::requests::*;
use bad_input_test::{Table, World};
use steadfast_api::v1::common::{Callback, Link, Memo, Priority, SearchAttributes};
use steadfast_api::v1::deployment::WorkerDeploymentOptions;
use steadfast_api::v1::enums::DescribeTaskQueueMode;
use steadfast_api::v1::taskqueue::TaskQueueVersionSelection;
use steadfast_api::v1::workflowservice::{DescribeTaskQueueRequest, UpdateNamespaceRequest};

/// One more than the most bytes of an id.
const LONG: usize = 1001;
/// One more than the most bytes of a blob; the message around it adds more.
const BLOB: usize = 2 << 20;
const MESSAGE: usize = 4 << 20;
const EXHAUSTED: &[&str] = &["ResourceExhausted"];

pub async fn cases(world: &World, table: &mut Table) {
    let long = || "x".repeat(LONG);

    table.class(1);
    table.refused("a start of 4 MiB", start(|r| r.input = large(MESSAGE)), EXHAUSTED, "too large");
    table.refused("a signal of 4 MiB", signal(|r| r.input = large(MESSAGE)), EXHAUSTED, "too large");
    table.refused("a query of 4 MiB", list(|r| r.query = "x".repeat(MESSAGE)), EXHAUSTED, "too large");
    table.refused(
        "an id of 4 MiB",
        describe(|r| r.execution = Some(execution(&"x".repeat(MESSAGE)))),
        EXHAUSTED,
        "",
    );
    table.refused("a namespace of 4 MiB", start(|r| r.namespace = "x".repeat(MESSAGE)), EXHAUSTED, "");
    table.refused(
        "a completion of 40 MiB",
        complete(|r| r.identity = "x".repeat(10 * MESSAGE)),
        EXHAUSTED,
        "",
    );

    table.class(2);
    table.invalid("an input over 2 MiB", start(|r| r.input = large(BLOB)), "Blob data size exceeds limit.");
    table.invalid("an input of many", start(|r| r.input = many(3000, 1000)), "Blob data size exceeds limit.");
    table.invalid("a memo over 2 MiB", start(|r| r.memo = memo(BLOB)), "Memo size exceeds limit.");
    table.invalid("a signal over 2 MiB", signal(|r| r.input = large(BLOB)), "Blob data size exceeds limit.");
    table.invalid("a started signal over 2 MiB", signal_with_start(|r| r.signal_input = large(BLOB)), "Blob");
    table.invalid(
        "details over 2 MiB",
        terminate(|r| r.details = large(BLOB)),
        "Blob data size exceeds limit.",
    );
    table.invalid(
        "a query's arguments over 2 MiB",
        query(|r| r.query.get_or_insert_default().query_args = large(BLOB)),
        "Blob",
    );
    table.invalid("a standalone activity over 2 MiB", start_activity(|r| r.input = large(BLOB)), "");
    table.invalid("a header over 2 MiB", start(|r| r.header = header(BLOB)), "");
    table.invalid("a signal's header over 2 MiB", signal(|r| r.header = header(BLOB)), "");
    table.invalid(
        "a long workflow id",
        start(|r| r.workflow_id = long()),
        "WorkflowId length exceeds limit.",
    );
    table.invalid(
        "a long type",
        start(|r| r.workflow_type = Some(workflow_type(&long()))),
        "WorkflowType length",
    );
    table.invalid("a long queue", start(|r| r.task_queue = Some(queue(&long()))), "taskQueue length");
    table.invalid("a long request id", start(|r| r.request_id = long()), "RequestId length");
    table.invalid("a long signal name", signal(|r| r.signal_name = long()), "SignalName length");
    table.invalid("a long signal's request id", signal(|r| r.request_id = long()), "RequestId length");
    table.invalid("a long identity that starts", start(|r| r.identity = long()), "Identity length");
    table.invalid("a long identity that signals", signal(|r| r.identity = long()), "Identity length");
    table.invalid("a long identity that cancels", cancel(|r| r.identity = long()), "Identity length");
    table.invalid("a long identity that terminates", terminate(|r| r.identity = long()), "Identity length");
    table.invalid("a long identity that polls", poll(|r| r.identity = long()), "Identity length");
    table.invalid(
        "a long queue that is polled",
        poll(|r| r.task_queue = Some(queue(&long()))),
        "taskQueue length",
    );
    table.invalid("a long key of a worker", poll(|r| r.worker_instance_key = long()), "Worker instance key");
    table.invalid(
        "a long key that polls",
        poll_activity(|r| r.worker_instance_key = long()),
        "Worker instance",
    );
    table.invalid("a long key that goes", shut_worker(|r| r.worker_instance_key = long()), "Worker instance");
    table.invalid("a long checksum", poll(|r| r.binary_checksum = long()), "Binary checksum length");
    table.invalid(
        "a long deployment",
        poll(|r| r.deployment_options = deployment(&long(), "1")),
        "Deployment",
    );
    table.invalid("a long build", poll(|r| r.deployment_options = deployment("d", &long())), "Build ID");
    let task_token = world.workflow_task(&fresh("long-build")).await.task_token;
    let completion = complete(|r| {
        r.task_token = task_token;
        r.deployment_options = deployment("d", &long());
    });
    table.invalid("a long build that completes", completion, "Build ID length");
    table.invalid("a queue of 1,001 builds", versions_of_queue(1001, 2), "Too many build ids");
    table.invalid("a queue of 20,000 types", versions_of_queue(1000, 20_000), "Too many task queue types");
    table.invalid("a weight that is none", start(|r| r.priority = weight(f32::NAN)), "greater than zero");
    table.invalid("a weight below zero", start_activity(|r| r.priority = weight(-1.0)), "greater than zero");
    table.invalid("a state that is none", update_namespace(|r| state(r, 7)), "namespace state update");
    table.invalid("a state that deletes", update_namespace(|r| state(r, 3)), "namespace state update");
    table.invalid("a long request id that cancels", cancel(|r| r.request_id = long()), "RequestId length");
    table.invalid("a long reset's request id", reset(|r| r.request_id = long()), "RequestId length");
    table.invalid("a long reason to cancel", cancel(|r| r.reason = "x".repeat(BLOB + 1)), "");
    table.invalid("a long reason to terminate", terminate(|r| r.reason = "x".repeat(BLOB + 1)), "");
    table.invalid("a long reason to reset", reset(|r| r.reason = "x".repeat(BLOB + 1)), "");
    table.invalid("a long update id", update(|r| update_id(r, &long())), "");
    table.invalid("a long update name", update(|r| update_name(r, &long())), "");
    table.invalid("a long activity id", start_activity(|r| r.activity_id = long()), "");
    table.invalid("a long namespace", start(|r| r.namespace = long()), "Namespace length exceeds limit.");
    table.invalid("a long new namespace", register(|r| r.namespace = long()), "");
    table.invalid("a long cron schedule", start(|r| r.cron_schedule = vec!["*"; MESSAGE / 4].join(",")), "");
    table.invalid(
        "a fairness key of 65 bytes",
        start(|r| r.priority = fairness(&"x".repeat(65))),
        "fairness key",
    );
    table.invalid(
        "11 links",
        start(|r| r.links = vec![Link::default(); 11]),
        "cannot attach more than 10 links",
    );
    table.invalid(
        "33 callbacks",
        start(|r| r.completion_callbacks = vec![Callback::default(); 33]),
        "cannot attach more than 32 callbacks",
    );
    table.invalid("101 search attributes", start(|r| r.search_attributes = attributes(101, 1)), "");
    table.invalid("a search attribute of 3 KB", start(|r| r.search_attributes = attributes(1, 3000)), "");
    table.invalid("a long job id", batch(|r| r.job_id = long()), "WorkflowId length exceeds limit.");
    table.invalid("a long signal of a batch", batch(|r| r.operation = Some(batch_signal(&long(), None))), "");
    table.invalid(
        "a signal of a batch over 2 MiB",
        batch(|r| r.operation = Some(batch_signal("go", large(BLOB)))),
        "Blob data size exceeds limit.",
    );
    table.invalid("a long reason of a batch", batch(|r| r.reason = "x".repeat(BLOB + 1)), "Reason length");
    table.invalid("a long reason to stop a batch", stop_batch(|r| r.reason = "x".repeat(BLOB + 1)), "Reason");
    table.invalid(
        "a long identity that stops a batch",
        stop_batch(|r| r.identity = long()),
        "Identity length",
    );
    table.refused(
        "a batch of 100,000 named workflows",
        batch(|r| {
            r.visibility_query = String::new();
            #[allow(deprecated)]
            {
                r.executions = vec![execution(&"x".repeat(50)); 100_000];
            }
        }),
        EXHAUSTED,
        "too large",
    );
    table.not_found(
        "an id of 1 MB that nobody has",
        describe(|r| r.execution = Some(execution(&"x".repeat(1 << 20)))),
        "",
    );
    table.taken("an id of 1000 bytes", start(|r| r.workflow_id = format!("{:x<1000}", fresh("long"))));
    table.taken("an input just below 2 MiB", start(|r| r.input = large(BLOB - 100)));
}

fn many(count: usize, bytes: usize) -> Option<steadfast_api::v1::common::Payloads> {
    let one = payload(vec![b'x'; bytes]);
    Some(steadfast_api::v1::common::Payloads { payloads: vec![one; count] })
}

fn memo(bytes: usize) -> Option<Memo> {
    Some(Memo { fields: [("note".to_owned(), payload(vec![b'x'; bytes]))].into() })
}

fn header(bytes: usize) -> Option<steadfast_api::v1::common::Header> {
    let fields = [("trace".to_owned(), payload(vec![b'x'; bytes]))].into();
    Some(steadfast_api::v1::common::Header { fields })
}

fn fairness(key: &str) -> Option<Priority> {
    Some(Priority { fairness_key: key.into(), ..Default::default() })
}

fn weight(weight: f32) -> Option<Priority> {
    Some(Priority { fairness_key: "a".into(), fairness_weight: weight, ..Default::default() })
}

fn deployment(name: &str, build_id: &str) -> Option<WorkerDeploymentOptions> {
    let (deployment_name, build_id) = (name.to_owned(), build_id.to_owned());
    Some(WorkerDeploymentOptions { deployment_name, build_id, ..Default::default() })
}

fn versions_of_queue(builds: usize, types: i32) -> DescribeTaskQueueRequest {
    let build_ids = (0..builds).map(|number| number.to_string()).collect();
    describe_queue(|request| {
        request.set_api_mode(DescribeTaskQueueMode::Enhanced);
        request.versions = Some(TaskQueueVersionSelection { build_ids, ..Default::default() });
        request.task_queue_types = (0..types).collect();
    })
}

fn state(request: &mut UpdateNamespaceRequest, state: i32) {
    request.update_info.get_or_insert_default().state = state;
}

fn attributes(keys: usize, bytes: usize) -> Option<SearchAttributes> {
    let value = payload(format!("\"{}\"", "x".repeat(bytes)));
    let field = |at: usize| (if at == 0 { "Customer".to_owned() } else { format!("Key{at}") }, value.clone());
    Some(SearchAttributes { indexed_fields: (0..keys).map(field).collect() })
}

type UpdateRequest = steadfast_api::v1::workflowservice::UpdateWorkflowExecutionRequest;

fn update_id(request: &mut UpdateRequest, id: &str) {
    request.request.get_or_insert_default().meta.get_or_insert_default().update_id = id.into();
}

fn update_name(request: &mut UpdateRequest, name: &str) {
    request.request.get_or_insert_default().input.get_or_insert_default().name = name.into();
}
