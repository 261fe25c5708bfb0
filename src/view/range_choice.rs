use std::fmt;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::analytics::{QueryError, TimeRange, jiff};

/// The range that a page shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RangeChoice {
    LastHour,
    LastDay,
    /// Today and the six days before.
    LastWeek,
    /// Today and the 29 days before.
    #[default]
    LastMonth,
    /// Today and the 89 days before.
    LastQuarter,
    MonthToDate,
    PreviousMonth,
    /// Whole days, including the last one.
    Days(Date, Date),
    /// Instants, without the last one.
    Instants(Timestamp, Timestamp),
}

impl RangeChoice {
    /// The choices of the list, with their labels.
    pub(crate) const LISTED: [(Self, &'static str); 7] = [
        (Self::LastHour, "Last hour"),
        (Self::LastDay, "Last 24 hours"),
        (Self::LastWeek, "Last 7 days"),
        (Self::LastMonth, "Last 30 days"),
        (Self::LastQuarter, "Last 90 days"),
        (Self::MonthToDate, "Month to date"),
        (Self::PreviousMonth, "Last month"),
    ];

    /// Reads a choice: `7d`, `mtd`, `2026-06-01..2026-06-30`, or two instants.
    ///
    /// # Errors
    /// Returns an error that names the expected forms.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        if let Some((choice, _)) = Self::LISTED.into_iter().find(|(choice, _)| choice.to_string() == text) {
            return Ok(choice);
        }
        let ends = text.split_once("..");
        if let Some((from, to)) = ends.and_then(|(from, to)| Some((from.parse::<Date>().ok()?, to.parse().ok()?)))
            && !text.contains('T')
        {
            return Ok(Self::Days(from, to));
        }
        let instants = ends.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        instants.map(|(from, to)| Self::Instants(from, to)).ok_or_else(|| {
            QueryError::invalid(format!("invalid range {text:?}: expected 7d, mtd, or 2026-06-01..2026-06-30"))
        })
    }

    /// Returns the range at a time.
    ///
    /// # Errors
    /// Returns an error if the range is empty or too far away.
    pub(crate) fn at(&self, now: Timestamp, zone: &TimeZone) -> Result<TimeRange, QueryError> {
        let (from, to) = self.ends(now, zone).map_err(|error| QueryError::invalid(error.to_string()))?;
        Ok(TimeRange::new(from, to)?.with_zone(zone.clone()))
    }

    /// Returns the range that this one is compared with: as long, and directly before. Months are compared with months.
    ///
    /// # Errors
    /// Returns an error if that range is too far away.
    pub(crate) fn previous(&self, now: Timestamp, zone: &TimeZone) -> Result<TimeRange, QueryError> {
        let range = self.at(now, zone)?;
        let month_ago = |time: Timestamp| zone.to_timestamp(zone.to_datetime(time).checked_sub(1.month())?);
        let previous = match self {
            Self::MonthToDate => month_ago(range.from()).and_then(|from| Ok((from, month_ago(range.to())?))),
            Self::PreviousMonth => month_ago(range.from()).map(|from| (from, range.from())),
            Self::Days(from, to) if *from == from.first_of_month() && *to == from.last_of_month() => {
                month_ago(range.from()).map(|from| (from, range.from()))
            }
            _ => return range.previous(),
        };
        let (from, to) = previous.map_err(|error| QueryError::invalid(error.to_string()))?;
        Ok(TimeRange::new(from, to)?.with_zone(zone.clone()))
    }

    fn ends(&self, now: Timestamp, zone: &TimeZone) -> Result<(Timestamp, Timestamp), jiff::Error> {
        // The next minute may belong to another day than the current time.
        let today = zone.to_datetime(now).date();
        // Whole minutes, so that the pages of a minute ask the same.
        let now = Timestamp::from_second((now.as_second().div_euclid(60) + 1) * 60)?;
        let start = |date: Date| zone.to_timestamp(date.at(0, 0, 0, 0));
        let days_ago = |days: i32| start(today.checked_sub(days.days())?);
        Ok(match self {
            Self::LastHour => (now - 1.hour(), now),
            Self::LastDay => (now - 24.hours(), now),
            Self::LastWeek => (days_ago(6)?, now),
            Self::LastMonth => (days_ago(29)?, now),
            Self::LastQuarter => (days_ago(89)?, now),
            Self::MonthToDate => (start(today.first_of_month())?, now),
            Self::PreviousMonth => {
                let first = today.first_of_month();
                (start(first.checked_sub(1.month())?)?, start(first)?)
            }
            Self::Days(from, to) => (start(*from)?, start(to.checked_add(1.day())?)?),
            Self::Instants(from, to) => (*from, *to),
        })
    }
}

impl fmt::Display for RangeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LastHour => "1h",
            Self::LastDay => "24h",
            Self::LastWeek => "7d",
            Self::LastMonth => "30d",
            Self::LastQuarter => "90d",
            Self::MonthToDate => "mtd",
            Self::PreviousMonth => "last-month",
            Self::Days(from, to) => return write!(f, "{from}..{to}"),
            Self::Instants(from, to) => return write!(f, "{from}..{to}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};

    use crate::analytics::jiff;

    use super::RangeChoice;

    fn days(range: &str, now: &str, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let now: Timestamp = now.parse().unwrap();
        let range = RangeChoice::parse(range).unwrap().at(now, &zone).unwrap();
        [range.from(), range.to()].map(|time| zone.to_datetime(time).strftime("%F %R").to_string()).join(" to ")
    }

    #[test]
    fn the_last_minute_of_a_day_belongs_to_it() {
        for now in ["2026-06-30T23:58:59.999Z", "2026-06-30T23:59:00Z", "2026-06-30T23:59:59.999Z"] {
            let end = if now.contains("23:58") { "2026-06-30 23:59" } else { "2026-07-01 00:00" };
            for (range, start) in
                [("mtd", "2026-06-01"), ("7d", "2026-06-24"), ("30d", "2026-06-01"), ("90d", "2026-04-02")]
            {
                assert_eq!(days(range, now, "UTC"), format!("{start} 00:00 to {end}"), "{range} {now}");
            }
            assert_eq!(days("last-month", now, "UTC"), "2026-05-01 00:00 to 2026-06-01 00:00", "{now}");
        }
        assert_eq!(days("mtd", "2026-07-01T00:00:00Z", "UTC"), "2026-07-01 00:00 to 2026-07-01 00:01");
        assert_eq!(days("mtd", "2026-06-30T21:59:30Z", "Europe/Berlin"), "2026-06-01 00:00 to 2026-07-01 00:00");
        assert_eq!(days("last-month", "2026-06-30T22:00:00Z", "Europe/Berlin"), "2026-06-01 00:00 to 2026-07-01 00:00");
    }
}
