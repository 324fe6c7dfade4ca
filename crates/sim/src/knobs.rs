//! How one simulation is set up: all of it follows from the seed.

use crate::disk::{Rates, Slowness};
use crate::random::Random;
use steadfast_machine::duration::SECOND;

#[derive(Clone, Debug)]
pub struct Knobs {
    pub shards: u32,
    pub clients: u64,
    pub workflow_ids: u64,
    pub workers: u64,
    pub sticky: bool,
    /// Bytes of loaded runs that a process keeps.
    pub cache_bytes: usize,
    /// What goes wrong while things go wrong.
    pub rates: Rates,
    pub slowness: Slowness,
    /// Percent of the moments of chaos at which this happens.
    pub crashes: u64,
    pub takeovers: u64,
    pub jumps: u64,
    /// For a while the disk is full, or away, or nobody hears what became of a write.
    pub storms: u64,
    /// Workers die and others come in their places.
    pub mortal_workers: bool,
    /// Workflows that are reset and deleted are among the others.
    pub rough: bool,
    /// Seconds for which things go wrong.
    pub chaos: u64,
    /// Percent of requests that are dropped while they are under way, or sent twice.
    pub impatience: u64,
    /// Percent of requests that arrive late, or once more much later.
    pub delays: u64,
    /// Percent of tasks that workers do not handle well.
    pub bad_workers: u64,
}

impl Knobs {
    /// One process serves all the time by a clock that nobody sets, and its disk may fail but is not slow.
    pub fn is_steady(&self) -> bool {
        self.crashes + self.takeovers + self.jumps + self.storms == 0
            && self.rates.fenced == 0
            && self.slowness.longest <= 300
    }

    /// Nanoseconds by which an alarm may be late while single calls of the store fail: so many tries fail in a row once
    /// in a thousand million times.
    pub fn latest_alarm(&self) -> i64 {
        let rates = &self.rates;
        let failing = rates.not_written + rates.unknown_written + rates.unknown_not_written;
        // A try reads, and may write.
        let chance = f64::from(failing + 2 * rates.unavailable) / 1e6;
        let tries = if chance < 1e-6 { 2.0 } else { (1e-9f64.ln() / chance.ln()).ceil().max(2.0) };
        let one = SECOND + 2 * self.slowness.longest as i64 * 1_000_000;
        3 * SECOND + tries as i64 * one
    }

    pub fn draw(random: &mut Random) -> Knobs {
        let mut scale = *random.pick(&[0, 1, 1, 5, 20]) as u32;
        // Only the disk fails, and not often: then alarms have to be punctual all the time.
        let steady = random.percent(25);
        if steady {
            scale = scale.min(1);
        }
        // Much waits for few workers, and writes overtake each other.
        let crowded = !steady && random.percent(25);
        // In both the process lives on: a restart would mend what must not need one.
        let lives = steady || crowded;
        let mut rate = |most: u64| random.below(most * 1000) as u32 * scale;
        let rates = Rates {
            not_written: rate(5) + if steady { 15_000 } else { 0 },
            unknown_written: rate(5) + if crowded { 150_000 } else { 0 },
            unknown_not_written: rate(5),
            fenced: if lives { 0 } else { rate(1) / 4 },
            unavailable: rate(5),
        };
        Knobs {
            shards: random.between(1, 4) as u32,
            clients: if crowded { 6 } else { random.between(1, 4) },
            workflow_ids: if crowded { random.between(5, 12) } else { random.between(1, 5) },
            workers: if crowded { 1 } else { random.between(1, 3) },
            sticky: random.percent(60),
            cache_bytes: *random.pick(&[0, 200 << 10, 64 << 20, 64 << 20]),
            rates,
            slowness: Slowness {
                often: *random.pick(&[0, 20, 60]),
                rarely: if crowded { 20 } else { *random.pick(&[0, 1, 5]) },
                longest: match (steady, crowded) {
                    (true, _) => *random.pick(&[20, 300]),
                    (_, true) => *random.pick(&[300, 3000]),
                    _ => *random.pick(&[20, 300, 3000]),
                },
            },
            crashes: if lives { 0 } else { *random.pick(&[0, 0, 30, 60]) },
            takeovers: if lives { 0 } else { *random.pick(&[0, 0, 20, 40]) },
            jumps: if steady { 0 } else { *random.pick(&[0, 0, 20]) },
            storms: if lives { 0 } else { *random.pick(&[0, 0, 0, 20]) },
            mortal_workers: random.percent(40),
            rough: random.percent(30),
            chaos: if lives { random.between(30, 80) } else { random.between(10, 50) },
            impatience: *random.pick(&[0, 10, 30]),
            delays: *random.pick(&[0, 0, 10, 30]),
            bad_workers: *random.pick(&[0, 10, 25]),
        }
    }
}
