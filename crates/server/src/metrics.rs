//! What the server tells a Prometheus: calls by operation, and what the engine and the store are about.
//!
//! Names and labels are the reference's where it has them; what it does not have begins with `steadfast_`. Durations are
//! in seconds.

use crate::accept;
use crate::admission::Kind;
use crate::frontend::Frontend;
use ahash::HashMap;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TEXT_FORMAT, TextEncoder,
};
use std::sync::Arc;
use std::time::Instant;
use steadfast_machine::QueueType;
use tokio::net::TcpListener;
use tonic::{Code, Status};

/// Queues whose backlog is told, the longest first: workers make up names of queues, and a label costs memory elsewhere.
const QUEUES: usize = 1_000;

pub struct Metrics {
    registry: Registry,
    calls: HashMap<&'static str, Calls>,
    errors: IntCounterVec,
    commits: IntCounter,
    syncs: IntCounterVec,
    loaded_entities: IntGauge,
    loaded_bytes: IntGauge,
    admission_limit: IntGauge,
    backlog: IntGaugeVec,
}

/// What is counted of one operation.
struct Calls {
    operation: &'static str,
    kind: Kind,
    requests: IntCounter,
    pending: IntGauge,
    latency: Histogram,
}

/// A call that runs.
pub struct Running<'a> {
    metrics: &'a Metrics,
    calls: Option<&'a Calls>,
    since: Instant,
}

impl Metrics {
    /// For these operations.
    pub fn new(operations: impl Iterator<Item = &'static str>) -> Metrics {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let requests = counters("service_requests", "Calls, by operation.", &["operation", "service_name"]);
        let pending = Opts::new("service_pending_requests", "Calls that run, by operation.");
        let pending = registered(&registry, IntGaugeVec::new(pending, &["operation", "service_name"]));
        let latency =
            HistogramOpts::new("service_latency", "Seconds from a call to its answer, by operation.");
        let latency = latency.buckets(buckets());
        let latency = registered(&registry, HistogramVec::new(latency, &["operation", "service_name"]));
        let calls = operations
            .map(|operation| {
                let labels = [operation, "frontend"];
                let calls = Calls {
                    operation,
                    kind: Kind::of(operation),
                    requests: requests.with_label_values(&labels),
                    pending: pending.with_label_values(&labels),
                    latency: latency.with_label_values(&labels),
                };
                (operation, calls)
            })
            .collect();
        let errors = counters(
            "service_error_with_type",
            "Calls that were refused or failed, by operation and gRPC code.",
            &["operation", "service_name", "error_type"],
        );
        let syncs = counters(
            "steadfast_store_syncs_total",
            "Times that the disk was asked to keep what was written: for commits, and to move the log into the file.",
            &["kind"],
        );
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
        let commits =
            IntCounter::new("steadfast_store_commits_total", "Changes of runs that were made durable.");
        let backlog = Opts::new("approximate_backlog_count", "Tasks that wait in a queue.");
        Metrics {
            calls,
            errors,
            commits: registered(&registry, commits),
            syncs,
            loaded_entities: gauge("steadfast_loaded_entities", "Workflows and activities in memory."),
            loaded_bytes: gauge("steadfast_loaded_bytes", "About the bytes that they take."),
            admission_limit: gauge(
                "steadfast_admission_limit",
                "Calls that begin something that may run at once: few when more comes than can be done.",
            ),
            backlog: registered(
                &registry,
                IntGaugeVec::new(backlog, &["namespace", "taskqueue", "task_type"]),
            ),
            registry,
        }
    }

    pub fn begin(&self, operation: &'static str) -> Running<'_> {
        let calls = self.calls.get(operation);
        if let Some(calls) = calls {
            calls.requests.inc();
            calls.pending.inc();
        }
        Running { metrics: self, calls, since: Instant::now() }
    }

    /// The page that Prometheus reads.
    fn page(&self, frontend: &Frontend) -> Result<String, prometheus::Error> {
        let work = frontend.engine.store().work();
        raise(&self.commits, work.commits);
        raise(&self.syncs.with_label_values(&["commit"]), work.commit_syncs);
        raise(&self.syncs.with_label_values(&["checkpoint"]), work.checkpoint_syncs);
        let (entities, bytes) = frontend.engine.loaded();
        self.loaded_entities.set(entities as i64);
        self.loaded_bytes.set(bytes as i64);
        self.admission_limit.set(frontend.admission.limit() as i64);
        self.backlog.reset();
        for (queue, tasks) in frontend.engine.longest_backlogs(QUEUES) {
            let Some(namespace) = frontend.engine.namespaces().by_id(queue.namespace) else { continue };
            let kind = match queue.kind {
                QueueType::Activity => "Activity",
                _ => "Workflow",
            };
            self.backlog.with_label_values(&[&*namespace.name, &*queue.name, kind]).set(tasks as i64);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Running<'_> {
    /// What is called; empty for what is not counted.
    pub fn operation(&self) -> &'static str {
        self.calls.map_or("", |calls| calls.operation)
    }

    /// What it is to the admission.
    pub fn kind(&self) -> Kind {
        self.calls.map_or(Kind::Other, |calls| calls.kind)
    }

    pub fn since(&self) -> Instant {
        self.since
    }

    /// The call was answered, or failed.
    pub fn ended<T>(&self, answer: &Result<T, Status>) {
        if let (Some(calls), Err(status)) = (self.calls, answer) {
            let labels = [calls.operation, "frontend", code_name(status.code())];
            self.metrics.errors.with_label_values(&labels).inc();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(calls) = self.calls {
            calls.pending.dec();
            calls.latency.observe(self.since.elapsed().as_secs_f64());
        }
    }
}

/// 1, 2 and 5 times the powers of ten from a millisecond to a thousand seconds.
fn buckets() -> Vec<f64> {
    let of = |power: i32| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power));
    (-3..3).flat_map(of).chain([1000.0]).collect()
}

fn registered<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = made.expect("names and labels are constants of this file, and valid");
    registry.register(Box::new(collector.clone())).expect("each name is there once");
    collector
}

/// A counter of this page follows one that is counted elsewhere.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// As the reference names the errors of its API.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "InvalidArgument",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Unimplemented => "Unimplemented",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::Cancelled => "Canceled",
        Code::Unavailable => "Unavailable",
        _ => "Internal",
    }
}

/// Serves `/metrics` until the frontend is told to stop.
///
/// # Errors
/// The listener fails; the text says so.
pub async fn serve(frontend: Arc<Frontend>, listener: TcpListener) -> Result<(), String> {
    let stopping = frontend.stopping.clone();
    let page = move || {
        let page = frontend.metrics.page(&frontend).map_err(|error| error.to_string());
        async { page.map(|page| ([(CONTENT_TYPE, TEXT_FORMAT)], page)) }
    };
    let router = Router::new().route("/metrics", get(page));
    tokio::select! {
        () = accept::serve_http(listener, router) => Ok(()),
        () = stopping.cancelled() => Ok(()),
    }
}
