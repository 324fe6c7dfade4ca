//! Class 7: visibility queries that are attacks, bombs, or no queries.

use bad_input_test::requests::{batch, count, list};
use bad_input_test::{Table, World};

pub async fn cases(_: &World, table: &mut Table) {
    table.class(7);
    let nested = |levels: usize| format!("{}WorkflowId = 'a'{}", "(".repeat(levels), ")".repeat(levels));
    let chain = |terms: usize| vec!["WorkflowId = 'a'"; terms].join(" OR ");
    let bad: &[(&str, String, &'static str)] = &[
        ("a UNION", "WorkflowId = 'a' UNION SELECT * FROM run".into(), "malformed"),
        ("a UNION with parentheses", "(WorkflowId = 'a') UNION (SELECT 1)".into(), "malformed"),
        ("a second statement", "WorkflowId = 'a'; DROP TABLE run".into(), "malformed"),
        ("a comment that never ends", "WorkflowId = 'a' /* ".into(), "malformed"),
        ("a string that never ends", "WorkflowId = 'a".into(), "malformed"),
        ("an identifier that never ends", "`WorkflowId = 'a'".into(), "malformed"),
        ("a subselect", "WorkflowId IN (SELECT id FROM run)".into(), "malformed"),
        ("a table's name", "run.core = 'a'".into(), "invalid query"),
        ("a function", "load_extension('/tmp/x') = 1".into(), "invalid query"),
        ("sleeping", "sleep(100) = 0".into(), "invalid query"),
        ("a bound parameter", "WorkflowId = ?".into(), "invalid query"),
        ("a numbered parameter", "WorkflowId = ?1 OR 1=1".into(), "invalid query"),
        ("a named parameter", "WorkflowId = :a".into(), "invalid query"),
        ("always true", "1 = 1".into(), "invalid query"),
        ("always true behind a quote", "WorkflowId = '' OR '1' = '1'".into(), "invalid query"),
        ("a SELECT", "SELECT * FROM run".into(), "malformed"),
        ("a DELETE", "DELETE FROM run".into(), "malformed"),
        ("an ATTACH", "ATTACH DATABASE '/tmp/x' AS x".into(), "malformed"),
        ("a PRAGMA", "PRAGMA journal_mode = DELETE".into(), "malformed"),
        ("65 parentheses", nested(65), "max nesting level of 64"),
        ("10,000 parentheses", nested(10_000), "longer than"),
        ("7,000 open parentheses", "(".repeat(7_000), "malformed"),
        ("4,000 NOTs", format!("{}WorkflowId = 'a'", "NOT ".repeat(4_000)), "malformed"),
        ("a query of 16 KiB and a byte", format!("WorkflowId = '{}'", "a".repeat(16 * 1024)), "longer than"),
        ("a query of 1 MB", format!("WorkflowId = '{}'", "a".repeat(1 << 20)), "longer than"),
        ("a chain of 100,000 ORs", chain(100_000), "longer than"),
        ("an IN of 100,000", format!("WorkflowId IN ({})", vec!["'a'"; 100_000].join(",")), "longer than"),
        ("an empty IN", "WorkflowId IN ()".into(), "malformed"),
        ("a LIKE bomb", format!("WorkflowId LIKE '{}'", "%a".repeat(5_000)), "invalid operator"),
        ("a pattern of regular expressions", "WorkflowId REGEXP '(a+)+$'".into(), "invalid operator"),
        ("an exponent", "HistoryLength > 1e999".into(), "invalid query"),
        ("a time that is none", "StartTime > 'yesterday'".into(), "invalid query"),
        ("a time of the year 10^9", "StartTime > '1000000000-01-01T00:00:00Z'".into(), "invalid query"),
        ("an attribute that is not there", "Nobody = 'a'".into(), "invalid query"),
        ("a status that is not there", "ExecutionStatus = 'Sleeping'".into(), "invalid query"),
        ("an order", "ORDER BY StartTime".into(), "not supported"),
        ("a limit", "WorkflowId = 'a' LIMIT 1".into(), "not supported"),
        ("groups in a list", "GROUP BY ExecutionStatus".into(), "not supported"),
        ("control characters", "WorkflowId \u{1} 'a'".into(), "malformed"),
        ("a NUL outside of quotes", "WorkflowId\0 = 'a'".into(), "malformed"),
        ("a right-to-left mark", "\u{202e}WorkflowId = 'a'".into(), "malformed"),
        ("an emoji for an operator", "WorkflowId 🦀 'a'".into(), "malformed"),
        ("nothing but an operator", "=".into(), "malformed"),
        ("a BETWEEN without its end", "StartTime BETWEEN 1 AND".into(), "malformed"),
        ("a value alone", "'a'".into(), "invalid query"),
        ("arithmetic", "HistoryLength + 1 > 2".into(), "invalid query"),
    ];
    for (name, query, text) in bad {
        table.invalid(name, list(|request| request.query = query.clone()), text);
        // What is no query at all starts no batch operation.
        if *text == "malformed" || *text == "longer than" {
            let request = batch(|request| request.visibility_query = query.clone());
            table.invalid(&format!("{name} for a batch"), request, "invalid visibility query");
        }
    }
    table.invalid(
        "two groups in a count",
        count(|r| r.query = "GROUP BY ExecutionStatus, WorkflowId".into()),
        "",
    );
    table.invalid("a group by what has no groups", count(|r| r.query = "GROUP BY WorkflowId".into()), "");
    table.taken("a quote in a quote", list(|r| r.query = "WorkflowId = 'it''s; DROP TABLE run; --'".into()));
    // What cannot be compared is compared as text or as a number, and finds nothing.
    table.taken(
        "a number that is too large",
        list(|r| r.query = "HistoryLength > 99999999999999999999999".into()),
    );
    table.taken("a text for a number", list(|r| r.query = "HistoryLength = 'many'".into()));
    table.taken("a number for a text", list(|r| r.query = "WorkflowId = 7".into()));
    table.taken("a comment that hides the rest", list(|r| r.query = "WorkflowId = 'a' -- '".into()));
    table.taken("64 parentheses", list(|r| r.query = nested(64)));
    table.taken("a chain of 800 ORs", list(|r| r.query = chain(800)));
    table.taken("a page of -1 rows", list(|r| r.page_size = -1));
    table.taken("a page of 2^31-1 rows", list(|r| r.page_size = i32::MAX));
    table.taken(
        "a prefix of wildcards",
        list(|r| r.query = format!("WorkflowId STARTS_WITH '{}'", "%_".repeat(4_000))),
    );
}
