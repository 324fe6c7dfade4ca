//! The rules that many requests share: ids, durations, retry policies, queues, links, callbacks, sizes. Each returns the
//! refusal with the reference's text; the order in which a request's fields are checked is in `from_proto`.

use crate::callbacks::address;
use crate::limits::{BUILD_ID_BYTES, NAMESPACE_BYTES};
use prost::Message;
use prost_types::Duration;
use std::collections::HashSet;
use steadfast_api::v1::common::{
    Callback, Header, Link, Memo, Payloads, Priority, RetryPolicy, WorkerVersionCapabilities,
    WorkflowExecution,
};
use steadfast_api::v1::common::{callback, link};
use steadfast_api::v1::deployment::WorkerDeploymentOptions;
use steadfast_api::v1::enums::{EventType, TaskQueueKind, WorkerVersioningMode};
use steadfast_api::v1::sdk::UserMetadata;
use steadfast_api::v1::taskqueue::TaskQueue;
use steadfast_api::v1::worker::WorkerHeartbeat;
use steadfast_machine::duration;
use steadfast_machine::limits::{NUL, has_nul};
use steadfast_machine::workflow::activity::INTERNAL_QUEUE;
use steadfast_machine::workflow::retry;
use steadfast_machine::{Limits, Reject};
use uuid::Uuid;

/// Names that begin so are the server's own: partitions, in the reference.
pub const RESERVED_QUEUE: &str = "/_sys/";

pub fn identity(identity: &str, limits: &Limits) -> Result<(), Reject> {
    at_most(identity, limits.id_bytes, "Identity length exceeds limit.")
}

/// Why something is done: free text, but not without end.
pub fn reason(reason: &str, limits: &Limits) -> Result<(), Reject> {
    at_most(reason, limits.blob_bytes, "Reason length exceeds limit.")
}

pub fn update_name(name: &str, limits: &Limits) -> Result<(), Reject> {
    at_most(name, limits.id_bytes, "Update name length exceeds limit.")
}

pub fn update_id(id: &str, limits: &Limits) -> Result<(), Reject> {
    at_most(id, limits.id_bytes, "UpdateId length exceeds limit.")
}

/// The name of a namespace that is to be.
pub fn new_namespace(name: &str) -> Result<(), Reject> {
    if name.is_empty() {
        return Err(Reject::invalid("Namespace not set on request."));
    }
    at_most(name, NAMESPACE_BYTES, "Namespace length exceeds limit.")
}

fn at_most(text: &str, bytes: usize, refusal: &str) -> Result<(), Reject> {
    if text.len() > bytes { Err(Reject::invalid(refusal)) } else { no_nul(text) }
}

pub fn no_nul(text: &str) -> Result<(), Reject> {
    if has_nul(text) { Err(Reject::invalid(NUL)) } else { Ok(()) }
}

/// The id of a workflow that is to be started.
pub fn new_workflow_id(id: &str, limits: &Limits) -> Result<(), Reject> {
    if id.is_empty() {
        return Err(Reject::invalid("WorkflowId is not set on request."));
    }
    at_most(id, limits.id_bytes, "WorkflowId length exceeds limit.")
}

/// A workflow that exists: its id, and the run if one is named.
pub fn execution(execution: Option<&WorkflowExecution>) -> Result<(&str, Option<Uuid>), Reject> {
    let execution = execution.ok_or_else(|| Reject::invalid("Execution is not set on request."))?;
    if execution.workflow_id.is_empty() {
        return Err(Reject::invalid("WorkflowId is not set on request."));
    }
    no_nul(&execution.workflow_id)?;
    Ok((&execution.workflow_id, run_id(&execution.run_id)?))
}

/// The same where nothing looks at it before the workflow is loaded, in the words of that.
pub fn loaded(workflow_id: &str, id: &str) -> Result<Option<Uuid>, Reject> {
    if workflow_id.is_empty() {
        return Err(Reject::invalid("Can't load workflow execution.  WorkflowId not set."));
    }
    no_nul(workflow_id)?;
    run_id(id).map_err(|_| Reject::invalid("RunId is not valid UUID."))
}

