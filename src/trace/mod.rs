//! Trace ids: one that people search for, and the W3C pair that systems nest spans by.
//!
//! [`TraceIdLayer`] reads trace headers, makes what is missing, hands the service a `traceparent` that names our span as
//! the parent, and returns the trace id in a response header. It is one of the three layers that
//! [`TaggingLayer`](crate::TaggingLayer) composes and works alone:
//!
//! ```
//! use tower::{Layer, ServiceExt};
//! use tower_tagging::{Tags, trace::TraceIdLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = TraceIdLayer::new().layer(tower::service_fn(|request: http::Request<String>| async move {
//!     let trace = request.extensions().get::<Tags>().ok_or("no tags")?.trace();
//!     assert_eq!(trace.trace_id(), "req-7f3a");
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
//! # The ids
//!
//! | id | comes from |
//! |---|---|
//! | `trace_id` | the first of the [trace headers](TraceIdLayer::trace_headers), by default `x-portkey-trace-id` and `x-majordomo-trace-id`, that holds 1 to 128 visible ASCII characters; else `trace_id` |
//! | `trace_id` | a valid `traceparent`; else the explicit id, when it is 32 hex digits once dashes are removed; else the first 16 bytes of its SHA-256; else a fresh `UUIDv7`, whose two variant bits are random (see [`RandomIds`]) |
//! | `span_id` | `x-portkey-span-id` when it is 16 hex digits and not the id of the parent; else fresh |
//! | `parent_span_id` | `x-portkey-parent-span-id`; else `traceparent` |
//! | `span_name` | `x-portkey-span-name`; else `x-majordomo-span-name` |
//! | `span_path` | `x-majordomo-span-path`, empty segments dropped, only beside an explicit trace id |
//!
//! `traceparent` is parsed strictly by [W3C Trace Context](https://www.w3.org/TR/trace-context/): lower-case hex, version
//! `ff` refused, more parts allowed above version `00`, all-zero ids refused, two headers refused. A valid `tracestate` goes
//! on unchanged beside a valid `traceparent`; several headers become one, and of a key that stands there twice the first
//! goes on. One that is not valid (more than 32 members, keys or values that are not allowed) is dropped as a whole and
//! noted, as is any beside no valid `traceparent`, as the specification demands. [`TraceContext::tracestate`] keeps it for
//! calls that the service makes.
//!
//! # Untrusted callers
//!
//! With [`TracePolicy::Restart`] no inbound id becomes ours: all are made new, and the inbound trace id is kept as
//! [`linked_trace_id`](TraceContext::linked_trace_id).

mod context;
mod headers;
mod ids;
mod layer;
mod sampler;
#[cfg(feature = "propagate")]
mod step;
mod traceparent;
mod tracestate;

#[cfg(feature = "test-util")]
pub use self::ids::SequentialIds;
pub use self::{
    context::{SpanId, TraceContext, TraceId, TraceSource},
    ids::{IdGenerator, RandomIds},
    layer::{TraceIdLayer, TracePolicy},
    sampler::TraceSampler,
};
