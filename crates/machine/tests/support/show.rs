//! Events and replies as text: every field that is set and not the usual, by its name in the API.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, ReflectMessage, Value};
use std::fmt::Write as _;
use std::sync::LazyLock;
use steadfast_api::v1::failure::Failure;
use steadfast_api::v1::history::HistoryEvent;
use steadfast_machine::Time;
use uuid::Uuid;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(steadfast_api::DESCRIPTORS).expect("the descriptors are consistent")
});

/// What is the same in nearly every event, and so says nothing.
const USUAL: &[(&str, &str)] = &[
    ("task_queue", "q"),
    ("attempt", "1"),
    ("workflow_task_timeout", "10s"),
    ("start_to_close_timeout", "10s"),
    ("maximum_interval", "100s"),
    ("backoff_coefficient", "2"),
    ("identity", "worker"),
    ("namespace", "default"),
    ("parent_workflow_namespace", "default"),
    ("workflow_id_reuse_policy", "AllowDuplicate"),
];

/// Fields that are noise in a scenario.
const HIDDEN: &[&str] = &[
    "workflow_task_completed_event_id",
    "history_size_bytes",
    "workflow_id",
    "namespace_id",
    "parent_workflow_namespace_id",
    "worker_version",
    "original_execution_run_id",
];

pub struct Show<'a> {
    pub start: Time,
    /// The name of a run id.
    pub name: &'a dyn Fn(Uuid) -> Option<String>,
}

