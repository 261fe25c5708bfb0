use std::fmt;

/// The state of a sink's delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SinkHealth {
    /// The sink delivers its events.
    #[default]
    Healthy,
    /// Several writes in a row failed. The sink keeps retrying.
    Unavailable,
    /// The spool cannot be written or read. Events that it does not accept are held in memory only.
    ///
    /// The [`last_error`](super::SinkReport::last_error) has the cause. The sink keeps trying.
    SpoolFailed,
    /// The writer has been busy with one batch for [too long](super::QueuedBuilder::stalled_after).
    Stalled,
    /// The sink does not accept events anymore.
    Stopped,
}

impl SinkHealth {
    /// Returns the name in lower case, for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unavailable => "unavailable",
            Self::SpoolFailed => "spool_failed",
            Self::Stalled => "stalled",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for SinkHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
