//! Cron schedules as workflows have them: five fields, `@every 90s`, `@hourly` and its like, with `CRON_TZ=Area/City`
//! (or `TZ=`) in front. Without a zone the times are UTC.
//!
//! The fields are read and searched by a crate; the zones are done here, because the rule differs from other crons: a
//! local time that a zone skips does not fire, and one that it repeats fires twice.

use crate::duration::{HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND};
use crate::key::Time;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use std::collections::BTreeSet;

/// A schedule that was understood.
#[derive(Clone, Debug)]
pub struct Schedule {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Nanoseconds between two firings, whole seconds.
    Every(i64),
    Fields {
        cron: Box<croner::Cron>,
        zone: TimeZone,
    },
}

/// Longer than any schedule that fires at all has to wait (from one 29th of February to the next can be eight years).
const HORIZON_YEARS: i64 = 9;
/// The most bytes of a schedule: room for every minute of an hour listed by itself, and more. It is written into each run.
const LONGEST_TEXT: usize = 1000;

impl Schedule {
    pub fn parse(text: &str) -> Result<Schedule, String> {
        let bad = |_| "invalid CronSchedule.".to_owned();
        if text.len() > LONGEST_TEXT {
            return Err("invalid CronSchedule.".into());
        }
        let text = text.trim();
        let zoned = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ="));
        let (zone, fields) = match zoned {
            Some(rest) => {
                let (name, fields) = rest.split_once(' ').ok_or(()).map_err(bad)?;
                let zone = TimeZoneDatabase::bundled().get(name);
                (zone.map_err(|_| "invalid CronSchedule.".to_owned())?, fields.trim())
            }
            None => (TimeZone::UTC, text),
        };
        if let Some(every) = fields.strip_prefix("@every ") {
            // Less than a second is a second, be it less than nothing.
            let nanos = go_duration(every.trim()).ok_or(()).map_err(bad)?;
            return Ok(Schedule { kind: Kind::Every((nanos / SECOND).max(1) * SECOND) });
        }
        let fields = match fields {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other if other.contains('@') => return Err("invalid CronSchedule.".into()),
            other => other,
        };
        let fields = plain_fields(fields).ok_or(()).map_err(bad)?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&fields).map_err(|_| "invalid CronSchedule.".to_owned())?;
        Ok(Schedule { kind: Kind::Fields { cron: Box::new(cron), zone } })
    }

    /// The first firing after `start` that is not before `end`: ticks that a run slept through are skipped.
    pub fn next(&self, start: Time, end: Time) -> Option<Time> {
        match &self.kind {
            Kind::Every(interval) => {
                let base = start.0.div_euclid(SECOND) * SECOND;
                let missed = end.0.checked_sub(base)?.checked_add(interval - 1)?.div_euclid(*interval);
                Some(Time(base.checked_add(interval.checked_mul(missed.max(1))?)?))
            }
            Kind::Fields { cron, zone } => next_in_zone(cron, zone, start.max(Time(end.0.saturating_sub(1)))),
        }
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The fields as plain lists of numbers. The crate would read more than the API allows (last days, nth weekdays, Sunday
/// as 7, ranges that wrap), and some of what it allows in another way. `None` for what is no schedule.
fn plain_fields(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else { return None };
    let plain = [
        plain_field(minute, 0, 59, &[])?,
        plain_field(hour, 0, 23, &[])?,
        plain_field(day, 1, 31, &[])?,
        plain_field(month, 1, 12, &MONTHS)?,
        plain_field(weekday, 0, 6, &DAYS)?,
    ];
    Some(plain.join(" "))
}

fn plain_field(field: &str, low: u32, high: u32, names: &[&str]) -> Option<String> {
    let value = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = named.map(|index| index as u32 + low).or_else(|| text.parse().ok())?;
        (low..=high).contains(&number).then_some(number)
    };
    let mut values = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let all = matches!(range, "*" | "?");
        if all && step.unwrap_or(1) == 1 {
            return Some("*".into());
        }
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (value(from)?, value(to)?),
            None if all => (low, high),
            // From a number with a step: up to the end.
            None => (value(range)?, if step.is_some() { high } else { value(range)? }),
        };
        if from > to {
            return None;
        }
        values.extend((from..=to).step_by(step.unwrap_or(1)));
    }
    Some(values.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}

/// Whether a schedule can be understood and ever fires.
pub fn check_cron(text: &str) -> Result<(), String> {
    let schedule = Schedule::parse(text)?;
    // Any moment does: what does not fire in the years after this one never fires.
    let anchor = Time(1_767_225_600 * SECOND);
    match schedule.next(anchor, anchor) {
        Some(_) => Ok(()),
        None => Err("invalid CronSchedule, no time can be found to satisfy the schedule".into()),
    }
}

/// Between two changes of its offset a zone is plain arithmetic: each such piece is searched as if it were UTC.
fn next_in_zone(cron: &croner::Cron, zone: &TimeZone, after: Time) -> Option<Time> {
    let mut from = timestamp(after)?;
    let mut inclusive = false;
    let limit = from.as_second() + HORIZON_YEARS * 366 * 86_400;
    while from.as_second() < limit {
        let offset = i64::from(zone.to_offset(from).seconds());
        let shifted = Timestamp::new(from.as_second().checked_add(offset)?, from.subsec_nanosecond()).ok()?;
        let local = Zoned::new(shifted, TimeZone::UTC);
        let found = cron.find_next_occurrence(&local, inclusive).ok()?;
        let found = Timestamp::from_second(found.timestamp().as_second().checked_sub(offset)?).ok()?;
        let change = zone.following(from).next().map(|transition| transition.timestamp());
        match change {
            Some(change) if found >= change => {
                from = change;
                inclusive = true;
            }
            _ if found.as_second() >= limit => return None,
            _ => return found.as_second().checked_mul(SECOND).map(Time),
        }
    }
    None
}

