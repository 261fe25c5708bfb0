use std::{borrow::Cow, time::SystemTime};

use http::{HeaderMap, request::Parts};

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

    /// Marks header values that are credentials as [sensitive](http::HeaderValue::set_sensitive), before tags are read.
    ///
    /// A sensitive value does not become a tag, unless [`TagSources::allow_secret`](crate::TagSources::allow_secret) names its
    /// header. Well-known headers for credentials never do, so that the default marks nothing.
    fn mark_credentials(&self, headers: &mut HeaderMap) {
        let _ = headers;
    }

    /// Screens the path of a request, before observers see it and the caller is known.
    ///
    /// The default is `None`: the path on the event is screened by the [filter](crate::metadata::TagFilter::screen) of the
    /// caller, and observers see it as it is.
    fn screen_path<'t>(&self, path: &'t str) -> Option<Cow<'t, str>> {
        let _ = path;
        None
    }
}
