use std::time::Duration;

/// The ages at which rows and sums are deleted. By default, nothing is.
///
/// Stores recognize an event that is delivered twice by its row. A row should therefore be kept for longer than the longest
/// delay of a delivery, such as that of a spool during an outage: an event that arrives again after its row was deleted is
/// counted again. A late event that arrives for the first time is counted, also if its row is deleted soon.
///
/// Sums of fine buckets are deleted only once coarser ones hold them, so totals stay the same. Blocks of 64 days are kept
/// forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// The age at which rows are deleted.
    pub rows: Option<Duration>,
    /// The age at which sums of quarter hours and hours are deleted.
    pub hours: Option<Duration>,
    /// The age at which sums of days and of eight days are deleted.
    pub days: Option<Duration>,
}

impl Retention {
    /// Keeps everything.
    pub fn forever() -> Self {
        Self::default()
    }

    /// Sets the age at which rows are deleted.
    #[must_use]
    pub fn rows(mut self, age: Duration) -> Self {
        self.rows = Some(age);
        self
    }

    /// Sets the age at which sums of quarter hours and hours are deleted.
    #[must_use]
    pub fn hours(mut self, age: Duration) -> Self {
        self.hours = Some(age);
        self
    }

    /// Sets the age at which sums of days and of eight days are deleted.
    #[must_use]
    pub fn days(mut self, age: Duration) -> Self {
        self.days = Some(age);
        self
    }
}
