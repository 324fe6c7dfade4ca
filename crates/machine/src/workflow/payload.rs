//! Payloads that the server makes itself, as SDKs' default converters read them.

use bytes::Bytes;
use steadfast_api::v1::common::{Payload, Payloads};

/// One payload that holds a JSON string.
pub fn json_text(text: &str) -> Payloads {
    Payloads { payloads: vec![json(quoted(text), &[])] }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// A payload of JSON that is written already, with more metadata.
pub fn json(data: String, metadata: &[(&str, &str)]) -> Payload {
    let own = [("encoding", "json/plain")];
    let metadata =
        own.iter().chain(metadata).map(|(key, value)| ((*key).to_owned(), Bytes::from((*value).to_owned())));
    Payload { metadata: metadata.collect(), data: Bytes::from(data), ..Payload::default() }
}

/// A search attribute that is a list of keywords.
pub fn keywords<'a>(words: impl IntoIterator<Item = &'a str>) -> Payload {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    json(format!("[{}]", words.join(",")), &[("type", "KeywordList")])
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
