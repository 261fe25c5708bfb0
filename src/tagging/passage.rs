use std::fmt;

use http::HeaderMap;

use crate::{metadata::Diagnostic, request::Rejection};

use super::response_meter::ResponseMeter;

/// The way of a request through a [`Gate`](super::Gate).
#[non_exhaustive]
pub enum Passage {
    /// The service is called.
    Admit {
        /// Headers that are added to the response, unless the service sets them.
        headers: HeaderMap,
        /// Diagnostics that are added to the event.
        notes: Vec<Diagnostic<'static>>,
        /// Diagnostics that are added to the event if it is an LLM call whose usage and cost remain unknown, unless the provider
        /// refused it.
        notes_without_usage: Vec<Diagnostic<'static>>,
        /// Follows the response, and may cut it off.
        meter: Option<Box<dyn ResponseMeter>>,
    },
    /// The request is answered without calling the service.
    Reject(Box<Rejection>),
}

impl Passage {
    /// Lets the request pass.
    pub fn admit() -> Self {
        Self::Admit { headers: HeaderMap::new(), notes: Vec::new(), notes_without_usage: Vec::new(), meter: None }
    }
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admit { headers, notes, .. } => {
                f.debug_struct("Admit").field("headers", headers).field("notes", notes).finish_non_exhaustive()
            }
            Self::Reject(rejection) => f.debug_tuple("Reject").field(rejection).finish(),
        }
    }
}
