//! Classes 21 and 22: schedules that are bombs, and durations that are negative, malformed, endless or overflowing.

use bad_input_test::requests::*;
use bad_input_test::{Expect, Table, World, grpc};
use prost_types::{Duration, Timestamp};
use steadfast_api::v1::common::RetryPolicy;
use steadfast_api::v1::filter::StartTimeFilter;
use steadfast_api::v1::taskqueue::TaskQueueMetadata;

const CRON: &str = "invalid CronSchedule";

pub async fn cases(_: &World, table: &mut Table) {
    crons(table);
    durations(table);
    retries(table);
}

fn crons(table: &mut Table) {
    table.class(21);
    let bad: &[(&str, &str)] = &[
        ("four fields", "* * * *"),
        ("six fields", "* * * * * *"),
        ("seven fields", "* * * * * * *"),
        ("a minute of 60", "60 * * * *"),
        ("an hour of 24", "0 24 * * *"),
        ("a day of 0", "0 0 0 * *"),
        ("a day of 32", "0 0 32 * *"),
        ("a month of 13", "0 0 1 13 *"),
        ("a weekday of 8", "0 0 * * 8"),
        ("the 30th of February", "0 0 30 2 *"),
        ("the 31st of November", "0 0 31 11 *"),
        ("a step of 0", "*/0 * * * *"),
        ("a step that overflows", "*/99999999999999999999 * * * *"),
        ("a range that overflows", "0-99999999999999999999 * * * *"),
        ("a range backwards", "30-10 * * * *"),
        ("a negative minute", "-1 * * * *"),
        ("words", "every now and then"),
        ("@every without a time", "@every"),
        ("@every 200 years", "@every 1752000h"),
        ("@every 1e309s", "@every 1e309s"),
        ("@every NaN", "@every NaNs"),
        ("@every infinity", "@every infs"),
        ("an unknown name", "@sometimes"),
        ("a zone that is not there", "CRON_TZ=Nowhere/At * * * * *"),
        ("a zone that is a path", "CRON_TZ=../../../etc/passwd * * * * *"),
        ("a zone that is an absolute path", "TZ=/etc/localtime * * * * *"),
        ("a zone and nothing else", "CRON_TZ=UTC"),
        ("a NUL", "*\0 * * * *"),
        ("digits that are not ASCII", "٣ * * * *"),
    ];
    for (name, cron) in bad {
        table.invalid(name, start(|r| r.cron_schedule = (*cron).into()), CRON);
    }
    table.invalid("a signal with a bad start", signal_with_start(|r| r.cron_schedule = "* *".into()), CRON);
    table.invalid("100,000 fields", start(|r| r.cron_schedule = "* ".repeat(100_000)), "");
    table.invalid(
        "a minute listed 100,000 times",
        start(|r| r.cron_schedule = format!("{} * * * *", vec!["1"; 100_000].join(","))),
        "",
    );
    table.invalid(
        "a schedule and a delay",
        start(|r| (r.cron_schedule, r.workflow_start_delay) = ("@daily".into(), seconds(1))),
        "may not be used together",
    );
    for every in ["@every 1ns", "@every 0s", "@every -1s"] {
        table.taken(&format!("{every} is every second"), start(|r| r.cron_schedule = every.into()));
    }
    table.taken("the 29th of February", start(|r| r.cron_schedule = "0 0 29 2 *".into()));
}

