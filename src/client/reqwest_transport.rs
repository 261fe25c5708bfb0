use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use reqwest::ResponseBuilderExt;
use tower_service::Service;

use crate::tagging::RequestBody;

/// Sends requests of the `http` crate through reqwest.
#[derive(Clone, Debug)]
pub(super) struct ReqwestTransport {
    client: reqwest::Client,
}

impl ReqwestTransport {
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self { client }
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    async fn send(
        self,
        request: Request<RequestBody<reqwest::Body>>,
    ) -> Result<Response<reqwest::Body>, reqwest::Error> {
        let response = self.client.execute(request.map(into_body).try_into()?).await?;
        // The conversion loses the URL, which is the last one if there were redirects.
        let url = Response::builder().url(response.url().clone()).body(());
        let mut response = Response::from(response);
        if let Ok(url) = url {
            response.extensions_mut().extend(url.into_parts().0.extensions);
        }
        Ok(response)
    }
}

impl Service<Request<RequestBody<reqwest::Body>>> for ReqwestTransport {
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<reqwest::Body>>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// Converts an observed body. A body in memory stays one, so that reqwest can send it again after a redirect.
fn into_body(mut body: RequestBody<reqwest::Body>) -> reqwest::Body {
    if body.get_ref().as_bytes().is_none() {
        return reqwest::Body::wrap(body);
    }
    let mut bytes = Bytes::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body.frame()).poll(&mut context) {
        // A body in memory has one frame.
        if let Ok(data) = frame.into_data() {
            bytes = data;
        }
    }
    bytes.into()
}