pub fn run_id(id: &str) -> Result<Option<Uuid>, Reject> {
    if id.is_empty() {
        return Ok(None);
    }
    Uuid::try_parse(id).map(Some).map_err(|_| Reject::invalid("Invalid RunId."))
}

/// A run id that starts a chain. One that is no id matches no chain, and is told so by the machine.
pub fn first_run_id(id: &str) -> Option<Uuid> {
    (!id.is_empty()).then(|| Uuid::try_parse(id).unwrap_or_default())
}

pub fn signal_name(name: &str, limits: &Limits) -> Result<(), Reject> {
    if name.is_empty() {
        return Err(Reject::invalid("SignalName is not set on request."));
    }
    at_most(name, limits.id_bytes, "SignalName length exceeds limit.")
}

pub fn workflow_type(name: &str, limits: &Limits) -> Result<(), Reject> {
    if name.is_empty() {
        return Err(Reject::invalid("WorkflowType is not set on request."));
    }
    at_most(name, limits.id_bytes, "WorkflowType length exceeds limit.")
}

pub fn request_id(id: &str, limits: &Limits) -> Result<(), Reject> {
    at_most(id, limits.id_bytes, "RequestId length exceeds limit.")
}

/// Nanoseconds of an optional duration; the refusal of a bad one begins with `what`.
pub fn timeout(what: &str, given: Option<&Duration>) -> Result<i64, Reject> {
    duration::nanos(given)
        .map_err(|why| Reject::invalid(format!("An invalid {what} is set on request. cause: {why}")))
}

/// Fills in what is not set, then checks.
pub fn retry_policy(policy: &mut RetryPolicy) -> Result<(), Reject> {
    *policy = retry::with_defaults(std::mem::take(policy));
    retry::check(policy).map_err(Reject::InvalidArgument)
}

/// A queue that a worker polls: a normal or a sticky one.
pub fn polled_queue<'a>(queue: Option<&'a TaskQueue>, limits: &Limits) -> Result<&'a TaskQueue, Reject> {
    let queue = queue.ok_or_else(|| Reject::invalid("taskQueue is not set"))?;
    if queue.name.is_empty() {
        return Err(Reject::invalid("missing task queue name"));
    }
    queue_name(&queue.name, limits, true)?;
    if queue.kind == TaskQueueKind::Sticky as i32 && !queue.normal_name.is_empty() {
        queue_name(&queue.normal_name, limits, false)?;
    }
    Ok(queue)
}

/// A queue that a user asks to run something on.
pub fn user_queue<'a>(queue: Option<&'a TaskQueue>, limits: &Limits) -> Result<&'a TaskQueue, Reject> {
    let queue = polled_queue(queue, limits)?;
    if queue.name == INTERNAL_QUEUE {
        return Err(Reject::invalid(format!("cannot use internal per-namespace task queue:{}", queue.name)));
    }
    Ok(queue)
}

/// The name of a queue; one of a partition of it only where `whole` is not asked for.
pub fn queue_name(name: &str, limits: &Limits, whole: bool) -> Result<(), Reject> {
    at_most(name, limits.id_bytes, "taskQueue length exceeds limit")?;
    if whole && name.starts_with(RESERVED_QUEUE) {
        return Err(Reject::invalid(format!(
            "task queue name cannot start with reserved prefix {RESERVED_QUEUE}"
        )));
    }
    Ok(())
}

pub fn deployment(options: Option<&WorkerDeploymentOptions>, limits: &Limits) -> Result<(), Reject> {
    let Some(options) = options else { return Ok(()) };
    at_most(&options.deployment_name, limits.id_bytes, "Deployment name length exceeds limit.")?;
    at_most(&options.build_id, limits.id_bytes, "Build ID length exceeds limit.")?;
    let versioned = options.worker_versioning_mode == WorkerVersioningMode::Versioned as i32;
    if versioned && (options.deployment_name.is_empty() || options.build_id.is_empty()) {
        return Err(Reject::invalid(
            "Both deployment name and build id must be set when versioning is enabled.",
        ));
    }
    Ok(())
}

