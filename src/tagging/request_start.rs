use std::time::SystemTime;

use http::{Extensions, HeaderMap, Method};

use crate::{
    event::{Attachments, is_work},
    trace::TraceContext,
};

/// The facts about a request that are known at its start.
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestStart<'a> {
    /// The time at which the request head was received.
    pub time: SystemTime,
    /// The trace ids of the request.
    ///
    /// An observer may replace them, for example to continue a trace of the process. Later observers, the service, and the
    /// event get the new ids.
    pub trace: &'a mut TraceContext,
    /// The request method.
    pub method: &'a Method,
    /// The request path without the query string.
    pub path: &'a str,
    /// The matched route template, if the router provides one.
    ///
    /// The route of a gRPC call is known only at its end.
    pub route: Option<&'a str>,
    /// The host that the client asked for.
    pub host: Option<&'a str>,
    /// The scheme of the request URI is `https`.
    pub is_https: bool,
    /// The request headers.
    pub headers: &'a HeaderMap,
    /// The request extensions.
    pub extensions: &'a Extensions,
    /// Data that observers keep on the event.
    #[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "only `otel` keeps data"))]
    pub(crate) attachments: &'a mut Attachments,
}

impl RequestStart<'_> {
    /// Returns `true` for [work](super::Work) that is not an HTTP request. Its path and route are its name.
    pub fn is_work(&self) -> bool {
        is_work(self.method, self.path)
    }
}
