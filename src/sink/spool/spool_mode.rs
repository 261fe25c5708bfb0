use std::fmt;

/// The events that a [`Spool`](super::Spool) stores.
///
/// See [When an event is written](super#when-an-event-is-written).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolMode {
    /// Stores events when memory is full or while the destination is unavailable.
    #[default]
    OnOverflow,
    /// Stores every event before the client receives the end of the response.
    ///
    /// If the spool [cannot be written](super#when-the-spool-cannot-be-written), the response is sent nevertheless, and the
    /// event is held in memory only.
    Always,
}

impl fmt::Display for SpoolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnOverflow => "on overflow",
            Self::Always => "always",
        })
    }
}
