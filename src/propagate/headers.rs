use http::HeaderMap;

use super::{destination::Destination, origin::Origin};

/// Returns the headers to send to a destination on behalf of a request or a step.
///
/// Use this with reqwest and other clients that take an [`http::HeaderMap`]. For the tags that could not be sent, call
/// [`Destination::propagate`] instead.
///
/// Clients that follow redirects send these headers to the next host too, unless their redirect policy prevents it.
///
/// # Examples
///
/// ```
/// use tower_tagging::{Tags, propagate::{self, Dialect, Destination}};
///
/// let destination = Destination::new().dialect(Dialect::Majordomo).allow(["feature"]);
/// let tags = Tags::new();
/// tags.insert("feature", "search");
///
/// let headers = propagate::headers(&tags.child("tool:search_db"), &destination);
/// assert_eq!(headers["x-majordomo-feature"], "search");
/// assert_eq!(headers["x-majordomo-span-path"], "tool:search_db");
/// ```
pub fn headers(origin: impl Into<Origin>, destination: &Destination) -> HeaderMap {
    destination.propagate(origin).headers
}
