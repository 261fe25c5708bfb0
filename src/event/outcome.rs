use std::fmt;

use serde::{Serialize, Serializer};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The response went out whole: its body ended, or there was none to send (HEAD, 204, 304).
    Completed,
    /// The request was dropped before that: the client went away, a timeout fired, a stream was reset.
    Cancelled,
    /// The service or the response body returned an error.
    Failed,
    /// The service or the response body panicked.
    Panicked,
    /// The connection became another protocol: 101, or 2xx to CONNECT. Recorded at the response head.
    Upgraded,
    /// A strict mode of ours answered instead of the service.
    Rejected,
}

impl Outcome {
    /// Every outcome there is.
    pub const ALL: &'static [Self] =
        &[Self::Completed, Self::Cancelled, Self::Failed, Self::Panicked, Self::Upgraded, Self::Rejected];

    /// The name as it stands in a serialized event, in lower case.
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
