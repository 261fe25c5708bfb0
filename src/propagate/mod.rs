//! Tags and trace ids on outgoing calls: what one destination is told of the request that a call is made for, and no more.
//!
//! A [`Destination`] says what goes out: the trace context, and the tags on its allow-list, in the dialects that it
//! understands. [`PropagateLayer`] writes that into the requests of an HTTP client, by host:
//!
//! ```
//! use tower::{Layer, ServiceExt};
//! use tower_tagging::{Tags, propagate::{Dialect, Destination, PropagateLayer}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let propagate = PropagateLayer::new()
//!     .host("llm.example.com", Destination::new().dialect(Dialect::Portkey).allow(["_user", "feature"]))?
//!     .host("*.internal.example", Destination::new().dialect(Dialect::Baggage).allow_as("tenant_id", "tenant"))?;
//!
//! // In place of hyper-util's client; any `Service<Request<B>>` will do.
//! let client = propagate.layer(tower::service_fn(|sent: http::Request<String>| async move {
//!     assert!(sent.headers().contains_key("traceparent"));
//!     assert_eq!(sent.headers()["x-portkey-metadata"], r#"{"_user":"Zo\u00eb"}"#);
//!     Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
//! }));
//!
//! // Within a handler, the layer around it says whose request it is; here we say it ourselves.
//! let tags = Tags::new();
//! tags.extend([("_user", "Zoë"), ("plan", "nobody else's business")]);
//! let request = http::Request::post("https://llm.example.com/v1/chat/completions").body(String::new())?;
//! tags.scope(client.oneshot(request)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! reqwest, and every client that takes an [`http::HeaderMap`], is told by [`headers`]:
//! `client.post(url).headers(propagate::headers(&tags, &destination))`.
//!
//! # Which request
//!
//! The layer looks, when it is called, for a [`Step`] and then for [`Tags`] in the extensions of the outgoing request, then for
//! [`Tags::current`], at the [current step](Step::current) of that request where there is one. The first two are for calls that
//! are made elsewhere: in a spawned task, or behind a `tower::buffer::Buffer`, whose worker is such a task; so the layer
//! belongs outside of a buffer. Outside of every request nothing is sent.
//!
//! # The trace
//!
//! `traceparent` names our own span as the parent, or that of the [`Step`]; with the feature `otel`, outside of steps, the span
//! of OpenTelemetry that is active within the request. `tracestate` goes on as it came.
//!
//! Both are a pair: a request that already has a `traceparent` of its caller's keeps its pair; one that has none gets both of
//! ours. A request that is handed on, as a proxy does it, has the `traceparent` of our own request, which a step's replaces.
//! The gateway dialects name the trace in their own headers too.
//!
//! Every other header that the request already has stays as it is, unless the layer may [overwrite](PropagateLayer::overwrite).
//! So what a proxy hands on is not filtered here: that is [`StripHeaders`](crate::sources::StripHeaders)' part.
//!
//! # The dialects
//!
//! | [`Dialect`] | tags | trace | rules |
//! |---|---|---|---|
//! | [`Baggage`](Dialect::Baggage) | `baggage: tenant=acme,_user=Zo%C3%AB` | | [W3C Baggage](https://www.w3.org/TR/baggage/): at most 64 members; keys are tokens |
//! | [`Portkey`](Dialect::Portkey) | `x-portkey-metadata: {"_user":"Zo\u00eb"}` | `x-portkey-trace-id`, `-parent-span-id`, `-span-name` | [metadata](https://portkey.ai/docs/product/observability/metadata): values of at most 128 characters |
//! | [`Majordomo`](Dialect::Majordomo) | `x-majordomo-tenant: acme` | `x-majordomo-trace-id`, `-span-path`, `-span-name` | names that address the gateway itself, such as `key`, are no tags |
//! | [`Helicone`](Dialect::Helicone) | `helicone-property-tenant: acme`; `_user`, `session_id` and `session_name` are `helicone-user-id`, `helicone-session-id` and `helicone-session-name` | `helicone-session-path` beside a session id | [header directory](https://docs.helicone.ai/helicone-headers/header-directory) |
//! | [`LiteLlm`](Dialect::LiteLlm) | `x-litellm-tags: tenant:acme,_user:ada` | | [request headers](https://docs.litellm.ai/docs/proxy/request_headers): a comma divides tags |
//! | [`Cloudflare`](Dialect::Cloudflare) | `cf-aig-metadata: {"tenant":"acme"}` | | [custom metadata](https://developers.cloudflare.com/ai-gateway/observability/custom-metadata/): at most 5 entries |
//!
//! JSON is ASCII, everything else `\u`-escaped, UTF-16 surrogate pairs as JSON has them. In `baggage` everything but a
//! `baggage-octet`, and `%`, is percent-encoded. The others are UTF-8 as it is, without outer spaces and tabs, which HTTP
//! takes away anyway. The tags of each dialect take at most 8,192 bytes: what W3C Baggage promises, and about what servers
//! accept.
//!
//! A tag that a dialect can't say is left out of that dialect, never bent: no two receivers would undo it in the same way.
//! [`Propagated::left_out`] names it with the reason, and [`PropagateLayer::left_out_total`] counts. Tags are taken in the
//! order of the allow-list, so the first ones are those that find room.

