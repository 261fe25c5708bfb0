use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::IntoResponse};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use tower_service::Service;

use crate::analytics::api::{Access, ApiError};

use super::{mcp_server::McpServer, settings::host_and_origin};

/// The largest size of a request body, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The hosts of this machine, which are allowed without a public address.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The tools as an HTTP service, which can be mounted anywhere. [`Mcp::into_service`](super::Mcp::into_service) creates it.
///
/// Requests of callers that the [`Access`] does not grant anything are answered with 401 or 403, as by the HTTP API. Requests
/// for other hosts, or from pages of other origins, are answered with 403.
#[derive(Clone)]
pub struct McpService {
    inner: StreamableHttpService<McpServer, NeverSessionManager>,
    access: Arc<dyn Access>,
}

impl McpService {
    pub(super) fn new(server: McpServer, access: Arc<dyn Access>, more: &[String]) -> Self {
        let mut hosts = Vec::new();
        let mut origins = Vec::new();
        let public = server.settings.public_url.as_deref().and_then(host_and_origin);
        if let Some((host, origin)) = public {
            hosts.push(host);
            origins.push(origin);
        } else {
            hosts.extend(LOOPBACK_HOSTS.map(ToOwned::to_owned));
            origins.extend(LOOPBACK_HOSTS.map(|host| format!("http://{host}:*")));
        }
        for host in more {
            hosts.push(host.clone());
            // A host without a port stands for any.
            let has_port = host.parse::<http::uri::Authority>().is_ok_and(|authority| authority.port().is_some());
            let ports = if has_port { "" } else { ":*" };
            origins.extend(["http", "https"].map(|scheme| format!("{scheme}://{host}{ports}")));
        }
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(MAX_BODY_BYTES)
            .with_allowed_hosts(hosts)
            .with_allowed_origins(origins)
            .enforce_origin_validation();
        let inner = StreamableHttpService::new(move || Ok(server.clone()), Arc::default(), config);
        Self { inner, access }
    }
}

impl<B> Service<Request<B>> for McpService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, access) = (self.inner.clone(), self.access.clone());
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let mut response = match access.grant(&head) {
                Err(denied) => ApiError::from(denied).into_response(),
                Ok(_) => inner.handle(Request::from_parts(head, body)).await.map(Body::new),
            };
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            Ok(response)
        })
    }
}

impl fmt::Debug for McpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpService").finish_non_exhaustive()
    }
}
