use std::time::SystemTime;

use http::{HeaderMap, Method};

use crate::trace::TraceContext;

/// The facts about a request that are known at its start.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestStart<'a> {
    /// The time at which the request head was received.
    pub time: SystemTime,
    /// The trace ids of the request.
    pub trace: &'a TraceContext,
    /// The request method.
    pub method: &'a Method,
    /// The request path without the query string.
    pub path: &'a str,
    /// The matched route template, if the router provides one.
    pub route: Option<&'a str>,
    /// The host that the client asked for.
    pub host: Option<&'a str>,
    /// The scheme of the request URI is `https`.
    pub is_https: bool,
    /// The request headers.
    pub headers: &'a HeaderMap,
}
