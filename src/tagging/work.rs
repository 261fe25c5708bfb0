use std::{
    fmt::{self, Display},
    future::Future,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, request::Parts};

use crate::{
    event::WORK,
    metadata::{Metadata, Scope, Scopes},
    request::Tags,
    text::truncated,
};

use super::{
    error_text::display_text, guard::Guard, head_only_tagging_layer::HeadOnlyTaggingLayer, steps::Begun,
    work_future::WorkFuture, work_guard::WorkGuard, work_name::WorkName,
};

/// Maximum length of the name of work, in characters.
const MAX_NAME_CHARS: usize = 256;

/// Work that is not an HTTP request: a queue message, a scheduled job, a command.
///
/// It gets the same handle, the same sinks, and exactly one event, as a request through the same layer does. Created by
/// [`Tags::work`].
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use http::HeaderMap;
/// use tower_tagging::{TagSources, TaggingLayer, Tags, event::Outcome, sink::MockSink};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut headers = HeaderMap::new();
/// # headers.insert("x-tenant", "acme".parse()?);
/// let sink = MockSink::new();
/// let tagging = TaggingLayer::builder().sources(TagSources::new().allow_list("x-tenant=tenant")).sink(sink.clone()).build()?;
///
/// // For each message of a queue, with the headers that its producer set:
/// let result = Tags::work("consume invoices")
///     .headers(&headers)
///     .tag("queue", "invoices")
///     .run(&tagging, |tags| async move {
///         tags.insert("invoice_id", "17");
///         Ok::<_, std::io::Error>("done")
///     })
///     .await;
///
/// let event = sink.single();
/// assert_eq!((event.route(), event.outcome()), (Some("consume invoices"), Outcome::Completed));
/// assert_eq!(&event.metadata()["tenant"], "acme");
/// # assert_eq!(result?, "done");
/// # Ok(())
/// # }
/// # main().unwrap(); }
/// ```
///
/// # The event
///
/// | | value |
/// |---|---|
/// | [`route`](crate::Event::route), [`path`](crate::Event::path) | the name of the work |
/// | [`method`](crate::Event::method) | `WORK` |
/// | [`status`](crate::Event::status) | `None` |
/// | [`outcome`](crate::Event::outcome) | `completed`; `failed` for an error; `panicked`; `cancelled` if the future or guard is dropped before its end |
/// | [`error`](crate::Event::error) | the text of the error without control characters, at most 1,024 characters; if there is none, the name of its type |
///
/// Headers are read by the layer as those of a request: tags by its sources, and the trace by `traceparent`, so that the work
/// continues the trace of the producer. Without one, it starts a trace, also within a request. Send the trace context with
/// the message by
/// `propagate::headers(&tags, &Destination::new())`. A strict mode of the layer does not reject work; its diagnostics are on
/// the event.
#[derive(Clone)]
#[must_use = "work does nothing until it is run or started"]
pub struct Work {
    name: Box<str>,
    headers: HeaderMap,
    tags: Vec<(String, String)>,
    scopes: Scopes,
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tags {
    /// Creates work that is not an HTTP request, such as a queue message.
    ///
    /// The name is the [route](crate::Event::route) of the event. It should be one of few, such as `consume invoices`: put
    /// ids into tags. It is truncated to 256 characters.
    pub fn work(name: &str) -> Work {
        // The paths of requests start with a slash.
        let name = truncated(name.trim_start_matches('/'), MAX_NAME_CHARS);
        let name = if name.is_empty() || name == "*" { "work" } else { name };
        Work { name: name.into(), headers: HeaderMap::new(), tags: Vec::new(), scopes: Scopes::new() }
    }
}

impl Work {
    /// Adds headers that came with the work, from which the layer reads tags and trace ids.
    pub fn headers(mut self, headers: &HeaderMap) -> Self {
        self.headers.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// Adds a header that came with the work, such as one of a queue message.
    ///
    /// A name or value that HTTP does not allow is ignored, since no source reads it.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_ref().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_ref())) {
            self.headers.append(name, value);
        }
        self
    }

    /// Adds a tag in the scope [`Handler`](Scope::Handler); see [`Tags::insert`].
    pub fn tag(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.tags.push((key.into(), value.to_string()));
        self
    }

    /// Adds tags to a scope; see [`Tags::extend_scope`].
    pub fn extend_scope(mut self, scope: Scope, metadata: Metadata) -> Self {
        self.scopes.add(scope, metadata);
        self
    }

    /// Starts the work and runs a fallible future for it.
    ///
    /// An error makes the outcome `failed`. Within the future, [`Tags::current`] returns the handle, which the closure also
    /// receives.
    pub fn run<F, T, E>(self, layer: impl Into<HeadOnlyTaggingLayer>, work: impl FnOnce(Tags) -> F) -> WorkFuture<F>
    where
        F: Future<Output = Result<T, E>>,
        E: Display,
    {
        let mut guard = self.start(layer);
        let tags = guard.tags().clone();
        let future = guard.enter(|| work(tags));
        WorkFuture::new(future, guard, |result| result.as_ref().err().map(|error| display_text("work", error)))
    }

    /// Starts the work and runs a future for it, whose end makes the outcome `completed`.
    pub fn scope<F: Future>(self, layer: impl Into<HeadOnlyTaggingLayer>, future: F) -> WorkFuture<F> {
        WorkFuture::new(future, self.start(layer), |_| None)
    }

    /// Starts the work. Use this for code that is not a single future, such as a thread.
    pub fn start(self, layer: impl Into<HeadOnlyTaggingLayer>) -> WorkGuard {
        let layer = layer.into();
        let mut head = self.head();
        let Begun { guard, .. } = layer.steps.begin(&mut head);
        let (tags, guard) = if let Some(tags) = head.extensions.remove::<Tags>() {
            (tags, guard)
        } else {
            // The layer has no part that is switched on.
            let tags = Tags::new();
            (tags.clone(), Guard::new(None, &tags, true))
        };
        tags.accept();
        tags.extend(self.tags);
        for scope in Scope::ALL {
            let metadata = self.scopes.get(*scope);
            if !metadata.is_empty() {
                tags.extend_scope(*scope, metadata.clone());
            }
        }
        WorkGuard::new(guard, tags)
    }

    /// Returns the request head that stands for the work.
    fn head(&self) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = WORK.clone();
        head.headers = self.headers.clone();
        head.extensions.insert(WorkName(self.name.clone()));
        head
    }
}
