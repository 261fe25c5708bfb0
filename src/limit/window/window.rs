use std::{fmt, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use crate::ConfigError;

use super::{boundaries::Calendar, calendar_unit::CalendarUnit, period::Period};

/// How long slots are kept after they are last read, for late settlements and checks.
const KEPT: i64 = 2 * DAY;
const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// The number of slots of a rolling window, without the current one.
const SLOTS: i64 = 30;
/// The limits of the length of a rolling window, in seconds.
const MIN_ROLLING: u64 = 60;
const MAX_ROLLING: u64 = 3 * 366 * 24 * 60 * 60;

const EXPECTED: &str =
    "expected hour, day, week, month, quarter, year, or a rolling time of whole seconds, such as \"30d rolling\"";

/// The time that a budget covers.
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::limit::Window;
///
/// let month = Window::month("Europe/Berlin")?;
/// let year = Window::year("Europe/London")?.fiscal_start(4, 6)?;
/// let rolling = Window::rolling(Duration::from_secs(30 * 24 * 60 * 60))?;
/// assert_eq!(rolling, Window::parse("30d rolling", "UTC", None)?);
/// assert_eq!(year.to_string(), "year Europe/London 04-06");
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
///
/// # Clock changes
///
/// Windows start and end by the clocks of their zone. A day is 23 or 25 hours long when the clock changes, and a day without
/// midnight starts at its first instant. Each instant is in exactly one window.
///
/// # Rolling windows
///
/// A rolling window never counts too little, and counts at most a thirtieth of its length too much. It is divided into 30
/// slots, which are aligned to 1970: slots of one day for a window of 30 days. The sum covers the 30 slots before the current
/// one, and the current one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Window {
    /// A calendar unit in a time zone.
    #[non_exhaustive]
    Calendar {
        /// The unit.
        unit: CalendarUnit,
        /// The time zone.
        zone: TimeZone,
        /// The month and day on which a fiscal year starts. Quarters and months are counted from it. The month is the first
        /// one with the same effect.
        fiscal_start: (i8, i8),
    },
    /// The time before now, of this length in whole seconds.
    #[non_exhaustive]
    Rolling(Duration),
    /// Periods of this many days of 24 hours, counted from an anchor.
    #[non_exhaustive]
    Days {
        /// The number of days.
        days: u16,
        /// The start of one of the periods, in whole microseconds.
        anchor: Timestamp,
    },
}

impl Window {
    /// Creates a window of one hour in an IANA time zone, such as `Europe/Berlin`.
    ///
    /// # Errors
    ///
    /// Returns an error if the time zone is unknown.
    pub fn hour(zone: &str) -> Result<Self, ConfigError> {
        Self::calendar(CalendarUnit::Hour, zone)
    }

    /// Creates a window of one day.
    ///
    /// # Errors
    ///
    /// As [`hour`](Self::hour).
    pub fn day(zone: &str) -> Result<Self, ConfigError> {
        Self::calendar(CalendarUnit::Day, zone)
    }

    /// Creates a window of one week, which starts on Monday.
    ///
    /// # Errors
    ///
    /// As [`hour`](Self::hour).
    pub fn week(zone: &str) -> Result<Self, ConfigError> {
        Self::calendar(CalendarUnit::Week, zone)
    }

    /// Creates a window of one month.
    ///
    /// # Errors
    ///
    /// As [`hour`](Self::hour).
    pub fn month(zone: &str) -> Result<Self, ConfigError> {
        Self::calendar(CalendarUnit::Month, zone)
    }

    /// Creates a window of three months, from January 1.
    ///
    /// # Errors
    ///
    /// As [`hour`](Self::hour).
    pub fn quarter(zone: &str) -> Result<Self, ConfigError> {
        Self::calendar(CalendarUnit::Quarter, zone)
    }

    /// Creates a window of one year, from January 1.
    ///
    /// # Errors
    ///
    /// As [`hour`](Self::hour).
    pub fn year(zone: &str) -> Result<Self, ConfigError> {
        Self::calendar(CalendarUnit::Year, zone)
    }

