//! Deterministic simulation of the whole engine.
//!
//! One seed decides everything: who asks what and when, how slow the disk is, what it loses, when processes die and
//! clocks jump. The engine runs unchanged, on one thread, on a runtime whose time is virtual, over the in-memory store;
//! so minutes of trouble take milliseconds, and a seed that failed fails again in the same way.
//!
//! [`audit`] looks at the rows after every commit, [`client`] and [`worker`] at every answer, [`check`] and [`family`] at the end,
//! when everything that went wrong has been healed and all work has to come to its end in bounded time.

// The API's deprecated fields are part of the contract: scripts fill them in as old SDKs do.
#![allow(deprecated)]

mod audit;
mod board;
mod chaos;
mod check;
mod client;
mod clock;
mod courier;
mod disk;
mod family;
mod knobs;
mod ledger;
mod random;
mod script;
mod simulation;
mod trace;
mod worker;
mod world;

pub use simulation::{EXPECTED, Report, run, run_loud};
