//! Workers as they tell of themselves: their heartbeats, and those that have left. Nothing of it is stored: a worker that
//! lives says so again within a minute.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use steadfast_api::v1::enums::WorkerStatus;
use steadfast_api::v1::worker::WorkerHeartbeat;
use steadfast_machine::Time;
use steadfast_query::{AttributeType, Cell, Column, Filter, Row, Schema, Value};
use tokio::time::Instant;
use uuid::Uuid;

/// A worker of which nothing was heard for so long is forgotten.
const MEMORY: Duration = Duration::from_secs(300);

/// Workers of all namespaces, and what they say of themselves, in bytes. Beyond either, those that were silent longest
/// are forgotten.
const WORKERS: usize = 100_000;
const BYTES: usize = 64 << 20;

/// What a worker takes beside its heartbeat.
const OVERHEAD: usize = 300;

/// For so long the polls of a worker that has left get nothing.
const DEPARTURE: Duration = Duration::from_secs(30);

/// Workers that left within that time.
const DEPARTED: usize = 10_000;

/// The queue of the reference's own workers.
const SYSTEM_QUEUE: &str = "temporal-sys-per-ns-tq";

type Key = (Uuid, String);

#[derive(Default)]
pub struct Workers {
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    known: BTreeMap<Key, Known>,
    /// By when they were heard of last.
    by_age: BTreeMap<u64, Key>,
    tick: u64,
    bytes: usize,
}

struct Known {
    heartbeat: Arc<WorkerHeartbeat>,
    heard: Instant,
    tick: u64,
    bytes: usize,
}

impl Workers {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        let mut registry = self.registry.lock().expect("nothing panics while it holds this");
        registry.expire(Instant::now());
        registry
    }

    /// What a worker says of itself. One that says it has shut down is forgotten.
    pub fn record(&self, namespace: Uuid, heartbeat: WorkerHeartbeat) {
        let mut registry = self.registry();
        let key = (namespace, heartbeat.worker_instance_key.clone());
        registry.forget(&key);
        if heartbeat.status != WorkerStatus::Shutdown as i32 {
            registry.hold(key, heartbeat);
        }
    }

    pub fn find(&self, namespace: Uuid, instance_key: &str) -> Option<Arc<WorkerHeartbeat>> {
        let registry = self.registry();
        registry.known.get(&(namespace, instance_key.to_owned())).map(|known| known.heartbeat.clone())
    }

    /// The workers that match, in the order of their keys, after this one.
    pub fn list(
        &self,
        namespace: Uuid,
        filter: Option<&Filter>,
        after: Option<&str>,
        system: bool,
        limit: usize,
    ) -> Vec<Arc<WorkerHeartbeat>> {
        use std::ops::Bound;
        let registry = self.registry();
        let from = match after {
            Some(after) => Bound::Excluded((namespace, after.to_owned())),
            None => Bound::Included((namespace, String::new())),
        };
        registry
            .known
            .range((from, Bound::Unbounded))
            .take_while(|((of, _), _)| *of == namespace)
            .map(|(_, known)| &known.heartbeat)
            .filter(|heartbeat| system || heartbeat.task_queue != SYSTEM_QUEUE)
            .filter(|heartbeat| filter.is_none_or(|filter| filter.matches(&WorkerRow::new(heartbeat))))
            .take(limit)
            .cloned()
            .collect()
    }
}

impl Registry {
    fn hold(&mut self, key: Key, heartbeat: WorkerHeartbeat) {
        use prost::Message as _;
        let bytes = heartbeat.encoded_len() + key.1.len() * 2 + OVERHEAD;
        self.tick += 1;
        self.bytes += bytes;
        self.by_age.insert(self.tick, key.clone());
        let known = Known { heartbeat: Arc::new(heartbeat), heard: Instant::now(), tick: self.tick, bytes };
        self.known.insert(key, known);
        while self.known.len() > WORKERS || self.bytes > BYTES {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            let oldest = oldest.clone();
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(known) = self.known.remove(key) {
            self.by_age.remove(&known.tick);
            self.bytes -= known.bytes;
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, key)) = self.by_age.first_key_value()
            && self.known.get(key).is_none_or(|known| now.duration_since(known.heard) >= MEMORY)
        {
            let key = key.clone();
            self.forget(&key);
        }
    }
}

