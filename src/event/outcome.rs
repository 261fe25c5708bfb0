use std::fmt;

use serde::{Serialize, Serializer};

/// The way a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The whole response was sent: its body ended, or there was no body to send (HEAD, 204, 304).
    Completed,
    /// The request was dropped before its end: the client disconnected, a timeout fired, or a stream was reset.
    Cancelled,
    /// The service or the response body returned an error.
    Failed,
    /// The service or the response body panicked.
    Panicked,
    /// The connection switched to another protocol: 101, or 2xx to CONNECT. Recorded at the response head.
    Upgraded,
    /// A layer answered instead of the service; see [`Event::rejection`](super::Event::rejection).
    Rejected,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: &'static [Self] =
        &[Self::Completed, Self::Cancelled, Self::Failed, Self::Panicked, Self::Upgraded, Self::Rejected];

    /// Returns the lowercase name that a serialized event contains.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Upgraded => "upgraded",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
