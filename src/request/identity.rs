use std::sync::Arc;

use crate::metadata::{Diagnostic, Limits, Scopes};

use super::{caller::Caller, rejection::Rejection};

/// The caller of a request, as an [`Admission`](crate::tagging::Admission) identified it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Identity {
    /// The name of the API key, for the event.
    pub api_key: Option<Arc<str>>,
    /// The name of the workspace, for the event.
    pub workspace: Option<Arc<str>>,
    /// The name of the virtual key, for the event.
    pub virtual_key: Option<Arc<str>>,
    /// The provider that the request is forwarded to, as an id of the `genai-prices` catalog. It decides the price of the
    /// call.
    pub provider: Option<Arc<str>>,
    /// The trusted tags of the caller.
    pub scopes: Scopes,
    /// The limits on the tags of the caller. `None` leaves those of the layer.
    pub limits: Option<Limits>,
    /// The rules for the tags of the caller.
    pub caller: Option<Arc<dyn Caller>>,
    /// The diagnostics about the identification.
    pub notes: Vec<Diagnostic<'static>>,
    /// The answer if the request is not admitted. The other fields still describe its event.
    pub rejection: Option<Box<Rejection>>,
}

impl Identity {
    /// Creates the identity of an unknown caller without rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rejects the request.
    #[must_use]
    pub fn rejected(mut self, rejection: Rejection) -> Self {
        self.rejection = Some(Box::new(rejection));
        self
    }
}
