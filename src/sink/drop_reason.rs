use std::fmt;

/// The reason an event was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The queue was full.
    QueueFull,
    /// The sink was shut down, or the receiver was gone.
    Closed,
    /// The writer returned a final error, or retries ran out of time.
    WriteFailed,
    /// The sink or its writer panicked.
    Panicked,
    /// The writer or its destination can never store this event.
    Rejected,
    /// Memory was full, and the spool had reached its size limit.
    SpoolFull,
    /// Memory was full and the spool could not write, or a spooled event could not be read back.
    SpoolFailed,
}

impl DropReason {
    /// All reasons.
    pub const ALL: &'static [Self] = &[
        Self::QueueFull,
        Self::Closed,
        Self::WriteFailed,
        Self::Panicked,
        Self::Rejected,
        Self::SpoolFull,
        Self::SpoolFailed,
    ];

    /// Returns the reason in snake case, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Closed => "closed",
            Self::WriteFailed => "write_failed",
            Self::Panicked => "panicked",
            Self::Rejected => "rejected",
            Self::SpoolFull => "spool_full",
            Self::SpoolFailed => "spool_failed",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
