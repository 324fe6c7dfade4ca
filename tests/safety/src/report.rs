//! What a run has shown, as lines that can be put into docs/reliability.md.

use anyhow::{Result, bail};
use std::fmt::Write as _;
use std::time::Duration;

/// Promises that were broken are named, up to this many.
const MOST_SHOWN: usize = 20;

/// The outcome of one kind of test.
#[derive(Debug, Default)]
pub struct Report {
    pub name: &'static str,
    pub figures: Vec<(&'static str, String)>,
    pub wrong: Vec<String>,
}

impl Report {
    pub fn new(name: &'static str) -> Report {
        Report { name, ..Report::default() }
    }

    pub fn figure(&mut self, what: &'static str, value: impl ToString) {
        self.figures.push((what, value.to_string()));
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.name);
        for (what, value) in &self.figures {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {what}: {value}");
        }
        for wrong in self.wrong.iter().take(MOST_SHOWN) {
            let _ = writeln!(text, "  WRONG: {wrong}");
        }
        if self.wrong.len() > MOST_SHOWN {
            let _ = writeln!(text, "  and {} more", self.wrong.len() - MOST_SHOWN);
        }
        text
    }

    /// # Errors
    /// A promise was broken.
    pub fn must_be_right(&self) -> Result<()> {
        match self.wrong.len() {
            0 => Ok(()),
            count => bail!("{count} promises broken\n{}", self.text()),
        }
    }
}

/// The least value that so many percent are at or below: p50, p99, and the greatest.
pub fn quantiles(times: &[Duration]) -> String {
    if times.is_empty() {
        return "none".into();
    }
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |percent: usize| {
        let place = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
        format!("{:.0} ms", sorted[place - 1].as_secs_f64() * 1000.0)
    };
    format!("p50 {}, p99 {}, most {}", at(50), at(99), at(100))
}

/// The least time that `percent` of 100 are at or below.
pub fn quantile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let place = (sorted.len() * percent).div_ceil(100);
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}
