//! Forwards requests to the upstream, streaming both ways; websockets too, on whose events is what was known when they began.

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::{
    body::Bytes,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use serde_json::json;
use tower_tagging::Tags;

/// How long the upstream may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

struct Upstream {
    base: Uri,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

pub(crate) fn router(base: Uri) -> Router {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    // An address that nobody answers at is a dead upstream.
    tcp.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    // Shared, since axum clones the state several times for each request.
    Router::new().fallback(forward).with_state(Arc::new(Upstream { base, client }))
}

async fn forward(State(upstream): State<Arc<Upstream>>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    if head.method == http::Method::CONNECT {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "no_tunnels", "the gateway does not tunnel");
    }
    match target(&upstream.base, &head.uri) {
        Ok(uri) => head.uri = uri,
        Err(problem) => return failure(StatusCode::BAD_REQUEST, "invalid_target", &problem.to_string()),
    }
    if is_coded_for_transfer(&head.headers) {
        return failure(StatusCode::NOT_IMPLEMENTED, "transfer_coding", "the gateway knows no coding but chunked");
    }
    if head.version == http::Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    let client_side = head.extensions.remove::<OnUpgrade>().filter(|_| asks_for_websocket(&head.headers));
    head.version = http::Version::HTTP_11;
    head.extensions.clear();
    let takes_trailers = takes_trailers(&head.headers);
    remove_hop_by_hop(&mut head.headers);
    if takes_trailers {
        head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if client_side.is_some() {
        become_websocket(&mut head.headers);
    }
    // The client writes the upstream's own host.
    head.headers.remove(header::HOST);
    let is_head = head.method == http::Method::HEAD;
    match upstream.client.request(Request::from_parts(head, body)).await {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let Some(client_side) = client_side else {
                return failure(
                    StatusCode::BAD_GATEWAY,
                    "upstream_upgraded",
                    "the upstream switched protocols unasked",
                );
            };
            tokio::spawn(tunnel(client_side, hyper::upgrade::on(&mut response)));
            let (mut head, _) = response.into_parts();
            remove_hop_by_hop(&mut head.headers);
            become_websocket(&mut head.headers);
            Response::from_parts(head, Body::empty())
        }
        Ok(response) if is_coded_for_transfer(response.headers()) => {
            failure(StatusCode::BAD_GATEWAY, "transfer_coding", "the gateway knows no coding but chunked")
        }
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            head.version = http::Version::HTTP_11;
            remove_hop_by_hop(&mut head.headers);
            // A body that is known to be empty would make the server say so of what GET would get.
            let body = if is_head && !head.headers.contains_key(header::CONTENT_LENGTH) {
                Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>())
            } else {
                Body::new(body.map_err(broke_off))
            };
            Response::from_parts(head, body)
        }
        Err(problem) if problem.is_connect() => {
            failure(StatusCode::BAD_GATEWAY, "upstream_unreachable", &cause_of(&problem))
        }
        Err(problem) if is_of_the_client(&problem) => {
            failure(StatusCode::BAD_REQUEST, "client_broke_off", "the body of the request did not come to its end")
        }
        Err(problem) => failure(StatusCode::BAD_GATEWAY, "upstream_failed", &cause_of(&problem)),
    }
}

/// Whether the request wants to become a websocket: RFC 6455, section 4.1.
fn asks_for_websocket(headers: &HeaderMap) -> bool {
    has_word(headers, &header::CONNECTION, "upgrade") && has_word(headers, &header::UPGRADE, "websocket")
}

/// Asks for a websocket, or grants one.
fn become_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Hands on what both sides say, until one of them ends.
async fn tunnel(client_side: OnUpgrade, upstream_side: OnUpgrade) {
    let both = async {
        let (client, upstream): (Upgraded, Upgraded) = (client_side.await?, upstream_side.await?);
        tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await?;
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    };
    if let Err(problem) = both.await {
        eprintln!("gateway: a websocket broke off: {problem}");
    }
}

/// Whether the request failed for what its own client sent, or did not send.
fn is_of_the_client(problem: &dyn Error) -> bool {
    let cause = problem.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    // Of what hyper calls errors of its user, that of a body alone has a cause of its own.
    cause.is_some_and(|cause| cause.is_user() && cause.source().is_some())
}

/// Whether the body is coded by more than its framing, which is undone here: RFC 9112, section 6.1.
fn is_coded_for_transfer(headers: &HeaderMap) -> bool {
    headers.get_all(header::TRANSFER_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Whether the sender of a request reads trailers.
fn takes_trailers(headers: &HeaderMap) -> bool {
    has_word(headers, &header::TE, "trailers")
}

/// Whether a header that is a list has this word.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

/// Makes one header of several cookies, which HTTP/2 may send by themselves: RFC 9113, section 8.2.3.
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Says on the event why an answer broke off: the layer knows only the type of the error.
fn broke_off(problem: hyper::Error) -> hyper::Error {
    // The handler's own handle would live in the body to its end.
    if let Some(tags) = Tags::current() {
        tags.set_error(format!("upstream_broke_off: {}", cause_of(&problem)));
    }
    problem
}

/// The error names only its kind; what lies behind it says why.
fn cause_of(problem: &dyn Error) -> String {
    problem.source().map_or_else(|| problem.to_string(), ToString::to_string)
}

/// The path and query of the request under the base URL.
fn target(base: &Uri, uri: &Uri) -> Result<Uri, Box<dyn Error>> {
    let under = base.path().trim_end_matches('/');
    let path = match uri.path_and_query().map(PathAndQuery::as_str) {
        // All of the server is what stands under the base.
        Some("*") if !under.is_empty() => "/",
        Some(path) => path,
        None => return Err("a host without a path is for CONNECT".into()),
    };
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(format!("{under}{path}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// Removes what concerns one connection only, but for the trace, which is ours: RFC 9110, section 7.6.1.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !["traceparent", "tracestate"].contains(&HeaderName::as_str(name)))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"] {
        headers.remove(name);
    }
}

/// Answers in place of the upstream, and says why on the event.
fn failure(status: StatusCode, kind: &str, message: &str) -> Response {
    if let Some(tags) = Tags::current() {
        tags.set_error(format!("{kind}: {message}"));
    }
    (status, Json(json!({"error": {"type": kind, "message": message}}))).into_response()
}
