//! Cron schedules. The first eight bytes are a moment, the rest is the schedule.
//!
//! Promised beside: a schedule that is taken fires, after the moment that is asked and within nine years of it (but for
//! `@every`, which may be longer), again and again, and what it fires at does not change when it is asked once more.

use crate::busy::Busy;
use std::time::Duration;
use steadfast_machine::Time;
use steadfast_machine::cron::{Schedule, check_cron};
use steadfast_machine::duration::{DAY, SECOND};

/// A schedule that never fires is looked for in all years there are, in a build without optimisation.
const LONGEST: Duration = Duration::from_secs(1);

pub fn run(input: &[u8]) {
    let Some((moment, text)) = input.split_first_chunk::<8>() else { return };
    let text = String::from_utf8_lossy(text);
    let began = Busy::begin();
    // Any moment from 1970 until nanoseconds end; what a clock says that was set wrong is in it too.
    let moment = Time(i64::from_le_bytes(*moment) & i64::MAX);
    let taken = check_cron(&text);
    let Ok(schedule) = Schedule::parse(&text) else {
        assert!(taken.is_err(), "what is no schedule was taken");
        return;
    };
    let mut last = moment;
    for _ in 0..8 {
        let next = schedule.next(last, last);
        assert_eq!(next, schedule.next(last, last), "it was asked twice");
        let Some(next) = next else {
            // Where nanoseconds end there is nothing more.
            assert!(taken.is_err() || last.plus(110 * 365 * DAY) == Time(i64::MAX), "it stopped at {last:?}");
            break;
        };
        assert!(next > last || text.contains("@every"), "{next:?} is not after {last:?}");
        assert!(next.since(last) > -SECOND, "{next:?} is before {last:?}");
        // Ticks that were slept through are skipped.
        let late = last.plus(3 * DAY);
        let after = schedule.next(last, late);
        assert!(
            after.is_none_or(|after| after.plus(SECOND) >= late && after >= next),
            "{after:?} after {late:?}"
        );
        last = next.plus(1);
    }
    began.at_most(LONGEST);
}
