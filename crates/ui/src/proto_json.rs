//! API messages as the JSON that the pages read, by reflection: one walk for all sixty kinds of events, so that a new
//! field or a new event is shown without a line of code here.
//!
//! It is not the API's own JSON form. Payloads become their source text (`{"$payload": {"encoding", "text"}}`), never a
//! parsed value, because a number such as 3544790567247868102 does not survive JavaScript; enum values become their
//! short names (`ActivityTaskScheduled`); 64-bit integers stay numbers where JavaScript can hold them; what is not set
//! is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, Kind, MapKey, ReflectMessage, Value as Field,
};
use prost_types::FileDescriptorSet;
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::sync::OnceLock;
use steadfast_api::v1::history::HistoryEvent;

/// The most bytes of one payload that are sent inline; the event's own address gives all of it.
const PAYLOAD_BYTES: usize = 64 << 10;
/// The most payload bytes in one answer; what comes after it is cut short.
const ANSWER_BYTES: usize = 1 << 20;
/// What of a payload is always sent.
const CUT_BYTES: usize = 1 << 10;
/// Seconds: ten thousand years.
const LONGEST_DURATION: i64 = 315_576_000_000;
const JS_SAFE: i64 = (1 << 53) - 1;

/// Renders the messages of one answer.
pub(crate) struct ProtoJson {
    payload_limit: usize,
    left: Cell<usize>,
}

impl ProtoJson {
    pub fn new() -> ProtoJson {
        ProtoJson { payload_limit: PAYLOAD_BYTES, left: Cell::new(ANSWER_BYTES) }
    }

    /// Without limits, for a single event.
    pub fn whole() -> ProtoJson {
        ProtoJson { payload_limit: usize::MAX, left: Cell::new(usize::MAX) }
    }

    /// `name` is the message's full name, such as `temporal.api.failure.v1.Failure`.
    pub fn message(&self, name: &str, message: &impl Message) -> Value {
        let decoded = pool().get_message_by_name(name).and_then(|descriptor| {
            DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()
        });
        match decoded {
            Some(decoded) => self.walk(&decoded),
            None => Value::Null,
        }
    }

    /// An event with its attributes under one name for all kinds.
    pub fn event(&self, event: &HistoryEvent) -> Value {
        let mut value = self.message("temporal.api.history.v1.HistoryEvent", event);
        if let Some(map) = value.as_object_mut() {
            let key = map.keys().find(|key| key.ends_with("EventAttributes")).cloned();
            let attributes = key.and_then(|key| map.remove(&key)).unwrap_or_else(|| json!({}));
            map.insert("attributes".into(), attributes);
            for noise in ["taskId", "version"] {
                map.remove(noise);
            }
        }
        value
    }

