use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::{HeaderValue, Request, StatusCode, Version, header, request::Parts};
use http_body::{Body, Frame};

use crate::{
    metadata::{Diagnostic, DiagnosticCode},
    request::{Caller, Rejection, Tags},
};

use super::{
    admission_decision::{Decision, decide_after_body},
    replay_body::ReplayBody,
    request_body::RequestBody,
};

/// Maximum number of bytes that are read ahead.
const MAX_BYTES: u64 = 256 * 1024;

/// The reason to reject a request whose body breaks off.
const BROKEN_BODY: &str = "broken_body";

/// Maximum number of frames that are read ahead, because each takes memory in addition to its bytes.
const MAX_FRAMES: usize = 8 * 1024;

/// A request whose body is read until its fields are known.
pub(super) struct ReadAhead<S, B: Body> {
    service: S,
    /// `None` once the service can be called.
    request: Option<(Parts, RequestBody<B>)>,
    frames: VecDeque<Result<Frame<B::Data>, B::Error>>,
    bytes: u64,
    has_ended: bool,
    tags: Tags,
    /// The rules that wait for the body. `None` if only the gate does.
    caller: Option<Arc<dyn Caller>>,
}

/// A request after its body was read.
pub(super) struct Read<S, B: Body> {
    pub(super) service: S,
    pub(super) request: Request<ReplayBody<B>>,
    pub(super) tags: Tags,
    /// The length of the body, if the whole body was read.
    pub(super) body_bytes: Option<u64>,
}

/// The request after its body was read, or its rejection.
pub(super) type Ready<S, B> = Result<Read<S, B>, (Tags, Box<Rejection>)>;

impl<S, B: Body<Error: 'static> + Unpin> ReadAhead<S, B> {
    pub(super) fn new(
        service: S,
        head: Parts,
        body: RequestBody<B>,
        tags: Tags,
        caller: Option<Arc<dyn Caller>>,
    ) -> Self {
        Self { service, request: Some((head, body)), frames: VecDeque::new(), bytes: 0, has_ended: false, tags, caller }
    }

    /// Reads the body until its fields are known, it ends, or it is too long.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((_, body)) = &mut self.request else { return Poll::Ready(()) };
        while body.is_reading() && self.bytes <= MAX_BYTES && self.frames.len() < MAX_FRAMES {
            let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(context)) else {
                self.has_ended = true;
                break;
            };
            let data = frame.as_ref().ok().and_then(Frame::data_ref);
            self.bytes += data.map_or(0, |data| data.remaining() as u64);
            let is_over = frame.is_err();
            self.frames.push_back(frame);
            if is_over {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Decides about the request whose body was read. Returns `None` after the first call.
    pub(super) fn finish(self) -> Option<Ready<S, B>> {
        let Self { service, request, frames, bytes, has_ended, tags, caller } = self;
        let (head, body) = request?;
        if matches!(frames.back(), Some(Err(_))) {
            // The client is gone, and its tags are incomplete.
            let rejection = Rejection::new(StatusCode::BAD_REQUEST, BROKEN_BODY);
            return Some(Err((tags, Box::new(rejection))));
        }
        if body.is_reading() && !has_ended {
            let field = if caller.is_some() { "user" } else { "model" };
            tags.diagnose(Diagnostic::new(DiagnosticCode::TooLarge).with_key(field));
            body.report_found();
        }
        if let Decision::Reject(mut rejection) = decide_after_body(&tags, caller) {
            if head.version < Version::HTTP_2 && !has_ended && !body.is_end_stream() {
                rejection.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            return Some(Err((tags, rejection)));
        }
        // Nothing follows a complete document.
        let is_complete = has_ended || !body.is_reading();
        let rest = if has_ended { Some(0) } else { body.size_hint().exact() };
        let rest = rest.or(is_complete.then_some(0));
        let body_bytes = rest.map(|rest| bytes.saturating_add(rest));
        let request = Request::from_parts(head, ReplayBody::new(body, frames, has_ended));
        Some(Ok(Read { service, request, tags, body_bytes }))
    }
}
