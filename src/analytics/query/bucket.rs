use std::fmt;

use serde::{Deserialize, Serialize};

/// The width of the points of a time series.
///
/// Days, weeks, and months begin at midnight in the zone of the query's [range](super::TimeRange). Weeks begin on Monday
/// (ISO 8601).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Bucket {
    /// A minute.
    Minute,
    /// Fifteen minutes.
    QuarterHour,
    /// An hour.
    Hour,
    /// A calendar day.
    Day,
    /// Seven calendar days from a Monday.
    Week,
    /// A calendar month.
    Month,
    /// The width with which the range has between about 24 and 100 points.
    Auto,
}

impl Bucket {
    /// All widths.
    pub const ALL: &'static [Self] =
        &[Self::Minute, Self::QuarterHour, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Auto];

    /// Returns the name in queries, such as `quarter_hour`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::QuarterHour => "quarter_hour",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
