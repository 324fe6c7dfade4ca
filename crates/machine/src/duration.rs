//! Between the API's durations and nanoseconds.

use prost_types::Duration;

pub const MICROSECOND: i64 = 1_000;
pub const MILLISECOND: i64 = 1_000 * MICROSECOND;
pub const SECOND: i64 = 1_000 * MILLISECOND;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// Longer durations are cut to this, as the reference does, so that adding one to a time cannot overflow.
pub const LONGEST: i64 = 100 * 365 * DAY;

/// Nanoseconds of a duration, absent as 0, cut to [`LONGEST`]; an error for one that is negative or malformed.
pub fn nanos(duration: Option<&Duration>) -> Result<i64, &'static str> {
    let Some(duration) = duration else { return Ok(0) };
    if duration.nanos <= -1_000_000_000 || duration.nanos >= 1_000_000_000 {
        return Err("duration out of range");
    }
    if (duration.seconds > 0 && duration.nanos < 0) || (duration.seconds < 0 && duration.nanos > 0) {
        return Err("duration has seconds and nanos with different signs");
    }
    if duration.seconds < 0 || duration.nanos < 0 {
        return Err("negative duration");
    }
    Ok(duration.seconds.saturating_mul(SECOND).saturating_add(i64::from(duration.nanos)).min(LONGEST))
}

/// The same for durations that were checked when they came in.
pub fn known(duration: Option<&Duration>) -> i64 {
    nanos(duration).unwrap_or(0)
}

/// Absent for zero: timeouts that a run does not have.
pub fn if_set(nanos: i64) -> Option<Duration> {
    if nanos == 0 { None } else { proto(nanos) }
}

/// Always present, also for zero: SDKs tell an absent duration from a zero one.
pub fn proto(nanos: i64) -> Option<Duration> {
    Some(Duration { seconds: nanos.div_euclid(SECOND), nanos: nanos.rem_euclid(SECOND) as i32 })
}
