//! A list's query taken apart into the status that is picked and the rest, so that the counts of all the other statuses
//! stay on the page when one of them is picked.
//!
//! Only the two forms that the page itself writes are taken apart (`ExecutionStatus = "Running"` alone, or after
//! `… AND`); any other query is a rest without a status, which is always right, just less handy.

#[derive(Debug, PartialEq)]
pub(crate) struct StatusFilter<'a> {
    pub status: Option<&'a str>,
    pub rest: &'a str,
}

pub(crate) fn split(query: &str) -> StatusFilter<'_> {
    let whole = StatusFilter { status: None, rest: query.trim() };
    let Some((before, status)) = trailing_status(query.trim()) else { return whole };
    if before.is_empty() {
        return StatusFilter { status: Some(status), rest: "" };
    }
    let Some(rest) = strip_suffix_ignore_case(before, "AND") else { return whole };
    // `a OR b AND status` means `a OR (b AND status)`: only a rest that stands in parentheses, or has no OR, may be cut off.
    let rest = rest.trim_end();
    if rest.len() == before.len() - "AND".len() || rest.is_empty() {
        return whole;
    }
    match unwrap_parentheses(rest) {
        Some(inside) => StatusFilter { status: Some(status), rest: inside },
        None if has_word_or(rest) => whole,
        None => StatusFilter { status: Some(status), rest },
    }
}

/// `<before> ExecutionStatus = "<status>"`, or `None`.
fn trailing_status(query: &str) -> Option<(&str, &str)> {
    let quote = query.chars().last().filter(|c| matches!(c, '"' | '\''))?;
    let body = &query[..query.len() - 1];
    let open = body.rfind(quote)?;
    let status = &body[open + 1..];
    if status.is_empty() || !status.chars().all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    let before = body[..open].trim_end().strip_suffix('=')?.trim_end();
    let before =
        before.strip_suffix("ExecutionStatus").or_else(|| before.strip_suffix("`ExecutionStatus`"))?;
    (before.is_empty() || before.ends_with([' ', ')'])).then(|| (before.trim_end(), status))
}

fn strip_suffix_ignore_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let cut = text.len().checked_sub(suffix.len())?;
    let tail = text.get(cut..)?;
    tail.eq_ignore_ascii_case(suffix).then(|| &text[..cut])
}

/// What is inside, if one pair of parentheses spans the whole text.
fn unwrap_parentheses(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('(')?.strip_suffix(')')?;
    let mut depth = 0i32;
    let mut quote = None;
    for c in inside.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    (depth == 0 && quote.is_none()).then_some(inside.trim())
}

fn has_word_or(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word.eq_ignore_ascii_case("or"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, status: Option<&str>, rest: &str) {
        assert_eq!(split(query), StatusFilter { status, rest });
    }

    #[test]
    fn what_the_page_writes_is_taken_apart() {
        check("", None, "");
        check("ExecutionStatus=\"Running\"", Some("Running"), "");
        check("ExecutionStatus = 'Failed'", Some("Failed"), "");
        check("WorkflowType=\"a\" AND ExecutionStatus=\"Running\"", Some("Running"), "WorkflowType=\"a\"");
        check("(a=1 OR b=2) and ExecutionStatus=\"Running\"", Some("Running"), "a=1 OR b=2");
    }

    #[test]
    fn anything_else_is_left_whole() {
        for query in [
            "a=1 OR b=2 AND ExecutionStatus=\"Running\"",
            "(a=1) OR (b=2) AND ExecutionStatus=\"Running\"",
            "NotExecutionStatus=\"Running\"",
            "ExecutionStatus!=\"Running\"",
            "a=1 OR ExecutionStatus=\"Running\"",
            "BRAND ExecutionStatus=\"Running\"",
            "\"",
            "AND ExecutionStatus=\"Running\"",
        ] {
            check(query, None, query);
        }
    }
}