fn durations(table: &mut Table) {
    table.class(22);
    let exact = |seconds, nanos| Some(Duration { seconds, nanos });
    let bad = [
        ("-1 s", exact(-1, 0), "negative duration"),
        ("-1 ns", exact(0, -1), "negative duration"),
        ("-2^63 s", exact(i64::MIN, 0), "negative duration"),
        ("2^31-1 ns", exact(0, i32::MAX), "out of range"),
        ("-2^31 ns", exact(0, i32::MIN), "out of range"),
        ("1 s and -1 ns", exact(1, -1), "different signs"),
        ("10^9 ns", exact(0, 1_000_000_000), "out of range"),
    ];
    for (what, duration, text) in bad {
        table.invalid(
            &format!("an execution timeout of {what}"),
            start(|r| r.workflow_execution_timeout = duration),
            text,
        );
        table.invalid(
            &format!("a run timeout of {what}"),
            start(|r| r.workflow_run_timeout = duration),
            text,
        );
        table.invalid(
            &format!("a task timeout of {what}"),
            start(|r| r.workflow_task_timeout = duration),
            text,
        );
        table.invalid(
            &format!("a start delay of {what}"),
            start(|r| r.workflow_start_delay = duration),
            text,
        );
        table.invalid(
            &format!("a standalone activity with {what}"),
            start_activity(|r| r.start_to_close_timeout = duration),
            "",
        );
    }
    table.invalid(
        "a signal with a negative start",
        signal_with_start(|r| r.workflow_execution_timeout = seconds(-1)),
        "negative duration",
    );
    table.invalid(
        "a retention of -1 s",
        register(|r| (r.namespace, r.workflow_execution_retention_period) = (fresh("new"), seconds(-1))),
        "",
    );
    for (what, length) in [("1000 years", 31_536_000_000), ("2^63-1 s", i64::MAX)] {
        table.taken(
            &format!("timeouts of {what} are cut"),
            start(|r| {
                r.workflow_execution_timeout = seconds(length);
                r.workflow_run_timeout = seconds(length);
                r.workflow_task_timeout = seconds(length);
            }),
        );
        table.taken(
            &format!("a start delay of {what} is cut"),
            start(|r| r.workflow_start_delay = seconds(length)),
        );
    }
    let window = |seconds| {
        Some(StartTimeFilter {
            earliest_time: Some(Timestamp { seconds, nanos: i32::MAX }),
            latest_time: Some(Timestamp { seconds: i64::MAX, nanos: i32::MIN }),
        })
    };
    for (what, seconds) in [("2^63-1", i64::MAX), ("-2^63", i64::MIN), ("10^15", 1_000_000_000_000_000)] {
        let request = steadfast_api::v1::workflowservice::ListOpenWorkflowExecutionsRequest {
            namespace: NAMESPACE.into(),
            start_time_filter: window(seconds),
            ..Default::default()
        };
        table.refused(&format!("an old list from second {what}"), request, &["InvalidArgument", "Ok"], "");
    }
    table.refused(
        "a reset to event 2^63-1",
        reset(|r| r.workflow_task_finish_event_id = i64::MAX),
        REFUSED,
        "",
    );
    table.refused(
        "a reset to event -2^63",
        reset(|r| r.workflow_task_finish_event_id = i64::MIN),
        REFUSED,
        "",
    );
    table.refused("a reset to event 0", reset(|r| r.workflow_task_finish_event_id = 0), REFUSED, "");
}

const REFUSED: &[&str] = &["InvalidArgument", "NotFound", "FailedPrecondition"];

type Spoil = fn(&mut RetryPolicy);

fn retries(table: &mut Table) {
    let policy = |spoil: Spoil| {
        let mut policy = RetryPolicy::default();
        spoil(&mut policy);
        Some(policy)
    };
    let bad: &[(&str, Spoil, &'static str)] = &[
        ("a coefficient of 0.5", |p| p.backoff_coefficient = 0.5, "BackoffCoefficient"),
        ("a coefficient of -1", |p| p.backoff_coefficient = -1.0, "BackoffCoefficient"),
        ("a coefficient that is no number", |p| p.backoff_coefficient = f64::NAN, "BackoffCoefficient"),
        ("a coefficient of -infinity", |p| p.backoff_coefficient = f64::NEG_INFINITY, "BackoffCoefficient"),
        ("a negative first interval", |p| p.initial_interval = seconds(-1), "InitialInterval"),
        ("a negative last interval", |p| p.maximum_interval = seconds(-1), "MaximumInterval"),
        (
            "an interval of 10^9 ns",
            |p| p.initial_interval = Some(Duration { seconds: 0, nanos: i32::MAX }),
            "Interval",
        ),
        ("-1 attempts", |p| p.maximum_attempts = -1, "MaximumAttempts"),
        ("-2^31 attempts", |p| p.maximum_attempts = i32::MIN, "MaximumAttempts"),
        (
            "a last interval before the first",
            |p| (p.initial_interval, p.maximum_interval) = (seconds(9), seconds(1)),
            "MaximumInterval",
        ),
        (
            "a timeout that is none",
            |p| p.non_retryable_error_types = vec!["TemporalTimeout:Never".into()],
            "Invalid timeout type",
        ),
    ];
    for (name, spoil, text) in bad {
        table.invalid(
            &format!("a retry policy with {name}"),
            start(|r| r.retry_policy = policy(*spoil)),
            text,
        );
    }
    table.taken(
        "a retry policy with an infinite coefficient",
        start(|r| r.retry_policy = policy(|p| p.backoff_coefficient = f64::INFINITY)),
    );
    for (name, rate) in [("NaN", f64::NAN), ("-1", -1.0), ("infinity", f64::INFINITY), ("10^308", 1e308)] {
        let request = poll_activity(|r| {
            r.task_queue = Some(queue(&fresh("rated")));
            r.task_queue_metadata = Some(TaskQueueMetadata { max_tasks_per_second: Some(rate) });
        });
        let name = format!("a poll that asks for {name} tasks a second");
        let expect = Expect { codes: &["Ok"], text: "", may_write: false };
        table.act(&name, expect, |world| async move { grpc::call_within(&world, &request, "2100m").await });
    }
}