/// What a worker calls itself, beside its identity: it is remembered.
pub fn worker_key(key: &str, limits: &Limits) -> Result<(), Reject> {
    at_most(key, limits.id_bytes, "Worker instance key length exceeds limit.")
}

pub fn heartbeats<'a>(
    heartbeats: impl IntoIterator<Item = &'a WorkerHeartbeat>,
    limits: &Limits,
) -> Result<(), Reject> {
    heartbeats.into_iter().try_for_each(|heartbeat| worker_key(&heartbeat.worker_instance_key, limits))
}

pub fn checksum(checksum: &str, limits: &Limits) -> Result<(), Reject> {
    at_most(checksum, limits.id_bytes, "Binary checksum length exceeds limit.")
}

/// The build id of a worker that tells it in the older way.
pub fn worker_version(version: Option<&WorkerVersionCapabilities>) -> Result<(), Reject> {
    let build_id = version.map_or("", |version| &version.build_id);
    if version.is_some_and(|version| version.use_versioning && version.build_id.is_empty()) {
        return Err(Reject::invalid("WorkerVersionStamp must be present if UseVersioning is true."));
    }
    let why = "Build ID exceeds configured limit.workerBuildIdSize, use a shorter build ID.";
    at_most(build_id, BUILD_ID_BYTES, why)
}

pub fn priority(priority: Option<&Priority>, limits: &Limits) -> Result<(), Reject> {
    let Some(priority) = priority else { return Ok(()) };
    if priority.priority_key < 0 {
        return Err(Reject::invalid("priority key can't be negative"));
    }
    at_most(&priority.fairness_key, limits.fairness_key_bytes, "fairness key length exceeds limit")?;
    if priority.fairness_weight < 0.0 || priority.fairness_weight.is_nan() {
        return Err(Reject::invalid("must be greater than zero"));
    }
    Ok(())
}

/// One payload blob: an input, a result, details.
pub fn blob(payloads: Option<&Payloads>, limits: &Limits) -> Result<(), Reject> {
    if size(payloads) > limits.blob_bytes {
        return Err(Reject::invalid("Blob data size exceeds limit."));
    }
    Ok(())
}

/// What goes with a request beside its input.
pub fn header(header: Option<&Header>, limits: &Limits) -> Result<(), Reject> {
    if size(header) > limits.blob_bytes {
        return Err(Reject::invalid("Header size exceeds limit."));
    }
    Ok(())
}

pub fn user_metadata(metadata: Option<&UserMetadata>, limits: &Limits) -> Result<(), Reject> {
    if size(metadata) > limits.blob_bytes {
        return Err(Reject::invalid("User metadata size exceeds limit."));
    }
    Ok(())
}

pub fn memo(memo: Option<&Memo>, limits: &Limits) -> Result<(), Reject> {
    if size(memo) > limits.memo_bytes {
        return Err(Reject::invalid("Memo size exceeds limit."));
    }
    Ok(())
}

/// Bytes of a message as it is stored; 0 for an absent one.
pub fn size<M: Message>(message: Option<&M>) -> usize {
    message.map_or(0, Message::encoded_len)
}

/// Drops the links that a callback carries too.
pub fn links_without_callbacks(links: Vec<Link>, callbacks: &[Callback]) -> Vec<Link> {
    let carried: HashSet<Vec<u8>> =
        callbacks.iter().flat_map(|callback| &callback.links).map(Message::encode_to_vec).collect();
    if carried.is_empty() {
        return links;
    }
    links.into_iter().filter(|link| !carried.contains(&link.encode_to_vec())).collect()
}