fn timestamp(time: Time) -> Option<Timestamp> {
    Timestamp::new(time.0.div_euclid(SECOND), time.0.rem_euclid(SECOND) as i32).ok()
}

/// `1h30m`, `-1.5s`: what Go's time.ParseDuration takes.
fn go_duration(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "0" {
        return Some(0);
    }
    let (mut rest, mut total) = (unsigned, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let nanos = match unit {
            "ns" => 1,
            "us" | "µs" => MICROSECOND,
            "ms" => MILLISECOND,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * nanos as f64;
        rest = after;
    }
    let valid = !unsigned.is_empty() && total < crate::duration::LONGEST as f64;
    valid.then_some(if negative { -(total as i64) } else { total as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        let timestamp: Timestamp = text.parse().expect("a test gives a time");
        Time(timestamp.as_nanosecond() as i64)
    }

    fn next(schedule: &str, after: &str) -> String {
        let after = at(after);
        let next = Schedule::parse(schedule).expect("the schedule is valid").next(after, after);
        timestamp(next.expect("it fires")).expect("in range").to_string()
    }

    #[test]
    fn fields_and_names() {
        assert_eq!(next("*/5 * * * *", "2026-01-01T00:00:00Z"), "2026-01-01T00:05:00Z");
        assert_eq!(next("30 9 * * MON-FRI", "2026-01-02T10:00:00Z"), "2026-01-05T09:30:00Z");
        assert_eq!(next("0 0 29 2 *", "2026-01-02T10:00:00Z"), "2028-02-29T00:00:00Z");
        assert_eq!(next("50/5 */70 * JAN-mar *", "2026-01-01T00:50:00Z"), "2026-01-01T00:55:00Z");
        assert_eq!(next("@hourly", "2026-01-01T00:00:00.5Z"), "2026-01-01T01:00:00Z");
        assert_eq!(next("@weekly", "2026-01-01T00:00:00Z"), "2026-01-04T00:00:00Z");
        // Day of the month or day of the week, when both are named.
        assert_eq!(next("0 0 13 * FRI", "2026-01-01T00:00:00Z"), "2026-01-02T00:00:00Z");
    }

    #[test]
    fn every_counts_from_the_start_in_whole_seconds() {
        let schedule = Schedule::parse("@every 3s").expect("valid");
        let start = at("2026-01-01T00:00:00.7Z");
        let next = |end: &str| timestamp(schedule.next(start, at(end)).expect("it fires")).expect("in range");
        assert_eq!(next("2026-01-01T00:00:00.7Z").to_string(), "2026-01-01T00:00:03Z");
        assert_eq!(next("2026-01-01T00:00:06.5Z").to_string(), "2026-01-01T00:00:09Z");
        assert_eq!(next("2026-01-01T00:00:06Z").to_string(), "2026-01-01T00:00:06Z");
    }

    #[test]
    fn a_skipped_local_time_does_not_fire_and_a_repeated_one_fires_twice() {
        let daily = "CRON_TZ=America/New_York 30 2 * * *";
        assert_eq!(next(daily, "2026-03-07T12:00:00Z"), "2026-03-09T06:30:00Z");
        let daily = "CRON_TZ=America/New_York 30 1 * * *";
        assert_eq!(next(daily, "2026-11-01T04:00:00Z"), "2026-11-01T05:30:00Z");
        assert_eq!(next(daily, "2026-11-01T05:30:00Z"), "2026-11-01T06:30:00Z");
        assert_eq!(next(daily, "2026-11-01T06:30:00Z"), "2026-11-02T06:30:00Z");
    }

    #[test]
    fn where_nanoseconds_end_nothing_fires() {
        let end = Time(i64::MAX);
        for schedule in ["@hourly", "@every 3s", "@every 87600h"] {
            assert_eq!(Schedule::parse(schedule).expect("valid").next(end, end), None, "{schedule}");
        }
    }

    #[test]
    fn what_is_no_schedule() {
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
            "@sometimes",
            "@every",
            "@every x",
            "@every -",
            "0 0 * * 7",
            "0 0 L * *",
            "1L * * * *",
            "0 0 * * 1#2",
            "5-1 * * * *",
            "*/0 * * * *",
            "CRON_TZ=Nowhere/At * * * * *",
        ] {
            assert!(check_cron(bad).is_err(), "{bad}");
        }
        assert!(check_cron("0 0 30 2 *").is_err());
        for good in [
            "* * * * *",
            "@every 1h30m",
            "@every 0s",
            "@every -1s",
            "1-5/2,7 ? * jan-mar MON",
            "*/70 * * * *",
            "5/20 * * * *",
            "CRON_TZ=Europe/Berlin 0 9 * * *",
            "TZ=UTC @daily",
            "0 0 29 2 *",
        ] {
            assert_eq!(check_cron(good), Ok(()), "{good}");
        }
    }
}
