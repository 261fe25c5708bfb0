use std::{error::Error, io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::GaiResolver},
    },
    rt::TokioExecutor,
};
use tokio::runtime::{Builder, Runtime};

use crate::{https, text::bounded};

use super::key_set::KeySet;

/// The time that a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of an error, in characters.
const MAX_ERROR_CHARS: usize = 512;

/// Fetches a key set. It blocks, and must not be used on a thread of an asynchronous runtime.
pub(super) struct JwksClient {
    url: Uri,
    client: Client<https::Connector<GaiResolver>, Empty<Bytes>>,
    runtime: Runtime,
}

impl JwksClient {
    pub(super) fn new(url: Uri) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let connector = https::connector(HttpConnector::new())?;
        // Fetches are minutes apart, so connections are not kept.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url, client, runtime })
    }

    /// Redirects are not followed.
    pub(super) fn fetch(&self) -> Result<KeySet, String> {
        let exchange = async { tokio::time::timeout(TIMEOUT, self.exchange()).await };
        let json = match self.runtime.block_on(exchange) {
            Ok(result) => result?,
            Err(_) => return Err(format!("cannot fetch the key set: no response within {TIMEOUT:?}")),
        };
        KeySet::parse(&json)
    }

    async fn exchange(&self) -> Result<Bytes, String> {
        let request = Request::get(&self.url)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::USER_AGENT, https::USER_AGENT)
            .body(Empty::new())
            .map_err(|error| problem(&error))?;
        let response = self.client.request(request).await.map_err(|error| problem(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("cannot fetch the key set: expected status 200, found {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), KeySet::MAX_BYTES).collect().await;
        Ok(body.map_err(|error| problem(&*error))?.to_bytes())
    }

    /// Releases the runtime without waiting for a name that is still being resolved.
    pub(super) fn close(self) {
        self.runtime.shutdown_background();
    }
}

/// Returns an error with its causes.
fn problem(error: &(dyn Error + 'static)) -> String {
    let text = format!("cannot fetch the key set: {}", https::with_causes(error));
    bounded(&text, MAX_ERROR_CHARS)
}
