//! Bad days on demand: which calls fail or hang, and when.
//!
//! A real service fails in two ways that look the same to the caller: before it did anything, and after. A worker that retries
//! must survive both, so both are played here, along with calls that get no answer in time.

use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::Duration;

/// How bad the day is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[clap(rename_all = "snake_case")]
pub enum Level {
    /// Every call is answered.
    #[default]
    None,
    /// One call in ten fails.
    Some,
    /// One call in ten hangs until the caller has given up, four in ten fail.
    RealWorld,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// An error, and nothing was booked.
    FailsBefore,
    /// An error, although the booking was made.
    FailsAfter,
    /// No answer for a long time, and nothing was booked.
    HangsBefore,
    /// No answer for a long time, although the booking was made.
    HangsAfter,
}

/// The switch, and the dice.
pub struct Chaos {
    level: Mutex<Level>,
    dice: Mutex<fastrand::Rng>,
    /// How long a call hangs; longer than any caller should wait.
    pub hang: Duration,
}

impl Chaos {
    /// The same seed and the same order of calls give the same fates.
    pub fn new(level: Level, seed: u64, hang: Duration) -> Chaos {
        Chaos { level: Mutex::new(level), dice: Mutex::new(fastrand::Rng::with_seed(seed)), hang }
    }

    pub fn level(&self) -> Level {
        *self.level.lock().expect("nothing panics while it holds the level")
    }

    /// Takes effect with the next call.
    pub fn set_level(&self, level: Level) {
        *self.level.lock().expect("nothing panics while it holds the level") = level;
    }

    /// Decides about one call.
    pub fn fate(&self) -> Fate {
        let level = self.level();
        let mut dice = self.dice.lock().expect("nothing panics while it holds the dice");
        let roll = dice.u8(0..100);
        let early = dice.bool();
        let (failing, hanging) = match level {
            Level::None => (0, 0),
            Level::Some => (10, 0),
            Level::RealWorld => (40, 10),
        };
        match (roll, early) {
            (roll, true) if roll < failing => Fate::FailsBefore,
            (roll, false) if roll < failing => Fate::FailsAfter,
            (roll, true) if roll < failing + hanging => Fate::HangsBefore,
            (roll, false) if roll < failing + hanging => Fate::HangsAfter,
            _ => Fate::Answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        level: Level,
        failing: std::ops::RangeInclusive<usize>,
        hanging: std::ops::RangeInclusive<usize>,
    ) {
        let chaos = Chaos::new(level, 7, Duration::from_secs(5));
        let fates: Vec<Fate> = (0..1000).map(|_| chaos.fate()).collect();
        let count = |wanted: &[Fate]| fates.iter().filter(|fate| wanted.contains(fate)).count();
        let failed = count(&[Fate::FailsBefore, Fate::FailsAfter]);
        let hung = count(&[Fate::HangsBefore, Fate::HangsAfter]);
        assert!(failing.contains(&failed), "{failed} of 1000 failed at {level:?}");
        assert!(hanging.contains(&hung), "{hung} of 1000 hung at {level:?}");
    }

    #[test]
    fn each_level_is_as_bad_as_it_says() {
        check(Level::None, 0..=0, 0..=0);
        check(Level::Some, 70..=130, 0..=0);
        check(Level::RealWorld, 350..=450, 70..=130);
    }
}