    /// Creates a window of a calendar unit in an IANA time zone.
    ///
    /// # Errors
    ///
    /// As [`hour`](Self::hour).
    pub fn calendar(unit: CalendarUnit, zone: &str) -> Result<Self, ConfigError> {
        Ok(Self::Calendar { unit, zone: parse_zone(zone)?, fiscal_start: (1, 1) })
    }

    /// Creates a rolling window.
    ///
    /// # Errors
    ///
    /// Returns an error if the length is not a whole number of seconds, shorter than one minute, or longer than three years.
    pub fn rolling(length: Duration) -> Result<Self, ConfigError> {
        if length.subsec_nanos() != 0 || !(MIN_ROLLING..=MAX_ROLLING).contains(&length.as_secs()) {
            return Err(ConfigError::new(
                "invalid rolling window: expected a length of whole seconds from one minute to three years",
            ));
        }
        Ok(Self::Rolling(length))
    }

    /// Creates periods of this many days of 24 hours. One of them starts at the anchor.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of days is zero.
    pub fn days(days: u16, anchor: Timestamp) -> Result<Self, ConfigError> {
        if days == 0 {
            return Err(ConfigError::new("invalid number of days 0: expected at least 1"));
        }
        let anchor = Timestamp::from_microsecond(anchor.as_microsecond()).unwrap_or(anchor);
        Ok(Self::Days { days, anchor })
    }

    /// Starts the years on a month and day. Quarters and months are counted from there: with April 6, months start on the 6th.
    ///
    /// # Errors
    ///
    /// Returns an error if the window is not a month, quarter, or year, or if the day does not exist in each of them: February
    /// 29 for years, and days after the 28th for months and quarters.
    pub fn fiscal_start(self, month: i8, day: i8) -> Result<Self, ConfigError> {
        let error = |message: &str| Err(ConfigError::new(format!("invalid fiscal start: {message}")));
        let Self::Calendar { unit, zone, .. } = self else {
            return error("only windows of a month, quarter, or year have one");
        };
        let Some(length) = unit.months() else {
            return error("only windows of a month, quarter, or year have one");
        };
        // Neither is a leap year.
        if jiff::civil::Date::new(2_001, month, day).is_err() {
            return error("expected a month and a day that exist in every year, such as \"04-01\"");
        }
        if unit != CalendarUnit::Year && day > 28 {
            return error("expected a day up to 28 for months and quarters, because some months have no other");
        }
        // The first month with the same effect, so that equal windows have the same name.
        let month = i8::try_from((i32::from(month) - 1).rem_euclid(length) + 1).unwrap_or(month);
        Ok(Self::Calendar { unit, zone, fiscal_start: (month, day) })
    }

    /// Parses the text of a configuration file: `hour`, `day`, `week`, `month`, `quarter`, `year`, or a rolling time such as
    /// `30d rolling`, with an IANA time zone and a fiscal start of the form `MM-DD`.
    ///
    /// The zone has no effect on rolling windows.
    ///
    /// # Errors
    ///
    /// Returns an error if one of the texts is invalid, or as [`fiscal_start`](Self::fiscal_start).
    pub fn parse(text: &str, zone: &str, fiscal_start: Option<&str>) -> Result<Self, ConfigError> {
        let zone = parse_zone(zone)?;
        let window = match CalendarUnit::from_name(text.trim()) {
            Some(unit) => Self::Calendar { unit, zone, fiscal_start: (1, 1) },
            None => parse_rolling(text)?,
        };
        match fiscal_start {
            Some(start) => window.with_fiscal_start(start),
            None => Ok(window),
        }
    }

    /// Parses a fiscal start of the form `MM-DD`.
    pub(crate) fn with_fiscal_start(self, text: &str) -> Result<Self, ConfigError> {
        let (month, day) = parse_month_day(text)?;
        self.fiscal_start(month, day)
    }

