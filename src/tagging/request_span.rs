use tracing::{Level, Span};

use super::{request_observer::RequestObserver, request_scope::RequestScope, request_start::RequestStart};

/// Runs each request within a `tracing` span; see [`EventLayer::span`](super::EventLayer::span).
#[derive(Clone, Copy)]
pub(super) struct RequestSpan(pub(super) Level);

impl RequestObserver for RequestSpan {
    fn begin(&self, request: &mut RequestStart<'_>) -> Box<dyn RequestScope> {
        // The level of a span is part of its static call site.
        macro_rules! span {
            ($level:ident) => {
                tracing::span!(
                    target: "tower_tagging::request",
                    Level::$level,
                    "request",
                    trace_id = request.trace.trace_id().as_str(),
                    span_id = request.trace.span_id().as_str(),
                    method = request.method.as_str(),
                    path = request.path,
                )
            };
        }
        Box::new(match self.0 {
            Level::ERROR => span!(ERROR),
            Level::WARN => span!(WARN),
            Level::INFO => span!(INFO),
            Level::DEBUG => span!(DEBUG),
            Level::TRACE => span!(TRACE),
        })
    }
}

impl RequestScope for Span {
    fn run(&mut self, poll: &mut dyn FnMut()) {
        self.in_scope(poll);
    }
}