/// The attributes that a query on workers may use.
pub struct WorkerSchema;

impl Schema for WorkerSchema {
    fn custom(&self, name: &str) -> Option<AttributeType> {
        match name {
            "HeartbeatTime" => Some(AttributeType::Datetime),
            "WorkerInstanceKey" | "WorkerIdentity" | "HostName" | "DeploymentName" | "BuildId"
            | "SdkName" | "SdkVersion" | "WorkerStatus" | "Status" => Some(AttributeType::Keyword),
            _ => None,
        }
    }

    fn hides_divisions(&self) -> bool {
        false
    }
}

/// A worker as queries see it. What is empty is not there.
struct WorkerRow<'a> {
    heartbeat: &'a WorkerHeartbeat,
    attributes: Vec<(&'static str, Value)>,
}

impl WorkerRow<'_> {
    fn new(heartbeat: &WorkerHeartbeat) -> WorkerRow<'_> {
        let mut attributes = Vec::new();
        let mut text = |name, value: &str| {
            if !value.is_empty() {
                attributes.push((name, Value::Text(value.to_owned())));
            }
        };
        text("WorkerInstanceKey", &heartbeat.worker_instance_key);
        text("WorkerIdentity", &heartbeat.worker_identity);
        text("SdkName", &heartbeat.sdk_name);
        text("SdkVersion", &heartbeat.sdk_version);
        text("HostName", heartbeat.host_info.as_ref().map_or("", |host| &host.host_name));
        if let Some(version) = &heartbeat.deployment_version {
            text("DeploymentName", &version.deployment_name);
            text("BuildId", &version.build_id);
        }
        let status = match WorkerStatus::try_from(heartbeat.status).unwrap_or_default() {
            WorkerStatus::Unspecified => "Unspecified",
            WorkerStatus::Running => "Running",
            WorkerStatus::ShuttingDown => "ShuttingDown",
            WorkerStatus::Shutdown => "Shutdown",
        };
        text("WorkerStatus", status);
        text("Status", status);
        if let Some(time) = &heartbeat.heartbeat_time {
            attributes.push(("HeartbeatTime", Value::Int(Time::from_timestamp(time).0)));
        }
        WorkerRow { heartbeat, attributes }
    }
}

impl Row for WorkerRow<'_> {
    fn column(&self, column: Column) -> Option<Cell<'_>> {
        match column {
            Column::TaskQueue if !self.heartbeat.task_queue.is_empty() => {
                Some(Cell::Text(&self.heartbeat.task_queue))
            }
            Column::StartTime => {
                let start = self.heartbeat.start_time.as_ref()?;
                Some(Cell::Int(Time::from_timestamp(start).0))
            }
            _ => None,
        }
    }

    fn attribute(&self, name: &str) -> &[Value] {
        let found = self.attributes.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| std::slice::from_ref(value)).unwrap_or_default()
    }
}

/// Workers that said they leave: a poll of theirs that is still on its way must not get a task, which nobody would work
/// on.
#[derive(Default)]
pub struct Departed {
    /// By instance key, which is of one worker whatever its namespace.
    workers: Mutex<BTreeMap<String, (Uuid, Instant)>>,
    /// How many these are, so that a poll need not look when there are none.
    count: AtomicUsize,
}

impl Departed {
    pub fn put(&self, namespace: Uuid, instance_key: &str) {
        let now = Instant::now();
        let mut workers = self.workers.lock().expect("nothing panics while it holds this");
        workers.retain(|_, (_, at)| now.duration_since(*at) < DEPARTURE);
        if workers.len() >= DEPARTED {
            workers.pop_first();
        }
        workers.insert(instance_key.to_owned(), (namespace, now));
        self.count.store(workers.len(), Ordering::Release);
    }

