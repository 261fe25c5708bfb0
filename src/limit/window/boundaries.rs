//! The instants at which the units of a calendar start.

use jiff::{
    Span, Timestamp,
    civil::{Date, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};

use super::calendar_unit::CalendarUnit;

const HOUR: i64 = 60 * 60 * 1_000_000;
/// The first times of the years 1 and 9990, in microseconds since 1970. Other times count as one of them, so that no
/// arithmetic with dates fails.
const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_086_768_000_000_000;

/// A unit of the calendar in a time zone.
pub(super) struct Calendar<'z> {
    pub(super) unit: CalendarUnit,
    pub(super) zone: &'z TimeZone,
    /// The month and day on which a fiscal year starts.
    pub(super) fiscal_start: (i8, i8),
}

impl Calendar<'_> {
    /// Returns the start and the end of the unit that contains a time, in microseconds since 1970.
    pub(super) fn around(&self, time: i64) -> (i64, i64) {
        let clamped = time.clamp(FIRST, LAST);
        let found = match self.unit {
            CalendarUnit::Hour => self.hour(clamped),
            _ => self.dates(clamped),
        };
        // Only outside of the years 1 to 9990.
        found.unwrap_or((FIRST, LAST))
    }

    /// Returns the full hours around a time, by the clocks of the zone. If the clock changes between them by a part of an
    /// hour, the change is the start or the end.
    fn hour(&self, time: i64) -> Result<(i64, i64), jiff::Error> {
        let now = Timestamp::from_microsecond(time)?;
        let offset = self.zone.to_offset(now);
        let shift = i64::from(offset.seconds()) * 1_000_000;
        let start = (time + shift).div_euclid(HOUR) * HOUR - shift;
        let end = start + HOUR;
        let has_offset = |at: i64| Timestamp::from_microsecond(at).is_ok_and(|at| self.zone.to_offset(at) == offset);
        let start = if has_offset(start) { start } else { self.last_change(time).unwrap_or(start).max(start) };
        let end = if has_offset(end - 1) { end } else { self.next_change(time).unwrap_or(end).min(end) };
        Ok((start, end))
    }

    /// Returns the last change of the clock up to a time.
    fn last_change(&self, time: i64) -> Option<i64> {
        let after = Timestamp::from_microsecond(time + 1).ok()?;
        self.zone.preceding(after).next().map(|change| change.timestamp().as_microsecond())
    }

    /// Returns the first change of the clock after a time.
    fn next_change(&self, time: i64) -> Option<i64> {
        let now = Timestamp::from_microsecond(time).ok()?;
        self.zone.following(now).next().map(|change| change.timestamp().as_microsecond())
    }

    /// Returns the start and the end of a unit that consists of days.
    ///
    /// The clock may go back over midnight, so that a date occurs twice. The second part then belongs to the next day.
    fn dates(&self, time: i64) -> Result<(i64, i64), jiff::Error> {
        let now = Timestamp::from_microsecond(time)?;
        let mut first = self.first_date(self.zone.to_datetime(now).date())?;
        let mut start = self.first_instant(first)?;
        while time < start {
            first = self.first_date(first.yesterday()?)?;
            start = self.first_instant(first)?;
        }
        loop {
            first = self.next_date(first)?;
            let end = self.first_instant(first)?;
            if time < end {
                return Ok((start, end));
            }
            start = end;
        }
    }

    /// Returns the first date of the unit that contains a date.
    fn first_date(&self, date: Date) -> Result<Date, jiff::Error> {
        let Some(length) = self.unit.months() else {
            let days = match self.unit {
                CalendarUnit::Week => i64::from(date.weekday().since(Weekday::Monday)),
                _ => 0,
            };
            return date.checked_sub(Span::new().days(days));
        };
        let (month, day) = self.fiscal_start;
        let begun = i32::from(date.day() >= day);
        let months = i32::from(date.year()) * 12 + i32::from(date.month()) - 2 + begun;
        let shift = i32::from(month) - 1;
        date_of((months - shift).div_euclid(length) * length + shift, day)
    }

    /// Returns the first date of the next unit.
    fn next_date(&self, first: Date) -> Result<Date, jiff::Error> {
        match (self.unit.months(), self.unit) {
            (Some(length), _) => {
                let months = i32::from(first.year()) * 12 + i32::from(first.month()) - 1 + length;
                date_of(months, first.day())
            }
            (None, CalendarUnit::Week) => first.checked_add(Span::new().days(7)),
            (None, _) => first.tomorrow(),
        }
    }

    /// Returns the first instant of a day, or of the next one if the zone skips the day.
    fn first_instant(&self, date: Date) -> Result<i64, jiff::Error> {
        let midnight = self.zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
        let is_skipped = matches!(midnight.offset(), AmbiguousOffset::Gap { .. });
        // The earlier one, if midnight occurs twice.
        let instant = midnight.compatible()?.as_microsecond();
        Ok(if is_skipped { self.last_change(instant).unwrap_or(instant) } else { instant })
    }
}

/// Returns the date of a day in a month, which is counted from January of the year 0.
fn date_of(months: i32, day: i8) -> Result<Date, jiff::Error> {
    let year = i16::try_from(months.div_euclid(12)).unwrap_or(i16::MAX);
    let month = i8::try_from(months.rem_euclid(12) + 1).unwrap_or(1);
    Date::new(year, month, day)
}
