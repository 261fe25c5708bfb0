use std::sync::LazyLock;

use http::Method;

use super::Event;

/// The method of work that is not an HTTP request.
pub(crate) static WORK: LazyLock<Method> = LazyLock::new(|| Method::from_bytes(b"WORK").unwrap_or(Method::GET));

impl Event {
    /// Returns `true` for [work](crate::tagging::Work) that is not an HTTP request.
    pub fn is_work(&self) -> bool {
        // The paths of requests start with a slash, or are a star.
        *self.method() == *WORK && !self.path().starts_with(['/', '*'])
    }
}
