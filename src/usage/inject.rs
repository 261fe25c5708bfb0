use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::{Body, Frame, SizeHint};
use memchr::{memchr2_iter, memmem};
use pin_project_lite::pin_project;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use tower_layer::Layer;
use tower_service::Service;

use crate::media::{announces_json, media_type};

/// Layer that asks OpenAI-shaped streams for their usage where the client did not, and hides the extra chunk from that
/// client: **the one place where this crate changes bodies**.
///
/// A streaming JSON request to `…/chat/completions` or `…/completions` without `stream_options` gets
/// `"stream_options":{"include_usage":true}`, and loses its `accept-encoding`, so that the answer can be read. The last
/// chunk of the answer, which has usage and no choices, is left out. All other requests pass as they are: those that have
/// `stream_options` of whatever value, that are no JSON by their content type or in truth, and that are too large. (Some
/// providers also write `"usage":null` into every other chunk then, which clients ignore.)
///
/// The event counts the bytes of bodies as they are behind this layer: those of the changed request and of the whole answer.
///
/// It belongs *outside* of the layer with the [`UsageTap`](super::UsageTap), which is to see what the client is not:
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_tagging::{TaggingLayer, sink, usage::{InjectIncludeUsageLayer, UsageTap}};
///
/// let sink = sink::from_fn(|event| println!("{:?}", event.llm()));
/// let tagging = TaggingLayer::builder().usage(UsageTap::new()).sink(sink).build()?;
/// let layers = ServiceBuilder::new().layer(InjectIncludeUsageLayer::new()).layer(tagging);
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
///
/// The body of a candidate is held back until it is complete, up to 4 MiB ([`max_request_bytes`](Self::max_request_bytes));
/// a larger one goes on as it came. An event of the answer is held back until it is complete, up to 64 KiB.
#[derive(Clone, Copy, Debug)]
pub struct InjectIncludeUsageLayer {
    max_request_bytes: usize,
}

impl Default for InjectIncludeUsageLayer {
    fn default() -> Self {
        Self { max_request_bytes: 4 * 1024 * 1024 }
    }
}

impl InjectIncludeUsageLayer {
    /// Holds back up to 4 MiB of a request body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Largest request body that is changed, in bytes.
    #[must_use]
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes;
        self
    }
}

impl<S> Layer<S> for InjectIncludeUsageLayer {
    type Service = InjectIncludeUsage<S>;

    fn layer(&self, inner: S) -> Self::Service {
        InjectIncludeUsage { inner, layer: *self }
    }
}

/// The middleware of [`InjectIncludeUsageLayer`].
#[derive(Clone, Debug)]
pub struct InjectIncludeUsage<S> {
    inner: S,
    layer: InjectIncludeUsageLayer,
}

impl<S, B, R> Service<Request<B>> for InjectIncludeUsage<S>
where
    S: Service<Request<InjectedBody<B>>, Response = Response<R>> + Clone,
    B: Body,
    R: Body,
{
    type Response = Response<HidingBody<R>>;
    type Error = S::Error;
    type Future = InjectFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let body = InjectedBody { before: Bytes::new(), failed: None, trailers: None, rest: Some(Box::pin(body)) };
        if !is_candidate(&head) {
            let inner = self.inner.call(Request::from_parts(head, body));
            return InjectFuture { state: State::Running { inner, hides: false } };
        }
        // The service that is ready is the one that is called later.
        let clone = self.inner.clone();
        let service = mem::replace(&mut self.inner, clone);
        let held = Held { service, head, read: BytesMut::new(), body, limit: self.layer.max_request_bytes };
        InjectFuture { state: State::Reading { held: Some(held) } }
    }
}

fn is_candidate(head: &Parts) -> bool {
    head.method == Method::POST && head.uri.path().ends_with("/completions") && announces_json(&head.headers)
}

/// A request whose body is held back.
struct Held<S, B: Body> {
    service: S,
    head: Parts,
    read: BytesMut,
    body: InjectedBody<B>,
    limit: usize,
}

