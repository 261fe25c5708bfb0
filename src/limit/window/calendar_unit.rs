/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CalendarUnit {
    /// From the full hour.
    Hour,
    /// From midnight, or from the first instant of a day without midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first of the month.
    Month,
    /// Three months, from the start of the fiscal year.
    Quarter,
    /// Twelve months, from the start of the fiscal year.
    Year,
}
