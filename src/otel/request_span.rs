use std::{net::SocketAddr, sync::Arc};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanKind},
};

use super::forwarded::Forwarded;

/// The part of a request's span that is known at the start of the request and is not part of the event.
#[derive(Debug)]
pub(super) struct RequestSpan {
    /// The identity of the `Otel` that started the span. A layer can have several.
    pub(super) owner: Arc<()>,
    pub(super) kind: SpanKind,
    /// The parent is a span of this process.
    pub(super) has_local_parent: bool,
    /// The span that the client named as the parent, if the span of the process belongs to another trace.
    pub(super) linked: Option<SpanContext>,
    /// The span itself, if a tracer provider started it.
    pub(super) context: Option<Context>,
    /// The other end of the connection.
    pub(super) peer: Option<SocketAddr>,
    pub(super) user_agent: Option<Box<str>>,
    pub(super) forwarded: Forwarded,
}

impl RequestSpan {
    /// Returns `true` if the event describes the span completely.
    pub(super) fn is_plain(&self) -> bool {
        !self.has_local_parent
            && self.context.is_none()
            && self.peer.is_none()
            && self.user_agent.is_none()
            && self.forwarded.is_empty()
    }
}
