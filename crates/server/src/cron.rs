//! Whether a cron schedule can be understood at all.

use steadfast_machine::Reject;

/// Five fields, `@every` with a duration, or one of the named schedules, with an optional time zone in front.
pub fn check(schedule: &str) -> Result<(), Reject> {
    let bad = || Reject::invalid("invalid CronSchedule.");
    let mut rest = schedule;
    if let Some(zoned) = rest.strip_prefix("TZ=").or_else(|| rest.strip_prefix("CRON_TZ=")) {
        rest = zoned.split_once(' ').ok_or_else(bad)?.1.trim();
    }
    if let Some(name) = rest.strip_prefix('@') {
        let named = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let every = name.strip_prefix("every ").is_some_and(|duration| !duration.trim().is_empty());
        return if named.contains(&name) || every { Ok(()) } else { Err(bad()) };
    }
    if rest.split_whitespace().count() == 5 { Ok(()) } else { Err(bad()) }
}
