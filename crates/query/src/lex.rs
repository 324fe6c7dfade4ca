//! Text → tokens. The spelling is MySQL's, which the reference's parser comes from: `'` and `"` both quote strings,
//! backticks quote names, keywords are words in any case.

use winnow::ascii::{digit0, digit1, multispace1, till_line_ending};
use winnow::combinator::{alt, fail, not, opt, preceded, repeat, terminated};
use winnow::error::ContextError;
use winnow::prelude::*;
use winnow::token::{any, none_of, one_of, take_until, take_while};

use crate::error::QueryError;
use crate::limits::MAX_QUOTED_CHARS;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    /// A bare word: a keyword or a name.
    Word,
    /// A name in backticks, without them.
    QuotedName(String),
    Text(String),
    Number,
    Symbol(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token<'q> {
    pub(crate) kind: TokenKind,
    /// The token as written.
    pub(crate) source: &'q str,
    /// Where it begins, in bytes.
    pub(crate) start: usize,
}

/// Longer symbols before their own beginnings.
const SYMBOLS: [&str; 28] = [
    "<=>", "<=", ">=", "<>", "!=", "<<", ">>", "&&", "||", "=", "<", ">", "(", ")", ",", ";", ".", "+", "-",
    "*", "/", "%", "&", "|", "^", "~", "!", "?",
];

type Result<T> = winnow::Result<T, ContextError>;

/// Splits a query into tokens; the last one is always `End`.
pub(crate) fn tokens(query: &str) -> std::result::Result<Vec<Token<'_>>, QueryError> {
    let mut rest = query;
    let mut tokens = Vec::new();
    loop {
        blank.parse_next(&mut rest).expect("skipping zero or more blanks and comments cannot fail");
        let start = query.len() - rest.len();
        if rest.is_empty() {
            tokens.push(Token { kind: TokenKind::End, source: "", start });
            return Ok(tokens);
        }
        let (kind, source) = token
            .with_taken()
            .parse_next(&mut rest)
            .map_err(|_| syntax_error(query, start, &query[start..]))?;
        tokens.push(Token { kind, source, start });
    }
}

/// The error for an unexpected piece of text at a byte offset.
pub(crate) fn syntax_error(query: &str, start: usize, near: &str) -> QueryError {
    let position = position(query, start);
    let near: String = near.chars().take(MAX_QUOTED_CHARS).collect();
    match near.as_str() {
        "" => QueryError::malformed(format!("syntax error at position {position}"), position),
        near => QueryError::malformed(format!("syntax error at position {position} near '{near}'"), position),
    }
}

/// A byte offset as people count: in characters, from 1.
pub(crate) fn position(query: &str, start: usize) -> usize {
    query[..start].chars().count() + 1
}

fn blank(input: &mut &str) -> Result<()> {
    let line_comment = (alt(("--", "#", "//")), till_line_ending).void();
    let comment = ("/*", take_until(0.., "*/"), "*/").void();
    repeat(0.., alt((multispace1.void(), line_comment, comment))).parse_next(input)
}

fn token(input: &mut &str) -> Result<TokenKind> {
    alt((
        number.value(TokenKind::Number),
        word.value(TokenKind::Word),
        quoted('`').verify(|name: &String| !name.is_empty()).map(TokenKind::QuotedName),
        quoted('\'').map(TokenKind::Text),
        quoted('"').map(TokenKind::Text),
        symbol.map(TokenKind::Symbol),
    ))
    .parse_next(input)
}

fn word<'q>(input: &mut &'q str) -> Result<&'q str> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '@';
    (one_of(first), take_while(0.., move |c: char| first(c) || c.is_ascii_digit())).take().parse_next(input)
}

/// An unsigned number; the sign is an operator. A letter right behind it (`0x10`, `12ab`) makes it none.
fn number<'q>(input: &mut &'q str) -> Result<&'q str> {
    let mantissa = alt(((digit1, opt((".", digit0))).void(), (".", digit1).void()));
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    terminated((mantissa, opt(exponent)).take(), not(word)).parse_next(input)
}

/// A quoted piece: the quote is written twice to stand for itself, and outside of names a backslash escapes.
fn quoted(quote: char) -> impl FnMut(&mut &str) -> Result<String> {
    move |input: &mut &str| {
        let is_escape = move |c: char| c == '\\' && quote != '`';
        let doubled = (quote, quote).value(quote);
        let escaped = preceded(one_of(is_escape), any).map(unescape);
        let plain = none_of(move |c: char| c == quote || is_escape(c));
        let text = repeat(0.., alt((doubled, escaped, plain))).fold(String::new, |mut text, c| {
            text.push(c);
            text
        });
        let mut text = (quote, text, quote).map(|(_, text, _)| text);
        text.parse_next(input)
    }
}

fn unescape(c: char) -> char {
    match c {
        '0' => '\0',
        'b' => '\u{8}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'Z' => '\u{1a}',
        other => other,
    }
}

fn symbol(input: &mut &str) -> Result<&'static str> {
    for symbol in SYMBOLS {
        if let Some(rest) = input.strip_prefix(symbol) {
            *input = rest;
            return Ok(symbol);
        }
    }
    fail.parse_next(input)
}
