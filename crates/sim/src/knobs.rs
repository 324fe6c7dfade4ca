//! How one simulation is set up: all of it follows from the seed.

use crate::disk::{Rates, Slowness};
use crate::random::Random;

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
    /// Seconds for which things go wrong.
    pub chaos: u64,
    /// Percent of requests that are dropped while they are under way, or sent twice.
    pub impatience: u64,
    /// Percent of tasks that workers do not handle well.
    pub bad_workers: u64,
}

impl Knobs {
    /// One process serves all the time by a clock that nobody sets, and its disk may fail but is not slow.
    pub fn is_steady(&self) -> bool {
        self.crashes + self.takeovers + self.jumps == 0
            && self.rates.fenced == 0
            && self.slowness.longest <= 300
    }

    pub fn draw(random: &mut Random) -> Knobs {
        let scale = *random.pick(&[0, 1, 1, 5, 20]) as u32;
        // Only the disk fails: then alarms have to be punctual all the time.
        let steady = random.percent(25);
        let mut rate = |most: u64| random.below(most * 1000) as u32 * scale;
        let rates = Rates {
            not_written: rate(5),
            unknown_written: rate(5),
            unknown_not_written: rate(5),
            fenced: if steady { 0 } else { rate(1) / 4 },
            unavailable: rate(5),
        };
        Knobs {
            shards: random.between(1, 4) as u32,
            clients: random.between(1, 4),
            workflow_ids: random.between(1, 5),
            workers: random.between(1, 3),
            sticky: random.percent(60),
            cache_bytes: *random.pick(&[0, 200 << 10, 64 << 20, 64 << 20]),
            rates,
            slowness: Slowness {
                often: *random.pick(&[0, 20, 60]),
                rarely: *random.pick(&[0, 1, 5]),
                longest: *random.pick(&[20, 300, 3000]),
            },
            crashes: if steady { 0 } else { *random.pick(&[0, 0, 30, 60]) },
            takeovers: if steady { 0 } else { *random.pick(&[0, 0, 20, 40]) },
            jumps: if steady { 0 } else { *random.pick(&[0, 0, 20]) },
            chaos: random.between(10, 50),
            impatience: *random.pick(&[0, 10, 30]),
            bad_workers: *random.pick(&[0, 10, 25]),
        }
    }
}
