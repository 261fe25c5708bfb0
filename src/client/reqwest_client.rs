use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{propagate::PropagateLayer, tagging::TaggingLayer};

use super::{reqwest_transport::ReqwestTransport, tagged_client::TaggedClient};

/// A [reqwest](https://docs.rs/reqwest/0.13) client, version 0.13, whose calls pass through a [`TaggedClient`].
///
/// It is also a Tower service from [`reqwest::Request`] to [`reqwest::Response`], so it accepts layers such as
/// `tower::retry`. A layer that retries and is outside of this client gives each attempt its own span and cost.
///
/// Redirects that reqwest follows are part of the call. reqwest sends the headers of the call to the new host, too, including
/// tags that are [allowed](Self::propagate) only for the first one. To prevent that, build the client with
/// [`Policy::none`](reqwest::redirect::Policy::none). Response bodies are observed after reqwest has decoded them.
#[derive(Clone, Debug)]
#[must_use]
pub struct ReqwestClient {
    inner: TaggedClient<ReqwestTransport>,
}

impl ReqwestClient {
    /// Wraps a client. Calls send the trace context, and no tags.
    pub fn new(client: reqwest::Client) -> Self {
        Self { inner: TaggedClient::new(ReqwestTransport::new(client)) }
    }

    /// Sets the tags that each host receives.
    pub fn propagate(self, layer: PropagateLayer) -> Self {
        Self { inner: self.inner.propagate(layer) }
    }

    /// Sets the layer that observes calls; see [`TaggedClient::tagging`].
    pub fn tagging(self, layer: TaggingLayer) -> Self {
        Self { inner: self.inner.tagging(layer) }
    }

    /// Returns the inner client, to build requests for [`send`](Self::send).
    ///
    /// A request that is sent by the inner client itself is not observed.
    pub fn client(&self) -> &reqwest::Client {
        self.inner.get_ref().client()
    }

    /// Builds a request and sends it: `llm.send(llm.client().post(url).json(&body))`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`reqwest::RequestBuilder::build`] and of [`execute`](Self::execute).
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, reqwest::Error> {
        self.execute(request.build()?).await
    }

    /// Sends a request on behalf of the current request.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`reqwest::Client::execute`].
    pub async fn execute(&self, request: reqwest::Request) -> Result<reqwest::Response, reqwest::Error> {
        let response = self.inner.send(request.try_into()?).await?;
        Ok(response.map(reqwest::Body::wrap).into())
    }
}

impl Service<reqwest::Request> for ReqwestClient {
    type Response = reqwest::Response;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, reqwest::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let client = self.clone();
        Box::pin(async move { client.execute(request).await })
    }
}
