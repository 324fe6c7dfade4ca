//! Queries. The first byte says how the rest is read: as it is, or as a choice of words of the language, which gets further.
//!
//! Promised beside: a refusal begins as refusals do and points into the query; a query that is taken gives the same rows in
//! memory and in SQLite, and no row to a query and its opposite; all in bounded time.

use crate::busy::Busy;
use arbitrary::Unstructured;
use std::cell::OnceCell;
use std::time::Duration;
use steadfast_query::{
    Column, CompareOp, Condition, Constant, Subject, Term, Value, parse, values::AttributeValue,
};
use uuid::Uuid;

// The executions, kept both ways, that the language's own tests ask.
#[path = "../../../crates/query/tests/support/mod.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod support;

use support::{Execution, Store, filter};

/// Far more than the longest query takes, in a build without optimisation.
const LONGEST: Duration = Duration::from_secs(1);

pub fn run(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    let text = match how & 1 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        _ => words(rest),
    };
    let began = Busy::begin();
    check(&text);
    began.at_most(LONGEST);
}

fn check(text: &str) {
    if let Ok(condition) = Condition::parse(text) {
        let _ = condition.holds(&Anything);
    }
    let found = match filter(text) {
        Ok(found) => found,
        Err(error) => {
            assert!(error.to_string().starts_with("invalid query: "), "{error}");
            let characters = text.chars().count();
            assert!(error.position().is_none_or(|at| (1..=characters + 1).contains(&at)), "{error}");
            return;
        }
    };
    assert_eq!(parse(text), parse(text), "a query means one thing");
    STORE.with(|store| {
        let store = store.get_or_init(store_of_all_kinds);
        let (memory, sql) = store.ask(&found);
        assert_eq!(memory, sql, "memory and SQLite agree");
        if let Ok(opposite) = filter(&format!("NOT ({text}\n)")) {
            let (other, _) = store.ask(&opposite);
            assert!(memory.iter().all(|id| !other.contains(id)), "{memory:?} match it and its opposite");
        }
    });
}

thread_local! {
    static STORE: OnceCell<Store> = const { OnceCell::new() };
}

/// A few executions that differ in everything.
fn store_of_all_kinds() -> Store {
    let edges = [0, 1, -1, i64::MAX, i64::MIN, 5];
    let texts = ["", "a", "abc", "Running", "é", "5"];
    let executions = (0..6).map(|index| {
        let (number, text) = (edges[index], texts[index]);
        let row = Execution::new(&format!("w{index}"), Uuid::from_u128(index as u128 + 1))
            .with(Column::ExecutionStatus, Value::Int(index as i64))
            .with(Column::StartTime, Value::Int(number))
            .with(Column::WorkflowType, Value::Text(text.to_owned()));
        let row = match index % 2 {
            0 => row,
            _ => row
                .with(Column::CloseTime, Value::Int(number))
                .with(Column::ExecutionDuration, Value::Int(number))
                .with(Column::ParentWorkflowId, Value::Text(text.to_owned())),
        };
        match index % 3 {
            0 => row,
            1 => row
                .set("CI", AttributeValue::Int(number))
                .set("CD", AttributeValue::Double(number as f64 / 2.0))
                .set("CK", AttributeValue::Keyword(text.to_owned())),
            _ => row
                .set("CB", AttributeValue::Bool(index > 3))
                .set("CT", AttributeValue::Text(format!("{text} and b-c")))
                .set("CDt", AttributeValue::Datetime(number))
                .set("CL", AttributeValue::KeywordList(vec![text.to_owned(), "b".to_owned()])),
        }
    });
    Store::new(executions.collect())
}

/// Knows every name, and says no to all.
struct Anything;

impl Subject for Anything {
    fn is(&self, _: &str, term: Term<'_>) -> Option<bool> {
        match term {
            Term::Compare(CompareOp::Equal, Constant::Text(_)) => Some(false),
            Term::StartsWith { negated, .. } | Term::Between { negated, .. } => Some(negated),
            _ => None,
        }
    }
}

/// A query of words that the bytes choose.
fn words(bytes: &[u8]) -> String {
    const WORDS: &[&str] = &[
        "CI",
        "CD",
        "CB",
        "CK",
        "CT",
        "CL",
        "CDt",
        "`my-sa`",
        "BuildIds",
        "WorkflowId",
        "RunId",
        "ExecutionStatus",
        "StartTime",
        "CloseTime",
        "ExecutionDuration",
        "ParentWorkflowId",
        "TemporalNamespaceDivision",
        "ScheduleId",
        "=",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "(",
        ")",
        "(",
        ")",
        ",",
        "AND",
        "OR",
        "NOT",
        "IN (",
        "NOT IN (",
        "IS NULL",
        "IS NOT NULL",
        "BETWEEN",
        "NOT BETWEEN",
        "STARTS_WITH",
        "NOT STARTS_WITH",
        "5",
        "-1",
        "0.5",
        "1e9",
        "9223372036854775807",
        "-9223372036854775808",
        "'a'",
        "\"abc\"",
        "''",
        "'5'",
        "'Running'",
        "'1970-01-01T00:00:00Z'",
        "'1h'",
        "'b c'",
        "true",
        "false",
        "null",
        "GROUP BY ExecutionStatus",
        "ORDER BY",
        "LIMIT 1",
        "+",
        "*",
        "lower(",
        "--",
        "/*",
        "*/",
        ";",
        ".",
        "LIKE '%'",
        "IS TRUE",
    ];
    let mut source = Unstructured::new(bytes);
    let mut text = String::new();
    while !source.is_empty() {
        // The source gives the first word when it has nothing left, which is as good as another.
        text.push_str(source.choose(WORDS).copied().unwrap_or_default());
        text.push(' ');
    }
    text
}
