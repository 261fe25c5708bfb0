//! Forwards requests to the upstream, streaming both ways.

use std::{error::Error, sync::Arc};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::json;
use tower_tagging::Tags;

struct Upstream {
    base: Uri,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

pub(crate) fn router(base: Uri) -> Router {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
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
    head.version = http::Version::HTTP_11;
    head.extensions.clear();
    remove_hop_by_hop(&mut head.headers);
    // The client writes the upstream's own host.
    head.headers.remove(header::HOST);
    match upstream.client.request(Request::from_parts(head, body)).await {
        // The request asked for no upgrade: that header concerns one connection only.
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            failure(StatusCode::BAD_GATEWAY, "upstream_upgraded", "the upstream switched protocols unasked")
        }
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            remove_hop_by_hop(&mut head.headers);
            Response::from_parts(head, Body::new(body.map_err(broke_off)))
        }
        Err(problem) => failure(StatusCode::BAD_GATEWAY, "upstream_unreachable", &cause_of(&problem)),
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
fn target(base: &Uri, uri: &Uri) -> Result<Uri, http::Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let under = base.path().trim_end_matches('/');
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(format!("{under}{path}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// Removes what concerns one connection only: RFC 9110, section 7.6.1.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"] {
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