    fn walk(&self, message: &DynamicMessage) -> Value {
        match message.descriptor().full_name() {
            "google.protobuf.Timestamp" | "google.protobuf.Duration" => well_known(message),
            "temporal.api.common.v1.Payload" => self.payload(message),
            "temporal.api.common.v1.Payloads" => self.only_field(message, "payloads"),
            "temporal.api.common.v1.Memo" => self.only_field(message, "fields"),
            "temporal.api.common.v1.Header" => self.only_field(message, "fields"),
            "temporal.api.common.v1.SearchAttributes" => self.only_field(message, "indexed_fields"),
            _ => {
                let fields =
                    message.fields().map(|(f, v)| (f.json_name().to_owned(), self.field(&f.kind(), v)));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    fn only_field(&self, message: &DynamicMessage, name: &str) -> Value {
        let field = message.descriptor().get_field_by_name(name);
        match field {
            Some(field) => self.field(&field.kind(), &message.get_field(&field)),
            None => Value::Null,
        }
    }

    fn field(&self, kind: &Kind, value: &Field) -> Value {
        match value {
            Field::Bool(b) => json!(b),
            Field::I32(n) => json!(n),
            Field::U32(n) => json!(n),
            Field::I64(n) if n.unsigned_abs() <= JS_SAFE as u64 => json!(n),
            Field::I64(n) => json!(n.to_string()),
            Field::U64(n) if *n <= JS_SAFE as u64 => json!(n),
            Field::U64(n) => json!(n.to_string()),
            Field::F32(n) => json!(n),
            Field::F64(n) => json!(n),
            Field::String(text) => json!(text),
            Field::Bytes(bytes) => json!(STANDARD.encode(bytes)),
            Field::EnumNumber(number) => match kind {
                Kind::Enum(kind) => json!(enum_name(kind, *number)),
                _ => json!(number),
            },
            Field::Message(message) => self.walk(message),
            Field::List(items) => items.iter().map(|item| self.field(kind, item)).collect(),
            Field::Map(entries) => {
                let kind = match kind {
                    Kind::Message(entry) => entry.map_entry_value_field().kind(),
                    other => other.clone(),
                };
                let mut entries: Vec<_> =
                    entries.iter().map(|(k, v)| (map_key(k), self.field(&kind, v))).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(entries.into_iter().collect())
            }
        }
    }

    fn payload(&self, message: &DynamicMessage) -> Value {
        let bytes = |name: &str| match message.get_field_by_name(name).as_deref() {
            Some(Field::Bytes(bytes)) => bytes.clone(),
            _ => Default::default(),
        };
        let data = bytes("data");
        let mut shown = Map::new();
        if let Some(Field::Map(metadata)) = message.get_field_by_name("metadata").as_deref() {
            for (key, value) in metadata {
                if let Field::Bytes(value) = value {
                    shown.insert(map_key(key), json!(String::from_utf8_lossy(value)));
                }
            }
        }
        let encoding = shown.remove("encoding").unwrap_or_else(|| json!(""));
        let plain = matches!(encoding.as_str(), Some("json/plain" | "json/protobuf" | "binary/null"));

        let limit = self.payload_limit.min(self.left.get().max(CUT_BYTES));
        let cut = data.len() > limit;
        let mut end = data.len().min(limit);
        self.left.set(self.left.get().saturating_sub(end));

        let mut payload = Map::from_iter([("encoding".to_owned(), encoding)]);
        match std::str::from_utf8(&data) {
            Ok(text) if plain || printable(text) => {
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                payload.insert("text".into(), json!(&text[..end]));
            }
            _ => {
                payload.insert("base64".into(), json!(STANDARD.encode(&data[..end])));
            }
        }
        if cut {
            payload.insert("size".into(), json!(data.len()));
        }
        if !shown.is_empty() {
            payload.insert("metadata".into(), Value::Object(shown));
        }
        json!({ "$payload": payload })
    }
}

fn printable(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

fn well_known(message: &DynamicMessage) -> Value {
    let seconds = match message.get_field_by_name("seconds").as_deref() {
        Some(Field::I64(n)) => *n,
        _ => 0,
    };
    let nanos = match message.get_field_by_name("nanos").as_deref() {
        Some(Field::I32(n)) => *n,
        _ => 0,
    };
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        // Milliseconds are what a page can show, and what JavaScript can hold.
        json!(prost_types::Timestamp { seconds, nanos: nanos / 1_000_000 * 1_000_000 }.to_string())
    } else {
        // What the API allows: the words for a longer one would overflow.
        let seconds = seconds.clamp(-LONGEST_DURATION, LONGEST_DURATION);
        json!(prost_types::Duration { seconds, nanos }.to_string())
    }
}

/// `EVENT_TYPE_TIMER_FIRED` of `EventType` is `TimerFired`.
fn enum_name(descriptor: &EnumDescriptor, number: i32) -> String {
    let Some(value) = descriptor.get_value(number) else { return number.to_string() };
    let mut prefix = String::new();
    for c in descriptor.name().chars() {
        if c.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(c.to_ascii_uppercase());
    }
    prefix.push('_');
    let short = value.name().strip_prefix(&prefix).unwrap_or(value.name());
    short.split('_').map(capitalised).collect()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().into_iter().chain(chars.flat_map(char::to_lowercase)).collect()
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(b) => b.to_string(),
        MapKey::I32(n) => n.to_string(),
        MapKey::I64(n) => n.to_string(),
        MapKey::U32(n) => n.to_string(),
        MapKey::U64(n) => n.to_string(),
        MapKey::String(text) => text.clone(),
    }
}

/// The API's messages without their comments and without its services, which halves the memory.
fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut set =
            FileDescriptorSet::decode(steadfast_api::DESCRIPTORS).expect("the build script wrote them");
        set.file.retain(|file| file.service.is_empty());
        for file in &mut set.file {
            file.source_code_info = None;
        }
        DescriptorPool::from_file_descriptor_set(set).expect("no message refers to a service")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use steadfast_api::v1::common::{Payload, Payloads};
    use steadfast_api::v1::enums::EventType;
    use steadfast_api::v1::history::{WorkflowExecutionSignaledEventAttributes, history_event::Attributes};

    fn payload(encoding: &'static str, data: impl Into<Bytes>) -> Payload {
        Payload {
            metadata: [("encoding".to_owned(), Bytes::from_static(encoding.as_bytes()))].into(),
            data: data.into(),
            ..Default::default()
        }
    }

    #[test]
    fn an_event_keeps_the_source_text_of_its_numbers() {
        let text = r#"{"foo":3544790567247868102,"bar":0.2345678901234568}"#;
        let attributes = WorkflowExecutionSignaledEventAttributes {
            signal_name: "go".into(),
            input: Some(Payloads { payloads: vec![payload("json/plain", text)] }),
            ..Default::default()
        };
        let event = HistoryEvent {
            event_id: 7,
            event_type: EventType::WorkflowExecutionSignaled as i32,
            event_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 123_456_789 }),
            attributes: Some(Attributes::WorkflowExecutionSignaledEventAttributes(attributes)),
            ..Default::default()
        };
        assert_eq!(
            ProtoJson::new().event(&event),
            json!({
                "eventId": 7,
                "eventTime": "2023-11-14T22:13:20.123Z",
                "eventType": "WorkflowExecutionSignaled",
                "attributes": {
                    "signalName": "go",
                    "input": [{ "$payload": { "encoding": "json/plain", "text": text } }],
                },
            })
        );
    }

    #[test]
    fn a_long_payload_is_cut_at_a_character_and_says_so() {
        let long = "é".repeat(PAYLOAD_BYTES);
        let shown =
            ProtoJson::new().message("temporal.api.common.v1.Payload", &payload("json/plain", long.clone()));
        let shown = &shown["$payload"];
        assert_eq!(shown["size"], long.len());
        assert_eq!(shown["text"].as_str().map(str::len), Some(PAYLOAD_BYTES));
    }

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        let shown = ProtoJson::new()
            .message("temporal.api.common.v1.Payload", &payload("binary/encrypted", &b"\x00\xff"[..]));
        assert_eq!(shown, json!({ "$payload": { "encoding": "binary/encrypted", "base64": "AP8=" } }));
    }
}
