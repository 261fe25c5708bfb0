use jiff::{
    Span, Timestamp,
    civil::{Date, Weekday},
    tz::TimeZone,
};

use crate::analytics::QueryError;

use super::Bucket;

/// Maximum number of points of a time series.
const MAX_BUCKETS: usize = 2_000;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The time of requests, from the first instant up to the last one, which is excluded, and the zone of calendar days.
///
/// ```
/// use tower_tagging::analytics::TimeRange;
///
/// let june = TimeRange::parse("2026-06-01T00:00:00+02:00", "2026-07-01T00:00:00+02:00", "Europe/Berlin")?;
/// assert_eq!(june.from().to_string(), "2026-05-31T22:00:00Z");
/// # Ok::<(), tower_tagging::analytics::QueryError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TimeRange {
    from: Timestamp,
    to: Timestamp,
    zone: TimeZone,
}

impl TimeRange {
    /// Creates a range in UTC.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if the range is empty, or ends before it begins.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, QueryError> {
        if to <= from {
            return Err(QueryError::invalid(format!("the range ends at {to}, which is not after its start at {from}")));
        }
        Ok(Self { from, to, zone: TimeZone::UTC })
    }

    /// Reads ISO 8601 times with an offset, and the name of an IANA time zone.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if a time or the zone cannot be read, or as [`new`](Self::new).
    pub fn parse(from: &str, to: &str, zone: &str) -> Result<Self, QueryError> {
        let time = |text: &str| {
            text.parse::<Timestamp>().map_err(|_| {
                QueryError::invalid(format!(
                    "invalid time {text:?}: expected ISO 8601 with an offset, such as 2026-06-01T00:00:00Z"
                ))
            })
        };
        Self::new(time(from)?, time(to)?)?.in_zone(zone)
    }

    /// Sets the IANA time zone, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if there is no such zone.
    pub fn in_zone(mut self, name: &str) -> Result<Self, QueryError> {
        self.zone = zone(name)?;
        Ok(self)
    }

    /// Sets the time zone.
    #[must_use]
    pub fn with_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// Checks the name of a time zone.
    pub(crate) fn check_zone(name: &str) -> Result<(), QueryError> {
        zone(name).map(drop)
    }

    /// Returns the first instant.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Returns the instant after the last one.
    pub fn to(&self) -> Timestamp {
        self.to
    }

    /// Returns the zone of calendar days.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Returns the range with other ends and the same zone.
    pub(crate) fn cut(&self, from: Timestamp, to: Timestamp) -> Self {
        Self { from, to, zone: self.zone.clone() }
    }

    /// Returns the range of the same length directly before this one.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if it would begin before the year -9999.
    pub fn previous(&self) -> Result<Self, QueryError> {
        let length = self.to.duration_since(self.from);
        let from = self.from.checked_sub(length).map_err(|error| QueryError::invalid(error.to_string()))?;
        Ok(self.cut(from, self.from))
    }

    /// Returns the width that [`Bucket::Auto`] stands for.
    pub fn auto_bucket(&self) -> Bucket {
        match self.to.duration_since(self.from).as_secs() {
            ..7_201 => Bucket::Minute,
            7_201..86_401 => Bucket::QuarterHour,
            86_401..345_601 => Bucket::Hour,
            345_601..8_640_001 => Bucket::Day,
            8_640_001..63_072_001 => Bucket::Week,
            63_072_001.. => Bucket::Month,
        }
    }

    /// Returns the instants at which the points of a time series begin. The first one is the start of the range, also if
    /// that is within a day.
    ///
    /// # Errors
    /// Returns [`QueryError::Invalid`] if the series would have more than 2,000 points.
    pub fn buckets(&self, bucket: Bucket) -> Result<Vec<Timestamp>, QueryError> {
        let bucket = if bucket == Bucket::Auto { self.auto_bucket() } else { bucket };
        let mut starts = vec![self.from];
        let mut next = self.next_start(self.from, bucket)?;
        while next < self.to {
            if starts.len() >= MAX_BUCKETS {
                return Err(QueryError::invalid(format!(
                    "the range has more than {MAX_BUCKETS} buckets of a {bucket}: use a wider bucket or a shorter range"
                )));
            }
            starts.push(next);
            next = self.next_start(next, bucket)?;
        }
        Ok(starts)
    }

    /// Returns the first start of a bucket after a time.
    fn next_start(&self, after: Timestamp, bucket: Bucket) -> Result<Timestamp, QueryError> {
        let invalid = |error: jiff::Error| QueryError::invalid(error.to_string());
        // Fixed widths follow UTC, also through changes of the clock. Offsets are multiples of a quarter hour.
        let seconds = match bucket {
            Bucket::Minute => MINUTE,
            Bucket::QuarterHour => DAY / 96,
            Bucket::Hour => return self.next_hour(after).map_err(invalid),
            Bucket::Day | Bucket::Week | Bucket::Month | Bucket::Auto => {
                return self.next_day(self.zone.to_datetime(after).date(), bucket).map_err(invalid);
            }
        };
        let next = (after.as_second().div_euclid(seconds) + 1) * seconds;
        Timestamp::from_second(next).map_err(invalid)
    }

    /// Returns the next full hour on the clocks of the zone.
    fn next_hour(&self, after: Timestamp) -> Result<Timestamp, jiff::Error> {
        let offset = i64::from(self.zone.to_offset(after).seconds());
        Timestamp::from_second(((after.as_second() + offset).div_euclid(HOUR) + 1) * HOUR - offset)
    }

    fn next_day(&self, date: Date, bucket: Bucket) -> Result<Timestamp, jiff::Error> {
        let next = match bucket {
            Bucket::Week => {
                let days = i64::from(date.weekday().until(Weekday::Monday));
                date.checked_add(Span::new().days(if days == 0 { 7 } else { days }))?
            }
            Bucket::Month => date.first_of_month().checked_add(Span::new().months(1))?,
            _ => date.checked_add(Span::new().days(1))?,
        };
        // Where the clock skips midnight, the day begins after the gap.
        self.zone.to_timestamp(next.at(0, 0, 0, 0))
    }
}

fn zone(name: &str) -> Result<TimeZone, QueryError> {
    TimeZone::get(name).map_err(|_| {
        QueryError::invalid(format!("unknown time zone {name:?}: expected an IANA name, such as Europe/Berlin"))
    })
}