#[cfg(feature = "otel")]
mod active_span;
mod destination;
mod dialect;
mod hosts;
mod layer;
mod text;

pub use self::{
    destination::Destination,
    dialect::Dialect,
    layer::{Propagate, PropagateLayer},
};
use crate::{Step, Tags, trace::TraceContext};

use http::HeaderMap;

/// The headers that tell a destination of the request, or the step of it, that a call is made for.
///
/// For reqwest and other clients that take an [`http::HeaderMap`]. A client that follows redirects sends them to the next host
/// too, as reqwest does unless its redirect policy says otherwise.
///
/// ```
/// use tower_tagging::{Tags, propagate::{self, Dialect, Destination}};
///
/// let destination = Destination::new().dialect(Dialect::Majordomo).allow(["feature"]);
/// let tags = Tags::new();
/// tags.insert("feature", "search");
///
/// let headers = propagate::headers(&tags.child("tool:search_db"), &destination);
/// assert_eq!(headers["x-majordomo-feature"], "search");
/// assert_eq!(headers["x-majordomo-span-path"], "tool:search_db");
/// ```
pub fn headers(origin: impl Into<Origin>, destination: &Destination) -> HeaderMap {
    destination.propagate(origin).headers
}

/// On whose behalf a call is made: a request, or a step of it.
#[derive(Clone, Debug)]
pub struct Origin {
    pub(crate) tags: Tags,
    pub(crate) trace: TraceContext,
}

impl Origin {
    /// The step, or else the request, that this thread works for; see [`Tags::current`].
    pub fn current() -> Option<Self> {
        Step::current().map(Self::from).or_else(|| Tags::current().map(Self::from))
    }
}

impl From<&Tags> for Origin {
    fn from(tags: &Tags) -> Self {
        Self::from(tags.clone())
    }
}

impl From<Tags> for Origin {
    fn from(tags: Tags) -> Self {
        let trace = tags.trace();
        #[cfg(feature = "otel")]
        let trace = match active_span::active_span_in(&trace) {
            Some(span_id) => trace.at(span_id),
            None => trace,
        };
        Self { tags, trace }
    }
}

impl From<&Step> for Origin {
    fn from(step: &Step) -> Self {
        Self { tags: step.tags().clone(), trace: step.trace().clone() }
    }
}

impl From<Step> for Origin {
    fn from(step: Step) -> Self {
        Self::from(&step)
    }
}

/// What a destination is told, and what it is not.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Propagated {
    /// The headers, each of one value.
    pub headers: HeaderMap,
    /// Tags on the allow-list that a dialect can't say, once for each of its dialects.
    pub left_out: Vec<LeftOut>,
}

/// A tag that was to go out and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The key of the tag in our service.
    pub key: String,
    /// The dialect that it is missing from.
    pub dialect: Dialect,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why a tag was [left out](LeftOut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOutReason {
    /// The dialect can't write the key, or gives it a meaning of its own.
    Key,
    /// The dialect can't write the value.
    Value,
    /// Another tag before it goes out under the same name.
    Taken,
    /// The dialect's limit of entries is reached.
    TooMany,
    /// The value is longer than the dialect allows, or the dialect is full.
    TooLong,
}
