//! Values of search attributes that callers set: decoding payloads against the registered type, the rows they are
//! stored as, and the limits and messages of their refusal. Nothing here reads a wire type: a payload is its encoding
//! and its data.

use std::fmt;

use serde_json::Value as Json;

use crate::attribute::{AttributeType, find_predefined, is_system};
use crate::filter::Value;
use crate::limits::{
    MAX_SEARCH_ATTRIBUTE_KEYS, MAX_SEARCH_ATTRIBUTE_VALUE_BYTES, MAX_SEARCH_ATTRIBUTES_TOTAL_BYTES,
};
use crate::literal::parse_datetime;
use crate::resolve::Schema;

/// Why search attributes were refused; InvalidArgument on the wire, and the cause of a failed workflow task when a
/// command holds them. Its `Display` is the message for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSearchAttribute(String);

impl fmt::Display for InvalidSearchAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSearchAttribute {}

/// A decoded value.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    Text(String),
    Keyword(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// Nanoseconds since the epoch.
    Datetime(i64),
    KeywordList(Vec<String>),
}

impl AttributeValue {
    fn has_nul(&self) -> bool {
        match self {
            AttributeValue::Text(text) | AttributeValue::Keyword(text) => text.contains('\0'),
            AttributeValue::KeywordList(elements) => elements.iter().any(|text| text.contains('\0')),
            _ => false,
        }
    }

    /// The values of the rows in `search_attribute` that make this value findable. TemporalNamespaceDivision alone is
    /// found by its column instead.
    pub fn rows(&self) -> Vec<Value> {
        match self {
            AttributeValue::Text(text) => words(text).into_iter().map(Value::Text).collect(),
            AttributeValue::Keyword(text) => vec![Value::Text(text.clone())],
            AttributeValue::Int(number) | AttributeValue::Datetime(number) => vec![Value::Int(*number)],
            AttributeValue::Double(number) => vec![Value::Real(*number)],
            AttributeValue::Bool(value) => vec![Value::Int((*value).into())],
            AttributeValue::KeywordList(elements) => {
                let mut elements = elements.clone();
                elements.sort();
                elements.dedup();
                elements.into_iter().map(Value::Text).collect()
            }
        }
    }
}

/// The words of a text, in lower case, each once, in order. Everything but letters and digits separates words.
pub fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut words: Vec<String> = words.map(str::to_lowercase).collect();
    words.sort();
    words.dedup();
    words
}

/// The type of an attribute that a caller may set in this namespace.
///
/// # Errors
/// System attributes, predefined ones that only the server sets, and names that the namespace does not define.
pub fn settable_type(
    name: &str,
    schema: &dyn Schema,
    namespace: &str,
) -> Result<AttributeType, InvalidSearchAttribute> {
    let predefined = find_predefined(name);
    if is_system(name) || predefined.is_some_and(|p| !p.user_may_set) {
        return Err(InvalidSearchAttribute(format!("{name} attribute can't be set in SearchAttributes")));
    }
    predefined.map(|p| p.attribute_type).or_else(|| schema.custom(name)).ok_or_else(|| {
        InvalidSearchAttribute(format!(
            "Namespace {namespace} has no mapping defined for search attribute {name}"
        ))
    })
}

/// Decodes the payload of a search attribute; none means that the attribute is to be unset.
///
/// A scalar may come as a list of one element. `encoding` is the payload's metadata of that name.
///
/// # Errors
/// Data that is no JSON or holds another type.
pub fn decode(
    name: &str,
    attribute_type: AttributeType,
    encoding: &[u8],
    data: &[u8],
) -> Result<Option<AttributeValue>, InvalidSearchAttribute> {
    let invalid = |shown: String| {
        InvalidSearchAttribute(format!(
            "invalid value for search attribute {name} of type {attribute_type}: {shown}"
        ))
    };
    let json = match encoding {
        b"binary/null" => Json::Null,
        b"json/plain" => serde_json::from_slice(data)
            .map_err(|_| invalid(format!("value from <{}>", String::from_utf8_lossy(data))))?,
        other => {
            let encoding = String::from_utf8_lossy(other);
            return Err(invalid(format!("value from <payload with encoding {encoding}>")));
        }
    };
    match decode_json(attribute_type, &json) {
        // Not every store can hold one in a text.
        Decoded::Value(value) if value.has_nul() => {
            Err(invalid("a text must not contain the character NUL".to_owned()))
        }
        Decoded::Value(value) => Ok(Some(value)),
        Decoded::Unset => Ok(None),
        Decoded::WrongType => Err(invalid(show(&json))),
    }
}

