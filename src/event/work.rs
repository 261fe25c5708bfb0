use std::sync::LazyLock;

use http::Method;

use super::Event;

/// The method of work that is not an HTTP request.
pub(crate) static WORK: LazyLock<Method> = LazyLock::new(|| Method::from_bytes(b"WORK").unwrap_or(Method::GET));

/// Returns `true` if the method and path are those of work: the paths of requests start with a slash, or are a star.
pub(crate) fn is_work(method: &Method, path: &str) -> bool {
    *method == *WORK && !path.starts_with(['/', '*'])
}

impl Event {
    /// Returns `true` for [work](crate::tagging::Work) that is not an HTTP request.
    pub fn is_work(&self) -> bool {
        is_work(self.method(), self.path())
    }
}
