use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{
    ConfigError, https,
    limit::alerts::{
        alert::Alert,
        alert_target::{AlertTarget, DeliveryFuture},
        delivery_attempt::DeliveryAttempt,
    },
    time::micros_since_1970,
};

use super::{checked_resolver::CheckedResolver, payload, signing_secret::SigningSecret, webhook_shape::WebhookShape};

type HttpClient = Client<https::Connector<CheckedResolver>, Full<Bytes>>;

/// Sends alerts as signed HTTP requests, by the [Standard Webhooks](https://www.standardwebhooks.com) specification.
///
/// A response with a status from 200 to 299 acknowledges an alert. Anything else is a failure, after which the alert is sent
/// again: redirects are not followed, and bodies of responses are not read. A host is contacted only if it has a public
/// address, unless private addresses are [allowed](super::WebhookTargetBuilder::allow_private_addresses). The address that is checked
/// is the one that is connected to.
///
/// See the [module](crate::limit::alerts#webhooks) for how a receiver verifies a request.
///
/// ```
/// use tower_tagging::limit::alerts::WebhookTarget;
///
/// # fn example(secret: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let target = WebhookTarget::builder("https://hooks.example/llm").secret(secret).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WebhookTarget {
    name: String,
    url: Uri,
    shape: WebhookShape,
    secrets: Vec<SigningSecret>,
    timeout: Duration,
    client: HttpClient,
}

impl WebhookTarget {
    pub(super) fn with(
        name: String,
        url: Uri,
        shape: WebhookShape,
        secrets: Vec<SigningSecret>,
        timeout: Duration,
        allow_private: bool,
    ) -> Result<Self, ConfigError> {
        let connector = https::connector(HttpConnector::new_with_resolver(CheckedResolver::new(allow_private)))
            .map_err(|error| ConfigError::new(format!("cannot create the client of a webhook: {error}")))?;
        // Alerts are minutes apart, so connections are not kept.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { name, url, shape, secrets, timeout, client })
    }

    async fn send(&self, alert: &Alert, attempt: DeliveryAttempt) -> Result<(), String> {
        let request = self.request(alert, attempt).map_err(|error| self.problem(&error))?;
        let exchange = tokio::time::timeout(self.timeout, self.client.request(request));
        let response = match exchange.await {
            Ok(result) => result.map_err(|error| self.problem(&https::with_causes(&error)))?,
            Err(_) => return Err(self.problem(&format!("no response within {:?}", self.timeout))),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let note = if status.is_redirection() { ", and redirects are not followed" } else { "" };
        Err(self.problem(&format!("expected a status from 200 to 299, found {}{note}", status.as_u16())))
    }

    fn request(&self, alert: &Alert, attempt: DeliveryAttempt) -> Result<Request<Full<Bytes>>, String> {
        let body = match self.shape {
            WebhookShape::Plain => payload::plain(alert),
            WebhookShape::Slack => payload::slack(alert),
        };
        let body = body.to_string().into_bytes();
        let timestamp = micros_since_1970(attempt.time) / 1_000_000;
        let mut request = Request::post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, https::USER_AGENT)
            .header("webhook-id", &alert.id)
            .header("webhook-timestamp", timestamp);
        if !self.secrets.is_empty() {
            let signatures = self.secrets.iter().map(|secret| secret.sign(&alert.id, timestamp, &body));
            let mut value =
                HeaderValue::try_from(signatures.collect::<Vec<_>>().join(" ")).map_err(|e| e.to_string())?;
            value.set_sensitive(true);
            request = request.header("webhook-signature", value);
        }
        request.body(Full::from(body)).map_err(|error| error.to_string())
    }

    /// Returns an error that names the server. The rest of the URL may be a secret.
    fn problem(&self, problem: &str) -> String {
        format!("webhook {}: {problem}", self.server())
    }

    fn server(&self) -> String {
        format!("{}://{}", self.url.scheme_str().unwrap_or_default(), self.url.host().unwrap_or_default())
    }
}

impl AlertTarget for WebhookTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn deliver<'a>(&'a self, alert: &'a Alert, attempt: DeliveryAttempt) -> DeliveryFuture<'a> {
        Box::pin(async move { self.send(alert, attempt).await.map_err(Box::<dyn Error + Send + Sync>::from) })
    }
}

impl fmt::Debug for WebhookTarget {
    /// Writes the name, and the scheme and host of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTarget")
            .field("name", &self.name)
            .field("server", &self.server())
            .finish_non_exhaustive()
    }
}
