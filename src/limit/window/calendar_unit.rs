use std::fmt;

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CalendarUnit {
    /// From the full hour. A change of the clock within an hour ends it.
    Hour,
    /// From midnight, or from the first instant of a day without midnight.
    Day,
    /// From Monday.
    Week,
    /// One month, from the day of the fiscal start, which is usually the first.
    Month,
    /// Three months, from the start of the fiscal year.
    Quarter,
    /// Twelve months, from the start of the fiscal year.
    Year,
}

impl CalendarUnit {
    /// All units, from the shortest to the longest.
    pub const ALL: &[Self] = &[Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// Returns the name in configuration files and series, such as `month`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// Returns the unit with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|unit| unit.as_str() == name)
    }

    /// Returns the length of units that consist of months.
    pub(super) fn months(self) -> Option<i32> {
        match self {
            Self::Hour | Self::Day | Self::Week => None,
            Self::Month => Some(1),
            Self::Quarter => Some(3),
            Self::Year => Some(12),
        }
    }
}

impl fmt::Display for CalendarUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
