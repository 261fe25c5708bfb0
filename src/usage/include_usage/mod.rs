//! Middleware that asks OpenAI-compatible streams for their usage.
//!
//! OpenAI reports the usage of a stream only if the request has `"stream_options":{"include_usage":true}`. This middleware
//! adds that option if the client did not set it, and hides the additional chunk of usage from that client. **It is the
//! only middleware of this crate that changes bodies.**
//!
//! Place it *outside* of the layer with the [`UsageTap`](super::UsageTap), which must see the hidden chunk:
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_tagging::{TaggingLayer, sink::JsonLinesSink, usage::{UsageTap, include_usage::InjectIncludeUsageLayer}};
//!
//! let tagging = TaggingLayer::builder().usage(UsageTap::new()).sink(JsonLinesSink::stdout()).build()?;
//! let layers = ServiceBuilder::new().layer(InjectIncludeUsageLayer::new()).layer(tagging);
//! # Ok::<(), tower_tagging::ConfigError>(())
//! ```
//!
//! # Which requests are changed
//!
//! A request is changed if it is a POST to a path that ends in `/completions`, and its body is JSON with `"stream":true` and
//! without `include_usage`: `stream_options` or that option is missing or `null`. Other options and all other bytes stay as
//! they are. The request loses its `accept-encoding` header, so that the response can be read.
//!
//! All other requests pass unchanged, including those with `"include_usage":false`, with a coded body, or with a body that is
//! too large.
//!
//! # What is hidden
//!
//! A chunk that has usage, but neither choices nor an error, is left out if the response is an uncoded event stream, or has
//! no media type. Some providers also add `"usage":null` to every other chunk. Clients ignore that, and it is not removed.
//!
//! The event counts the bytes of the bodies as this middleware exchanges them with the inner service: those of the changed
//! request and of the whole response.
//!
//! # Limits
//!
//! The body of a candidate is held back until it is complete, up to 4 MiB by default
//! ([`max_request_bytes`](InjectIncludeUsageLayer::max_request_bytes)). A larger one passes unchanged. Each event of the
//! response is held back until it is complete, up to 64 KiB. If the response breaks off within an event, that part is sent
//! before the error.

mod event_filter;
mod inject_include_usage;
mod inject_include_usage_layer;
mod request_body;
mod response_body;
mod response_future;
mod stream_options;

pub use self::{
    inject_include_usage::InjectIncludeUsage, inject_include_usage_layer::InjectIncludeUsageLayer,
    request_body::RequestBody, response_body::ResponseBody, response_future::ResponseFuture,
};
