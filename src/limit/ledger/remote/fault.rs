use std::error::Error;

/// The reason why a server did not do what it was asked.
#[derive(Debug)]
pub(in super::super) enum Fault {
    /// The connection is lost, or the server is not ready. Another connection may help.
    Lost(Box<dyn Error + Send + Sync>),
    /// The server refuses what it was asked. Repeating it does not help.
    Refused(Box<dyn Error + Send + Sync>),
}

impl Fault {
    pub(super) fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        match self {
            Self::Lost(cause) | Self::Refused(cause) => cause,
        }
    }
}
