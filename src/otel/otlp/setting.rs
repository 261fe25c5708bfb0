use std::fmt;

use crate::otel::otel_error::OtelError;

/// An environment variable that is set.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) variable: String,
    pub(super) value: String,
}

impl Setting {
    /// Returns an error that names the variable, its value, and the problem.
    pub(super) fn invalid(&self, problem: impl fmt::Display) -> OtelError {
        OtelError::new(format!("invalid {} {:?}: {problem}", self.variable, self.value))
    }
}
