//! The attributes of the [HTTP semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), which
//! are stable.

use http::Version;
use opentelemetry::KeyValue;
use uuid::Uuid;

use crate::{Event, event::Outcome};

use super::{attribute_list::AttributeList, methods::method_name, request_span::RequestSpan, rpc};

/// The attribute of a request whose client, or caller, did not wait for the whole response.
pub(super) const CANCELLED: &str = "tower_tagging.cancelled";

/// Adds the attributes of a request and of the event itself.
pub(super) fn add_attributes(event: &Event, span: Option<&RequestSpan>, is_client: bool, list: &mut AttributeList) {
    if !event.is_work() {
        add_request(event, span, is_client, list);
    }
    if let Some(span) = span {
        add_sender(span, list);
    }
    add_response(event, is_client, list);
    add_event(event, list);
}

fn add_request(event: &Event, span: Option<&RequestSpan>, is_client: bool, list: &mut AttributeList) {
    let scheme = scheme(event, span);
    let method = method_name(event.method());
    list.fixed("http.request.method", method);
    if method == "_OTHER" {
        list.text("http.request.method_original", event.method().as_str());
    }
    list.text("url.path", event.path());
    list.fixed("url.scheme", scheme);
    if is_client && let Some(host) = event.host() {
        // Without the query and credentials.
        list.text("url.full", &format!("{scheme}://{host}{}", event.path()));
    }
    if let Some(route) = event.route() {
        list.text("http.route", route);
    }
    list.fixed("network.protocol.version", protocol_version(event.http_version()));
    let forwarded_host = span.and_then(|span| span.forwarded.host.as_deref());
    if let Some(host) = forwarded_host.or(event.host()) {
        let (host, port) = host_and_port(host);
        list.text("server.address", host);
        list.number("server.port", port.unwrap_or_else(|| default_port(scheme)).into());
    }
    if let Some(bytes) = event.request_body_bytes() {
        list.number("http.request.body.size", bytes);
    }
}

/// Adds the other end of the connection, and the client behind the proxies.
fn add_sender(span: &RequestSpan, list: &mut AttributeList) {
    if let Some(client) = span.forwarded.client.or(span.peer.map(|peer| peer.ip())) {
        list.text("client.address", &client.to_canonical().to_string());
    }
    if let Some(peer) = span.peer {
        list.text("network.peer.address", &peer.ip().to_canonical().to_string());
        list.number("network.peer.port", peer.port().into());
    }
    if let Some(user_agent) = &span.user_agent {
        list.text("user_agent.original", user_agent);
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
    if event.outcome() == Outcome::Cancelled {
        list.push(KeyValue::new(CANCELLED, true));
    }
    list.text("tower_tagging.event.id", event.id().hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    for (name, value) in [
        ("tower_tagging.client_trace_id", event.trace().client_trace_id()),
        ("tower_tagging.span.name", event.trace().span_name()),
        ("tower_tagging.span.path", event.trace().span_path()),
        // The W3C id of the parent is a field of the span.
        ("tower_tagging.parent_span_id", event.trace().explicit_parent_span_id()),
        ("tower_tagging.linked_trace_id", event.trace().linked_trace_id()),
    ] {
        if let Some(value) = value {
            list.text(name, value);
        }
    }
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
/// provider in a successful response has no low-cardinality name. A request that was cancelled is not an error, unless its
/// response was one already.
pub(super) fn error_type(event: &Event, is_client: bool) -> Option<String> {
    let status = || error_status(event, is_client).map(|status| status.to_string());
    if event.grpc_status().is_some() && event.outcome() != Outcome::Panicked {
        return rpc::error(event, is_client).map(str::to_owned);
    }
    match event.outcome() {
        Outcome::Failed | Outcome::Panicked => Some(event.outcome().as_str().to_owned()),
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
pub(super) fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// Returns the scheme that the client used.
pub(super) fn scheme(event: &Event, span: Option<&RequestSpan>) -> &'static str {
    match span.and_then(|span| span.forwarded.is_https) {
        Some(true) => "https",
        Some(false) => "http",
        None => event.scheme(),
    }
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
            (200, Outcome::Cancelled, None, None),
            (404, Outcome::Cancelled, None, Some("404")),
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
