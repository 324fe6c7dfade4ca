//! The loop without a fuzzer: known inputs first, then changed ones. It does not learn from what it sees, as libFuzzer does, but
//! it needs nothing but stable Rust and finds again what was found before. What input it tries as the nth follows from the
//! seed alone.
//!
//! The changes are few and plain, and so are written here. The libraries for it (mutatis, bolero's engine for stable Rust) change
//! one byte at a time or make bytes from nothing; what finds most here is words and pieces of other inputs.

use crate::words::WORDS;
use crate::{Target, escaped};
use fastrand::Rng;
use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Bytes of the longest input that is made.
const LONGEST: usize = 4096;

/// How long to look: until one of the two is over.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub time: Duration,
    /// Inputs, beside those of the corpus.
    pub most: u64,
}

/// An input that does what none may.
#[derive(Clone, Debug)]
pub struct Found {
    pub target: &'static str,
    pub input: Vec<u8>,
    /// The seed and number of the input; none for one of the corpus.
    pub from: Option<(u64, u64)>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Some((seed, number)) => write!(f, "{}: input {number} of seed {seed}", self.target)?,
            None => write!(f, "{}: an input of the corpus", self.target)?,
        }
        write!(
            f,
            " does what none may:\n{}\nagain: cargo run -p fuzz-targets -- try {} '{}'",
            escaped(&self.input),
            self.target,
            escaped(&self.input).replace('\'', "'\\''")
        )
    }
}

/// Tries the corpus, then changes of it until the time is over. Gives back how many inputs were tried.
///
/// # Errors
/// The first input that does what none may.
pub fn explore(target: &'static Target, plan: Plan) -> Result<u64, Found> {
    let until = Instant::now() + plan.time;
    let corpus = target.corpus();
    for input in &corpus {
        if !try_one(target, input) {
            return Err(Found { target: target.name, input: input.clone(), from: None });
        }
    }
    let mut number = 0;
    while number < plan.most && Instant::now() < until {
        let mut rng = Rng::with_seed(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
        let input = changed(&corpus, &mut rng);
        if !try_one(target, &input) {
            return Err(Found { target: target.name, input, from: Some((plan.seed, number)) });
        }
        number += 1;
    }
    Ok(corpus.len() as u64 + number)
}

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// Whether the target takes this input without a panic, also one that was caught on its way here (by a runtime's task, say).
pub fn try_one(target: &Target, input: &[u8]) -> bool {
    static COUNT: Once = Once::new();
    COUNT.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
    let before = PANICS.get();
    panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok() && PANICS.get() == before
}

fn changed(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    // Bytes from nothing are good inputs where bytes choose what is made.
    let mut input = match rng.u8(0..8) {
        0 => random(rng),
        _ => rng.choice(corpus).cloned().unwrap_or_default(),
    };
    for _ in 0..1 << rng.u8(0..4) {
        change(&mut input, corpus, rng);
    }
    input.truncate(LONGEST);
    input
}

fn random(rng: &mut Rng) -> Vec<u8> {
    let length = 1 << rng.u8(0..9);
    // Mostly small numbers: the first entries of every choice.
    let most = if rng.bool() { u8::MAX } else { 15 };
    std::iter::repeat_with(|| rng.u8(0..=most)).take(length).collect()
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut Rng) {
    let at = rng.usize(0..=input.len());
    let to = rng.usize(at..=input.len().min(at + 64));
    match rng.u8(0..9) {
        0 | 1 if at < input.len() => input[at] ^= 1 << rng.u8(0..8),
        2 if at < input.len() => input[at] = rng.u8(..),
        3 => input.insert(at, rng.u8(..)),
        4 => drop(input.drain(at..to)),
        5 => {
            let piece = input[at..to].to_vec();
            let at = rng.usize(0..=input.len());
            input.splice(at..at, piece);
        }
        6 => {
            let word = rng.choice(WORDS).copied().unwrap_or_default();
            input.splice(at..to.min(at + word.len() * usize::from(rng.u8(0..2))), word.iter().copied());
        }
        7 => {
            let other = rng.choice(corpus).map_or(&[][..], Vec::as_slice);
            let from = rng.usize(0..=other.len());
            let end = rng.usize(from..=other.len());
            input.splice(at..to, other[from..end].iter().copied());
        }
        _ => {
            let number = rng.choice(NUMBERS).copied().unwrap_or_default().to_le_bytes();
            let width = 1 << rng.u8(0..4);
            let end = input.len().min(at + width);
            input.splice(at..end, number[..width].iter().copied());
        }
    }
}

const NUMBERS: &[i64] = &[0, 1, -1, 127, 128, 255, 256, 1000, 65_535, i32::MAX as i64, i64::MAX, i64::MIN];