enum Decoded {
    Value(AttributeValue),
    Unset,
    WrongType,
}

fn decode_json(attribute_type: AttributeType, json: &Json) -> Decoded {
    let decoded = match (attribute_type, json) {
        (_, Json::Null) => return Decoded::Unset,
        (_, Json::Array(elements)) if elements.is_empty() => return Decoded::Unset,
        (AttributeType::KeywordList, Json::Array(elements)) => {
            let elements = elements.iter().map(|element| element.as_str().map(str::to_owned));
            elements.collect::<Option<Vec<_>>>().map(AttributeValue::KeywordList)
        }
        (_, Json::Array(elements)) if elements.len() == 1 => decode_scalar(attribute_type, &elements[0]),
        (_, json) => decode_scalar(attribute_type, json),
    };
    decoded.map_or(Decoded::WrongType, Decoded::Value)
}

fn decode_scalar(attribute_type: AttributeType, json: &Json) -> Option<AttributeValue> {
    match attribute_type {
        AttributeType::Text => json.as_str().map(|text| AttributeValue::Text(text.to_owned())),
        AttributeType::Keyword => json.as_str().map(|text| AttributeValue::Keyword(text.to_owned())),
        AttributeType::Int => json.as_i64().map(AttributeValue::Int),
        AttributeType::Double => json.as_f64().map(AttributeValue::Double),
        AttributeType::Bool => json.as_bool().map(AttributeValue::Bool),
        AttributeType::Datetime => json.as_str().and_then(parse_datetime).map(AttributeValue::Datetime),
        AttributeType::KeywordList => None,
    }
}

/// Checks the sizes of a set of search attributes: its number of keys, each value's data in bytes, and the size of the
/// whole message in bytes.
///
/// # Errors
/// The first limit that is exceeded.
pub fn check_sizes<'a>(
    values: impl ExactSizeIterator<Item = (&'a str, usize)>,
    total_bytes: usize,
) -> Result<(), InvalidSearchAttribute> {
    let refuse = |message| Err(InvalidSearchAttribute(message));
    if values.len() > MAX_SEARCH_ATTRIBUTE_KEYS {
        let count = values.len();
        return refuse(format!(
            "number of search attributes {count} exceeds limit {MAX_SEARCH_ATTRIBUTE_KEYS}"
        ));
    }
    for (name, bytes) in values {
        if bytes > MAX_SEARCH_ATTRIBUTE_VALUE_BYTES {
            return refuse(format!(
                "search attribute {name} value size {bytes} exceeds size limit {MAX_SEARCH_ATTRIBUTE_VALUE_BYTES}"
            ));
        }
    }
    if total_bytes > MAX_SEARCH_ATTRIBUTES_TOTAL_BYTES {
        return refuse(format!(
            "total size of search attributes {total_bytes} exceeds size limit {MAX_SEARCH_ATTRIBUTES_TOTAL_BYTES}"
        ));
    }
    Ok(())
}

