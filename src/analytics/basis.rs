use jiff::Timestamp;
use serde::Serialize;

/// The finest instants at which an answer's range could be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Grain {
    /// Any instant: the range is exactly that of the query.
    Instant,
    /// Quarter hours in UTC.
    QuarterHour,
    /// Hours in UTC.
    Hour,
    /// Days in UTC.
    Day,
    /// Blocks of eight days in UTC, counted from 1970.
    EightDays,
    /// Blocks of 64 days in UTC, counted from 1970.
    SixtyFourDays,
}

impl Grain {
    /// Returns the name in answers, such as `quarter_hour`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::QuarterHour => "quarter_hour",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::EightDays => "eight_days",
            Self::SixtyFourDays => "sixty_four_days",
        }
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Grain {
    /// Returns the name in sentences.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Instant => "instants",
            Self::QuarterHour => "quarter hours",
            Self::Hour => "hours",
            Self::Day => "days",
            Self::EightDays => "blocks of eight days",
            Self::SixtyFourDays => "blocks of 64 days",
        }
    }
}

/// The data behind an answer: the range that was summed, and how complete it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Basis {
    /// The time of the latest stored request, of any workspace. `None` if the store is empty. It is rounded down to a minute
    /// unless the grant covers everything.
    ///
    /// The data is complete up to this time, except for events that are not stored yet.
    pub data_up_to: Option<Timestamp>,
    /// The start of the range that was summed. All parts of the answer use the same range.
    pub from: Timestamp,
    /// The end of that range, excluded.
    pub to: Timestamp,
    /// The instants at which the range could be cut.
    pub grain: Grain,
    /// `true` if the sums are exact: they cover the range of the query, and all feedback.
    ///
    /// Quantiles always have a relative error of 1 %.
    pub is_exact: bool,
    /// The share of LLM calls whose cost is unknown, from 0 to 100. `None` if there are no LLM calls.
    pub unpriced_share: Option<f64>,
    /// The number of rows that were read one by one. The others were summed before.
    pub rows_read: u64,
    /// Differences from what the query asked for, as sentences.
    pub notes: Vec<String>,
}
