use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_http::HttpError;

use crate::otel::otel_error::OtelError;

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
        let timeout = match signal.setting("TIMEOUT") {
            Some(millis) => millis.value.parse().map_err(|_| millis.invalid("expected a number of milliseconds"))?,
            None => 10_000,
        };
        Ok(Self { client, timeout: Duration::from_millis(timeout) })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| HttpError::from(format!("no response from the collector within {:?}", self.timeout)))?
    }
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
