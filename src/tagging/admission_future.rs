use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    media::media_type,
    request::{Rejection, Tags},
};

use super::{
    admission_body::AdmissionBody,
    admission_layer::AdmissionLayer,
    gate_reply::GateReply,
    passage::Passage,
    read_ahead::{Read, ReadAhead},
    replay_body::ReplayBody,
    response_meter::ResponseMeter,
};

pin_project! {
    /// The response future of [`AdmissionService`](super::AdmissionService).
    pub struct AdmissionFuture<S, B>
    where
        S: Service<Request<ReplayBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F>
    where
        B: Body,
    {
        Called { #[pin] inner: F, extras: Option<Box<Extras>> },
        // Boxed, because few requests need them.
        Reading { reading: Option<Box<(ReadAhead<S, B>, AdmissionLayer)>> },
        Waiting { waiting: Option<Box<Waiting<S, B>>> },
        Rejected { rejection: Option<Box<Rejection>> },
    }
}

/// A request that waits for the decision of the gate.
struct Waiting<S, B: Body> {
    service: S,
    request: Request<ReplayBody<B>>,
    tags: Tags,
    reply: Pin<Box<dyn Future<Output = Passage> + Send>>,
}

/// What the gate adds to the response.
pub(super) struct Extras {
    headers: HeaderMap,
    meter: Option<(Box<dyn ResponseMeter>, Tags)>,
}

impl<S, B> AdmissionFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    pub(super) fn called(inner: S::Future, extras: Option<Box<Extras>>) -> Self {
        Self { state: State::Called { inner, extras } }
    }

    pub(super) fn reading(reading: ReadAhead<S, B>, layer: AdmissionLayer) -> Self {
        Self { state: State::Reading { reading: Some(Box::new((reading, layer))) } }
    }

    /// Waits for the decision of the gate.
    pub(super) fn waiting(
        service: S,
        request: Request<ReplayBody<B>>,
        tags: Tags,
        reply: Pin<Box<dyn Future<Output = Passage> + Send>>,
    ) -> Self {
        Self { state: State::Waiting { waiting: Some(Box::new(Waiting { service, request, tags, reply })) } }
    }

    /// Follows the decision of the gate.
    pub(super) fn passed(service: &mut S, request: Request<ReplayBody<B>>, tags: Tags, passage: Passage) -> Self {
        match passage {
            Passage::Reject(mut rejection) => {
                if request.version() < Version::HTTP_2 && !request.body().is_received() {
                    // A server cannot use the connection again before the whole body was received.
                    rejection.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Self::rejected(&tags, rejection)
            }
            Passage::Admit { headers, notes, notes_without_usage, meter } => {
                notes.into_iter().for_each(|note| tags.diagnose(note));
                if !notes_without_usage.is_empty() {
                    tags.diagnose_without_usage(notes_without_usage);
                }
                let has_extras = !headers.is_empty() || meter.is_some();
                let extras = has_extras.then(|| Box::new(Extras { headers, meter: meter.map(|meter| (meter, tags)) }));
                Self::called(service.call(request), extras)
            }
        }
    }

    pub(super) fn rejected(tags: &Tags, mut rejection: Box<Rejection>) -> Self {
        tags.reject(&rejection.reason);
        if let Some(rule) = &rejection.limit_rule {
            tags.set_limit_rule(rule);
        }
        for note in std::mem::take(&mut rejection.notes) {
            tags.diagnose(note);
        }
        Self { state: State::Rejected { rejection: Some(rejection) } }
    }
}

impl<S, B> fmt::Debug for AdmissionFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionFuture").finish_non_exhaustive()
    }
}

impl<S, B, ResBody> Future for AdmissionFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>>,
    B: Body<Error: 'static> + Unpin,
    ResBody: Body<Data: From<Bytes>>,
{
    type Output = Result<Response<AdmissionBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Called { inner, extras } => {
                    let response = ready!(inner.poll(context))?;
                    return Poll::Ready(Ok(extended(response, extras.take())));
                }
                StateProj::Rejected { rejection } => {
                    // A future must not be polled again after it was ready.
                    return rejection.take().map_or(Poll::Pending, |rejection| Poll::Ready(Ok(respond(*rejection))));
                }
                StateProj::Reading { reading } => {
                    let Some(ahead) = reading else { return Poll::Pending };
                    ready!(ahead.0.poll(context));
                    let Some((ahead, layer)) = reading.take().map(|ahead| *ahead) else { return Poll::Pending };
                    match ahead.finish() {
                        Some(Ok(read)) => entered(read, &layer).state,
                        Some(Err((tags, rejection))) => Self::rejected(&tags, rejection).state,
                        None => return Poll::Pending,
                    }
                }
                StateProj::Waiting { waiting } => {
                    let Some(gated) = waiting else { return Poll::Pending };
                    let passage = ready!(gated.reply.as_mut().poll(context));
                    let Some(Waiting { mut service, request, tags, .. }) = waiting.take().map(|waiting| *waiting)
                    else {
                        return Poll::Pending;
                    };
                    Self::passed(&mut service, request, tags, passage).state
                }
            };
            this.state.set(next);
        }
    }
}

/// Passes a request whose body was read ahead to the gate.
fn entered<S, B>(read: Read<S, B>, layer: &AdmissionLayer) -> AdmissionFuture<S, B>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    let Read { mut service, request, tags, body_bytes } = read;
    let (request, reply) = layer.enter(request, &tags, body_bytes);
    match reply {
        GateReply::Now(passage) => AdmissionFuture::passed(&mut service, request, tags, passage),
        GateReply::Later(reply) => AdmissionFuture::waiting(service, request, tags, reply),
    }
}

/// Adds what the gate adds to a response.
fn extended<B: Body>(mut response: Response<B>, extras: Option<Box<Extras>>) -> Response<AdmissionBody<B>> {
    let Some(extras) = extras else { return response.map(AdmissionBody::of_service) };
    let Extras { headers, meter } = *extras;
    for (name, value) in &headers {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    match meter.filter(|_| is_stream(&response)) {
        Some((meter, tags)) => response.map(|body| AdmissionBody::metered(body, meter, tags)),
        None => response.map(AdmissionBody::of_service),
    }
}

/// Returns `true` for a stream of events or documents. Any other body may be useless if it is cut off, and its length may be
/// announced.
fn is_stream<B: Body>(response: &Response<B>) -> bool {
    let media_type = media_type(response.headers());
    let is_stream = ["text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json"]
        .iter()
        .any(|stream| media_type.eq_ignore_ascii_case(stream.as_bytes()));
    let has_length = response.headers().contains_key(header::CONTENT_LENGTH);
    is_stream && !has_length && response.body().size_hint().exact().is_none()
}

fn respond<B>(rejection: Rejection) -> Response<AdmissionBody<B>> {
    let mut response = Response::new(AdmissionBody::of_rejection(rejection.body));
    *response.status_mut() = rejection.status;
    *response.headers_mut() = rejection.headers;
    response
}