impl<S, B: Body> Held<S, B> {
    /// Reads the body until it ends, fails, or is too large.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some(rest) = &mut self.body.rest {
            match ready!(rest.as_mut().poll_frame(context)) {
                None => self.body.rest = None,
                Some(Err(error)) => {
                    self.body.failed = Some(error);
                    self.body.rest = None;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) => {
                        let size = data.remaining();
                        self.read.extend_from_slice(&data.copy_to_bytes(size));
                        if self.read.len() > self.limit {
                            break;
                        }
                    }
                    Err(frame) => self.body.trailers = frame.into_trailers().ok(),
                },
            }
        }
        Poll::Ready(())
    }

    /// The request that goes on, and whether it was changed.
    fn into_request(self) -> (S, Request<InjectedBody<B>>, bool) {
        let Self { service, mut head, read, mut body, .. } = self;
        let is_whole = body.rest.is_none() && body.failed.is_none();
        let injected = if is_whole { inject(&read) } else { None };
        let is_changed = injected.is_some();
        body.before = injected.unwrap_or_else(|| read.freeze());
        if is_changed {
            head.headers.remove(header::ACCEPT_ENCODING);
            if head.headers.contains_key(header::CONTENT_LENGTH) {
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.before.len()));
            }
        }
        (service, Request::from_parts(head, body), is_changed)
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: Option<bool>,
    /// Whether it is there, with whatever value.
    #[serde(default, deserialize_with = "is_there", rename = "stream_options")]
    has_options: bool,
}

fn is_there<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// The body that asks for usage too; `None` when it is no stream, or says itself what it wants.
fn inject(body: &[u8]) -> Option<Bytes> {
    const ASK: &[u8] = br#""stream_options":{"include_usage":true},"#;
    let asked: Asked = serde_json::from_slice(body).ok()?;
    if asked.stream != Some(true) || asked.has_options {
        return None;
    }
    let (open, members) = body.split_at_checked(body.iter().position(|byte| *byte == b'{')? + 1)?;
    Some([open, ASK, members].concat().into())
}

pin_project! {
    /// The response future of [`InjectIncludeUsage`].
    pub struct InjectFuture<S, B>
    where
        S: Service<Request<InjectedBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<InjectedBody<B>>>,
        B: Body,
    {
        Reading { held: Option<Held<S, B>> },
        Running { #[pin] inner: S::Future, hides: bool },
    }
}

impl<S, B> fmt::Debug for InjectFuture<S, B>
where
    S: Service<Request<InjectedBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectFuture").finish_non_exhaustive()
    }
}

impl<S, B, R> Future for InjectFuture<S, B>
where
    S: Service<Request<InjectedBody<B>>, Response = Response<R>>,
    B: Body,
    R: Body,
{
    type Output = Result<Response<HidingBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Reading { held } => {
                    if let Some(held) = held {
                        ready!(held.poll_read(context));
                    }
                    // Taken once: the state changes right away.
                    let Some(held) = held.take() else { return Poll::Pending };
                    let (mut service, request, hides) = held.into_request();
                    let inner = service.call(request);
                    state.set(State::Running { inner, hides });
                }
                StateProj::Running { inner, hides } => {
                    let response = ready!(inner.poll(context))?;
                    return Poll::Ready(Ok(hide(response, *hides)));
                }
            }
        }
    }
}

fn hide<R: Body>(response: Response<R>, hides: bool) -> Response<HidingBody<R>> {
    let (mut head, inner) = response.into_parts();
    let header = |name| head.headers.get(name).map_or(&[][..], HeaderValue::as_bytes);
    let is_stream = media_type(&head.headers).eq_ignore_ascii_case(b"text/event-stream");
    let is_plain = matches!(header(header::CONTENT_ENCODING), b"" | b"identity");
    let hides = hides && is_stream && is_plain;
    if hides {
        head.headers.remove(header::CONTENT_LENGTH);
    }
    Response::from_parts(
        head,
        HidingBody { inner, held: hides.then(BytesMut::new), searched: 0, trailers: None, has_ended: false },
    )
}

/// A request body that may ask for usage; see [`InjectIncludeUsageLayer`].
pub struct InjectedBody<B: Body> {
    /// What was held back.
    before: Bytes,
    failed: Option<B::Error>,
    trailers: Option<http::HeaderMap>,
    rest: Option<Pin<Box<B>>>,
}

impl<B: Body> fmt::Debug for InjectedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectedBody").finish_non_exhaustive()
    }
}

