use crate::{
    analytics::jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone},
    view::RangeChoice,
};

use super::tool_error::ToolError;

/// The range without arguments.
const DEFAULT: RangeChoice = RangeChoice::LastMonth;
/// The longest range in words, in days.
const MAX_DAYS: i64 = 3_660;

/// Reads the range of a call: a word, or its ends.
///
/// # Errors
/// Returns an error that names the expected forms.
pub(crate) fn read_range(
    min: Option<&str>,
    max: Option<&str>,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<RangeChoice, ToolError> {
    let max = max.map(str::trim).filter(|text| !text.is_empty() && *text != "now");
    let Some(min) = min.map(str::trim).filter(|text| !text.is_empty()) else {
        return match max {
            None => Ok(DEFAULT),
            Some(_) => Err(ToolError::invalid("time_of_generation_max needs time_of_generation_min as well")),
        };
    };
    let today = zone.to_datetime(now).date();
    if let Some(choice) = word(min, now, today) {
        return match max {
            None => Ok(choice),
            Some(_) => Err(ToolError::invalid(format!(
                "time_of_generation_min {min:?} is a whole range: leave time_of_generation_max out"
            ))),
        };
    }
    match (
        End::read("time_of_generation_min", min)?,
        max.map(|max| End::read("time_of_generation_max", max)).transpose()?,
    ) {
        (End::Day(from), Some(End::Day(to))) => Ok(RangeChoice::Days(from, to)),
        (from, to) => {
            let from = from.instant(zone, false)?;
            let to = to.map(|to| to.instant(zone, true)).transpose()?.unwrap_or(now);
            Ok(RangeChoice::Instants(from, to))
        }
    }
}

/// One end of a range.
enum End {
    Day(Date),
    Instant(Timestamp),
}

impl End {
    fn read(name: &str, text: &str) -> Result<Self, ToolError> {
        if let Ok(instant) = text.parse() {
            return Ok(Self::Instant(instant));
        }
        let day = text.parse().ok().filter(|_| !text.contains(['T', 't', ':']));
        day.map(Self::Day).ok_or_else(|| {
            ToolError::invalid(format!(
                "{name} {text:?}: expected a range such as last_7d or month_to_date, an instant such as \
                 2026-06-01T00:00:00Z, or a day such as 2026-06-01"
            ))
        })
    }

    /// Returns the start of a day, or its end.
    fn instant(self, zone: &TimeZone, is_end: bool) -> Result<Timestamp, ToolError> {
        match self {
            Self::Instant(instant) => Ok(instant),
            Self::Day(day) => {
                let start = |day: Date| zone.to_timestamp(day.at(0, 0, 0, 0));
                let instant = if is_end { day.checked_add(1.day()).and_then(start) } else { start(day) };
                instant.map_err(|error| ToolError::invalid(error.to_string()))
            }
        }
    }
}

/// Returns the range with a name.
///
/// A number makes a range that ends now, such as `last_7d`. A unit alone is a whole one of the calendar: `last_week` begins on
/// Monday, as in ISO 8601. Only `last_hour` is the last 60 minutes.
fn word(text: &str, now: Timestamp, today: Date) -> Option<RangeChoice> {
    let days_before = |days: i64| today.checked_sub(days.days()).ok();
    Some(match text {
        "last_1h" | "last_hour" => RangeChoice::LastHour,
        "last_24h" => RangeChoice::LastDay,
        "last_7d" => RangeChoice::LastWeek,
        "last_30d" => RangeChoice::LastMonth,
        "last_90d" => RangeChoice::LastQuarter,
        "month_to_date" | "this_month" => RangeChoice::MonthToDate,
        "last_month" | "previous_month" => RangeChoice::PreviousMonth,
        "today" => RangeChoice::Days(today, today),
        "yesterday" | "last_day" | "previous_day" => RangeChoice::Days(days_before(1)?, days_before(1)?),
        "last_week" | "previous_week" => {
            let sunday = days_before(i64::from(today.weekday().to_monday_zero_offset()) + 1)?;
            RangeChoice::Days(sunday.checked_sub(6.days()).ok()?, sunday)
        }
        other => match other.strip_prefix("last_").and_then(|rest| rest.split_at_checked(rest.len().checked_sub(1)?)) {
            Some((count, "d")) => RangeChoice::Days(days_before(number(count, MAX_DAYS)? - 1)?, today),
            Some((count, "h")) => {
                let from = now.checked_sub(SignedDuration::from_hours(number(count, MAX_DAYS * 24)?)).ok()?;
                RangeChoice::Instants(from, now)
            }
            // The words of the dashboard's URLs, such as `7d`.
            _ => RangeChoice::parse(other).ok()?,
        },
    })
}

fn number(text: &str, max: i64) -> Option<i64> {
    text.parse().ok().filter(|number| (1..=max).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(min: &str, max: &str) -> Result<String, String> {
        read_at("2026-06-15T10:30:00Z", min, max)
    }

    fn read_at(now: &str, min: &str, max: &str) -> Result<String, String> {
        let now = now.parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let text = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let (min, max) = (min.to_owned().leak(), max.to_owned().leak());
        let choice = read_range(text(min), text(max), now, &zone).map_err(|error| error.to_string())?;
        let range = choice.at(now, &zone).map_err(|error| error.to_string())?;
        Ok(format!("{choice} {} {}", range.from(), range.to()))
    }

    #[test]
    fn reads_words_instants_and_days() {
        for (min, max, expected) in [
            ("", "", "30d 2026-05-16T22:00:00Z 2026-06-15T10:31:00Z"),
            ("last_7d", "", "7d 2026-06-08T22:00:00Z 2026-06-15T10:31:00Z"),
            ("last_7d", "now", "7d 2026-06-08T22:00:00Z 2026-06-15T10:31:00Z"),
            ("mtd", "", "mtd 2026-05-31T22:00:00Z 2026-06-15T10:31:00Z"),
            ("last_14d", "", "2026-06-02..2026-06-15 2026-06-01T22:00:00Z 2026-06-15T22:00:00Z"),
            ("last_6h", "", "2026-06-15T04:30:00Z..2026-06-15T10:30:00Z 2026-06-15T04:30:00Z 2026-06-15T10:30:00Z"),
            ("2026-06-01", "2026-06-02", "2026-06-01..2026-06-02 2026-05-31T22:00:00Z 2026-06-02T22:00:00Z"),
            (
                "2026-06-01T00:00:00+02:00",
                "2026-06-02",
                "2026-05-31T22:00:00Z..2026-06-02T22:00:00Z 2026-05-31T22:00:00Z 2026-06-02T22:00:00Z",
            ),
        ] {
            assert_eq!(read(min, max).unwrap(), expected, "{min} {max}");
        }
    }

    #[test]
    fn days_and_weeks_by_name_are_whole_ones_of_the_calendar_in_the_zone() {
        for (now, word, expected) in [
            // A Monday at 12:30 in Berlin.
            ("2026-06-15T10:30:00Z", "last_week", "2026-06-08..2026-06-14 2026-06-07T22:00:00Z 2026-06-14T22:00:00Z"),
            (
                "2026-06-15T10:30:00Z",
                "previous_week",
                "2026-06-08..2026-06-14 2026-06-07T22:00:00Z 2026-06-14T22:00:00Z",
            ),
            ("2026-06-15T10:30:00Z", "last_day", "2026-06-14..2026-06-14 2026-06-13T22:00:00Z 2026-06-14T22:00:00Z"),
            ("2026-06-15T10:30:00Z", "yesterday", "2026-06-14..2026-06-14 2026-06-13T22:00:00Z 2026-06-14T22:00:00Z"),
            ("2026-06-15T10:30:00Z", "last_month", "last-month 2026-04-30T22:00:00Z 2026-05-31T22:00:00Z"),
            // Sunday in UTC, and Monday in Berlin.
            ("2026-06-14T22:30:00Z", "last_week", "2026-06-08..2026-06-14 2026-06-07T22:00:00Z 2026-06-14T22:00:00Z"),
            // A Sunday.
            ("2026-06-14T21:30:00Z", "last_week", "2026-06-01..2026-06-07 2026-05-31T22:00:00Z 2026-06-07T22:00:00Z"),
            // A week across years, and one with 167 hours.
            ("2027-01-06T12:00:00Z", "last_week", "2026-12-28..2027-01-03 2026-12-27T23:00:00Z 2027-01-03T23:00:00Z"),
            ("2026-04-01T12:00:00Z", "last_week", "2026-03-23..2026-03-29 2026-03-22T23:00:00Z 2026-03-29T22:00:00Z"),
        ] {
            assert_eq!(read_at(now, word, "").unwrap(), expected, "{now} {word}");
        }
    }

    #[test]
    fn rejects_other_texts() {
        for (min, max) in [
            ("lately", ""),
            ("last_0d", ""),
            ("last_999999999999999999d", ""),
            ("last_", ""),
            ("last_é", ""),
            ("last_7d", "2026-06-01"),
            ("", "2026-06-01"),
            ("2026-06-02T00:00:00Z", "2026-06-01T00:00:00Z"),
            ("2026-06-02T00:00:00", ""),
        ] {
            assert!(read(min, max).is_err(), "{min} {max}");
        }
    }
}