    /// Returns the slots that the window covers at a time, in microseconds since 1970.
    pub(crate) fn period(&self, time: i64) -> Period {
        match self {
            Self::Calendar { unit, zone, fiscal_start } => {
                let calendar = Calendar { unit: *unit, zone, fiscal_start: *fiscal_start };
                let (slot, end) = calendar.around(time);
                Period { from: slot, slot, end, keep_until: end.saturating_add(KEPT) }
            }
            Self::Rolling(length) => {
                let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX).max(SLOTS);
                // Rounded up, so that the slots are never shorter than the window.
                let width = length / SLOTS + i64::from(length % SLOTS != 0);
                let slot = time.div_euclid(width).saturating_mul(width);
                let (from, end) = (slot.saturating_sub(SLOTS * width), slot.saturating_add(width));
                Period { from, slot, end, keep_until: end.saturating_add(SLOTS * width).saturating_add(KEPT) }
            }
            Self::Days { days, anchor } => {
                let (length, anchor) = (i64::from(*days).max(1) * DAY, anchor.as_microsecond());
                let slot = time.saturating_sub(anchor).div_euclid(length).saturating_mul(length).saturating_add(anchor);
                let end = slot.saturating_add(length);
                Period { from: slot, slot, end, keep_until: end.saturating_add(KEPT) }
            }
        }
    }

    /// Returns the longest time that is counted at once.
    pub(crate) fn longest(&self) -> Duration {
        let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        match self {
            Self::Calendar { unit, .. } => match unit {
                CalendarUnit::Hour => Duration::from_secs(60 * 60),
                CalendarUnit::Day => Duration::from_secs(25 * 60 * 60),
                CalendarUnit::Week => days(7) + Duration::from_secs(60 * 60),
                CalendarUnit::Month => days(31) + Duration::from_secs(60 * 60),
                CalendarUnit::Quarter => days(92) + Duration::from_secs(60 * 60),
                CalendarUnit::Year => days(366),
            },
            Self::Rolling(length) => length.saturating_add(*length / 30),
            Self::Days { days: count, .. } => days(u32::from(*count)),
        }
    }
}

fn parse_zone(name: &str) -> Result<TimeZone, ConfigError> {
    TimeZone::get(name).map_err(|_| {
        ConfigError::new(format!("unknown time zone {name:?}: expected an IANA name, such as \"Europe/Berlin\""))
    })
}

fn parse_rolling(text: &str) -> Result<Window, ConfigError> {
    let invalid = || ConfigError::new(format!("invalid window {text:?}: {EXPECTED}"));
    let length = text.trim().strip_suffix("rolling").ok_or_else(invalid)?;
    let length = length.strip_suffix(char::is_whitespace).ok_or_else(invalid)?;
    Window::rolling(humantime::parse_duration(length.trim()).map_err(|_| invalid())?)
}

/// Parses a month and a day, such as `04-01`.
fn parse_month_day(text: &str) -> Result<(i8, i8), ConfigError> {
    let number = |part: &str| part.parse().ok().filter(|_| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()));
    let parts = text.split_once('-').and_then(|(month, day)| Some((number(month)?, number(day)?)));
    parts.ok_or_else(|| {
        ConfigError::new(format!("invalid fiscal start {text:?}: expected a month and a day, such as \"04-01\""))
    })
}

impl fmt::Display for Window {
    /// Writes the canonical text, which is part of the series in the ledger: `month Europe/Berlin`, `year UTC 04-01`,
    /// `30d rolling`, or `30d from 2026-01-01T00:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calendar { unit, zone, fiscal_start: (month, day) } => {
                write!(f, "{unit} {}", zone.iana_name().unwrap_or("UTC"))?;
                if (*month, *day) == (1, 1) { Ok(()) } else { write!(f, " {month:02}-{day:02}") }
            }
            Self::Rolling(length) => {
                let seconds = length.as_secs();
                let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60)];
                let unit = units.into_iter().find(|(_, length)| seconds % length == 0);
                let (name, length) = unit.unwrap_or(("s", 1));
                write!(f, "{}{name} rolling", seconds / length)
            }
            Self::Days { days, anchor } => write!(f, "{days}d from {anchor}"),
        }
    }
}
