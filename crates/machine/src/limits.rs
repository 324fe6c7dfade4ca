//! Every limit, with its unit. The numbers are the reference's, unless a comment says otherwise.

use crate::duration::{MINUTE, SECOND};

/// An address that may be called from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// `host:port`, in which `*` stands for any characters.
    pub pattern: String,
    /// Also without TLS.
    pub allow_insecure: bool,
}

#[derive(Clone, Debug)]
pub struct Limits {
    /// Calls a second that a namespace may make; 0 for as many as it likes, which is not the reference's default of 2,400:
    /// that is less than a tenth of what one server does.
    pub namespace_calls: usize,
    /// Bytes of any id, type or task queue name.
    pub id_bytes: usize,
    /// Bytes of one payload blob.
    pub blob_bytes: usize,
    /// Bytes of a run's memo.
    pub memo_bytes: usize,
    /// Bytes of one gRPC request.
    pub request_bytes: usize,
    /// Bytes of a run's history, beyond which it is terminated.
    pub history_bytes: i64,
    /// Events of a run, beyond which it is terminated.
    pub history_events: i64,
    /// Bytes of a run's rows, beyond which it is terminated.
    pub state_bytes: i64,
    /// Bytes of the events that one step may write.
    pub step_bytes: i64,
    /// Bytes and events from which a run is told to continue as new.
    pub suggest_continue_bytes: i64,
    pub suggest_continue_events: i64,
    pub pending_activities: usize,
    pub pending_children: usize,
    pub pending_signals: usize,
    pub pending_cancels: usize,
    pub signals_per_run: i64,
    pub updates_in_flight: usize,
    pub updates_in_flight_bytes: usize,
    pub updates_total: i64,
    pub buffered_events: usize,
    pub buffered_event_bytes: usize,
    pub buffered_queries: usize,
    pub auto_reset_points: usize,
    pub callbacks_per_run: usize,
    /// Nanoseconds between the first two calls of a callback, and the most between any two.
    pub callback_first_interval: i64,
    pub callback_longest_interval: i64,
    /// Nanoseconds that one call may last.
    pub callback_timeout: i64,
    /// Whom callbacks may call; the first rule that fits decides. The reference allows nobody either.
    pub callback_addresses: Vec<AddressRule>,
    pub links_per_request: usize,
    pub link_bytes: usize,
    pub search_attribute_keys: usize,
    pub search_attribute_value_bytes: usize,
    pub search_attribute_total_bytes: usize,
    pub fairness_key_bytes: usize,
    /// Bytes of a failure kept between the attempts of an activity.
    pub activity_failure_bytes: usize,
    /// Bytes that are kept of a worker's failure that is larger than `blob_bytes`.
    pub failure_bytes_kept: usize,
    /// Nanoseconds: a workflow task's timeout when none was asked for, and the longest that can be had.
    pub workflow_task_timeout: i64,
    pub longest_workflow_task_timeout: i64,
    /// Nanoseconds: the schedule-to-start timeout of a speculative workflow task on a normal queue.
    pub speculative_schedule_to_start: i64,
    /// Nanoseconds for which a workflow task may be kept alive by heartbeats.
    pub workflow_task_heartbeat: i64,
    /// Attempts of a workflow task from which its run counts as failing for queries and updates.
    pub failing_attempts: i32,
    /// Consecutive problems after which the search attribute TemporalReportedProblems is set.
    pub reported_problem_attempts: i32,
    /// Nanoseconds between the starts of two runs of one chain.
    pub run_spacing: i64,
    /// Whether workflows may be paused.
    pub workflow_pause: bool,
    /// Whether there are workflow rules.
    pub workflow_rules: bool,
    /// Whether operators may pause, unpause, reset and change standalone activities.
    pub activity_operations: bool,
    /// Whether a workflow may start, signal or cancel workflows of other namespaces.
    pub cross_namespace_commands: bool,
    /// Whether activities may be handed out in the answer to a workflow task.
    pub eager_activities: bool,
    /// Calls that wait, for each namespace and method.
    pub long_calls: usize,
    /// Whether there are batch operations.
    pub batches: bool,
    /// Batch operations that run at the same time in a namespace.
    pub batches_at_once: usize,
    /// Of one batch operation: targets a second, and targets at the same time.
    pub batch_operations_per_second: usize,
    pub batch_concurrency: usize,
    /// Targets that a batch operation reads at once and keeps.
    pub batch_page: usize,
}

/// Why an id or a name with a NUL in it is refused: not every store can hold one in a text, and no store may take what
/// another refuses.
pub const NUL: &str = "an id or a name must not contain the character NUL";

pub fn has_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            namespace_calls: 0,
            id_bytes: 1000,
            blob_bytes: 2 << 20,
            memo_bytes: 2 << 20,
            request_bytes: 4 << 20,
            history_bytes: 50 << 20,
            history_events: 51_200,
            state_bytes: 8 << 20,
            step_bytes: 4 << 20,
            suggest_continue_bytes: 4 << 20,
            suggest_continue_events: 4096,
            pending_activities: 2000,
            pending_children: 2000,
            pending_signals: 2000,
            pending_cancels: 2000,
            signals_per_run: 10_000,
            updates_in_flight: 10,
            updates_in_flight_bytes: 20 << 20,
            updates_total: 2000,
            buffered_events: 100,
            buffered_event_bytes: 2 << 20,
            buffered_queries: 1,
            auto_reset_points: 20,
            callbacks_per_run: 32,
            callback_first_interval: SECOND,
            callback_longest_interval: 60 * MINUTE,
            callback_timeout: 10 * SECOND,
            callback_addresses: Vec::new(),
            links_per_request: 10,
            link_bytes: 4000,
            search_attribute_keys: 100,
            search_attribute_value_bytes: 2048,
            search_attribute_total_bytes: 40_960,
            fairness_key_bytes: 64,
            activity_failure_bytes: 4 << 10,
            failure_bytes_kept: 512 << 10,
            workflow_task_timeout: 10 * SECOND,
            longest_workflow_task_timeout: 120 * SECOND,
            speculative_schedule_to_start: 5 * SECOND,
            workflow_task_heartbeat: 30 * MINUTE,
            failing_attempts: 3,
            reported_problem_attempts: 5,
            run_spacing: SECOND,
            workflow_pause: false,
            workflow_rules: false,
            activity_operations: false,
            cross_namespace_commands: false,
            eager_activities: true,
            long_calls: 1200,
            batches: true,
            batches_at_once: 1,
            batch_operations_per_second: 50,
            batch_concurrency: 5,
            batch_page: 1000,
        }
    }
}
