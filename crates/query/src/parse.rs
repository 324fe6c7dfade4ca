//! Tokens → syntax tree: the body of a WHERE clause, by recursive descent, one function a level of precedence
//! (OR, AND, NOT, comparison, operand). A chain of ANDs or ORs is one node, however long, so that only what the writer
//! nests makes the tree deep.

use crate::error::QueryError;
use crate::filter::CompareOp;
use crate::lex::{Token, TokenKind, position, syntax_error, tokens};
use crate::limits::{MAX_QUERY_BYTES, MAX_QUERY_DEPTH};
use crate::syntax::{Expr, Literal, Operator, Predicate, Query};

/// Words that are part of the grammar and so must be quoted with backticks to be names.
const RESERVED_WORDS: [&str; 27] = [
    "and",
    "or",
    "not",
    "in",
    "is",
    "null",
    "true",
    "false",
    "between",
    "like",
    "regexp",
    "rlike",
    "starts_with",
    "escape",
    "group",
    "order",
    "by",
    "limit",
    "having",
    "where",
    "select",
    "union",
    "exists",
    "case",
    "interval",
    "div",
    "mod",
];

const ARITHMETIC: [&str; 10] = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"];

/// Parses a query: a condition, optionally followed by GROUP BY, ORDER BY and LIMIT (the last two only to be refused by
/// name later). An empty query is the condition that is always true.
///
/// # Errors
/// Text that is no query, is longer than [`MAX_QUERY_BYTES`] or nested deeper than [`MAX_QUERY_DEPTH`].
pub fn parse(query: &str) -> Result<Query, QueryError> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(QueryError::malformed(format!("query is longer than {MAX_QUERY_BYTES} bytes"), 1));
    }
    let tokens = tokens(query)?;
    Parser { query, tokens, next: 0, depth: 0 }.query()
}

struct Parser<'q> {
    query: &'q str,
    tokens: Vec<Token<'q>>,
    /// Index of the next token; never beyond the last one, `End`.
    next: usize,
    depth: usize,
}

type Parsed = Result<Expr, QueryError>;

impl<'q> Parser<'q> {
    fn query(mut self) -> Result<Query, QueryError> {
        let without_condition = self.peek().kind == TokenKind::End
            || ["group", "order", "limit"].iter().any(|word| self.peek_word(word));
        let condition = if without_condition { None } else { Some(self.or()?) };
        let group_by = if self.take_word("group") {
            self.expect_word("by")?;
            self.list(Self::or)?
        } else {
            Vec::new()
        };
        let has_order_by = self.take_word("order");
        if has_order_by {
            self.expect_word("by")?;
            self.list(|parser| {
                let key = parser.or()?;
                let _ = parser.take_word("asc") || parser.take_word("desc");
                Ok(key)
            })?;
        }
        let has_limit = self.take_word("limit");
        if has_limit {
            self.list(Self::operand)?;
            if self.take_word("offset") {
                self.operand()?;
            }
        }
        self.take_symbol(";");
        match self.peek().kind {
            TokenKind::End => Ok(Query { condition, group_by, has_order_by, has_limit }),
            _ => Err(self.unexpected()),
        }
    }

