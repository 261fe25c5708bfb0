//! The attributes of the [HTTP semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), which
//! are stable.

use http::{Method, Version};
use uuid::Uuid;

use crate::{Event, event::Outcome};

use super::{attribute_list::AttributeList, rpc};

/// Methods that are reported under their own name: those of RFC 9110, and PATCH.
pub(super) const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"];

/// Adds the attributes of a request and of the event itself.
pub(super) fn add_attributes(event: &Event, is_client: bool, list: &mut AttributeList) {
    if !event.is_work() {
        add_request(event, is_client, list);
    }
    add_response(event, is_client, list);
    add_event(event, list);
}

fn add_request(event: &Event, is_client: bool, list: &mut AttributeList) {
    let method = method_name(event.method());
    list.fixed("http.request.method", method);
    if method == "_OTHER" {
        list.text("http.request.method_original", event.method().as_str());
    }
    list.text("url.path", event.path());
    list.fixed("url.scheme", event.scheme());
    if is_client && let Some(host) = event.host() {
        // Without the query and credentials.
        list.text("url.full", &format!("{}://{host}{}", event.scheme(), event.path()));
    }
    if let Some(route) = event.route() {
        list.text("http.route", route);
    }
    list.fixed("network.protocol.version", protocol_version(event.http_version()));
    if let Some(host) = event.host() {
        let (host, port) = host_and_port(host);
        list.text("server.address", host);
        if let Some(port) = port.or(is_client.then(|| default_port(event))) {
            list.number("server.port", port.into());
        }
    }
    if let Some(bytes) = event.request_body_bytes() {
        list.number("http.request.body.size", bytes);
    }
}

fn add_response(event: &Event, is_client: bool, list: &mut AttributeList) {
    if let Some(status) = event.status() {
        list.number("http.response.status_code", status.as_u16().into());
        list.number("http.response.body.size", event.response_body_bytes());
    }
    if let Some(kind) = error_type(event, is_client) {
        list.text("error.type", &kind);
    }
}

fn add_event(event: &Event, list: &mut AttributeList) {
    list.fixed("tower_tagging.outcome", event.outcome().as_str());
    list.text("tower_tagging.event.id", event.id().hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    for (name, value) in [
        ("tower_tagging.client_trace_id", event.trace().client_trace_id()),
        ("tower_tagging.span.name", event.trace().span_name()),
        ("tower_tagging.span.path", event.trace().span_path()),
        ("tower_tagging.parent_span_id", event.trace().parent_span_id()),
        ("tower_tagging.linked_trace_id", event.trace().linked_trace_id()),
    ] {
        if let Some(value) = value {
            list.text(name, value);
        }
    }
}

/// Returns the name of a method, or `_OTHER` if it is not one of [`METHODS`].
pub(super) fn method_name(method: &Method) -> &'static str {
    METHODS.iter().find(|name| **name == method.as_str()).copied().unwrap_or("_OTHER")
}

/// Returns the status if it is an error: from 500 for a server, from 400 for a client.
pub(super) fn error_status(event: &Event, is_client: bool) -> Option<u16> {
    event.status().map(|status| status.as_u16()).filter(|status| *status >= if is_client { 400 } else { 500 })
}

/// Returns the error that an LLM provider reported in a response whose status is not an error.
pub(super) fn llm_error(event: &Event) -> Option<&str> {
    let is_error_status = event.status().is_some_and(|status| status.as_u16() >= 400);
    event.llm()?.error().filter(|_| !is_error_status)
}

/// Returns the `error.type` of a failed request: the status if it is an error, or else the outcome. An error of the LLM
/// provider in a successful response has no low-cardinality name.
pub(super) fn error_type(event: &Event, is_client: bool) -> Option<String> {
    let status = || error_status(event, is_client).map(|status| status.to_string());
    let outcome = || Some(event.outcome().as_str().to_owned());
    if event.grpc_status().is_some() && event.outcome() != Outcome::Panicked {
        return rpc::error(event, is_client).map(str::to_owned);
    }
    match event.outcome() {
        Outcome::Failed | Outcome::Panicked => outcome(),
        // The response was already an error when the client disconnected.
        Outcome::Cancelled => status().or_else(outcome),
        _ => status().or_else(|| llm_error(event).map(|_| "_OTHER".to_owned())),
    }
}

pub(super) fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// Splits an authority into host and port.
pub(super) fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address are inside brackets.
        Some((host, port)) if !port.contains(']') && !host.is_empty() => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

/// Returns the port for a host without one.
pub(super) fn default_port(event: &Event) -> u16 {
    if event.scheme() == "https" { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::error_type;
    use crate::{Event, event::Outcome};

    #[test]
    fn reports_an_error_status_even_if_the_client_disconnects() {
        let event = |status: u16, outcome| {
            Event::builder().status(http::StatusCode::from_u16(status).unwrap()).outcome(outcome).build()
        };
        for (status, outcome, of_server, of_client) in [
            (200, Outcome::Cancelled, Some("cancelled"), Some("cancelled")),
            (404, Outcome::Cancelled, Some("cancelled"), Some("404")),
            (503, Outcome::Cancelled, Some("503"), Some("503")),
            (503, Outcome::Completed, Some("503"), Some("503")),
            (503, Outcome::Panicked, Some("panicked"), Some("panicked")),
            (404, Outcome::Completed, None, Some("404")),
            (200, Outcome::Completed, None, None),
        ] {
            let event = event(status, outcome);
            assert_eq!(error_type(&event, false).as_deref(), of_server, "{status} {outcome}");
            assert_eq!(error_type(&event, true).as_deref(), of_client, "{status} {outcome}");
        }
    }
}
