//! Damage in the middle of a write-ahead log.
//!
//! SQLite reads a log up to the first frame whose checksum is wrong and takes that for its end: right after a power cut, when
//! the last transaction was half written, and wrong when a bit has flipped further up, because then all transactions
//! after it vanish without a word. The two can be told apart. Every commit is synced before anything is written
//! after it; so if behind a bad frame there is a frame that ends a transaction, and one that was written after it,
//! the bad frame was on the disk, and whole. Only in the last transaction of a log damage cannot be told from a cut.
//!
//! The format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The last bit says in which order the checksum takes bytes.
const MAGIC: u32 = 0x377f_0682;
/// A log whose header is damaged has the page size that SQLite's files have here by default.
const LIKELY_PAGE_SIZE: usize = 4096;

/// Two running sums, over a stretch of the log from its beginning.
type Sums = (u32, u32);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Frame {
    salts: (u32, u32),
    /// As they stand in the frame.
    sums: Sums,
    ends_transaction: bool,
}

/// # Errors
/// The log cannot be read.
pub fn damage(log: &Path) -> io::Result<Option<String>> {
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    damage_in(BufReader::with_capacity(1 << 18, file))
}

fn damage_in(mut log: impl Read) -> io::Result<Option<String>> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let magic = word(&header, 0, true);
    let big_endian = magic & 1 == 1;
    let page_size = word(&header, 8, true) as usize;
    let sound = magic & !1 == MAGIC
        && page_size.is_power_of_two()
        && (512..=65_536).contains(&page_size)
        && sums((0, 0), &header[..24], big_endian) == (word(&header, 24, true), word(&header, 28, true));
    // Behind a header that is damaged the frames tell what it said.
    let page_size = if sound { page_size } else { LIKELY_PAGE_SIZE };
    let orders: &[bool] = if sound { &[big_endian] } else { &[true, false] };
    let mut salts = sound.then(|| (word(&header, 16, true), word(&header, 20, true)));
    let mut before = sound.then(|| Frame {
        salts: salts.unwrap_or_default(),
        sums: (word(&header, 24, true), word(&header, 28, true)),
        ends_transaction: false,
    });
    // The number of the first frame that SQLite would not read; 0 for the header.
    let mut bad = (!sound).then_some(0);
    let mut frame_bytes = vec![0; FRAME_HEADER + page_size];
    let mut number = 0;
    while fill(&mut log, &mut frame_bytes)? {
        number += 1;
        let frame = Frame {
            salts: (word(&frame_bytes, 8, true), word(&frame_bytes, 12, true)),
            sums: (word(&frame_bytes, 16, true), word(&frame_bytes, 20, true)),
            ends_transaction: word(&frame_bytes, 4, true) != 0,
        };
        // Frames of an older round of the log stand behind its end, with other salts.
        let of_this_log = frame.salts == *salts.get_or_insert(frame.salts);
        let follows = of_this_log
            && before.is_some_and(|before| {
                orders.iter().any(|big_endian| {
                    let head = sums(before.sums, &frame_bytes[..8], *big_endian);
                    sums(head, &frame_bytes[FRAME_HEADER..], *big_endian) == frame.sums
                })
            });
        if !follows && bad.is_none() {
            bad = Some(number);
        } else if follows
            && let Some(bad) = bad
            && before.is_some_and(|before| before.salts == frame.salts && before.ends_transaction)
        {
            let what = if bad == 0 { "header".to_owned() } else { format!("frame {bad}") };
            return Ok(Some(format!(
                "the {what} of its log is damaged, and frame {number} was written after it: transactions would be lost"
            )));
        }
        before = Some(frame);
    }
    Ok(None)
}

/// False at the end; a frame that is cut off is none.
fn fill(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], offset: usize, big_endian: bool) -> u32 {
    let word = [bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]];
    if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

fn sums(before: Sums, bytes: &[u8], big_endian: bool) -> Sums {
    let (mut first, mut second) = before;
    for pair in bytes.chunks_exact(8) {
        first = first.wrapping_add(word(pair, 0, big_endian)).wrapping_add(second);
        second = second.wrapping_add(word(pair, 4, big_endian)).wrapping_add(first);
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A log with so many transactions of a few frames each.
    fn log(transactions: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("log.db");
        let connection = Connection::open(&path).expect("SQLite opens");
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t (a, b); \
                 CREATE INDEX i ON t (b); PRAGMA wal_checkpoint(TRUNCATE)",
            )
            .expect("SQLite writes");
        for number in 0..transactions {
            connection
                .execute("INSERT INTO t VALUES (?, randomblob(3000))", [number as i64])
                .expect("it inserts");
        }
        let log = std::fs::read(super::super::file::beside(&path, "-wal")).expect("there is a log");
        drop(connection);
        log
    }

    fn found(log: &[u8]) -> Option<String> {
        damage_in(log).expect("memory can be read")
    }

    #[test]
    fn sound_and_torn_logs_are_no_damage() {
        let log = log(10);
        assert_eq!(found(&log), None);
        assert_eq!(found(&[]), None);
        for length in (0..log.len()).step_by(500) {
            assert_eq!(found(&log[..length]), None, "cut to {length} bytes");
        }
    }

    /// The end of an older, longer log behind the end of the log.
    #[test]
    fn what_an_older_round_left_behind_is_no_damage() {
        let (newer, older) = (log(3), log(10));
        let mut both = older.clone();
        both[..newer.len()].copy_from_slice(&newer);
        assert_eq!(found(&both), None);
    }

    #[test]
    fn a_flipped_bit_is_found_unless_it_is_in_the_last_transaction() {
        let log = log(10);
        let frame = FRAME_HEADER + 4096;
        let frames = (log.len() - HEADER) / frame;
        let ends: Vec<usize> =
            (0..frames).filter(|at| word(&log, HEADER + at * frame + 4, true) != 0).collect();
        let last_transaction = HEADER + (ends[ends.len() - 2] + 1) * frame;
        let mut missed = 0;
        for at in (0..last_transaction).step_by(97).chain(0..HEADER + FRAME_HEADER) {
            let mut flipped = log.clone();
            flipped[at] ^= 16;
            missed += usize::from(found(&flipped).is_none());
        }
        assert_eq!(missed, 0);
        let mut flipped = log.clone();
        flipped[last_transaction + 100] ^= 16;
        assert_eq!(found(&flipped), None);
    }
}
