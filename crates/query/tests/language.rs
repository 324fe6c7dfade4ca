//! The language by example: `testdata/queries.txt` holds queries with the executions that they find, or the error. Each
//! answer comes from memory and from SQLite. The answers were taken from the reference server; where this language
//! differs on purpose, the file says so.
//!
//! `UPDATE_TESTDATA=1` rewrites the file with the answers of this implementation.

mod support;

use std::fmt::Write as _;

use steadfast_query::limits::{MAX_QUERY_BYTES, MAX_QUERY_DEPTH};
use steadfast_query::values::AttributeValue;
use steadfast_query::{Column, GroupBy, QueryErrorKind, Value, parse_datetime};
use support::{Execution, Store, filter};
use uuid::Uuid;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn time(time: &str) -> i64 {
    parse_datetime(time).expect("the fixture's times are valid")
}

/// Four executions: `full` has everything, `none` is closed and has no attribute, `sch` looks like a schedule, and
/// `hidden` is in a division.
fn store() -> Store {
    let base = |id: &str, run: u128, status: i64| {
        Execution::new(id, Uuid::from_u128(run))
            .with(Column::WorkflowType, text("W"))
            .with(Column::TaskQueue, text("tq"))
            .with(Column::ExecutionStatus, Value::Int(status))
            .with(Column::StartTime, Value::Int(time("2026-01-01T00:00:00Z")))
            .with(Column::ExecutionTime, Value::Int(time("2026-01-01T00:00:00Z")))
    };
    let full = base("full", 1, 1)
        .with(Column::ParentWorkflowId, text("parent"))
        .set("CI", AttributeValue::Int(5))
        .set("CD", AttributeValue::Double(1.5))
        .set("CB", AttributeValue::Bool(true))
        .set("CK", AttributeValue::Keyword("abc".into()))
        .set("CT", AttributeValue::Text("Hello big-world Café".into()))
        .set("CL", AttributeValue::KeywordList(vec!["x".into(), "y".into()]))
        .set("CDt", AttributeValue::Datetime(time("2024-01-02T03:04:05Z")))
        .set("TemporalScheduledById", AttributeValue::Keyword("sch".into()));
    let none = base("none", 2, 2)
        .with(Column::CloseTime, Value::Int(time("2026-01-01T02:00:00Z")))
        .with(Column::ExecutionDuration, Value::Int(7_200_000_000_000))
        .with(Column::HistoryLength, Value::Int(11));
    let schedule = base("temporal-sys-scheduler:sch", 3, 1);
    let hidden = base("hidden", 4, 1).with(Column::NamespaceDivision, text("TemporalScheduler"));
    Store::new(vec![full, none, schedule, hidden])
}

fn answer(store: &Store, query: &str) -> String {
    match filter(query) {
        Err(error) => error.to_string(),
        Ok(filter) => {
            let (memory, sql) = store.ask(&filter);
            assert_eq!(memory, sql, "memory and SQLite agree on {query}");
            let ids = memory.join(" ").replace("temporal-sys-scheduler:", "");
            match filter.group_by() {
                None => format!("[{ids}]"),
                Some(key) => format!("[{ids}] by {key:?}"),
            }
        }
    }
}

#[test]
fn every_query_has_its_answer() {
    let store = store();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/queries.txt");
    let data = std::fs::read_to_string(path).expect("the test data is in the tree");
    let mut actual = String::new();
    let mut lines = data.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(actual, "{line}").expect("writing to a String cannot fail");
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        lines.next_if(|line| line.starts_with("    "));
        let query = if line == "(empty)" { "" } else { line };
        writeln!(actual, "    {}", answer(&store, query)).expect("writing to a String cannot fail");
    }
    if std::env::var_os("UPDATE_TESTDATA").is_some() {
        std::fs::write(path, actual).expect("the test data can be written");
    } else {
        for (expected, actual) in data.lines().zip(actual.lines()) {
            assert_eq!(expected, actual);
        }
        assert_eq!(data.lines().count(), actual.lines().count());
    }
}

fn refusal(query: &str) -> String {
    filter(query).expect_err("the query is refused").to_string()
}

