use std::sync::Arc;

use tower_layer::Layer;

use crate::{
    config_error::ConfigError,
    request::{MetadataLayer, MetadataLayerBuilder},
    sink::{Delivery, Sink},
    trace::{IdGenerator, TraceIdLayer},
};

#[cfg(any(feature = "llm", feature = "otel"))]
use crate::sink::Fanout;
#[cfg(feature = "llm")]
use crate::usage::UsageTap;

use super::{
    event_layer::EventLayer,
    request_body::{RequestBodyLayer, RequestBodyService},
    service::{Steps, Tagging},
};

impl<S> Layer<S> for MetadataLayer {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, Steps { metadata: Some(self.clone()), ..Steps::default() })
    }
}

impl<S> Layer<S> for TraceIdLayer {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, Steps { trace: Some(self.clone()), ..Steps::default() })
    }
}

impl<S> Layer<S> for EventLayer {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, Steps { event: Some(self.clone()), ..Steps::default() })
    }
}

/// Tags, trace ids and one event for each request, in one layer; see the [module](super).
///
/// A clone shares configuration, sinks and counts.
#[derive(Clone, Debug)]
pub struct TaggingLayer {
    headers: WithoutRequestBody,
    request_body: RequestBodyLayer,
}

impl TaggingLayer {
    /// A builder: no header is read, and no event emitted, until it is told to.
    pub fn builder() -> TaggingLayerBuilder {
        TaggingLayerBuilder::default()
    }

    /// Reads all that [`TagSources::from_env`](crate::sources::TagSources::from_env) reads and emits events to `sink`.
    ///
    /// # Errors
    /// [`ConfigError`] naming the environment variable and what is wrong with it.
    pub fn from_env(sink: impl Sink) -> Result<Self, ConfigError> {
        Self::builder().from_env()?.sink(sink).build()
    }

    /// The same layer, leaving the request body and its type alone: it counts no request bytes and reads no `user` from
    /// the body.
    pub fn without_request_body(self) -> WithoutRequestBody {
        self.headers
    }

    /// Counts of every event's fate, and the way to stop in order.
    pub fn delivery(&self) -> Delivery {
        self.headers.delivery()
    }

    /// The part of this layer that reads and merges tags, for its counts.
    pub fn metadata_layer(&self) -> Option<&MetadataLayer> {
        self.headers.metadata_layer()
    }
}

impl<S> Layer<S> for TaggingLayer {
    type Service = Tagging<RequestBodyService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.headers.layer(self.request_body.layer(inner))
    }
}

/// A [`TaggingLayer`] that leaves the request body and its type alone; from
/// [`TaggingLayer::without_request_body`].
#[derive(Clone, Debug)]
pub struct WithoutRequestBody {
    steps: Arc<Steps>,
}

impl WithoutRequestBody {
    /// Counts of every event's fate, and the way to stop in order.
    pub fn delivery(&self) -> Delivery {
        self.steps.event.as_ref().map_or_else(Delivery::none, EventLayer::delivery)
    }

    /// The part of this layer that reads and merges tags, for its counts.
    pub fn metadata_layer(&self) -> Option<&MetadataLayer> {
        self.steps.metadata.as_ref()
    }
}

impl<S> Layer<S> for WithoutRequestBody {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, Arc::clone(&self.steps))
    }
}

/// Builds a [`TaggingLayer`] out of its parts.
#[derive(Clone, Debug, Default)]
pub struct TaggingLayerBuilder {
    metadata: MetadataLayerBuilder,
    trace_ids: TraceIdLayer,
    events: Option<EventLayer>,
    request_body: RequestBodyLayer,
    ids: Option<Arc<dyn IdGenerator>>,
    #[cfg(feature = "llm")]
    usage: Option<UsageTap>,
    #[cfg(feature = "otel")]
    otel: Option<crate::otel::Otel>,
}