// The body is boxed, and nothing else is ever pinned.
impl<B: Body> Unpin for InjectedBody<B> {}

impl<B: Body> Body for InjectedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.before.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(mem::take(&mut self.before)))));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(rest.as_mut().poll_frame(context));
        Poll::Ready(
            frame.map(|frame| frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.before.is_empty()
            && self.failed.is_none()
            && self.trailers.is_none()
            && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let before = self.before.len() as u64;
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(before));
        // With an exact size a client would be done before it hears of the error.
        if let Some(upper) = rest.upper().filter(|_| self.failed.is_none()) {
            hint.set_upper(upper.saturating_add(before));
        }
        hint
    }
}

/// Longest event that is held back until it is complete, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024;

pin_project! {
    /// A response body that may leave out a chunk of usage; see [`InjectIncludeUsageLayer`].
    pub struct HidingBody<R> {
        #[pin]
        inner: R,
        // The event at hand; `None` when nothing is hidden.
        held: Option<BytesMut>,
        searched: usize,
        trailers: Option<http::HeaderMap>,
        has_ended: bool,
    }
}

impl<R: Default> Default for HidingBody<R> {
    /// A body that hides nothing.
    fn default() -> Self {
        Self { inner: R::default(), held: None, searched: 0, trailers: None, has_ended: false }
    }
}

impl<R> fmt::Debug for HidingBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HidingBody").finish_non_exhaustive()
    }
}

impl<R: Body> Body for HidingBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let mut this = self.project();
        loop {
            if *this.has_ended {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let frame = match ready!(this.inner.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    *this.has_ended = true;
                    match this.held.take() {
                        Some(held) if !held.is_empty() => return Poll::Ready(Some(Ok(Frame::data(held.freeze())))),
                        _ => continue,
                    }
                }
            };
            match frame.into_data() {
                Ok(mut data) => {
                    let data = data.copy_to_bytes(data.remaining());
                    let Some(held) = this.held.as_mut() else { return Poll::Ready(Some(Ok(Frame::data(data)))) };
                    held.extend_from_slice(&data);
                    let shown = shown_events(held, this.searched);
                    if !shown.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(shown))));
                    }
                }
                Err(frame) => {
                    // Trailers are the last: what is held back goes before them.
                    *this.trailers = frame.into_trailers().ok();
                    *this.has_ended = true;
                    if let Some(held) = this.held.take().filter(|held| !held.is_empty()) {
                        return Poll::Ready(Some(Ok(Frame::data(held.freeze()))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.held {
            None => self.trailers.is_none() && (self.has_ended || self.inner.is_end_stream()),
            Some(held) => held.is_empty() && self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.held.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

/// The complete events but those of usage alone; what is left is the event at hand, of which `searched` bytes hold no end.
fn shown_events(held: &mut BytesMut, searched: &mut usize) -> Bytes {
    let mut shown = BytesMut::new();
    while let Some(end) = event_end(held, *searched) {
        *searched = 0;
        let event = held.split_to(end);
        if !is_usage_alone(&event) {
            shown.extend_from_slice(&event);
        }
    }
    // An end may begin in the last three bytes.
    *searched = held.len().saturating_sub(3);
    if held.len() > MAX_EVENT_BYTES {
        shown.extend_from_slice(&held.split());
        *searched = 0;
    }
    shown.freeze()
}

/// Where the first event ends, its blank line included; looks from a place on.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memchr2_iter(b'\n', b'\r', rest).find_map(|at| {
        let ends = rest.get(at..)?;
        let len = [&b"\n\n"[..], b"\r\r", b"\r\n\r\n"].into_iter().find(|end| ends.starts_with(end))?.len();
        Some(from + at + len)
    })
}

#[derive(Deserialize)]
struct Chunk {
    choices: Vec<IgnoredAny>,
    usage: Option<IgnoredAny>,
}

fn is_usage_alone(event: &[u8]) -> bool {
    let data = memmem::find(event, b"data:").and_then(|at| event.get(at + 5..));
    let chunk = data.filter(|data| memmem::find(data, b"\"usage\"").is_some());
    let chunk = chunk.and_then(|data| serde_json::from_slice::<Chunk>(data.trim_ascii()).ok());
    chunk.is_some_and(|chunk| chunk.choices.is_empty() && chunk.usage.is_some())
}