/// JSON as the reference's messages show it: strings bare, lists and maps with spaces between elements.
fn show(json: &Json) -> String {
    match json {
        Json::Null => "<nil>".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.as_f64().map_or_else(|| number.to_string(), show_number),
        Json::String(text) => text.clone(),
        Json::Array(elements) => {
            format!("[{}]", elements.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Json::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}:{}", show(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
    }
}

/// The shortest form, with a two-digit exponent from 1e+06 up and below 1e-04.
fn show_number(number: f64) -> String {
    let magnitude = number.abs();
    if number == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return number.to_string();
    }
    let shown = format!("{number:e}");
    match shown.split_once('e') {
        Some((mantissa, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        },
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attribute_type: AttributeType, data: &str, expected: Result<Option<AttributeValue>, &str>) {
        let decoded = decode("A", attribute_type, b"json/plain", data.as_bytes());
        let expected = expected.map_err(|shown| {
            InvalidSearchAttribute(format!(
                "invalid value for search attribute A of type {attribute_type}: {shown}"
            ))
        });
        assert_eq!(decoded, expected, "{attribute_type} {data}");
    }

    #[test]
    fn values_of_every_type() {
        use AttributeType::*;
        use AttributeValue as V;
        check(Int, "5", Ok(Some(V::Int(5))));
        check(Int, "[5]", Ok(Some(V::Int(5))));
        check(Int, "[]", Ok(None));
        check(Int, "null", Ok(None));
        check(Int, "[5,6]", Err("[5 6]"));
        check(Int, "1.5", Err("1.5"));
        check(Int, "true", Err("true"));
        check(Int, "\"notint\"", Err("notint"));
        check(Int, "1e21", Err("1e+21"));
        check(Int, "1234567.5", Err("1.2345675e+06"));
        check(Int, "100000.5", Err("100000.5"));
        check(Int, "0.00005", Err("5e-05"));
        check(Int, "12345678901234567890", Err("1.2345678901234567e+19"));
        check(Int, "{\"a\":[1,\"b\",null,true]}", Err("map[a:[1 b <nil> true]]"));
        check(Int, "{", Err("value from <{>"));
        check(Int, "", Err("value from <>"));
        check(Double, "1e21", Ok(Some(V::Double(1e21))));
        check(Double, "5", Ok(Some(V::Double(5.0))));
        // Read as queries read it, to the last digit.
        for number in ["-9223372039229223377785477585808", "0.1234567890123456789", "1.7976931348623157e308"]
        {
            check(Double, number, Ok(Some(V::Double(number.parse().expect("a number")))));
        }
        check(Bool, "true", Ok(Some(V::Bool(true))));
        check(Bool, "1", Err("1"));
        check(Keyword, "\"x\"", Ok(Some(V::Keyword("x".into()))));
        check(Keyword, "[1]", Err("[1]"));
        check(Text, "\"Big World\"", Ok(Some(V::Text("Big World".into()))));
        check(KeywordList, "[\"x\",\"y\"]", Ok(Some(V::KeywordList(vec!["x".into(), "y".into()]))));
        check(KeywordList, "\"x\"", Err("x"));
        check(KeywordList, "[\"a\",5]", Err("[a 5]"));
        check(KeywordList, "[]", Ok(None));
        check(Datetime, "\"1970-01-01T00:00:01Z\"", Ok(Some(V::Datetime(1_000_000_000))));
        check(Datetime, "\"2024-01-02\"", Err("2024-01-02"));
        assert_eq!(decode("A", Int, b"binary/null", b""), Ok(None));
        assert!(decode("A", Int, b"binary/plain", b"5").is_err());
    }

    #[test]
    fn who_may_be_set() {
        struct OneKeyword;
        impl Schema for OneKeyword {
            fn custom(&self, name: &str) -> Option<AttributeType> {
                (name == "Mine").then_some(AttributeType::Keyword)
            }
        }
        let check = |name: &str| settable_type(name, &OneKeyword, "default").map_err(|e| e.to_string());
        assert_eq!(check("Mine"), Ok(AttributeType::Keyword));
        assert_eq!(check("BuildIds"), Ok(AttributeType::KeywordList));
        assert_eq!(check("WorkflowId"), Err("WorkflowId attribute can't be set in SearchAttributes".into()));
        let deployment = "TemporalWorkerDeployment attribute can't be set in SearchAttributes";
        assert_eq!(check("TemporalWorkerDeployment"), Err(deployment.into()));
        let unknown = "Namespace default has no mapping defined for search attribute Nope";
        assert_eq!(check("Nope"), Err(unknown.into()));
    }

    #[test]
    fn sizes() {
        let check = |count: usize, bytes: usize, total: usize| {
            check_sizes(vec![("A", bytes); count].into_iter(), total).map_err(|e| e.to_string())
        };
        assert_eq!(check(100, 2048, 40_960), Ok(()));
        assert_eq!(check(101, 1, 1), Err("number of search attributes 101 exceeds limit 100".into()));
        let long = "search attribute A value size 3002 exceeds size limit 2048";
        assert_eq!(check(1, 3002, 1), Err(long.into()));
        let total = "total size of search attributes 40961 exceeds size limit 40960";
        assert_eq!(check(1, 1, 40_961), Err(total.into()));
    }

    #[test]
    fn rows_of_a_value() {
        let text = AttributeValue::Text("Foo-Bar foo 3.14".into());
        assert_eq!(text.rows(), ["14", "3", "bar", "foo"].map(|w| Value::Text(w.into())));
        let list = AttributeValue::KeywordList(vec!["b".into(), "a".into(), "b".into()]);
        assert_eq!(list.rows(), ["a", "b"].map(|w| Value::Text(w.into())));
    }
}
