//! Everything that reads bytes or text from outside, as functions that take any bytes at all.
//!
//! A target is one function. It makes of the bytes what its subject reads (a query, a request, the commands of a worker), hands it
//! over, and looks at what came of it: no panic, and what the file of the target promises beside. The same functions are called by
//! a loop on stable Rust ([`explore`], in `cargo test`) and by libFuzzer, which looks for inputs that reach new code
//! (`libfuzzer/`, by `cargo xtask fuzz`).

// The API's deprecated fields are part of what is read.
#![allow(deprecated)]

mod busy;
mod corpus;
mod explore;
mod message;
pub mod targets;
mod words;

pub use corpus::{escaped, unescaped};
pub use explore::{Found, Plan, explore, try_one};
pub use targets::TARGETS;

/// Something that parses.
pub struct Target {
    pub name: &'static str,
    pub what: &'static str,
    /// Panics if the input does what none may.
    pub run: fn(&[u8]),
    /// Inputs to begin with, beside those of the target's file in `corpus/`.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// All inputs that are known to be worth trying.
    pub fn corpus(&self) -> Vec<Vec<u8>> {
        let mut inputs = (self.seeds)();
        inputs.extend(corpus::read(self.name));
        inputs
    }
}