impl Show<'_> {
    pub fn event(&self, event: &HistoryEvent) -> String {
        let mut text = format!("{} {:?}", event.event_id, event.event_type());
        let dynamic = dynamic("temporal.api.history.v1.HistoryEvent", &event.encode_to_vec());
        for (field, value) in dynamic.fields() {
            match value {
                Value::Message(attributes) if field.containing_oneof().is_some() => {
                    text.push_str(&self.fields(attributes));
                }
                Value::Message(metadata) if field.name() == "user_metadata" => {
                    let _ = write!(text, " user_metadata={{{}}}", self.fields(metadata).trim());
                }
                Value::List(links) if field.name() == "links" => {
                    let _ = write!(text, " links={}", links.len());
                }
                _ => {}
            }
        }
        text
    }

    pub fn failure(&self, failure: &Failure) -> String {
        self.failure_of(&dynamic("temporal.api.failure.v1.Failure", &failure.encode_to_vec()))
    }

    pub fn message(&self, name: &str, bytes: &[u8]) -> String {
        self.fields(&dynamic(name, bytes)).trim().to_owned()
    }

    pub fn time(&self, time: Time) -> String {
        let seconds = time.since(self.start) as f64 / 1e9;
        if seconds < 0.0 { format!("{seconds}s") } else { format!("+{seconds}s") }
    }

    fn fields(&self, message: &DynamicMessage) -> String {
        let mut text = String::new();
        for (field, value) in message.fields() {
            let name = field.name();
            if HIDDEN.contains(&name) {
                continue;
            }
            let shown = match (value, field.kind()) {
                (Value::EnumNumber(number), Kind::Enum(kind)) => kind
                    .get_value(*number)
                    .map_or_else(|| number.to_string(), |value| camel(kind.name(), value.name())),
                (Value::List(list), Kind::Enum(kind)) => {
                    let names = list.iter().filter_map(Value::as_enum_number).map(|number| {
                        kind.get_value(number)
                            .map_or_else(|| number.to_string(), |v| camel(kind.name(), v.name()))
                    });
                    format!("[{}]", names.collect::<Vec<_>>().join(","))
                }
                (value, _) => self.value(value),
            };
            let usual = USUAL.contains(&(name, shown.as_str()));
            if shown.is_empty() || shown == "~" || shown == "0s" || usual {
                continue;
            }
            let _ = write!(text, " {name}={shown}");
        }
        text
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Message(message) => self.nested(message),
            Value::List(list) => {
                let items: Vec<String> = list.iter().map(|item| self.value(item)).collect();
                format!("[{}]", items.join(","))
            }
            Value::Map(map) => {
                let mut items: Vec<String> = map
                    .iter()
                    .map(|(key, value)| format!("{}:{}", key.as_str().unwrap_or("?"), self.value(value)))
                    .collect();
                items.sort();
                format!("{{{}}}", items.join(","))
            }
            Value::String(text) => self.string(text),
            Value::Bool(value) => value.to_string(),
            Value::I32(value) => value.to_string(),
            Value::I64(value) => value.to_string(),
            Value::U32(value) => value.to_string(),
            Value::U64(value) => value.to_string(),
            Value::F32(value) => value.to_string(),
            Value::F64(value) => value.to_string(),
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Value::EnumNumber(number) => number.to_string(),
        }
    }

    /// Run ids become names, other generated ids a `~`; what has spaces stands in quotes.
    pub fn string(&self, text: &str) -> String {
        if let Ok(id) = Uuid::parse_str(text) {
            return (self.name)(id).unwrap_or_else(|| "~".into());
        }
        let words: Vec<String> = text
            .split(' ')
            .map(|word| {
                let end = word.len() - word.trim_end_matches(['.', ',', ';', '"']).len();
                let (word, end) = word.split_at(word.len() - end);
                match Uuid::parse_str(word) {
                    Ok(id) => (self.name)(id).unwrap_or_else(|| "~".into()) + end,
                    Err(_) => format!("{word}{end}"),
                }
            })
            .collect();
        if words.len() > 1 { format!("\"{}\"", words.join(" ")) } else { words.concat() }
    }

    fn nested(&self, message: &DynamicMessage) -> String {
        let text = |name: &str| {
            let value = message.get_field_by_name(name);
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        match message.descriptor().name() {
            "Duration" => {
                let duration: prost_types::Duration = message.transcode_to().unwrap_or_default();
                format!("{}s", duration.seconds as f64 + f64::from(duration.nanos) / 1e9)
            }
            "Timestamp" => {
                let timestamp: prost_types::Timestamp = message.transcode_to().unwrap_or_default();
                self.time(Time::from_timestamp(&timestamp))
            }
            "WorkflowType" | "ActivityType" => text("name"),
            "TaskQueue" if text("normal_name").is_empty() => text("name"),
            "TaskQueue" => format!("{}(sticky)", text("name")),
            "WorkflowExecution" => {
                let (workflow, run) = (text("workflow_id"), text("run_id"));
                if run.is_empty() { workflow } else { self.string(&run) }
            }
            "Payload" => {
                let data = message.get_field_by_name("data");
                let data = data.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
                match data.as_ref() {
                    b"" => "null".into(),
                    data => self.string(&String::from_utf8_lossy(data)),
                }
            }
            "Payloads" => {
                let list = message.get_field_by_name("payloads");
                let list =
                    list.as_deref().and_then(Value::as_list).map(<[Value]>::to_vec).unwrap_or_default();
                list.iter().map(|payload| self.value(payload)).collect::<Vec<_>>().join(",")
            }
            "Failure" => self.failure_of(message),
            "Any" => text("type_url").rsplit('.').next().unwrap_or_default().to_owned(),
            _ => match self.fields(message).trim() {
                "" => String::new(),
                fields => format!("{{{fields}}}"),
            },
        }
    }

    fn failure_of(&self, message: &DynamicMessage) -> String {
        let mut text = String::new();
        for (field, value) in message.fields() {
            match (field.name(), value) {
                ("message", value) => text = self.value(value),
                ("source", _) => {}
                (name, Value::Message(info)) if field.containing_oneof().is_some() => {
                    let name = name.trim_end_matches("_failure_info");
                    let _ = match self.fields(info).trim() {
                        "" => write!(text, "({name})"),
                        fields => write!(text, "({name} {fields})"),
                    };
                }
                (name, value) => {
                    let _ = write!(text, " {name}={}", self.value(value));
                }
            }
        }
        text
    }
}

fn dynamic(name: &str, bytes: &[u8]) -> DynamicMessage {
    let descriptor = POOL.get_message_by_name(name).unwrap_or_else(|| panic!("the API has a {name}"));
    DynamicMessage::decode(descriptor, bytes).expect("what was encoded decodes")
}

/// `PARENT_CLOSE_POLICY_REQUEST_CANCEL` of `ParentClosePolicy` is `RequestCancel`.
fn camel(kind: &str, value: &str) -> String {
    let word = |word: &str| {
        let lower = word.to_ascii_lowercase();
        let mut chars = lower.chars();
        chars.next().map(|c| c.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
    };
    let name: String = value.split('_').map(word).collect();
    name.strip_prefix(kind).map_or_else(|| name.clone(), str::to_owned)
}
