//! Messages of the API made of bytes, by their descriptors: any field may be there, with a value of its own kind, so that what is
//! made gets past decoding. Names and numbers are mostly ones that mean something or lie at the edge of something.

use arbitrary::{Result, Unstructured};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use std::sync::LazyLock;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(steadfast_api::DESCRIPTORS).expect("the build script of the API wrote them")
});

/// Deeper messages have no fields.
const DEEPEST: usize = 12;
/// Most fields of a message, counting each entry of a list.
const FIELDS: usize = 6;

/// The descriptors of the API.
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// Fields of a message of this full name, encoded. Written behind another message of that kind they are merged into it.
///
/// # Errors
/// None but those of `source`, which gives zeros when it has nothing left.
pub fn fields(name: &str, source: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let descriptor = POOL.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"));
    let mut encoded = Vec::new();
    write(&descriptor, source, 0, &mut encoded)?;
    Ok(encoded)
}

/// A message of this full name with one text set, if it has such a field; encoded.
pub fn with_text(name: &str, field: &str, value: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    let descriptor = POOL.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"));
    if let Some(field) = descriptor.get_field_by_name(field).filter(|field| field.kind() == Kind::String) {
        delimited(field.number(), value.as_bytes(), &mut encoded);
    }
    encoded
}

/// A message of this full name, with what is made of the source merged into `base`.
///
/// # Errors
/// As [`fields`].
pub fn over<M: Message + Default>(base: &M, name: &str, source: &mut Unstructured<'_>) -> Result<M> {
    let mut encoded = base.encode_to_vec();
    encoded.extend(fields(name, source)?);
    Ok(M::decode(encoded.as_slice()).expect("what was encoded by the descriptors decodes"))
}

fn write(
    of: &MessageDescriptor,
    source: &mut Unstructured<'_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let all: Vec<FieldDescriptor> = of.fields().collect();
    if all.is_empty() || depth == DEEPEST {
        return Ok(());
    }
    for _ in 0..source.int_in_range(0..=FIELDS)? {
        if source.is_empty() {
            break;
        }
        field(&all[source.choose_index(all.len())?], source, depth, out)?;
    }
    if source.ratio(1_u8, 64_u8)? {
        // One that nobody knows.
        encode_key(15_000, WireType::Varint, out);
        encode_varint(1, out);
    }
    Ok(())
}

fn field(of: &FieldDescriptor, source: &mut Unstructured<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut varint = |number: u64| {
        encode_key(of.number(), WireType::Varint, out);
        encode_varint(number, out);
    };
    match of.kind() {
        Kind::Bool => varint(source.int_in_range(0..=1)?),
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => varint(number(source)? as u64),
        Kind::Sint32 | Kind::Sint64 => varint(number(source)? as u64),
        Kind::Enum(kind) => {
            let known: Vec<i32> = kind.values().map(|value| value.number()).collect();
            let number = if source.ratio(1_u8, 16_u8)? { 99 } else { *source.choose(&known)? };
            varint(number as u64);
        }
        Kind::Double => {
            encode_key(of.number(), WireType::SixtyFourBit, out);
            out.extend_from_slice(&real(source)?.to_le_bytes());
        }
        Kind::Fixed64 | Kind::Sfixed64 => {
            encode_key(of.number(), WireType::SixtyFourBit, out);
            out.extend_from_slice(&number(source)?.to_le_bytes());
        }
        Kind::Float => {
            encode_key(of.number(), WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&(real(source)? as f32).to_le_bytes());
        }
        Kind::Fixed32 | Kind::Sfixed32 => {
            encode_key(of.number(), WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&(number(source)? as u32).to_le_bytes());
        }
        Kind::String => delimited(of.number(), text(of.name(), source)?.as_bytes(), out),
        Kind::Bytes => {
            let texts = [&b"\"v\""[..], b"", b"json/plain", b"binary/null", b"null", b"\xff\0"];
            let value = match source.int_in_range(0..=6)? {
                6 => source.bytes(source.len().min(3))?,
                index => texts[index as usize],
            };
            delimited(of.number(), value, out);
        }
        Kind::Message(message) => {
            let mut inner = Vec::new();
            write(&message, source, depth + 1, &mut inner)?;
            delimited(of.number(), &inner, out);
        }
    }
    Ok(())
}

fn delimited(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn number(source: &mut Unstructured<'_>) -> Result<i64> {
    const EDGES: [i64; 14] = [
        0,
        1,
        2,
        3,
        5,
        7,
        -1,
        1000,
        999_999_999,
        i32::MAX as i64,
        i32::MIN as i64,
        i64::MAX,
        i64::MIN,
        9_223_372_036,
    ];
    Ok(match source.int_in_range(0..=EDGES.len())? {
        index if index < EDGES.len() => EDGES[index],
        _ => source.arbitrary::<i16>()?.into(),
    })
}

fn real(source: &mut Unstructured<'_>) -> Result<f64> {
    source.choose(&[0.0, 1.0, 2.0, -1.0, 0.5, 1e9, 1e300, f64::NAN, f64::INFINITY, f64::MIN]).copied()
}

/// Text that a field of this name could hold, or any.
fn text(field: &str, source: &mut Unstructured<'_>) -> Result<String> {
    const ANY: &[&str] =
        &["", "w", "a0", "t0", "c0", "u0", "q", "x y", "é", "\0", "/_sys/q", "</script><i>x</i>", "*", "-1"];
    let known: &[&str] = match field {
        name if name.contains("namespace") => &["default", "other", "nowhere", ""],
        "run_id" | "first_execution_run_id" | "id" | "workflow_run_id" => {
            &["", "00000000-0000-7000-8000-000000000001", "not-a-run", "w"]
        }
        name if name.contains("workflow_id") => &["w", "c0", "other", "", "a0"],
        name if name.contains("queue") || name == "name" => &["q", "T", "", "s"],
        name if name.contains("activity_id") => &["a0", "a1", "", "w"],
        name if name.contains("timer_id") => &["t0", "t1", ""],
        name if name.contains("update_id") || name == "protocol_instance_id" => &["u0", "u1", ""],
        "query" | "visibility_query" => {
            &["WorkflowId = 'w'", "ExecutionStatus = 'Running'", "", "GROUP BY ExecutionStatus", "(("]
        }
        "cron_schedule" => &["@every 3s", "* * * * *", "0 0 30 2 *", "x", "CRON_TZ=Europe/Berlin 0 2 * * *"],
        "url" => &["http://a/", "https://b.example:443/x", "temporal://system", "http://[::1]:80/", "::"],
        "paths" => {
            &["priority", "retry_policy.maximum_attempts", "taskQueue.name", "versioning_override", "*", ""]
        }
        "key" => &["encoding", "CustomKeyword", "k", "type", "BuildIds", "TemporalChangeVersion", ""],
        _ => ANY,
    };
    Ok(match source.int_in_range(0..=9_u8)? {
        0..=5 => (*source.choose(known)?).to_owned(),
        6 | 7 => (*source.choose(ANY)?).to_owned(),
        8 => "x".repeat(source.int_in_range(999..=1001)?),
        _ => {
            let length = source.len().min(usize::from(source.arbitrary::<u8>()? % 32));
            String::from_utf8_lossy(source.bytes(length)?).into_owned()
        }
    })
}
