//! An amount of money in whole cents.
//!
//! Inside, money is an integer: sums are exact and nothing is ever rounded. At the rim it is a decimal, which is read digit by
//! digit and written as a string, so that no reader's floating point gets a chance to change it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

/// Whole cents; may be negative, as a difference of two balances can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cents(i64);

/// Why a text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    #[error("an amount is written like 12 or 12.34, not {0:?}")]
    NotDecimal(String),
    #[error("{0} has more than two digits after the point")]
    TooPrecise(String),
    #[error("{0} is more than the {max} that one booking may move", max = Cents::LARGEST)]
    TooLarge(String),
    #[error("an amount must be more than zero")]
    NotPositive,
}

impl Cents {
    pub const ZERO: Cents = Cents(0);
    /// The most that one booking may move: small enough that a JSON number of this size still holds its cents exactly, and
    /// that no sum of bookings comes near the end of an `i64`.
    pub const LARGEST: Cents = Cents(100_000_000_000);

    pub const fn new(cents: i64) -> Cents {
        Cents(cents)
    }

    /// The amount in cents.
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// The amount in whole units of the currency; what is left over is cut off.
    pub const fn units(self) -> i64 {
        self.0 / 100
    }

    /// The sum, or `None` if it does not fit.
    pub fn checked_add(self, other: Cents) -> Option<Cents> {
        self.0.checked_add(other.0).map(Cents)
    }

    /// The difference, or `None` if it does not fit.
    pub fn checked_sub(self, other: Cents) -> Option<Cents> {
        self.0.checked_sub(other.0).map(Cents)
    }

    /// This amount, if it is one that a booking may move: more than zero and at most [`Cents::LARGEST`].
    pub fn bookable(self) -> Result<Cents, BadAmount> {
        match self {
            Cents(..=0) => Err(BadAmount::NotPositive),
            large if large > Cents::LARGEST => Err(BadAmount::TooLarge(large.to_string())),
            fits => Ok(fits),
        }
    }
}

impl FromStr for Cents {
    type Err = BadAmount;

    fn from_str(text: &str) -> Result<Cents, BadAmount> {
        let not_decimal = || BadAmount::NotDecimal(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (units, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(units) || !all_digits(fraction) {
            return Err(not_decimal());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 2 {
            return Err(BadAmount::TooPrecise(text.to_owned()));
        }
        let too_large = || BadAmount::TooLarge(text.to_owned());
        let units: i64 = units.parse().map_err(|_| too_large())?;
        let cents: i64 = format!("{fraction:0<2}").parse().map_err(|_| not_decimal())?;
        let cents =
            units.checked_mul(100).and_then(|whole| whole.checked_add(cents)).ok_or_else(too_large)?;
        Ok(Cents(if negative { -cents } else { cents }))
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let absolute = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{:02}", absolute / 100, absolute % 100))
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Cents>>(amounts: I) -> Cents {
        Cents(amounts.map(|amount| amount.0).sum())
    }
}

impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cents, D::Error> {
        deserializer.deserialize_any(DecimalVisitor)
    }
}

struct DecimalVisitor;

impl de::Visitor<'_> for DecimalVisitor {
    type Value = Cents;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount like \"12.34\" or 12.34")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cents, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, units: i64) -> Result<Cents, E> {
        self.visit_str(&units.to_string())
    }

    fn visit_u64<E: de::Error>(self, units: u64) -> Result<Cents, E> {
        self.visit_str(&units.to_string())
    }

    /// A JSON number with a point arrives as the nearest double. Its shortest text is the one that was sent, as long as that
    /// had at most 15 digits; anything longer has more than two digits after the point, or is too large, and is refused.
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Cents, E> {
        if number.abs() > Cents::LARGEST.units() as f64 {
            return Err(E::custom(BadAmount::TooLarge(number.to_string())));
        }
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match text.parse::<Cents>().and_then(Cents::bookable) {
            Ok(amount) => format!("{} cents", amount.cents()),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(shown, expected, "{text:?}");
    }

    #[test]
    fn decimals_are_read_digit_by_digit() {
        check("12", "1200 cents");
        check("12.3", "1230 cents");
        check("12.34", "1234 cents");
        check("0.01", "1 cents");
        check("0.10", "10 cents");
        check("1.1000", "110 cents");
        check("007.50", "750 cents");
        check("1000000000", "100000000000 cents");
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        check("", "an amount is written like 12 or 12.34, not \"\"");
        check(".5", "an amount is written like 12 or 12.34, not \".5\"");
        check("5.", "an amount is written like 12 or 12.34, not \"5.\"");
        check("1e3", "an amount is written like 12 or 12.34, not \"1e3\"");
        check("1,50", "an amount is written like 12 or 12.34, not \"1,50\"");
        check("+1", "an amount is written like 12 or 12.34, not \"+1\"");
        check("--1", "an amount is written like 12 or 12.34, not \"--1\"");
        check("0.001", "0.001 has more than two digits after the point");
        check("0", "an amount must be more than zero");
        check("-3.50", "an amount must be more than zero");
        check("1000000000.01", "1000000000.01 is more than the 1000000000.00 that one booking may move");
        check(
            "99999999999999999999",
            "99999999999999999999 is more than the 1000000000.00 that one booking may move",
        );
    }

    #[test]
    fn json_numbers_and_strings_give_the_same_cents() {
        for (json, cents) in [("\"0.29\"", 29), ("0.29", 29), ("1.1", 110), ("4.35", 435), ("12", 1200)] {
            assert_eq!(serde_json::from_str::<Cents>(json).expect("an amount"), Cents(cents), "{json}");
        }
        for json in ["0.30000000000000004", "1e300", "true", "null", "\"1 000\""] {
            assert!(serde_json::from_str::<Cents>(json).is_err(), "{json}");
        }
        // Every cent of a large amount survives the way through a double.
        for cents in 99_999_999_000..=100_000_000_000 {
            let amount = Cents(cents);
            assert_eq!(serde_json::from_str::<Cents>(&amount.to_string()).expect("an amount"), amount);
        }
    }

    #[test]
    fn amounts_are_written_with_two_digits() {
        assert_eq!(serde_json::to_string(&Cents(5)).expect("a string"), "\"0.05\"");
        assert_eq!(Cents(-1234).to_string(), "-12.34");
        assert_eq!(Cents(-5).to_string(), "-0.05");
        assert_eq!("-0.05".parse::<Cents>(), Ok(Cents(-5)));
    }
}