    pub fn contains(&self, namespace: Uuid, instance_key: &str) -> bool {
        if instance_key.is_empty() || self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut workers = self.workers.lock().expect("nothing panics while it holds this");
        let Some((of, at)) = workers.get(instance_key) else { return false };
        if at.elapsed() >= DEPARTURE {
            workers.remove(instance_key);
            self.count.store(workers.len(), Ordering::Release);
            return false;
        }
        *of == namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_api::v1::worker::WorkerHostInfo;

    const NAMESPACE: Uuid = Uuid::from_u128(7);

    fn worker(key: &str) -> WorkerHeartbeat {
        WorkerHeartbeat {
            worker_instance_key: key.into(),
            worker_identity: format!("id-{key}"),
            task_queue: "q".into(),
            host_info: Some(WorkerHostInfo { host_name: "host".into(), ..WorkerHostInfo::default() }),
            status: WorkerStatus::Running as i32,
            start_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            ..WorkerHeartbeat::default()
        }
    }

    fn found(workers: &Workers, query: &str) -> Vec<String> {
        let query = steadfast_query::parse(query).expect("it parses");
        let filter = steadfast_query::resolve(query, &WorkerSchema).expect("it makes sense");
        let listed = workers.list(NAMESPACE, Some(&filter), None, false, 100);
        listed.iter().map(|heartbeat| heartbeat.worker_instance_key.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn workers_are_found_by_what_they_say_and_forgotten_when_they_say_nothing() {
        let workers = Workers::default();
        for key in ["a", "b", "c"] {
            workers.record(NAMESPACE, worker(key));
        }
        workers.record(Uuid::nil(), worker("elsewhere"));
        workers.record(NAMESPACE, WorkerHeartbeat { task_queue: SYSTEM_QUEUE.into(), ..worker("system") });
        for (query, expected) in [
            ("", "a b c"),
            ("TaskQueue = 'q' AND WorkerIdentity = 'id-b'", "b"),
            ("WorkerInstanceKey starts_with 'c' OR HostName != 'host'", "c"),
            ("WorkerStatus = 'Running'", "a b c"),
            ("Status = 'Shutdown'", ""),
            ("StartTime BETWEEN '2023-01-01T00:00:00Z' AND '2024-01-01T00:00:00Z'", "a b c"),
            ("HeartbeatTime IS NOT NULL", ""),
            ("BuildId = 'x'", ""),
            ("WorkerInstanceKey IN ('a', 'c')", "a c"),
        ] {
            assert_eq!(found(&workers, query).join(" "), expected, "{query}");
        }
        assert_eq!(workers.list(NAMESPACE, None, Some("a"), true, 2).len(), 2);
        assert_eq!(workers.list(NAMESPACE, None, None, true, 100).len(), 4);

        workers.record(NAMESPACE, WorkerHeartbeat { status: WorkerStatus::Shutdown as i32, ..worker("a") });
        assert!(workers.find(NAMESPACE, "a").is_none());
        tokio::time::advance(MEMORY / 2).await;
        workers.record(NAMESPACE, worker("b"));
        tokio::time::advance(MEMORY / 2).await;
        assert_eq!(found(&workers, ""), ["b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn their_number_and_their_size_are_bounded() {
        let workers = Workers::default();
        let long = "x".repeat(1 << 20);
        for number in 0..100 {
            workers.record(
                NAMESPACE,
                WorkerHeartbeat { sdk_version: long.clone(), ..worker(&number.to_string()) },
            );
        }
        let listed = workers.list(NAMESPACE, None, None, false, 1000);
        assert!(listed.len() < 65, "{}", listed.len());
        assert!(workers.find(NAMESPACE, "99").is_some() && workers.find(NAMESPACE, "0").is_none());
        for number in 0..100 {
            let gone = WorkerStatus::Shutdown as i32;
            workers.record(NAMESPACE, WorkerHeartbeat { status: gone, ..worker(&number.to_string()) });
        }
        let registry = workers.registry();
        assert_eq!((registry.bytes, registry.by_age.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_left_is_known_for_a_while() {
        let departed = Departed::default();
        assert!(!departed.contains(NAMESPACE, "a"));
        departed.put(NAMESPACE, "a");
        assert!(departed.contains(NAMESPACE, "a"));
        assert!(!departed.contains(Uuid::nil(), "a") && !departed.contains(NAMESPACE, ""));
        tokio::time::advance(DEPARTURE).await;
        assert!(!departed.contains(NAMESPACE, "a"));
        assert_eq!(departed.count.load(Ordering::Relaxed), 0);
    }
}
