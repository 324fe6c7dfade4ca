//! What a commit costs: `cargo run --release -p steadfast-storage-sql --example commits -- [options]`.
//!
//! Workflows of four commits (700 B of state, 350 B of history, a row, an alarm; a list entry at the first and the last),
//! with so many in flight at a time. Prints commits a second, CPU a commit and the size of the file.
//!
//! Options: `--workflows N`, `--in-flight N` (all of 1, 16, 64, 256 otherwise), `--page-size N`, `--directory PATH`,
//! `--keep` (one file for all runs, kept), `--look-up` (asks for each workflow before it is written, as a start does).

use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use steadfast_machine::decision::Batch;
use steadfast_machine::{EntityKey, RowKey, RowTable, RunKey, Time};
use steadfast_storage::{Commit, HistoryChunk, Outcome, RunState, RunWrite, Store, VisibilityRow};
use steadfast_storage_sql::{SqliteOptions, SqliteStore};
use uuid::Uuid;

const NAMESPACE: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_00aa);
const COMMITS: u64 = 4;

struct Options {
    workflows: u64,
    in_flight: Vec<u64>,
    page_size: u32,
    directory: PathBuf,
    keep: bool,
    look_up: bool,
}

fn options() -> Options {
    let mut options = Options {
        workflows: 20_000,
        in_flight: vec![1, 16, 64, 256],
        page_size: 4096,
        directory: std::env::temp_dir(),
        keep: false,
        look_up: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{name} wants a value"));
        match name.as_str() {
            "--workflows" => options.workflows = value().parse().expect("a number"),
            "--in-flight" => options.in_flight = vec![value().parse().expect("a number")],
            "--page-size" => options.page_size = value().parse().expect("a number"),
            "--directory" => options.directory = value().into(),
            "--keep" => options.keep = true,
            "--look-up" => options.look_up = true,
            other => panic!("unknown option {other}"),
        }
    }
    options
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let options = options();
    let mut base = 0;
    for in_flight in &options.in_flight {
        let path = options.directory.join(format!("commits-{}.db", std::process::id()));
        // One at a time waits for the disk.
        let workflows = if *in_flight == 1 { options.workflows.min(3_000) } else { options.workflows };
        run(&path, &options, *in_flight, base, workflows).await;
        base += if options.keep { workflows } else { 0 };
        if !options.keep {
            for suffix in ["", ".lock"] {
                std::fs::remove_file(format!("{}{suffix}", path.display())).expect("the file was made here");
            }
        }
    }
}

async fn run(path: &Path, options: &Options, in_flight: u64, base: u64, workflows: u64) {
    let open = SqliteOptions { page_size: options.page_size, ..SqliteOptions::new(path, Uuid::from_u128(1)) };
    let store = Arc::new(SqliteStore::open(&open).expect("the database opens"));
    let mut epochs = Vec::new();
    for shard in 0..store.shards() {
        epochs.push(store.acquire(shard).await.expect("nobody else has the shard"));
    }
    let size_before = std::fs::metadata(path).map_or(0, |file| file.len());
    let epochs: Arc<[u64]> = epochs.into();
    let look_up = options.look_up;
    let next = Arc::new(AtomicU64::new(base));
    let (begun, cpu_before) = (Instant::now(), cpu_nanos());
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (store, epochs, next) = (store.clone(), epochs.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= base + workflows {
                        return;
                    }
                    workflow(&store, &epochs, number, look_up).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task ends");
    }
    let (elapsed, cpu) = (begun.elapsed(), cpu_nanos() - cpu_before);
    let commits = workflows * COMMITS;
    let log = std::fs::metadata(format!("{}-wal", path.display())).map_or(0, |log| log.len());
    store.close().await;
    let grown = std::fs::metadata(path).map_or(0, |file| file.len()) - size_before;
    println!(
        "{in_flight:>4} in flight: {:>7.0} commits/s, {:>6.1} us each, {:>5.1} us of CPU, {:>5} bytes of file a workflow, \
         log of {} MiB",
        commits as f64 / elapsed.as_secs_f64(),
        elapsed.as_micros() as f64 / commits as f64,
        cpu as f64 / 1e3 / commits as f64,
        grown / workflows,
        log >> 20,
    );
}

async fn workflow(store: &SqliteStore, epochs: &[u64], number: u64, look_up: bool) {
    let started = 1_700_000_000_000_000_000 + number as i64 * 1_000_000;
    // Ids of workflows come in no order.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let entity = EntityKey::workflow(NAMESPACE, &format!("order-{scattered:016x}"));
    let millis = (started / 1_000_000) as u64;
    let mut random = [0; 10];
    random[..8].copy_from_slice(&scattered.to_be_bytes());
    let run = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    let key = entity.run(run);
    let shard = entity.shard(store.shards());
    if look_up {
        assert_eq!(store.load_latest(&entity).await, Ok(None));
    }
    for step in 0..COMMITS {
        let write = step_of(&key, step, started);
        let commit = Commit { shard, epoch: epochs[shard as usize], runs: vec![write], ..Commit::default() };
        assert_eq!(store.commit(commit).await, Outcome::Done);
    }
}

fn step_of(key: &RunKey, step: u64, started: i64) -> RunWrite {
    let last = step == COMMITS - 1;
    let value = |length: usize| Some(Bytes::from(vec![step as u8; length]));
    let rows = match step {
        0 => vec![(RowKey::single(RowTable::Start), value(250))],
        1 => vec![(RowKey::number(RowTable::Activity, 5), value(250))],
        2 => vec![(RowKey::number(RowTable::Activity, 5), None)],
        _ => Vec::new(),
    };
    let first_event_id = step as i64 * 3 + 1;
    let batch = Batch { first_event_id, events: 3, encoded: Bytes::from(vec![step as u8; 350]) };
    RunWrite {
        key: key.clone(),
        state: RunState::Put {
            core: Bytes::from(vec![step as u8; 690 + step as usize * 5]),
            alarm: (!last).then(|| Time(started + 10_000_000_000 + step as i64)),
            open: !last,
        },
        rows,
        history: Some(HistoryChunk { branch: key.run, batches: vec![batch] }),
        visibility: (step == 0 || last).then(|| listed(key, last, started)),
    }
}

fn listed(key: &RunKey, closed: bool, started: i64) -> VisibilityRow {
    VisibilityRow {
        workflow_type: "OrderWorkflow".into(),
        task_queue: "orders".into(),
        status: if closed { 2 } else { 1 },
        start_time: Time(started),
        execution_time: Time(started),
        close_time: closed.then(|| Time(started + 40_000_000)),
        history_length: 12,
        history_bytes: 1_400,
        transitions: 4,
        root_workflow_id: key.entity.id.to_string(),
        root_run_id: key.run.to_string(),
        ..VisibilityRow::default()
    }
}

/// CPU of this process so far, in nanoseconds, all threads.
fn cpu_nanos() -> u64 {
    let mut total = 0;
    for thread in std::fs::read_dir("/proc/self/task").expect("Linux counts per thread").flatten() {
        let statistics = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        total += statistics.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
    }
    total
}
