//! The names of methods, and of spans by method.

use std::borrow::Cow;

use http::Method;

/// Methods that are reported under their own name: those of RFC 9110, and PATCH.
pub(super) const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"];

/// Returns the name of a method, or `_OTHER` if it is not one of [`METHODS`].
pub(super) fn method_name(method: &Method) -> &'static str {
    METHODS.iter().find(|name| **name == method.as_str()).copied().unwrap_or("_OTHER")
}

/// Returns the name of a request's span: the method and the route, but never the path.
pub(super) fn span_name(method: &Method, route: Option<&str>) -> Cow<'static, str> {
    let method = method_name(method);
    let method = if method == "_OTHER" { "HTTP" } else { method };
    match route {
        Some(route) => Cow::Owned(format!("{method} {route}")),
        None => Cow::Borrowed(method),
    }
}
