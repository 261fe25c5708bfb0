use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::usage::SignedMoney;

/// The value of a measure.
///
/// Serializes as a number: counts as they are, money in US dollars, rates from 0 to 100, durations in milliseconds. Times
/// serialize as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Amount {
    /// A number of things.
    Count(u64),
    /// Money in nano-dollars (10⁻⁹ US dollars).
    NanoUsd(i64),
    /// A rate from 0 to 100.
    Percent(f64),
    /// A duration in milliseconds.
    Millis(f64),
    /// An average without a unit.
    Number(f64),
    /// A time.
    Time(Timestamp),
}

impl Amount {
    /// Returns the value as a number: money in US dollars, times in seconds since 1970.
    #[allow(clippy::cast_precision_loss, reason = "the exact value is in the variant")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::NanoUsd(nanos) => nanos as f64 / 1e9,
            Self::Percent(number) | Self::Millis(number) | Self::Number(number) => number,
            Self::Time(time) => time.as_microsecond() as f64 / 1e6,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::NanoUsd(nanos) => SignedMoney::from_nano_usd(*nanos).fmt(f),
            Self::Percent(number) | Self::Millis(number) | Self::Number(number) => number.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Time(time) => serializer.collect_str(time),
            other => serializer.serialize_f64(other.as_f64()),
        }
    }
}