/// The links of a request and those of its callbacks.
pub fn links<'a>(
    links: impl IntoIterator<Item = &'a Link>,
    callbacks: &'a [Callback],
    limits: &Limits,
) -> Result<(), Reject> {
    let all: Vec<&Link> =
        links.into_iter().chain(callbacks.iter().flat_map(|callback| &callback.links)).collect();
    if all.len() > limits.links_per_request {
        return Err(Reject::invalid(format!(
            "cannot attach more than {} links per request, got {}",
            limits.links_per_request,
            all.len()
        )));
    }
    all.into_iter().try_for_each(|link| one_link(link, limits))
}

fn one_link(link: &Link, limits: &Limits) -> Result<(), Reject> {
    let bytes = link.encoded_len();
    if bytes > limits.link_bytes {
        return Err(Reject::invalid(format!(
            "link exceeds allowed size of {}, got {bytes}",
            limits.link_bytes
        )));
    }
    let set = |what: &str, fields: &[(&str, &str)]| match fields.iter().find(|(_, value)| value.is_empty()) {
        None => Ok(()),
        Some((field, _)) => Err(Reject::invalid(format!("{what} link must not have an empty {field} field"))),
    };
    match &link.variant {
        Some(link::Variant::WorkflowEvent(event)) => {
            set(
                "workflow event",
                &[
                    ("namespace", &event.namespace),
                    ("workflow ID", &event.workflow_id),
                    ("run ID", &event.run_id),
                ],
            )?;
            if let Some(link::workflow_event::Reference::EventRef(reference)) = &event.reference
                && reference.event_type == EventType::Unspecified as i32
                && reference.event_id != 0
            {
                return Err(Reject::invalid(
                    "workflow event link ref cannot have an unspecified event type and a non-zero event ID",
                ));
            }
            Ok(())
        }
        Some(link::Variant::BatchJob(job)) if job.job_id.is_empty() => {
            Err(Reject::invalid("batch job link must not have an empty job ID"))
        }
        Some(link::Variant::BatchJob(_)) => Ok(()),
        Some(link::Variant::NexusOperation(operation)) => set(
            "nexus operation",
            &[
                ("namespace", &operation.namespace),
                ("operation ID", &operation.operation_id),
                ("run ID", &operation.run_id),
            ],
        ),
        Some(link::Variant::Activity(activity)) => set(
            "activity",
            &[
                ("namespace", &activity.namespace),
                ("activity ID", &activity.activity_id),
                ("run ID", &activity.run_id),
            ],
        ),
        Some(link::Variant::Workflow(workflow)) => set(
            "workflow",
            &[
                ("namespace", &workflow.namespace),
                ("workflow ID", &workflow.workflow_id),
                ("run ID", &workflow.run_id),
            ],
        ),
        Some(link::Variant::Callback(_)) | None => Err(Reject::invalid("unsupported link variant")),
    }
}

/// Completion callbacks of a start. Header names are lower-cased, as HTTP does.
pub fn callbacks(callbacks: &mut [Callback], limits: &Limits) -> Result<(), Reject> {
    if callbacks.len() > limits.callbacks_per_run {
        return Err(Reject::invalid(format!(
            "cannot attach more than {} callbacks to a workflow",
            limits.callbacks_per_run
        )));
    }
    for callback in callbacks {
        match &mut callback.variant {
            Some(callback::Variant::Nexus(nexus)) => {
                address::allowed(&nexus.url, &limits.callback_addresses)?;
                let size: usize = nexus.header.iter().map(|(name, value)| name.len() + value.len()).sum();
                if size > address::HEADER_BYTES {
                    return Err(Reject::invalid(format!(
                        "invalid header: header size longer than max allowed size of {}",
                        address::HEADER_BYTES
                    )));
                }
                let given = std::mem::take(&mut nexus.header).into_iter();
                nexus.header = given.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
            }
            Some(callback::Variant::Internal(_)) => {
                return Err(Reject::invalid("unknown callback variant: *common.Callback_Internal_"));
            }
            Some(callback::Variant::NexusHandler(_)) => {
                return Err(Reject::Unimplemented("unknown callback variant".into()));
            }
            None => return Err(Reject::Unimplemented("unknown callback variant: <nil>".into())),
        }
    }
    Ok(())
}