impl TaggingLayerBuilder {
    /// How tags are read and merged.
    #[must_use]
    pub fn metadata(mut self, metadata: MetadataLayerBuilder) -> Self {
        self.metadata = metadata;
        self
    }

    /// How trace ids are read and made.
    #[must_use]
    pub fn trace_ids(mut self, trace_ids: TraceIdLayer) -> Self {
        self.trace_ids = trace_ids;
        self
    }

    /// How events are made and where they go, in place of what was said of that before.
    #[must_use]
    pub fn events(mut self, events: EventLayer) -> Self {
        self.events = Some(events);
        self
    }

    /// Emits events to this sink, beside those that were named before.
    #[must_use]
    pub fn sink(mut self, sink: impl Sink) -> Self {
        self.events = Some(match self.events {
            Some(events) => events.sink(sink),
            None => EventLayer::new(sink),
        });
        self
    }

    /// What is read from request bodies.
    #[must_use]
    pub fn request_body(mut self, request_body: RequestBodyLayer) -> Self {
        self.request_body = request_body;
        self
    }

    /// Reads LLM usage out of responses and prices it; see [`usage`](crate::usage). Needs a [`sink`](Self::sink),
    /// [`events`](Self::events) or telemetry to go to, or a tap that rolls up (`UsageTap::roll_up`, feature `client`).
    #[cfg(feature = "llm")]
    #[must_use]
    pub fn usage(mut self, tap: UsageTap) -> Self {
        self.usage = Some(tap);
        self
    }

    /// Reports each request as an OpenTelemetry span, with metrics and logs, by the sampler that `otel` has; see
    /// [`otel`](crate::otel). It needs no other sink.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn otel(mut self, otel: &crate::otel::Otel) -> Self {
        self.otel = Some(otel.clone());
        self
    }

    /// One generator for the ids of events, traces and spans.
    #[must_use]
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Some(Arc::new(ids));
        self
    }

    /// Reads the environment; see [`MetadataLayerBuilder::from_env`].
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and what is wrong with it.
    pub fn from_env(mut self) -> Result<Self, ConfigError> {
        self.metadata = self.metadata.from_env()?;
        Ok(self)
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// Returns an error if the metadata layer cannot be [built](MetadataLayerBuilder::build), or if a usage tap is
    /// configured but nothing consumes its results.
    pub fn build(self) -> Result<TaggingLayer, ConfigError> {
        #[cfg(feature = "llm")]
        let usage = self.usage.clone();
        #[cfg(feature = "otel")]
        let otel = self.otel.clone();
        let Self { metadata, mut trace_ids, mut events, request_body, ids, .. } = self;
        #[cfg(feature = "otel")]
        if let Some(otel) = otel {
            // Without another sink the events are for the telemetry alone.
            events = Some(events.unwrap_or_else(|| EventLayer::new(Fanout::new())).otel(&otel));
            if let Some(sampler) = otel.sampler().filter(|_| !trace_ids.has_sampler()) {
                trace_ids = trace_ids.sampler(sampler);
            }
        }
        #[cfg(feature = "llm")]
        if let Some(usage) = usage {
            let for_the_caller = usage.rolls_up().then(|| EventLayer::new(Fanout::new()));
            let events_of_it = events.or(for_the_caller).ok_or_else(usage_without_sink)?;
            events = Some(events_of_it.usage(usage));
        }
        if let Some(ids) = ids {
            trace_ids = trace_ids.shared_ids(Arc::clone(&ids));
            events = events.map(|events| events.shared_ids(ids));
        }
        let steps = Steps { event: events, trace: Some(trace_ids), metadata: Some(metadata.build()?) };
        Ok(TaggingLayer { headers: WithoutRequestBody { steps: Arc::new(steps) }, request_body })
    }
}

#[cfg(feature = "llm")]
fn usage_without_sink() -> ConfigError {
    let advice = "add a sink, enable telemetry, or call `UsageTap::roll_up`";
    ConfigError::new(format!("a `UsageTap` is configured, but nothing consumes its results: {advice}"))
}
