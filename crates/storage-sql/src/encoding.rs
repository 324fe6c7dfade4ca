//! How rows are encoded and checked.
//!
//! An encoding is for ever: a database that an old version wrote opens in a new one. Field numbers and the checksum
//! never change; what must change gets a new field or a new version of the schema.

use bytes::Bytes;
use prost::Message as _;
use steadfast_api::v1::common::Priority;
use steadfast_machine::decision::Batch;
use steadfast_machine::{EntityKey, Kind, Message, QueueKey, RunKey, Task, TaskKey, Time};
use steadfast_storage::{HistoryChunk, StoreError, VisibilityRow};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The checksum of a row: the lower half of XXH3-64 over the parts of its key and its value, each seeded with the hash
/// of what came before.
pub fn checksum(key: &[&[u8]], value: &[u8]) -> i32 {
    let seed = key.iter().fold(0, |seed, part| xxh3_64_with_seed(part, seed));
    xxh3_64_with_seed(value, seed) as i32
}

/// Compares what was read with the checksum that was written beside it; `what` names the row in the error.
pub fn verify(what: &str, key: &[&[u8]], value: &[u8], stored: i32) -> Result<(), StoreError> {
    if checksum(key, value) == stored {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!("the checksum of {what} is wrong")))
}

/// The short key of an entity: two may share one, though hardly ever do.
pub fn entity_hash(entity: &EntityKey) -> i64 {
    let seed = xxh3_64_with_seed(entity.namespace.as_bytes(), entity.kind as u64);
    xxh3_64_with_seed(entity.id.as_bytes(), seed) as i64
}

/// The batches of a chunk as one value: how many, then (events, length) of each, then their bytes one after the other.
pub fn encode_batches(chunk: &HistoryChunk) -> Vec<u8> {
    let length: usize = chunk.batches.iter().map(|batch| batch.encoded.len() + 8).sum();
    let mut encoded = Vec::with_capacity(length + 4);
    put_varint(&mut encoded, chunk.batches.len() as u64);
    for batch in &chunk.batches {
        put_varint(&mut encoded, batch.events as u64);
        put_varint(&mut encoded, batch.encoded.len() as u64);
    }
    for batch in &chunk.batches {
        encoded.extend_from_slice(&batch.encoded);
    }
    encoded
}

/// The batches of a chunk that begins with this event; they share the memory of the value.
pub fn decode_batches(first_event_id: i64, value: Vec<u8>) -> Result<Vec<Batch>, StoreError> {
    let value = Bytes::from(value);
    let corrupt = || StoreError::Corrupt(format!("the history chunk at event {first_event_id} is malformed"));
    let mut header = &value[..];
    let count = take_varint(&mut header).ok_or_else(corrupt)?;
    if count > value.len() as u64 {
        return Err(corrupt());
    }
    let mut lengths = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let events = take_varint(&mut header).ok_or_else(corrupt)?;
        let length = take_varint(&mut header).ok_or_else(corrupt)?;
        lengths.push((i64::try_from(events).map_err(|_| corrupt())?, length as usize));
    }
    let mut offset = value.len() - header.len();
    let mut next = first_event_id;
    let mut batches = Vec::with_capacity(lengths.len());
    for (events, length) in lengths {
        let end = offset.checked_add(length).filter(|end| *end <= value.len()).ok_or_else(corrupt)?;
        batches.push(Batch { first_event_id: next, events, encoded: value.slice(offset..end) });
        (offset, next) = (end, next.checked_add(events).ok_or_else(corrupt)?);
    }
    Ok(batches)
}

fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[derive(Clone, PartialEq, prost::Message)]
struct EntityRow {
    #[prost(bytes = "vec", tag = "1")]
    namespace: Vec<u8>,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(string, tag = "3")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TaskRow {
    #[prost(message, optional, tag = "1")]
    entity: Option<EntityRow>,
    /// Only where it differs from the one in the key.
    #[prost(bytes = "vec", tag = "2")]
    run: Vec<u8>,
    #[prost(int64, tag = "3")]
    scheduled_event_id: i64,
    #[prost(int32, tag = "4")]
    stamp: i32,
    #[prost(int64, optional, tag = "5")]
    expires: Option<i64>,
    #[prost(bool, tag = "6")]
    sticky: bool,
    #[prost(message, optional, tag = "7")]
    priority: Option<Priority>,
    /// Only where it differs from the order in the key.
    #[prost(int64, optional, tag = "8")]
    created: Option<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageRow {
    #[prost(message, optional, tag = "1")]
    from: Option<EntityRow>,
    #[prost(message, optional, tag = "2")]
    to: Option<EntityRow>,
    #[prost(bytes = "bytes", tag = "3")]
    body: Bytes,
}

impl From<&EntityKey> for EntityRow {
    fn from(entity: &EntityKey) -> EntityRow {
        EntityRow {
            namespace: entity.namespace.as_bytes().to_vec(),
            kind: entity.kind as u32,
            id: entity.id.to_string(),
        }
    }
}

fn entity_of(row: Option<EntityRow>) -> Option<EntityKey> {
    let row = row?;
    let kind = Kind::from_number(u8::try_from(row.kind).ok()?)?;
    Some(EntityKey { namespace: Uuid::from_slice(&row.namespace).ok()?, kind, id: row.id.into() })
}

pub fn encode_task(task: &Task) -> Vec<u8> {
    let other_run = task.run.run != task.key.run;
    let row = TaskRow {
        entity: Some(EntityRow::from(&task.run.entity)),
        run: if other_run { task.run.run.as_bytes().to_vec() } else { Vec::new() },
        scheduled_event_id: task.scheduled_event_id,
        stamp: task.stamp,
        expires: task.expires.map(|time| time.0),
        sticky: task.sticky,
        priority: task.priority.clone(),
        created: (task.created.0 != task.key.order).then_some(task.created.0),
    };
    row.encode_to_vec()
}

pub fn decode_task(key: TaskKey, body: &[u8]) -> Result<Task, StoreError> {
    let corrupt = || StoreError::Corrupt(format!("a task of queue {} is malformed", key.queue.name));
    let row = TaskRow::decode(body).map_err(|_| corrupt())?;
    let entity = entity_of(row.entity).ok_or_else(corrupt)?;
    let run = match row.run.is_empty() {
        true => key.run,
        false => Uuid::from_slice(&row.run).map_err(|_| corrupt())?,
    };
    Ok(Task {
        run: RunKey { entity, run },
        scheduled_event_id: row.scheduled_event_id,
        stamp: row.stamp,
        expires: row.expires.map(Time),
        sticky: row.sticky,
        stored: true,
        priority: row.priority,
        created: Time(row.created.unwrap_or(key.order)),
        key,
    })
}

/// The parts of a task's key that its checksum covers.
pub fn task_checksum(key: &TaskKey, body: &[u8]) -> i32 {
    let QueueKey { namespace, name, kind } = &key.queue;
    let place = [key.priority, *kind as u8];
    checksum(
        &[namespace.as_bytes(), name.as_bytes(), &place, &key.order.to_be_bytes(), key.run.as_bytes()],
        body,
    )
}

pub fn encode_message(message: &Message) -> Vec<u8> {
    let row = MessageRow {
        from: Some(EntityRow::from(&message.from.entity)),
        to: Some(EntityRow::from(&message.to)),
        body: message.body.clone(),
    };
    row.encode_to_vec()
}

pub fn decode_message(run: Uuid, sequence: i64, body: Vec<u8>) -> Result<Message, StoreError> {
    let corrupt = || StoreError::Corrupt(format!("message {sequence} of run {run} is malformed"));
    let row = MessageRow::decode(Bytes::from(body)).map_err(|_| corrupt())?;
    let from = entity_of(row.from).ok_or_else(corrupt)?;
    let to = entity_of(row.to).ok_or_else(corrupt)?;
    Ok(Message { from: RunKey { entity: from, run }, to, sequence, body: row.body })
}

/// The checksum of a run's row in the lists.
pub fn visibility_checksum(key: &RunKey, row: &VisibilityRow, division: Option<&str>) -> i32 {
    let mut value = Vec::with_capacity(256);
    let texts = [
        Some(&row.workflow_type),
        Some(&row.task_queue),
        Some(&row.root_workflow_id),
        Some(&row.root_run_id),
        row.parent_workflow_id.as_ref(),
        row.parent_run_id.as_ref(),
    ];
    let blobs = [row.memo.as_ref(), row.search_attributes.as_ref()];
    let texts = texts.into_iter().map(|text| text.map(String::as_bytes));
    for part in texts.chain([division.map(str::as_bytes)]).chain(blobs.map(Some)) {
        // Absent and empty differ.
        value.extend_from_slice(&part.map_or(u32::MAX, |part| part.len() as u32).to_le_bytes());
        value.extend_from_slice(part.unwrap_or_default());
    }
    let numbers = [
        i64::from(row.status),
        row.start_time.0,
        row.execution_time.0,
        row.close_time.map_or(i64::MAX, |time| time.0),
        row.history_length,
        row.history_bytes,
        row.transitions,
    ];
    for number in numbers {
        value.extend_from_slice(&number.to_le_bytes());
    }
    checksum(&[key.run.as_bytes(), key.entity.id.as_bytes()], &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first_event_id: i64, events: i64, length: usize) -> Batch {
        Batch { first_event_id, events, encoded: Bytes::from(vec![events as u8; length]) }
    }

    #[test]
    fn batches_come_back() {
        for batches in
            [vec![batch(1, 1, 0)], vec![batch(5, 2, 127), batch(7, 300, 128), batch(307, 1, 70_000)]]
        {
            let first = batches[0].first_event_id;
            let chunk = HistoryChunk { branch: Uuid::nil(), batches: batches.clone() };
            assert_eq!(decode_batches(first, encode_batches(&chunk)), Ok(batches));
        }
    }

    #[test]
    fn malformed_batches_are_refused() {
        let chunk = HistoryChunk { branch: Uuid::nil(), batches: vec![batch(1, 2, 10), batch(3, 1, 5)] };
        let encoded = encode_batches(&chunk);
        for length in 0..encoded.len() {
            let cut = decode_batches(1, encoded[..length].to_vec());
            assert!(matches!(cut, Err(StoreError::Corrupt(_))), "cut to {length} bytes");
        }
        assert!(decode_batches(1, vec![0xff; 40]).is_err());
        assert!(decode_batches(i64::MAX, encoded).is_err(), "more events than there are numbers");
    }

    #[test]
    fn checksums_never_change() {
        // They are in every database.
        assert_eq!(checksum(&[b"kind", b"key"], b"value"), -641_929_554);
        assert_ne!(checksum(&[b"key", b"part"], b"value"), checksum(&[b"keyp", b"art"], b"value"));
    }
}
