use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The reason why the ledger of a rule could not be compared with the stored requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UncheckedReason {
    /// The store keeps rows for a shorter time than the window.
    Retention {
        /// The age at which rows are deleted.
        kept: Duration,
        /// The longest time that the window covers.
        window: Duration,
    },
    /// Rows of the current window were deleted.
    RowsDeleted {
        /// The time from which the store has all rows.
        from: SystemTime,
    },
    /// Events wait for longer than the ledger remembers settlements.
    Undelivered {
        /// The age of the oldest event that was not delivered.
        age: Duration,
    },
    /// The rule has more groups in its window than a check compares.
    TooManyGroups,
}

impl fmt::Display for UncheckedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retention { kept, window } => {
                write!(f, "rows are kept for {}, and the window covers up to {}", shown(*kept), shown(*window))
            }
            Self::RowsDeleted { from } => {
                write!(f, "rows before {} were deleted", humantime::format_rfc3339_seconds(*from))
            }
            Self::Undelivered { age } => write!(f, "events have been waiting for delivery for {}", shown(*age)),
            Self::TooManyGroups => f.write_str("the window has too many groups"),
        }
    }
}

/// Returns days and hours, rounded up.
fn shown(time: Duration) -> String {
    let hours = time.as_secs().div_ceil(60 * 60);
    match (hours / 24, hours % 24) {
        (0, hours) => format!("{hours}h"),
        (days, 0) => format!("{days}d"),
        (days, hours) => format!("{days}d {hours}h"),
    }
}
