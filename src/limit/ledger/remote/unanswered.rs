use std::{fmt, time::Duration};

/// The reason why a call was not sent, or its answer is unknown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unanswered {
    TimedOut(Duration),
    /// Other calls failed just before.
    CircuitOpen,
    QueueFull,
    /// The thread of the ledger ended.
    Ended,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(after) => write!(f, "no answer within {after:?}"),
            Self::CircuitOpen => f.write_str("the last call failed, and the next attempt is due shortly"),
            Self::QueueFull => f.write_str("too many calls are waiting"),
            Self::Ended => f.write_str("the thread of the ledger has ended"),
        }
    }
}

impl std::error::Error for Unanswered {}
