use crate::analytics::{
    TimeRange,
    jiff::{SignedDuration, Timestamp, tz::TimeZone},
};

use super::format;

const TWO_DAYS: SignedDuration = SignedDuration::from_hours(48);

/// What is known about the period before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Earlier {
    /// Requests were recorded all the time.
    Complete,
    /// The first request was recorded at a time within the period, which has days, or only hours.
    Partial(Timestamp, Span),
    /// No request was recorded before the end of the period.
    Unknown,
}

/// The length of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Days,
    Hours,
}

impl Earlier {
    /// Describes a period by the time of the first request before its end.
    pub(crate) fn new(period: &TimeRange, first: Option<Timestamp>) -> Self {
        // The first request may come a while after the start of its day.
        let length = period.to().duration_since(period.from());
        let started = period.from().checked_add(length / 30).unwrap_or(period.from());
        match first {
            None => Self::Unknown,
            Some(first) if first >= period.to() => Self::Unknown,
            Some(first) if first > started => {
                Self::Partial(first, if length > TWO_DAYS { Span::Days } else { Span::Hours })
            }
            Some(_) => Self::Complete,
        }
    }

    pub(crate) fn is_complete(self) -> bool {
        self == Self::Complete
    }

    /// Returns the reason why periods are not compared, in a few words. It is empty if they are.
    pub(crate) fn reason(self, zone: &TimeZone) -> String {
        match self {
            Self::Complete => String::new(),
            Self::Partial(first, span) => {
                let clock = if span == Span::Days { "" } else { "%H:%M" };
                format!("data since {}", format::dated(first, zone, Timestamp::now(), clock))
            }
            Self::Unknown => "no earlier data".to_owned(),
        }
    }
}
