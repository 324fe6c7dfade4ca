//! The spellings of times, durations and statuses in literals and in values of attributes.

use jiff::civil;
use winnow::ascii::digit1;
use winnow::combinator::{alt, opt, preceded, repeat, separated_pair};
use winnow::error::ContextError;
use winnow::prelude::*;
use winnow::token::{literal, one_of, take_while};

use crate::filter::OPEN_CLOSE_TIME;

type Result<T> = winnow::Result<T, ContextError>;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// The moment that stands for "not closed yet" in queries: 9999-12-31T23:59:59Z, in seconds.
const OPEN_CLOSE_SECONDS: i128 = 253_402_300_799;

/// A time in RFC 3339, upper case, with seconds and offset, as nanoseconds since the epoch.
///
/// Times that 64 bits cannot hold (before 1677, after 2262) become the first and the last but one that they can; only
/// 9999-12-31T23:59:59Z and later equal the close time of an open execution, see [`OPEN_CLOSE_TIME`].
pub fn parse_datetime(text: &str) -> Option<i64> {
    let nanos = datetime.parse(text).ok()?;
    Some(match i64::try_from(nanos) {
        Ok(nanos) => nanos.min(OPEN_CLOSE_TIME - 1),
        Err(_) if nanos < 0 => i64::MIN,
        Err(_) if nanos >= OPEN_CLOSE_SECONDS * NANOS_PER_SECOND => OPEN_CLOSE_TIME,
        Err(_) => OPEN_CLOSE_TIME - 1,
    })
}

fn datetime(input: &mut &str) -> Result<i128> {
    let (year, _, month, _, day) = (digits(4), '-', digits(2), '-', digits(2)).parse_next(input)?;
    let (_, hour, _, minute, _, second) =
        ('T', digits(2), ':', digits(2), ':', digits(2)).parse_next(input)?;
    let fraction = opt(preceded(one_of(['.', ',']), digit1)).parse_next(input)?;
    let offset = alt((
        'Z'.value(0_i128),
        (one_of(['+', '-']), digits(2).verify(|h| *h < 24), ':', digits(2).verify(|m| *m < 60)).map(
            |(sign, hours, _, minutes)| {
                let seconds = (i128::from(hours) * 60 + i128::from(minutes)) * 60;
                if sign == '-' { -seconds } else { seconds }
            },
        ),
    ))
    .parse_next(input)?;
    let invalid = |_| ContextError::new();
    let small = |number: i16| i8::try_from(number).map_err(|_| ContextError::new());
    let date = civil::Date::new(year, small(month)?, small(day)?).map_err(invalid)?;
    let time = civil::Time::new(small(hour)?, small(minute)?, small(second)?, 0).map_err(invalid)?;
    let epoch = civil::date(1970, 1, 1);
    let days = i128::from(date.since((jiff::Unit::Day, epoch)).map_err(invalid)?.get_days());
    let seconds = days * 86_400
        + i128::from(time.hour()) * 3600
        + i128::from(time.minute()) * 60
        + i128::from(time.second())
        - offset;
    // Digits beyond nanoseconds are cut off.
    let nanos = fraction.unwrap_or("").bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    Ok(seconds * NANOS_PER_SECOND + nanos)
}

fn digits(count: usize) -> impl FnMut(&mut &str) -> Result<i16> {
    move |input: &mut &str| {
        take_while(count, |c: char| c.is_ascii_digit()).try_map(str::parse::<i16>).parse_next(input)
    }
}

/// A duration in nanoseconds: a bare number of them, Go's form with days added ("1d2h", "-1.5h", "300ms"), or
/// "hh:mm:ss".
///
/// # Errors
/// The words of the reference for what is wrong.
pub(crate) fn parse_duration(text: &str) -> std::result::Result<i64, &'static str> {
    if let Ok(nanos) = text.parse::<i64>() {
        return Ok(nanos);
    }
    if let Some(nanos) = units.parse(text).ok().and_then(|nanos| i64::try_from(nanos).ok()) {
        return Ok(nanos);
    }
    clock(text)
}

/// One or more numbers with units, all under one sign.
fn units(input: &mut &str) -> Result<i128> {
    let number = alt((
        (digit1, opt(preceded('.', take_while(0.., '0'..='9'))))
            .map(|(whole, part)| (whole, part.unwrap_or(""))),
        preceded('.', digit1).map(|part| ("0", part)),
    ));
    let unit = alt((
        literal("ns").value(1_i128),
        alt((literal("us"), literal("µs"), literal("μs"))).value(1_000),
        literal("ms").value(1_000_000),
        literal("s").value(NANOS_PER_SECOND),
        literal("m").value(60 * NANOS_PER_SECOND),
        literal("h").value(3600 * NANOS_PER_SECOND),
        literal("d").value(86_400 * NANOS_PER_SECOND),
    ));
    let part = (number, unit).verify_map(|((whole, part), unit)| {
        // Eighteen decimals of a day are far below a nanosecond; more digits could only overflow.
        let part = &part[..part.len().min(18)];
        let scale = 10_i128.pow(part.len() as u32);
        let decimals = if part.is_empty() { 0 } else { part.parse::<i128>().ok()? };
        let whole = i128::from(whole.parse::<i64>().ok()?);
        Some(whole * unit + decimals * unit / scale)
    });
    let sum = repeat(1.., part).fold(|| 0_i128, |sum, nanos| sum + nanos);
    (opt(one_of(['+', '-'])), sum)
        .map(|(sign, sum)| if sign == Some('-') { -sum } else { sum })
        .parse_next(input)
}