#[test]
fn size_is_limited() {
    let fits = format!("CK = '{}'", "a".repeat(MAX_QUERY_BYTES - 7));
    assert_eq!(fits.len(), MAX_QUERY_BYTES);
    assert!(filter(&fits).is_ok());
    let message = "invalid query: malformed SQL query: query is longer than 16384 bytes";
    assert_eq!(refusal(&format!("{fits} ")), message);
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| format!("{}CI = 5{}", "(".repeat(depth), ")".repeat(depth));
    assert!(filter(&nested(MAX_QUERY_DEPTH)).is_ok());
    let message = "invalid query: malformed SQL query: max nesting level of 64 reached at position 65";
    assert_eq!(refusal(&nested(MAX_QUERY_DEPTH + 1)), message);
    assert_eq!(refusal(&"(".repeat(10_000)), message);
    assert!(refusal(&"NOT ".repeat(4000)).contains("max nesting level"));
    assert!(refusal(&"a(".repeat(8000)).contains("max nesting level"));
}

#[test]
fn the_longest_chains_can_be_answered() {
    let store = store();
    let chain = |part: &str, operator: &str| {
        let count = (MAX_QUERY_BYTES - 1) / (part.len() + operator.len());
        vec![part; count].join(operator)
    };
    for query in [
        chain("CI=5", " OR "),
        chain("CI=5", "&&"),
        chain("CI!=6", "&&"),
        chain("WorkflowId='full'", "||"),
        format!("CI IN ({}5)", "5,".repeat((MAX_QUERY_BYTES - 10) / 2)),
        format!("CT = '{}'", "hello ".repeat((MAX_QUERY_BYTES - 7) / 6)),
    ] {
        assert!(query.len() > MAX_QUERY_BYTES - 40 && query.len() <= MAX_QUERY_BYTES);
        let (memory, sql) = store.ask(&filter(&query).expect("a valid query"));
        assert_eq!(memory, ["full"]);
        assert_eq!(sql, ["full"]);
    }
}

#[test]
fn errors_tell_where() {
    let error = filter("CI = 5 AND\n Nope = 'é' OR x x").expect_err("malformed");
    assert_eq!((error.kind(), error.position()), (QueryErrorKind::Malformed, Some(29)));
    let error = filter("CI = 5 AND Nope = 1").expect_err("an unknown name");
    assert_eq!((error.kind(), error.position()), (QueryErrorKind::InvalidExpression, Some(12)));
    let long = format!("CI {}", "x".repeat(10_000));
    assert!(refusal(&long).len() < 200, "an error does not echo the query");
}

#[test]
fn selective_tests_read_the_index_by_value() {
    let store = store();
    for query in ["CK = 'abc'", "CI > 3", "CL IN ('x', 'z')", "CK STARTS_WITH 'a'", "CT = 'hello'"] {
        let plan = store.plan(&filter(query).expect("valid"));
        assert!(
            plan.contains("search_attribute_by_value (namespace_id=? AND name=? AND value"),
            "{query}\n{plan}"
        );
        assert!(
            plan.contains("SEARCH visibility USING PRIMARY KEY (namespace_id=? AND run_id=?)"),
            "{query}\n{plan}"
        );
    }
    for query in ["CK != 'abc'", "CL != 'x'", "CI IS NULL"] {
        let plan = store.plan(&filter(query).expect("valid"));
        assert!(
            plan.contains("USING PRIMARY KEY (namespace_id=? AND run_id=? AND name=?"),
            "{query}\n{plan}"
        );
    }
}

#[test]
fn groups_are_for_counts() {
    let grouped = filter("GROUP BY ExecutionStatus").expect("valid");
    assert_eq!(grouped.group_by(), Some(GroupBy::ExecutionStatus));
    let refusal = grouped.for_list().expect_err("a list has no groups").to_string();
    assert_eq!(refusal, "invalid query: operation is not supported: 'GROUP BY' clause");
    assert!(filter("CI = 5").expect("valid").for_list().is_ok());
}

#[test]
fn counts_by_type_and_status_need_no_rows() {
    let check = |query: &str, expected: Option<Vec<i32>>| {
        let filter = filter(query).expect("valid");
        let statuses = || (1..=8).filter(|status| filter.counts("W", *status)).collect();
        assert_eq!(filter.is_for_counters().then(statuses), expected, "{query}");
    };
    check("", Some((1..=8).collect()));
    check("GROUP BY ExecutionStatus", Some((1..=8).collect()));
    check("ExecutionStatus = 'Running'", Some(vec![1]));
    check("NOT (ExecutionStatus IN ('Running', 'Paused') OR ExecutionStatus > 5)", Some(vec![2, 3, 4, 5]));
    check("ExecutionStatus = 'Running' AND WorkflowType = 'W'", Some(vec![1]));
    check("ExecutionStatus < 3 AND WorkflowType STARTS_WITH 'V'", Some(vec![]));
    check("ExecutionStatus = 'Running' AND WorkflowId = 'W'", None);
    check("TemporalNamespaceDivision IS NULL OR ExecutionStatus = 1", None);
}
