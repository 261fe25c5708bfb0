use std::{fmt, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use super::{calendar_unit::CalendarUnit, period::Period};

/// How long slots are kept after their end, for late settlements and checks.
const KEPT: i64 = 2 * 24 * 60 * 60 * 1_000_000;

/// The time that a budget covers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Window {
    /// A calendar unit in a time zone.
    Calendar {
        /// The unit.
        unit: CalendarUnit,
        /// The time zone.
        zone: TimeZone,
        /// The month and day on which a fiscal year starts. It shifts quarters and years.
        fiscal_start: (i8, i8),
    },
    /// The time before now, of this length.
    Rolling(Duration),
    /// Periods of this many days of 24 hours, counted from an anchor.
    Days {
        /// The number of days.
        days: u16,
        /// The start of the first period.
        anchor: Timestamp,
    },
}

impl Window {
    /// Returns the slots that the window covers at a time.
    pub(crate) fn period(&self, time: i64) -> Period {
        // Replaced by the calendar.
        let length = 30 * 24 * 60 * 60 * 1_000_000;
        let from = time.div_euclid(length) * length;
        Period { from, slot: from, end: from + length, keep_until: from + length + KEPT }
    }
}

impl fmt::Display for Window {
    /// Writes the canonical text, which is part of the series in the ledger.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("month")
    }
}