fn number(input: &mut &str) -> Result<u64> {
    digit1.parse_to().parse_next(input)
}

fn clock(text: &str) -> std::result::Result<i64, &'static str> {
    const INVALID: &str = "invalid duration";
    let (hours, (minutes, seconds)) =
        separated_pair(number, ':', separated_pair(number, ':', number)).parse(text).map_err(|_| INVALID)?;
    if minutes > 59 {
        return Err("invalid duration: minutes must be from 0 to 59");
    }
    if seconds > 59 {
        return Err("invalid duration: seconds must be from 0 to 59");
    }
    let total = i128::from(hours) * 3600 + i128::from(minutes) * 60 + i128::from(seconds);
    i64::try_from(total * NANOS_PER_SECOND).map_err(|_| INVALID)
}

/// Names of WorkflowExecutionStatus, at the index of their number in the API's enum.
const STATUSES: [(&str, &str); 9] = [
    ("Unspecified", "WORKFLOW_EXECUTION_STATUS_UNSPECIFIED"),
    ("Running", "WORKFLOW_EXECUTION_STATUS_RUNNING"),
    ("Completed", "WORKFLOW_EXECUTION_STATUS_COMPLETED"),
    ("Failed", "WORKFLOW_EXECUTION_STATUS_FAILED"),
    ("Canceled", "WORKFLOW_EXECUTION_STATUS_CANCELED"),
    ("Terminated", "WORKFLOW_EXECUTION_STATUS_TERMINATED"),
    ("ContinuedAsNew", "WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW"),
    ("TimedOut", "WORKFLOW_EXECUTION_STATUS_TIMED_OUT"),
    ("Paused", "WORKFLOW_EXECUTION_STATUS_PAUSED"),
];

/// The number of a status by its short or its full name.
pub(crate) fn parse_status(text: &str) -> Option<i64> {
    let index = STATUSES.iter().position(|(short, full)| *short == text || *full == text)?;
    i64::try_from(index).ok()
}

/// The short name of a status number, as groups of a count show it.
pub fn status_name(status: i32) -> Option<&'static str> {
    STATUSES.get(usize::try_from(status).ok()?).map(|names| names.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datetimes() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1969-12-31T23:59:59.999999999Z", Some(-1)),
            ("2024-01-02T03:04:05Z", Some(1_704_164_645_000_000_000)),
            ("2024-02-29T00:00:00.5-00:30", Some(1_709_166_600_500_000_000)),
            ("1970-01-01T14:00:00+14:00", Some(0)),
            ("1970-01-01T00:00:00-23:59", Some(86_340_000_000_000)),
            ("2024-01-02T03:04:05,5Z", Some(1_704_164_645_500_000_000)),
            ("2024-01-02T03:04:05.1234567899999Z", Some(1_704_164_645_123_456_789)),
            ("2300-01-01T00:00:00Z", Some(i64::MAX - 1)),
            ("9999-12-31T23:59:59Z", Some(i64::MAX)),
            ("0000-01-01T00:00:00Z", Some(i64::MIN)),
            ("2024-01-02", None),
            ("", None),
            ("2024-01-02t03:04:05z", None),
            ("2024-01-02 03:04:05Z", None),
            ("2024-01-02T03:04:05+0100", None),
            ("2024-01-02T03:04:60Z", None),
            ("2024-01-02T24:00:00Z", None),
            ("2024-02-30T03:04:05Z", None),
            ("2024-01-01T00:00:00+25:00", None),
            ("2024-01-01T00:00:00.Z", None),
            ("10000-01-01T00:00:00Z", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_datetime(text), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        const HOUR: i64 = 3_600_000_000_000;
        let cases = [
            ("1000", Ok(1000)),
            ("-7", Ok(-7)),
            ("1h", Ok(HOUR)),
            ("1d2h", Ok(26 * HOUR)),
            ("1.5h2d", Ok(49 * HOUR + HOUR / 2)),
            ("-1.5h", Ok(-HOUR * 3 / 2)),
            ("300ms", Ok(300_000_000)),
            ("1µs", Ok(1000)),
            (".5s", Ok(500_000_000)),
            ("01:02:03", Ok(HOUR + 123_000_000_000)),
            ("1:2:3", Ok(HOUR + 123_000_000_000)),
            ("100:00:00", Ok(100 * HOUR)),
            ("25:61:00", Err("invalid duration: minutes must be from 0 to 59")),
            ("25:00:60", Err("invalid duration: seconds must be from 0 to 59")),
            ("1:2", Err("invalid duration")),
            ("", Err("invalid duration")),
            ("abc", Err("invalid duration")),
            ("1h 2m", Err("invalid duration")),
            ("99999999999999999999d", Err("invalid duration")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
