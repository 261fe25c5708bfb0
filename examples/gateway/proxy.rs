//! Forwards requests to the upstream and streams both ways. Tunnels websockets, whose events describe only the
//! handshake.

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts, uri::PathAndQuery};
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
use tower_tagging::{
    Tags,
    registry::{Registry, VirtualKey},
};

use crate::admin::AdminKey;

/// The time that the upstream has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What authenticates callers of the gateway. The upstream must not see it.
pub(crate) struct Credentials {
    pub(crate) registry: Option<Registry>,
    pub(crate) admin_key: Option<AdminKey>,
}

impl Credentials {
    fn strip(&self, head: &mut Parts) {
        if let Some(registry) = &self.registry {
            registry.strip_credentials(head);
        }
        if let Some(key) = &self.admin_key {
            key.strip(&mut head.headers);
        }
    }
}

struct Upstream {
    /// The upstream of requests without a virtual key.
    base: Option<Uri>,
    client: Client<HttpsConnector<HttpConnector>, Body>,
    credentials: Credentials,
}

/// Creates a router that forwards each request: to the provider of its virtual key, or else to `base`. Without a base,
/// `demo` answers requests without a virtual key.
///
/// # Errors
///
/// Returns an error if the TLS provider does not support the default versions.
pub(crate) fn router(base: Option<Uri>, credentials: Credentials, demo: Router) -> Result<Router, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector =
        HttpsConnectorBuilder::new().with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?;
    let connector = connector.https_or_http().enable_http1().wrap_connector(tcp);
    let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    let has_base = base.is_some();
    // Axum clones the state several times per request.
    let upstream = Arc::new(Upstream { base, client, credentials });
    Ok(if has_base {
        Router::new().fallback(forward).with_state(upstream)
    } else {
        demo.layer(from_fn_with_state(upstream, forward_or_answer))
    })
}

async fn forward(State(upstream): State<Arc<Upstream>>, request: Request) -> Response {
    match (virtual_key(&request), &upstream.base) {
        (Some(key), _) => forward_to(&upstream, &key, request).await,
        (None, Some(base)) => forward_under(&upstream, base, None, request).await,
        (None, None) => failure(StatusCode::BAD_GATEWAY, "no_upstream", "the request names no virtual key"),
    }
}

/// Forwards requests with a virtual key. The demo provider answers others.
async fn forward_or_answer(State(upstream): State<Arc<Upstream>>, request: Request, next: Next) -> Response {
    match virtual_key(&request) {
        Some(key) => forward_to(&upstream, &key, request).await,
        None => next.run(request).await,
    }
}

/// Returns the virtual key that the request names and may use.
fn virtual_key(request: &Request) -> Option<VirtualKey> {
    request.extensions().get().cloned()
}

async fn forward_to(upstream: &Upstream, key: &VirtualKey, request: Request) -> Response {
    match key.url().parse() {
        Ok(base) => forward_under(upstream, &base, Some(key), request).await,
        // The registry has checked the URL.
        Err(_) => failure(StatusCode::BAD_GATEWAY, "invalid_base_url", "the URL of the virtual key is invalid"),
    }
}

async fn forward_under(upstream: &Upstream, base: &Uri, key: Option<&VirtualKey>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    if head.method == http::Method::CONNECT {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "no_tunnels", "CONNECT is not supported");
    }
    match target(base, &head.uri) {
        Ok(uri) => head.uri = uri,
        Err(error) => return failure(StatusCode::BAD_REQUEST, "invalid_target", &error.to_string()),
    }
    if has_unsupported_transfer_coding(&head.headers) {
        return failure(
            StatusCode::NOT_IMPLEMENTED,
            "transfer_coding",
            "the only supported transfer coding is chunked",
        );
    }
    if head.version == http::Version::HTTP_2 {
        join_cookies(&mut head.headers);
    }
    let client_side = head.extensions.remove::<OnUpgrade>().filter(|_| is_websocket_handshake(&head.headers));
    head.version = http::Version::HTTP_11;
    let accepts_trailers = accepts_trailers(&head.headers);
    remove_hop_by_hop(&mut head.headers);
    upstream.credentials.strip(&mut head);
    head.extensions.clear();
    if let Some(key) = key {
        key.authorize(&mut head.headers);
    }
    if accepts_trailers {
        head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if client_side.is_some() {
        set_websocket_upgrade(&mut head.headers);
    }
    // The HTTP client sets the upstream's host.
    head.headers.remove(header::HOST);
    let is_head = head.method == http::Method::HEAD;
    match upstream.client.request(Request::from_parts(head, body)).await {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let Some(client_side) = client_side else {
                return failure(
                    StatusCode::BAD_GATEWAY,
                    "upstream_upgraded",
                    "the upstream switched protocols without a request to do so",
                );
            };
            tokio::spawn(tunnel(client_side, hyper::upgrade::on(&mut response)));
            let (mut head, _) = response.into_parts();
            remove_hop_by_hop(&mut head.headers);
            set_websocket_upgrade(&mut head.headers);
            Response::from_parts(head, Body::empty())
        }
        Ok(response) if has_unsupported_transfer_coding(response.headers()) => {
            failure(StatusCode::BAD_GATEWAY, "transfer_coding", "the only supported transfer coding is chunked")
        }
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            head.version = http::Version::HTTP_11;
            remove_hop_by_hop(&mut head.headers);
            // A body of known length would make the server send a `content-length` that GET would not have.
            let body = if is_head && !head.headers.contains_key(header::CONTENT_LENGTH) {
                Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>())
            } else {
                Body::new(body.map_err(record_body_error))
            };
            Response::from_parts(head, body)
        }
        Err(error) if error.is_connect() => failure(StatusCode::BAD_GATEWAY, "upstream_unreachable", &cause(&error)),
        Err(error) if is_client_error(&error) => {
            failure(StatusCode::BAD_REQUEST, "client_broke_off", "the request body ended early")
        }
        Err(error) => failure(StatusCode::BAD_GATEWAY, "upstream_failed", &cause(&error)),
    }
}

