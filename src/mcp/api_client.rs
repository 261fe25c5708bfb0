use std::{
    error::Error,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts, response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tower_service::Service;

use super::{caller_access::CallerHead, tool_error::ToolError};

/// The largest answer of an API that is read, in bytes.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

type BoxError = Box<dyn Error + Send + Sync>;
type Send_ = dyn Fn(Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> + Send + Sync;

/// A service that speaks the analytics API: the router in this process, or a client of another one.
#[derive(Clone)]
pub(crate) struct ApiClient {
    send: Arc<Send_>,
    /// The time for a request, until its answer is read. `None` if the service limits it.
    timeout: Option<Duration>,
}

/// The answer of an API to a request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl ApiClient {
    /// Creates a client of a service.
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let send = move |request| -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
            let mut service = service.clone();
            Box::pin(async move {
                poll_fn(|context: &mut Context<'_>| -> Poll<_> { service.poll_ready(context) })
                    .await
                    .map_err(Into::into)?;
                Ok(service.call(request).await.map_err(Into::into)?.map(Body::new))
            })
        };
        Self { send: Arc::new(send), timeout: None }
    }

    /// Limits the time for a request, until its answer is read.
    pub(crate) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Sends a request on behalf of an agent. `path` has the query string. The body is JSON.
    ///
    /// # Errors
    /// Returns the error of the API if it does not succeed, with the hint for the status 401.
    pub(crate) async fn send(
        &self,
        head: Option<&Arc<Parts>>,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key_hint: &str,
    ) -> Result<Reply, ToolError> {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).map_err(|_| ToolError::invalid("the arguments are too long"))?;
        if let Some(head) = head {
            request.extensions_mut().insert(CallerHead(Arc::clone(head)));
        }
        let (head, bytes) = match self.timeout {
            None => self.exchange(request).await,
            Some(limit) => tokio::time::timeout(limit, self.exchange(request)).await.unwrap_or_else(|_| {
                Err(ToolError::Unavailable(format!("it did not answer within {} seconds", limit.as_secs_f64())))
            }),
        }?;
        let body = serde_json::from_slice::<Value>(&bytes).ok();
        if !head.status.is_success() {
            let message = body.as_ref().and_then(message).unwrap_or("no message").to_owned();
            let hint = match head.status {
                StatusCode::UNAUTHORIZED => key_hint,
                StatusCode::FORBIDDEN => {
                    "Ask for a key with this permission, or for one of the whole organization, or name a workspace of the key."
                }
                _ => "",
            };
            return Err(ToolError::Api { status: head.status, message, hint: hint.to_owned() });
        }
        let body = body.filter(Value::is_object);
        let body = body.ok_or_else(|| ToolError::Unavailable("its answer is not a JSON object".to_owned()))?;
        Ok(Reply { headers: head.headers, body })
    }

    /// Sends a request, and reads the whole answer.
    async fn exchange(&self, request: Request<Body>) -> Result<(response::Parts, Bytes), ToolError> {
        let response = (self.send)(request).await.map_err(|error| ToolError::Unavailable(with_sources(&*error)))?;
        let (head, body) = response.into_parts();
        let read = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            let is_too_long = error.is::<LengthLimitError>();
            let too_long = || format!("its answer has more than {} MiB", MAX_ANSWER / (1024 * 1024));
            ToolError::Unavailable(if is_too_long { too_long() } else { with_sources(&*error) })
        })?;
        Ok((head, read.to_bytes()))
    }
}

impl fmt::Debug for ApiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiClient").finish_non_exhaustive()
    }
}

/// Returns the message of an error. Gateways have it in other places than this API.
fn message(body: &Value) -> Option<&str> {
    let places = ["/data/message", "/error/message", "/message", "/error"];
    places.into_iter().find_map(|place| body.pointer(place)?.as_str())
}

/// Returns an error with its causes.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
