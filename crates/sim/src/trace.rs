//! What happened, in order: a hash over all of it, and the last lines (or all) for a reader.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// Lines that are kept for a report.
const KEPT: usize = 60;

pub struct Trace {
    hash: u64,
    count: u64,
    lines: VecDeque<String>,
    /// Every line also goes to standard error.
    loud: bool,
}

impl Trace {
    pub fn new(loud: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, count: 0, lines: VecDeque::new(), loud }
    }

    pub fn record(&mut self, millis: u64, what: std::fmt::Arguments<'_>) {
        let mut line = String::with_capacity(80);
        // Writing to a string does not fail.
        let _ = write!(line, "{:>4}.{:03} {what}", millis / 1000, millis % 1000);
        self.eat(line.as_bytes());
        self.count += 1;
        if self.loud {
            eprintln!("{line}");
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Takes bytes into the hash that are in no line.
    pub fn eat(&mut self, bytes: &[u8]) {
        let words = bytes.chunks_exact(8);
        for byte in words.remainder() {
            self.mix(u64::from(*byte));
        }
        for word in words {
            self.mix(word.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)));
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn last_lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}