/// Returns `true` for a websocket handshake (RFC 6455, section 4.1).
fn is_websocket_handshake(headers: &HeaderMap) -> bool {
    has_token(headers, &header::CONNECTION, "upgrade") && has_token(headers, &header::UPGRADE, "websocket")
}

/// Sets the headers of a websocket handshake, in a request or a response.
fn set_websocket_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Copies bytes both ways until one side closes.
async fn tunnel(client_side: OnUpgrade, upstream_side: OnUpgrade) {
    let both = async {
        let (client, upstream): (Upgraded, Upgraded) = (client_side.await?, upstream_side.await?);
        tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await?;
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    };
    if let Err(error) = both.await {
        eprintln!("gateway: websocket failed: {error}");
    }
}

/// Returns `true` if the request failed because of the client's request body.
fn is_client_error(error: &dyn Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    // Among hyper's user errors, only those of the body have a source.
    cause.is_some_and(|cause| cause.is_user() && cause.source().is_some())
}

/// Returns `true` if the body has a transfer coding other than `chunked`, which hyper decodes (RFC 9112, section 6.1).
fn has_unsupported_transfer_coding(headers: &HeaderMap) -> bool {
    headers.get_all(header::TRANSFER_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Returns `true` if the client accepts trailers.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    has_token(headers, &header::TE, "trailers")
}

/// Returns `true` if a list header contains the token.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(token))
}

/// Joins cookie headers, which HTTP/2 may split (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Records on the event why the response body ended early, with a code. The layer itself records only the message.
fn record_body_error(error: hyper::Error) -> hyper::Error {
    // Looks up the current tags, because a handle that is moved into the body would live as long as the body.
    if let Some(tags) = Tags::current() {
        tags.set_error(format!("upstream_broke_off: {}", cause(&error)));
    }
    error
}

/// Returns the source of the error, which is more specific than the error itself.
fn cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Returns the URL under the base that the request is forwarded to.
fn target(base: &Uri, uri: &Uri) -> Result<Uri, Box<dyn Error>> {
    let base_path = base.path().trim_end_matches('/');
    let path = match uri.path_and_query().map(PathAndQuery::as_str) {
        // For the client, the base is the whole server.
        Some("*") if !base_path.is_empty() => "/",
        Some(path) => path,
        None => return Err("the request target has no path".into()),
    };
    // The path of the base is a boundary.
    if !base_path.is_empty() && has_dot_segment(uri.path()) {
        return Err("the request target leaves its folder".into());
    }
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(format!("{base_path}{path}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// Returns `true` if a path has a segment `.` or `..`, also percent-encoded (RFC 3986, section 5.2.4).
fn has_dot_segment(path: &str) -> bool {
    let decoded = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
    decoded.split(['/', '\\']).any(|segment| segment == "." || segment == "..")
}

/// Removes hop-by-hop headers (RFC 9110, section 7.6.1). Trace headers stay, even if the client lists them as
/// hop-by-hop.
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

/// Responds in place of the upstream, and records the reason on the event.
fn failure(status: StatusCode, kind: &str, message: &str) -> Response {
    if let Some(tags) = Tags::current() {
        tags.set_error(format!("{kind}: {message}"));
    }
    (status, Json(json!({"error": {"type": kind, "message": message}}))).into_response()
}
