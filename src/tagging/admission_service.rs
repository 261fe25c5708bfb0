use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header, request::Parts};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::request::{Caller, Tags};

use super::{
    admission_body::AdmissionBody, admission_decision::Decision, admission_future::AdmissionFuture,
    admission_layer::AdmissionLayer, gate_reply::GateReply, read_ahead::ReadAhead, replay_body::ReplayBody,
    request_body::RequestBody, tagging::Tagging,
};

/// The middleware of [`AdmissionLayer`], within [`Tagging`](super::Tagging).
#[derive(Clone, Debug)]
pub struct AdmissionService<S> {
    inner: S,
    layer: AdmissionLayer,
}

impl<S> AdmissionService<S> {
    pub(super) fn new(inner: S, layer: AdmissionLayer) -> Self {
        Self { inner, layer }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, ResBody> Service<Request<B>> for AdmissionService<S>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>> + Clone,
    B: Body<Error: 'static> + Unpin,
    ResBody: Body<Data: From<Bytes>>,
{
    type Response = Response<AdmissionBody<ResBody>>;
    type Error = S::Error;
    type Future = AdmissionFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let tags = head.extensions.get_or_insert_with(Tags::new).clone();
        let body = RequestBody::read(&head, body);
        let may_have_user = body.is_reading() && !body.is_end_stream();
        // A server cannot use the connection again before the whole body was received.
        let must_close = head.version < Version::HTTP_2 && !body.is_end_stream();
        match self.layer.admit(&mut head, &tags, may_have_user) {
            Decision::Reject(mut rejection) => {
                if must_close {
                    rejection.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                AdmissionFuture::rejected(&tags, rejection)
            }
            Decision::ReadBody(caller) => self.read(head, body, tags, Some(caller)),
            Decision::Call => match self.layer.gate_needs() {
                None => {
                    let body = ReplayBody::new(body, VecDeque::new(), false);
                    AdmissionFuture::called(self.inner.call(Request::from_parts(head, body)), None)
                }
                Some(needs) if may_have_user && self.layer.reads_body(needs, &head, &tags) => {
                    self.read(head, body, tags, None)
                }
                Some(_) => {
                    let body_bytes = body.size_hint().exact().or_else(|| content_length(&head));
                    let body = ReplayBody::new(body, VecDeque::new(), false);
                    self.enter(Request::from_parts(head, body), tags, body_bytes)
                }
            },
        }
    }
}

impl<S: Clone> AdmissionService<S> {
    /// Reads the body ahead.
    fn read<B>(
        &mut self,
        head: Parts,
        body: RequestBody<B>,
        tags: Tags,
        caller: Option<Arc<dyn Caller>>,
    ) -> AdmissionFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
        B: Body<Error: 'static> + Unpin,
    {
        let service = self.take();
        AdmissionFuture::reading(ReadAhead::new(service, head, body, tags, caller), self.layer.clone())
    }

    /// Passes the request to the gate.
    fn enter<B>(
        &mut self,
        request: Request<ReplayBody<B>>,
        tags: Tags,
        body_bytes: Option<u64>,
    ) -> AdmissionFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
        B: Body,
    {
        let (request, reply) = self.layer.enter(request, &tags, body_bytes);
        match reply {
            GateReply::Now(passage) => AdmissionFuture::passed(&mut self.inner, request, tags, passage),
            GateReply::Later(reply) => AdmissionFuture::waiting(self.take(), request, tags, reply),
        }
    }

    /// Takes the service that is ready, which is called later. Its clone becomes ready by `poll_ready`.
    fn take(&mut self) -> S {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }
}

/// Returns the declared length of a body.
fn content_length(head: &Parts) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Tagging<AdmissionService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(AdmissionService::new(inner, self.clone()), self.head.clone())
    }
}
