use std::{borrow::Cow, time::SystemTime};

use http::request::Parts;

use crate::request::Identity;

/// Identifies the callers of requests, and decides which requests may proceed.
///
/// [`AdmissionLayer`](super::AdmissionLayer) calls it once per request, before its tags are read. `Registry` implements it.
pub trait Admission: Send + Sync + 'static {
    /// Identifies the caller of a request.
    ///
    /// It may change the request: remove credentials that are not for the service, and insert extensions for it. It runs on
    /// the task that serves the request, so it must not block.
    fn identify(&self, head: &mut Parts, now: SystemTime) -> Identity;

    /// Screens the path of a request, before observers see it and the caller is known. It should agree with the
    /// [filter](crate::metadata::TagFilter::screen) of the callers.
    fn screen<'t>(&self, path: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(path)
    }
}
