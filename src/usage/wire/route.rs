use http::Method;

use crate::usage::Operation;

/// A request path that belongs to an LLM API.
///
/// `path` is a pattern that the end of a request path must match, segment by segment:
///
/// | pattern | matches |
/// |---|---|
/// | `/v1/messages` | every path that ends with these segments |
/// | `^/v1/messages` | only this path |
/// | `*` | one segment without a colon |
/// | `**` | one or more segments |
/// | `v#` | a version, such as `v3` |
/// | `{*}`, `{**}`, `{name}` | the same as without braces; all segments in braces together name the model |
/// | `{*}:generateContent` | a segment that ends with this call |
///
/// If several patterns match, the most specific one wins: the one with the most literal characters. A pattern that ends with
/// `{**}` wins over all others, because no part of a model's name can be an endpoint.
pub(in crate::usage) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(in crate::usage) operation: Operation,
    /// The provider that defined the path, by its id in the price catalog. Others may serve it too.
    pub(in crate::usage) provider: Option<&'static str>,
    pub(in crate::usage) certainty: Certainty,
    /// `true` for a stream, if the path decides that.
    pub(in crate::usage) streams: Option<bool>,
}

/// The confidence with which a path identifies a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::usage) enum Certainty {
    /// Only LLM APIs have such paths.
    Certain,
    /// Other services may have such paths too. The call counts only if the request or the response shows an LLM.
    Tentative,
    /// The result of an earlier call is retrieved. It is an LLM call only if it is the first to report the usage of a call in
    /// the background.
    Retrieval,
    /// A call to an LLM API that does not run a model.
    Excluded,
}

impl Route {
    /// Creates a `POST` route that only LLM APIs have.
    pub(super) const fn certain(path: &'static str, operation: Operation, provider: &'static str) -> Self {
        Self::new(path, operation, Some(provider), Certainty::Certain, None)
    }

    /// Creates a `POST` route that other services may have too.
    pub(super) const fn tentative(path: &'static str, operation: Operation, provider: &'static str) -> Self {
        Self::new(path, operation, Some(provider), Certainty::Tentative, None)
    }

    /// Creates a `POST` route that only LLM APIs have and that decides whether the response is a stream.
    pub(super) const fn streaming(
        path: &'static str,
        operation: Operation,
        provider: &'static str,
        streams: bool,
    ) -> Self {
        Self::new(path, operation, Some(provider), Certainty::Certain, Some(streams))
    }

    /// Creates a `GET` route that other services may have too.
    pub(super) const fn tentative_get(path: &'static str, operation: Operation, provider: &'static str) -> Self {
        Self::with_method(Method::GET, path, operation, Some(provider), Certainty::Tentative, None)
    }

    /// Creates a route that retrieves the result of an earlier call.
    pub(super) const fn retrieval(
        method: Method,
        path: &'static str,
        operation: Operation,
        provider: &'static str,
    ) -> Self {
        Self::with_method(method, path, operation, Some(provider), Certainty::Retrieval, None)
    }

    /// Creates a `POST` route of an LLM API that does not run a model.
    pub(super) const fn excluded(path: &'static str) -> Self {
        Self::new(path, Operation::Chat, None, Certainty::Excluded, None)
    }

    pub(super) const fn new(
        path: &'static str,
        operation: Operation,
        provider: Option<&'static str>,
        certainty: Certainty,
        streams: Option<bool>,
    ) -> Self {
        Self::with_method(Method::POST, path, operation, provider, certainty, streams)
    }

    const fn with_method(
        method: Method,
        path: &'static str,
        operation: Operation,
        provider: Option<&'static str>,
        certainty: Certainty,
        streams: Option<bool>,
    ) -> Self {
        Self { method, path, operation, provider, certainty, streams }
    }
}
