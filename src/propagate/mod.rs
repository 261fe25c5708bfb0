//! Sends tags and trace ids with outgoing calls, to each destination only what it is allowed to receive.
//!
//! A [`Destination`] defines what is sent: the trace context, and the tags on an allow-list, in the dialects that the
//! destination understands. [`PropagateLayer`] adds these headers to the requests of an HTTP client, depending on the
//! host.
//!
//! # Example
//!
//! ```
//! use tower::{Layer, ServiceExt};
//! use tower_tagging::{Tags, propagate::{Dialect, Destination, PropagateLayer}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let propagate = PropagateLayer::builder()
//!     .host("llm.example.com", Destination::new().dialect(Dialect::Portkey).allow(["_user", "feature"]))
//!     .host("*.internal.example", Destination::new().dialect(Dialect::Baggage).allow_as("tenant_id", "tenant"))
//!     .build()?;
//!
//! // A stand-in for hyper-util's client. Any `Service<Request<B>>` works.
//! let client = propagate.layer(tower::service_fn(|sent: http::Request<String>| async move {
//!     assert!(sent.headers().contains_key("traceparent"));
//!     assert_eq!(sent.headers()["x-portkey-metadata"], r#"{"_user":"Zo\u00eb"}"#);
//!     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
//! }));
//!
//! // Within a handler, the tagging layer sets the current request. Here, `scope` does.
//! let tags = Tags::new();
//! tags.extend([("_user", "Zoë"), ("plan", "not on the allow-list")]);
//! let request = http::Request::post("https://llm.example.com/v1/chat/completions").body(String::new())?;
//! tags.scope(client.oneshot(request)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! reqwest and other clients that take an [`http::HeaderMap`] get their headers from [`headers`]:
//! `client.post(url).headers(propagate::headers(&tags, &destination))`.
//!
//! # Which request a call belongs to
//!
//! When the layer is called, it uses the first of these:
//!
//! 1. a [`Step`](crate::Step) in the extensions of the outgoing request
//! 2. [`Tags`](crate::Tags) in the extensions of the outgoing request, with the [current step](crate::Step::current) if it
//!    belongs to the same request
//! 3. the current step, or else the [current request](crate::Tags::current)
//!
//! If there is none of them, no headers are added. Set the extensions for calls that run elsewhere, for example in a
//! spawned task. A `tower::buffer::Buffer` calls its inner service in such a task, so place this layer outside of it.
//!
//! # Trace context
//!
//! - `traceparent` names our own span as the parent. Within a step, it names the span of the step. With the feature
//!   `otel` and outside of steps, it names the active OpenTelemetry span if that belongs to the request.
//! - `tracestate` is forwarded unchanged.
//!
//! The two headers are written as a pair. An outgoing request that already has a different `traceparent` keeps its pair.
//! A request that a proxy forwards has the `traceparent` of our own span, and is updated to the one of the current step. If
//! the destination receives no trace context, that `traceparent` is removed. The same applies to an
//! `x-portkey-parent-span-id` that names our own span.
//!
//! Other existing headers are kept unless [`overwrite`](PropagateLayerBuilder::overwrite) is set. The layer does not
//! remove tags from requests that a proxy forwards. Use [`StripHeaders`](crate::sources::StripHeaders) for that.
//!
//! # Dialects
//!
//! | [`Dialect`] | tags | trace | rules |
//! |---|---|---|---|
//! | [`Baggage`](Dialect::Baggage) | `baggage: tenant=acme,_user=Zo%C3%AB` | | [W3C Baggage](https://www.w3.org/TR/baggage/): at most 64 members; keys are tokens |
//! | [`Portkey`](Dialect::Portkey) | `x-portkey-metadata: {"_user":"Zo\u00eb"}` | `x-portkey-trace-id`, `-parent-span-id`, `-span-name` | [metadata](https://portkey.ai/docs/product/observability/metadata): values have at most 128 characters |
//! | [`Majordomo`](Dialect::Majordomo) | `x-majordomo-tenant: acme` | `x-majordomo-trace-id`, `-span-path`, `-span-name` | names that control the gateway, such as `key`, are reserved |
//! | [`Helicone`](Dialect::Helicone) | `helicone-property-tenant: acme`; `_user`, `session_id`, and `session_name` become `helicone-user-id`, `helicone-session-id`, and `helicone-session-name` | `helicone-session-path`, if there is a session id | [header directory](https://docs.helicone.ai/helicone-headers/header-directory) |
//! | [`LiteLlm`](Dialect::LiteLlm) | `x-litellm-tags: tenant:acme,_user:ada` | | [request headers](https://docs.litellm.ai/docs/proxy/request_headers): tags are separated by commas |
//! | [`Cloudflare`](Dialect::Cloudflare) | `cf-aig-metadata: {"tenant":"acme"}` | | [custom metadata](https://developers.cloudflare.com/ai-gateway/observability/custom-metadata/): at most 5 entries |
//!
//! JSON is ASCII, with `\u` escapes for all other characters. `baggage` values are percent-encoded, except for characters
//! that W3C Baggage allows. The other dialects send UTF-8 without leading and trailing spaces and tabs, which HTTP removes
//! anyway.
//!
//! # Limits
//!
//! The tags of one dialect take at most 8,192 bytes. W3C Baggage guarantees that size, and most servers accept it.
//!
//! A tag that a dialect cannot represent is left out of that dialect, and never altered. [`Propagated::left_out`] lists
//! these tags with the reasons, and [`PropagateLayer::left_out_total`] counts them. Tags are written in the order of the
//! allow-list until a limit is reached.

mod destination;
mod dialect;
mod headers;
mod hosts;
mod left_out;
mod left_out_reason;
mod origin;
mod propagate;
mod propagate_layer;
mod propagate_layer_builder;
mod propagated;
mod text;
mod writer;

pub use self::{
    destination::Destination, dialect::Dialect, headers::headers, left_out::LeftOut, left_out_reason::LeftOutReason,
    origin::Origin, propagate::Propagate, propagate_layer::PropagateLayer,
    propagate_layer_builder::PropagateLayerBuilder, propagated::Propagated,
};
