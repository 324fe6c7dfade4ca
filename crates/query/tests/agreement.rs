//! Random filters over random executions: SQL and memory must give the same answer. And random text: never a panic.

mod support;

use proptest::prelude::*;
use proptest::sample::select;
use steadfast_query::values::AttributeValue;
use steadfast_query::{Column, Value, parse};
use support::{Execution, Store, filter};
use uuid::Uuid;

const WORDS: [&str; 8] = ["", "a", "ab", "abc", "B", "é", "5", "running"];
const RUNS: [&str; 3] = [
    "00000000-0000-7000-8000-000000000000",
    "00000000-0000-7000-8000-000000000001",
    "0199aaaa-0000-7000-8000-000000000002",
];

fn word() -> impl Strategy<Value = String> {
    select(&WORDS[..]).prop_map(str::to_owned)
}

fn small() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -2..8_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn real() -> impl Strategy<Value = f64> {
    select(&[-2.5, -0.0, 0.0, 0.5, 1.0, 5.0, 5.5, 1e20][..])
}

prop_compose! {
    fn columns()(
        status in 0..9_i64, start in small(), close in proptest::option::of(small()),
        length in proptest::option::of(small()), kind in word(), parent in proptest::option::of(word()),
        division in proptest::option::weighted(0.2, word()),
    ) -> Vec<(Column, Option<Value>)> {
        vec![
            (Column::ExecutionStatus, Some(Value::Int(status))),
            (Column::StartTime, Some(Value::Int(start))),
            (Column::CloseTime, close.map(Value::Int)),
            (Column::HistoryLength, length.map(Value::Int)),
            (Column::ExecutionDuration, length.map(Value::Int)),
            (Column::WorkflowType, Some(Value::Text(kind))),
            (Column::ParentWorkflowId, parent.map(Value::Text)),
            (Column::NamespaceDivision, division.map(Value::Text)),
        ]
    }
}

fn attributes() -> impl Strategy<Value = Vec<(&'static str, AttributeValue)>> {
    let value = prop_oneof![
        small().prop_map(|v| ("CI", AttributeValue::Int(v))),
        real().prop_map(|v| ("CD", AttributeValue::Double(v))),
        any::<bool>().prop_map(|v| ("CB", AttributeValue::Bool(v))),
        word().prop_map(|v| ("CK", AttributeValue::Keyword(v))),
        small().prop_map(|v| ("CDt", AttributeValue::Datetime(v))),
        proptest::collection::vec(word(), 1..4).prop_map(|v| ("CL", AttributeValue::KeywordList(v))),
        proptest::collection::vec(word(), 1..4).prop_map(|v| ("CT", AttributeValue::Text(v.join("-")))),
        word().prop_map(|v| ("BuildIds", AttributeValue::KeywordList(vec![v]))),
    ];
    proptest::collection::vec(value, 0..8)
}

fn executions() -> impl Strategy<Value = Vec<Execution>> {
    proptest::collection::vec((columns(), attributes()), 1..8).prop_map(|rows| {
        let rows = rows.into_iter().enumerate().map(|(index, (columns, attributes))| {
            let run_id = match RUNS.get(index) {
                Some(known) => Uuid::parse_str(known).expect("a UUID"),
                None => Uuid::from_u128(index as u128 + 1),
            };
            let row = Execution::new(&format!("w{index}"), run_id);
            let row = columns.into_iter().fold(row, |row, (column, value)| match value {
                Some(value) => row.with(column, value),
                None => row,
            });
            attributes.into_iter().fold(row, |row, (name, value)| row.set(name, value))
        });
        rows.collect()
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    let names = [
        "CI",
        "CD",
        "CB",
        "CK",
        "CT",
        "CL",
        "CDt",
        "BuildIds",
        "WorkflowId",
        "WorkflowType",
        "RunId",
        "ExecutionStatus",
        "StartTime",
        "CloseTime",
        "HistoryLength",
        "ExecutionDuration",
        "ParentWorkflowId",
        "NamespaceDivision",
        "ScheduleId",
    ];
    select(names.to_vec())
}

fn literal() -> impl Strategy<Value = String> {
    let quoted = |text: String| format!("'{text}'");
    prop_oneof![
        3 => small().prop_map(|v| v.to_string()),
        1 => real().prop_map(|v| format!("{v}")),
        1 => any::<bool>().prop_map(|v| v.to_string()),
        3 => word().prop_map(quoted),
        1 => select(vec!["a b", "b-é ab", "w1", "Running", "Completed", "5.0", "1h", "-", "\u{10ffff}"])
            .prop_map(|v| format!("'{v}'")),
        1 => select(RUNS.to_vec()).prop_map(|v| format!("'{v}'")),
        1 => select(vec!["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000005Z", "9999-12-31T23:59:59Z"])
            .prop_map(|v| format!("'{v}'")),
    ]
}

fn test() -> impl Strategy<Value = String> {
    let operator = select(vec!["=", "!=", "<", "<=", ">", ">=", "STARTS_WITH", "NOT STARTS_WITH"]);
    let not = select(vec!["", "NOT"]);
    let list = proptest::collection::vec(literal(), 1..4).prop_map(|values| values.join(","));
    prop_oneof![
        5 => (name(), operator, literal()).prop_map(|(n, o, l)| format!("{n} {o} {l}")),
        2 => (name(), not.clone(), list).prop_map(|(n, not, l)| format!("{n} {not} IN ({l})")),
        2 => (name(), not.clone(), literal(), literal())
            .prop_map(|(n, not, low, high)| format!("{n} {not} BETWEEN {low} AND {high}")),
        1 => (name(), not).prop_map(|(n, not)| format!("{n} IS {not} NULL")),
    ]
    // What the language refuses has tests of its own; here it would only thin the cases out.
    .prop_filter("a valid test", |text| filter(text).is_ok())
}

fn condition() -> impl Strategy<Value = String> {
    test().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) AND ({b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a} OR {b}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sql_and_memory_agree(
        rows in executions(), conditions in proptest::collection::vec(condition(), 1..12)
    ) {
        let store = Store::new(rows);
        for condition in conditions {
            let filter = filter(&condition).expect("conditions are made of valid tests");
            let (memory, sql) = store.ask(&filter);
            prop_assert_eq!(memory, sql, "{}", condition);
        }
    }

    #[test]
    fn a_test_and_its_opposite_never_both_match(rows in executions(), condition in condition()) {
        let store = Store::new(rows);
        let (positive, _) = store.ask(&filter(&condition).expect("valid"));
        let (negative, _) = store.ask(&filter(&format!("NOT ({condition})")).expect("valid"));
        prop_assert!(positive.iter().all(|id| !negative.contains(id)), "{}", condition);
    }

    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        let _ = filter(&text);
    }

    #[test]
    fn random_tokens_never_panic(
        tokens in proptest::collection::vec(select(vec![
            "CI", "CK", "`my-sa`", "=", "!=", "<", "(", ")", ",", "and", "OR", "not", "in", "is", "null",
            "between", "like", "starts_with", "group by", "order by", "limit", "5", "-", "1e9", "'a'", "\"b\"",
            "true", ".", ";", "--", "/*", "*/", "'", "`", "\\", "é", "0x1", "1e400", "lower(", "*", "escape",
        ]), 0..30)
    ) {
        if let Err(error) = filter(&tokens.join(" ")) {
            prop_assert!(error.to_string().starts_with("invalid query: "));
        }
        let _ = parse(&tokens.concat());
    }
}
