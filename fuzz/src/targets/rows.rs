//! What is read from a database that somebody or something has changed: rows of runs, chunks of history, tasks, messages. The first
//! byte says of what.
//!
//! Promised beside: what decodes is encoded to what decodes to the same; any change of a row is noticed by its checksum.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use steadfast_machine::{AnyRun, Kind, QueueKey, QueueType, RowKey, RowTable, TaskKey};
use steadfast_storage::HistoryChunk;
use steadfast_storage_sql::encoding::{
    checksum, decode_batches, decode_message, decode_task, encode_batches, encode_message, encode_task,
    task_checksum, verify,
};
use uuid::Uuid;

pub fn run(input: &[u8]) {
    let Some((what, rest)) = input.split_first() else { return };
    match what % 5 {
        0 => {
            // The source gives zeros when it has nothing left.
            let _ = any_run(&mut Unstructured::new(rest));
        }
        1 => batches(rest),
        2 => task(rest),
        3 => message(rest),
        _ => flipped(rest),
    }
}

fn any_run(source: &mut Unstructured<'_>) -> Result<()> {
    let kind = *source.choose(&[Kind::Workflow, Kind::Activity, Kind::Schedule, Kind::Batch])?;
    let id = Uuid::from_u128(1);
    let core = piece(source)?;
    let mut rows = Vec::new();
    while !source.is_empty() && rows.len() < 8 {
        let table = RowTable::from_number(source.int_in_range(1..=15)?).expect("there are fifteen");
        let key = match source.int_in_range(0..=2)? {
            0 => RowKey::single(table),
            1 => RowKey::number(table, source.arbitrary()?),
            _ => RowKey { table, key: piece(source)? },
        };
        rows.push((key, piece(source)?));
    }
    let Ok(run) = AnyRun::decode(kind, id, &core, &rows) else { return Ok(()) };
    let _ = (run.is_open(), run.alarm(), run.stored_alarm(), run.branch(), run.weight(), run.has_volatile());
    for (key, _) in &rows {
        if let Some(encoded) = run.encode_row(key) {
            let again = AnyRun::decode(kind, id, &run.encode_core(), &[(key.clone(), encoded.clone())]);
            let again = again.expect("what was encoded decodes");
            assert_eq!(again.encode_row(key), Some(encoded), "{key:?} is another after it was stored");
        }
    }
    Ok(())
}

/// Some of the bytes.
fn piece(source: &mut Unstructured<'_>) -> Result<Bytes> {
    let length = usize::from(source.arbitrary::<u8>()?).min(source.len());
    Ok(Bytes::copy_from_slice(source.bytes(length)?))
}

fn batches(bytes: &[u8]) {
    let Some((first, value)) = bytes.split_first_chunk::<8>() else { return };
    let first = i64::from_le_bytes(*first);
    let Ok(batches) = decode_batches(first, value.to_vec()) else { return };
    assert!(batches.iter().all(|batch| batch.events >= 0), "{batches:?}");
    let chunk = HistoryChunk { branch: Uuid::nil(), batches: batches.clone() };
    assert_eq!(decode_batches(first, encode_batches(&chunk)), Ok(batches));
}

fn task(body: &[u8]) {
    let queue = QueueKey { namespace: Uuid::nil(), name: "q".into(), kind: QueueType::Workflow };
    let key = TaskKey { queue, priority: 3, order: 7, run: Uuid::from_u128(1) };
    let _ = task_checksum(&key, body);
    let Ok(task) = decode_task(key.clone(), body) else { return };
    assert_eq!(decode_task(key, &encode_task(&task)), Ok(task));
}

fn message(body: &[u8]) {
    let run = Uuid::from_u128(1);
    let Ok(message) = decode_message(run, 5, body.to_vec()) else { return };
    assert_eq!(decode_message(run, 5, encode_message(&message)), Ok(message));
}

/// One bit of a row or of its key.
fn flipped(bytes: &[u8]) {
    let [place, cut, value @ ..] = bytes else { return };
    if value.is_empty() {
        return;
    }
    let stored = checksum(&[&value[..usize::from(*cut) % value.len()]], value);
    assert!(verify("it", &[&value[..usize::from(*cut) % value.len()]], value, stored).is_ok());
    let mut damaged = value.to_vec();
    let bit = usize::from(*place) % (value.len() * 8);
    damaged[bit / 8] ^= 1 << (bit % 8);
    let key = &value[..usize::from(*cut) % value.len()];
    assert!(verify("it", &[key], &damaged, stored).is_err(), "bit {bit} was not noticed");
    let longer = [value, &[0]].concat();
    assert!(verify("it", &[key], &longer, stored).is_err(), "a zero behind it was not noticed");
}
