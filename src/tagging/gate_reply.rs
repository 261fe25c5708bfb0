use std::{fmt, future::Future, pin::Pin};

use super::passage::Passage;

/// The decision of a [`Gate`](super::Gate).
#[non_exhaustive]
pub enum GateReply {
    /// The decision.
    Now(Passage),
    /// The decision comes later. If the client disconnects, the future is dropped.
    Later(Pin<Box<dyn Future<Output = Passage> + Send>>),
}

impl fmt::Debug for GateReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(passage) => f.debug_tuple("Now").field(passage).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