    fn or(&mut self) -> Parsed {
        self.chain("or", "||", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Parsed {
        self.chain("and", "&&", Self::not, Expr::And)
    }

    fn chain(
        &mut self,
        word: &str,
        symbol: &str,
        part: fn(&mut Self) -> Parsed,
        node: fn(Vec<Expr>) -> Expr,
    ) -> Parsed {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take_word(word) || self.take_symbol(symbol) {
            parts.push(part(self)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { node(parts) })
    }

    fn not(&mut self) -> Parsed {
        if self.take_word("not") {
            let inner = self.nested(Self::not)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.operand()?;
        let mut expression = self.comparison_with(left)?;
        while self.take_word("is") {
            let negated = self.take_word("not");
            let predicate = match () {
                () if self.take_word("null") => Predicate::Null,
                () if self.take_word("true") => Predicate::True,
                () if self.take_word("false") => Predicate::False,
                () => return Err(self.unexpected()),
            };
            expression = Expr::Is { left: Box::new(expression), negated, predicate };
        }
        Ok(expression)
    }

    fn comparison_with(&mut self, left: Expr) -> Parsed {
        const SYMBOLS: [(&str, Operator); 8] = [
            ("=", Operator::Compare(CompareOp::Equal)),
            ("!=", Operator::Compare(CompareOp::NotEqual)),
            ("<>", Operator::Compare(CompareOp::NotEqual)),
            ("<", Operator::Compare(CompareOp::Less)),
            ("<=", Operator::Compare(CompareOp::LessOrEqual)),
            (">", Operator::Compare(CompareOp::Greater)),
            (">=", Operator::Compare(CompareOp::GreaterOrEqual)),
            ("<=>", Operator::Refused("<=>")),
        ];
        let left = Box::new(left);
        for (symbol, operator) in SYMBOLS {
            if self.take_symbol(symbol) {
                return Ok(Expr::Compare { left, operator, right: Box::new(self.operand()?) });
            }
        }
        let negated = self.take_word("not");
        if self.take_word("in") {
            let right = Box::new(Expr::Tuple(self.parenthesised_list()?));
            return Ok(Expr::Compare { left, operator: Operator::In { negated }, right });
        }
        if self.take_word("starts_with") {
            let right = Box::new(self.operand()?);
            return Ok(Expr::Compare { left, operator: Operator::StartsWith { negated }, right });
        }
        if self.take_word("between") {
            let low = Box::new(self.operand()?);
            self.expect_word("and")?;
            return Ok(Expr::Between { left, negated, low, high: Box::new(self.operand()?) });
        }
        for (word, plain, opposite) in [
            ("like", "like", "not like"),
            ("regexp", "regexp", "not regexp"),
            ("rlike", "regexp", "not regexp"),
        ] {
            if self.take_word(word) {
                let right = Box::new(self.operand()?);
                if self.take_word("escape") {
                    self.operand()?;
                }
                let operator = Operator::Refused(if negated { opposite } else { plain });
                return Ok(Expr::Compare { left, operator, right });
            }
        }
        if negated { Err(self.unexpected()) } else { Ok(*left) }
    }

    /// A column or a value, or arithmetic on them, which is read over to be refused as a whole.
    fn operand(&mut self) -> Parsed {
        let at = self.position();
        let first = self.simple_operand()?;
        let mut is_arithmetic = false;
        while self.take_arithmetic_operator() {
            self.simple_operand()?;
            is_arithmetic = true;
        }
        Ok(if is_arithmetic { Expr::Arithmetic { at } } else { first })
    }

    fn simple_operand(&mut self) -> Parsed {
        let at = self.position();
        if matches!(&self.peek().kind, TokenKind::Symbol("(")) {
            let mut parts = self.parenthesised_list()?;
            return Ok(match parts.len() {
                1 => Expr::Paren(Box::new(parts.remove(0))),
                _ => Expr::Tuple(parts),
            });
        }
        let sign = match &self.peek().kind {
            TokenKind::Symbol(sign @ ("+" | "-")) => Some(*sign),
            _ => None,
        };
        if sign.is_some() {
            self.next += 1;
        }
        let token = self.peek().clone();
        let literal = match token.kind {
            TokenKind::Number => self.number(sign == Some("-"), token.source)?,
            _ if sign.is_some() => return Err(self.unexpected()),
            TokenKind::Text(text) => Literal::Text(text),
            TokenKind::Word if token.source.eq_ignore_ascii_case("true") => Literal::Bool(true),
            TokenKind::Word if token.source.eq_ignore_ascii_case("false") => Literal::Bool(false),
            TokenKind::Word if token.source.eq_ignore_ascii_case("null") => Literal::Null,
            TokenKind::Word if RESERVED_WORDS.iter().any(|w| token.source.eq_ignore_ascii_case(w)) => {
                return Err(self.unexpected());
            }
            TokenKind::Word | TokenKind::QuotedName(_) => return self.name(at),
            TokenKind::Symbol(_) | TokenKind::End => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(Expr::Literal { value: literal, at })
    }

    /// A name with qualifiers (which no attribute has, so it will not be found), or a call.
    fn name(&mut self, at: usize) -> Parsed {
        let mut name = String::new();
        loop {
            let token = self.peek();
            match &token.kind {
                TokenKind::Word => name.push_str(token.source),
                TokenKind::QuotedName(quoted) => name.push_str(quoted),
                _ => return Err(self.unexpected()),
            }
            self.next += 1;
            if !self.take_symbol(".") {
                break;
            }
            name.push('.');
        }
        if !matches!(&self.peek().kind, TokenKind::Symbol("(")) {
            return Ok(Expr::Column { name, at });
        }
        self.nested(|parser| {
            parser.next += 1;
            if !parser.take_symbol(")") {
                if !parser.take_symbol("*") {
                    parser.list(Self::or)?;
                }
                parser.expect_symbol(")")?;
            }
            Ok(Expr::Call { name, at })
        })
    }

    fn number(&self, negative: bool, source: &str) -> Result<Literal, QueryError> {
        let signed = format!("{}{source}", if negative { "-" } else { "" });
        if let Ok(number) = signed.parse::<i64>() {
            return Ok(Literal::Int(number));
        }
        match signed.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Literal::Double(number)),
            _ => Err(QueryError::invalid(format!("unable to parse {signed}")).at(self.position())),
        }
    }

    fn parenthesised_list(&mut self) -> Result<Vec<Expr>, QueryError> {
        self.nested(|parser| {
            parser.expect_symbol("(")?;
            let parts = parser.list(Self::or)?;
            parser.expect_symbol(")")?;
            Ok(parts)
        })
    }

    fn list(&mut self, mut part: impl FnMut(&mut Self) -> Parsed) -> Result<Vec<Expr>, QueryError> {
        let mut parts = vec![part(self)?];
        while self.take_symbol(",") {
            parts.push(part(self)?);
        }
        Ok(parts)
    }

    /// Goes one level deeper; the limit is what keeps the recursion, here and in later stages, off the stack's end.
    fn nested<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T, QueryError>) -> Result<T, QueryError> {
        if self.depth == MAX_QUERY_DEPTH {
            let position = self.position();
            let message = format!("max nesting level of {MAX_QUERY_DEPTH} reached at position {position}");
            return Err(QueryError::malformed(message, position));
        }
        self.depth += 1;
        let parsed = part(self);
        self.depth -= 1;
        parsed
    }

    fn peek(&self) -> &Token<'q> {
        &self.tokens[self.next]
    }

    fn peek_word(&self, word: &str) -> bool {
        let token = self.peek();
        token.kind == TokenKind::Word && token.source.eq_ignore_ascii_case(word)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        self.next += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(&self.peek().kind, TokenKind::Symbol(s) if *s == symbol);
        self.next += usize::from(found);
        found
    }

    fn take_arithmetic_operator(&mut self) -> bool {
        ARITHMETIC.iter().any(|symbol| self.take_symbol(symbol))
            || self.take_word("div")
            || self.take_word("mod")
    }

    fn expect_word(&mut self, word: &str) -> Result<(), QueryError> {
        if self.take_word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), QueryError> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn position(&self) -> usize {
        position(self.query, self.peek().start)
    }

    fn unexpected(&self) -> QueryError {
        let token = self.peek();
        let near = match &token.kind {
            TokenKind::Text(text) | TokenKind::QuotedName(text) => text,
            _ => token.source,
        };
        syntax_error(self.query, token.start, near)
    }
}
