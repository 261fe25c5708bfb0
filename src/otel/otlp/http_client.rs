use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_http::HttpError;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::Value;

use crate::otel::{otel_error::OtelError, rejections::Rejections};

use super::{certificates::Certificates, signal::Signal};

type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// Maximum number of bytes that are read of a response.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// The HTTP client of the OTLP exporters.
///
/// `opentelemetry-otlp` selects its client by feature. A feature that is enabled here would change the client of every
/// other user in the same build.
#[derive(Clone)]
pub(super) struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    timeout: Duration,
    rejections: Rejections,
}

impl HttpClient {
    /// # Errors
    /// Returns an error for invalid certificates or an invalid timeout.
    pub(super) fn from_env(signal: Signal) -> Result<Self, OtelError> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(Certificates::from_env(signal)?.for_http()?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let timeout = Duration::from_millis(signal.timeout()?);
        Ok(Self { client, timeout, rejections: Rejections::default() })
    }

    /// Records what the collector rejects of the spans or log records.
    pub(super) fn record_rejections(self, rejections: Rejections) -> Self {
        Self { rejections, ..self }
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        let response = tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| HttpError::from(format!("no response from the collector within {:?}", self.timeout)))??;
        if response.status().is_success()
            && let Some((rejected, message)) = partial_success(&response)
        {
            self.rejections.record(rejected, &message);
        }
        Ok(response)
    }
}

/// Returns the number of rejected spans or log records of a response, and the reason.
fn partial_success(response: &Response<Bytes>) -> Option<(i64, String)> {
    let media_type = response.headers().get(http::header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    // A response should have the format of its request. Some collectors always send JSON.
    if media_type.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/json")) {
        let response: Value = serde_json::from_slice(response.body()).ok()?;
        let partial = response.get("partialSuccess")?;
        // 64-bit integers are text in the JSON of protobuf.
        let count = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let rejected = ["rejectedSpans", "rejectedLogRecords"].iter().find_map(|name| partial.get(name));
        let message = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
        return Some((rejected.and_then(count).unwrap_or_default(), message.to_owned()));
    }
    // On the wire, this is the same message as that of log records.
    let partial = ExportTraceServiceResponse::decode(response.body().clone()).ok()?.partial_success?;
    Some((partial.rejected_spans, partial.error_message))
}

impl opentelemetry_http::HttpClient for HttpClient {
    // The signature that `async_trait` generates for `async fn send_bytes`.
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        Box::pin(self.clone().send(request))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
