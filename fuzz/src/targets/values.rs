//! Values of search attributes, as JSON in payloads. The first byte is the type, the second the encoding.
//!
//! Promised beside: a value that is taken comes back from its own JSON, its rows are sorted and each is there once, and a NUL
//! never gets in.

use serde_json::json;
use steadfast_query::attribute::AttributeType;
use steadfast_query::values::{AttributeValue, check_sizes, decode, words};
use steadfast_query::{Value, parse_datetime};

pub fn run(input: &[u8]) {
    let [kind, encoding, data @ ..] = input else { return };
    let kind = AttributeType::ALL[usize::from(*kind) % AttributeType::ALL.len()];
    let encoding: &[u8] = match encoding % 8 {
        0 => b"binary/null",
        1 => b"",
        2 => data,
        _ => b"json/plain",
    };
    let text = String::from_utf8_lossy(data);
    let _ = parse_datetime(&text);
    assert!(words(&text).windows(2).all(|pair| pair[0] < pair[1]), "words are sorted, each there once");
    let _ = check_sizes(vec![(text.as_ref(), data.len()); data.len().min(200)].into_iter(), data.len());
    let value = match decode("A", kind, encoding, data) {
        Ok(Some(value)) => value,
        Ok(None) => return,
        Err(error) => {
            assert!(
                error.to_string().starts_with("invalid value for search attribute A of type "),
                "{error}"
            );
            return;
        }
    };
    let rows = value.rows();
    let (texts, nul) = rows.iter().fold((Vec::new(), false), |(mut texts, nul), row| match row {
        Value::Text(text) => {
            texts.push(text.clone());
            (texts, nul || text.contains('\0'))
        }
        _ => (texts, nul),
    });
    assert!(!nul, "a NUL got in");
    assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "{texts:?}");
    let again = match &value {
        AttributeValue::Text(text) | AttributeValue::Keyword(text) => json!(text),
        AttributeValue::Int(number) => json!(number),
        AttributeValue::Double(number) => json!(number),
        AttributeValue::Bool(value) => json!(value),
        AttributeValue::KeywordList(elements) => json!(elements),
        // How a time was written is not kept.
        AttributeValue::Datetime(_) => return,
    };
    let decoded = decode("A", kind, b"json/plain", again.to_string().as_bytes());
    assert_eq!(decoded, Ok(Some(value)), "from {again}");
}
