//! Trace ids: the W3C ids that join logs and traces, and the ids that clients choose.
//!
//! [`TraceIdLayer`] reads the trace headers of a request and generates the ids that are missing. It passes the service a
//! `traceparent` with our span as the parent, and returns the trace id in a response header.
//! [`TaggingLayer`](crate::TaggingLayer) includes it. It also works on its own:
//!
//! ```
//! use tower::{Layer, ServiceExt};
//! use tower_tagging::{Tags, trace::TraceIdLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = TraceIdLayer::new().layer(tower::service_fn(|request: http::Request<String>| async move {
//!     let trace = request.extensions().get::<Tags>().ok_or("no tags")?.trace();
//!     assert_eq!(trace.client_trace_id(), Some("req-7f3a"));
//!     assert_eq!(trace.trace_id().as_str(), "0af7651916cd43dd8448eb211c80319c");
//!     assert_eq!(request.headers()["traceparent"], trace.traceparent());
//!     Ok::<_, &str>(http::Response::new(String::new()))
//! }));
//!
//! let request = http::Request::builder()
//!     .header("x-portkey-trace-id", "req-7f3a")
//!     .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
//!     .body(String::new())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.headers()["x-portkey-trace-id"], "req-7f3a");
//! # Ok(())
//! # }
//! ```
//!
//! # Origin of the ids
//!
//! [`TraceContext`] has these ids. Each comes from the first place in its row that has a valid value:
//!
//! | id | origin |
//! |---|---|
//! | `trace_id` | `traceparent`; the client's id, if it has 32 hex digits once dashes are removed; the first 16 bytes of the SHA-256 digest of the client's id; a new UUIDv7, see [`RandomIds`] |
//! | `client_trace_id` | the [trace headers](TraceIdLayer::trace_headers), by default `x-portkey-trace-id` and `x-majordomo-trace-id`: 1 to 128 visible ASCII characters |
//! | `span_id` | `x-portkey-span-id`, if it is 16 hex digits and not the id of the parent; a new id |
//! | `parent_span_id` | `x-portkey-parent-span-id`; `traceparent` |
//! | `span_name` | `x-portkey-span-name`; `x-majordomo-span-name` |
//! | `span_path` | `x-majordomo-span-path` without empty segments, if there is a `client_trace_id` |
//!
//! The response header carries the `client_trace_id`, or else the `trace_id`.
//!
//! # W3C Trace Context
//!
//! `traceparent` and `tracestate` are parsed strictly according to
//! [W3C Trace Context, level 2](https://www.w3.org/TR/trace-context-2/). Hex digits must be lowercase. Version `ff`, ids that
//! are all zero, and repeated `traceparent` headers are rejected. Versions above `00` may have additional parts.
//!
//! A valid `tracestate` is passed on unchanged if the `traceparent` is valid as well. Several headers are joined into one,
//! and of a repeated key only the first member is kept. A list that is not valid is dropped and recorded as a diagnostic.
//! [`TraceContext::tracestate`] returns the list for calls that the service makes.
//!
//! # The request that the service sees
//!
//! `traceparent` and, if the client sent it, `x-portkey-parent-span-id` name our span as the parent, so that calls of a proxy
//! that forwards the headers nest under it.
//!
//! # Clients that are not trusted
//!
//! With [`TracePolicy::Restart`], all ids are new, and the client's trace id becomes the
//! [`linked_trace_id`](TraceContext::linked_trace_id).

#[cfg(feature = "otel")]
mod active_span;
mod client_text;
mod continuation;
mod headers;
mod hex_id;
mod id_generator;
mod onward_headers;
mod random_ids;
mod read;
#[cfg(feature = "test-util")]
mod sequential_ids;
mod span_id;
mod step;
mod trace_context;
mod trace_id;
mod trace_id_layer;
mod trace_policy;
mod trace_sampler;
mod trace_source;
mod traceparent;
mod tracestate;

pub(crate) use self::onward_headers::OnwardHeaders;
#[cfg(feature = "test-util")]
pub use self::sequential_ids::SequentialIds;
pub use self::{
    id_generator::IdGenerator, random_ids::RandomIds, span_id::SpanId, trace_context::TraceContext, trace_id::TraceId,
    trace_id_layer::TraceIdLayer, trace_policy::TracePolicy, trace_sampler::TraceSampler, trace_source::TraceSource,
};
