use std::{fmt, sync::Arc};

use http::request::Parts;

use crate::{
    config_error::{ConfigError, ConfigProblems},
    metadata::{Metadata, Scope},
    sink::{Delivery, Sink},
    sources::TagSources,
    trace::{IdGenerator, TraceIdLayer, TraceSampler},
    usage::UsageTap,
};

use super::{
    event_layer::EventLayer, events::Exclusion, head_only_tagging_layer::HeadOnlyTaggingLayer,
    metadata_layer_builder::MetadataLayerBuilder, request_body_layer::RequestBodyLayer,
    request_observer::RequestObserver, steps::Steps, tagging_layer::TaggingLayer,
};
#[cfg(feature = "propagate")]
use super::{metadata_layer::MetadataLayer, tagging_layer::client_usage};

/// Builds a [`TaggingLayer`].
///
/// The default reads no tags from headers and emits no events.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct TaggingLayerBuilder {
    metadata: MetadataLayerBuilder,
    trace_ids: TraceIdLayer,
    events: Option<EventLayer>,
    observers: Vec<Arc<dyn RequestObserver>>,
    ids: Option<Arc<dyn IdGenerator>>,
    /// Used unless `trace_ids` has its own sampler.
    sampler: Option<Arc<dyn TraceSampler>>,
    usage: Option<UsageTap>,
    excludes: Vec<Exclusion>,
    others: Vec<Delivery>,
}

impl fmt::Debug for TaggingLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaggingLayerBuilder").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

impl TaggingLayer {
    /// Creates a builder.
    pub fn builder() -> TaggingLayerBuilder {
        TaggingLayerBuilder::default()
    }

    /// Creates a builder for a layer around a client, whose calls belong to the current request.
    ///
    /// It [inherits](MetadataLayerBuilder::inherit_tags) tags and trace, adds no header to responses, and with the feature
    /// `llm` [rolls up](crate::usage::UsageTap::roll_up) usage and cost, with
    /// [`trust_request`](crate::usage::UsageTap::trust_request). Add a sink or telemetry to give each call its own event or
    /// span:
    ///
    /// ```
    /// use tower_tagging::{TaggingLayer, client::TaggedClient, sink::JsonLinesSink};
    /// # let client = ();
    ///
    /// let tagging = TaggingLayer::client_builder().sink(JsonLinesSink::writer(std::io::stderr())).build()?;
    /// let client = TaggedClient::new(client).tagging(tagging);
    /// # Ok::<(), tower_tagging::ConfigError>(())
    /// ```
    #[cfg(feature = "propagate")]
    pub fn client_builder() -> TaggingLayerBuilder {
        TaggingLayerBuilder {
            metadata: MetadataLayer::builder().inherit_tags(),
            trace_ids: TraceIdLayer::new().without_response_header(),
            usage: client_usage(),
            ..TaggingLayerBuilder::default()
        }
    }

    /// Creates a layer that emits events to `sink`.
    ///
    /// It reads everything that [`TagSources::from_env`] reads.
    ///
    /// # Errors
    /// [`ConfigError`] names the environment variable and the problem with its value.
    pub fn from_env(sink: impl Sink) -> Result<Self, ConfigError> {
        Self::builder().with_env().sink(sink).build()
    }
}

impl TaggingLayerBuilder {
    /// Sets the headers that become tags; see [`MetadataLayerBuilder::sources`].
    pub fn sources(mut self, sources: TagSources) -> Self {
        self.metadata = self.metadata.sources(sources);
        self
    }

    /// Adds tags to a scope of every request; see [`MetadataLayerBuilder::scope`].
    pub fn scope(mut self, scope: Scope, metadata: Metadata) -> Self {
        self.metadata = self.metadata.scope(scope, metadata);
        self
    }

    /// Sets everything about tags, replacing earlier [`sources`](Self::sources), [`scope`](Self::scope), and
    /// [`with_env`](Self::with_env).
    pub fn metadata(mut self, metadata: MetadataLayerBuilder) -> Self {
        self.metadata = metadata;
        self
    }

    /// Reads the environment; see [`MetadataLayerBuilder::with_env`].
    pub fn with_env(mut self) -> Self {
        self.metadata = self.metadata.with_env();
        self
    }

    /// Sets how trace ids are read and generated.
    pub fn trace_ids(mut self, trace_ids: TraceIdLayer) -> Self {
        self.trace_ids = trace_ids;
        self
    }

    /// Sets how events are built and emitted, replacing earlier [sinks](Self::sink).
    pub fn events(mut self, events: EventLayer) -> Self {
        self.events = Some(events);
        self
    }

    /// Adds a sink.
    pub fn sink(mut self, sink: impl Sink) -> Self {
        self.events = Some(match self.events {
            Some(events) => events.sink(sink),
            None => EventLayer::new(sink),
        });
        self
    }

    /// Adds an observer of running requests; see [`EventLayer::observer`].
    pub fn observer(mut self, observer: impl RequestObserver) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Excludes requests from events, and so from sinks, observers, spans, and metrics; see [`EventLayer::exclude`].
    ///
    /// ```
    /// use tower_tagging::{TaggingLayer, sink::JsonLinesSink};
    ///
    /// let tagging = TaggingLayer::builder()
    ///     .sink(JsonLinesSink::stdout())
    ///     .exclude(|request| request.uri.path() == "/health")
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exclude(mut self, is_excluded: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.excludes.push(Arc::new(is_excluded));
        self
    }

    /// Includes another delivery in [that of this layer](TaggingLayer::delivery), such as the one of a layer around a
    /// client.
    ///
    /// One shutdown then delivers the events of both.
    pub fn also_deliver(mut self, delivery: Delivery) -> Self {
        self.others.push(delivery);
        self
    }

    /// Sets the sampler of trace ids, unless [`trace_ids`](Self::trace_ids) sets another.
    pub fn sampler(mut self, sampler: impl TraceSampler) -> Self {
        self.sampler = Some(Arc::new(sampler));
        self
    }

    /// Reads LLM usage from responses and prices it; see [`usage`](crate::usage).
    ///
    /// Something must consume the usage: a [`sink`](Self::sink), an [`observer`](Self::observer), or a tap that rolls up to the
    /// calling request.
    #[cfg(feature = "llm")]
    pub fn usage(mut self, tap: UsageTap) -> Self {
        self.usage = Some(tap);
        self
    }

    /// Sets the generator of all ids: of events, traces, and spans.
    pub fn ids(mut self, ids: impl IdGenerator) -> Self {
        self.ids = Some(Arc::new(ids));
        self
    }

    /// Builds the layer.
    ///
    /// # Errors
    /// [`ConfigError`] lists every environment variable that is invalid, and says if the tags of a [`scope`](Self::scope)
    /// exceed the limits, or if nothing consumes the LLM usage that is read.
    pub fn build(self) -> Result<TaggingLayer, ConfigError> {
        let Self { metadata, mut trace_ids, mut events, observers, ids, sampler, usage, excludes, others } = self;
        let mut problems = ConfigProblems::default();
        let needs_no_sink = !observers.is_empty() || usage.as_ref().is_some_and(UsageTap::rolls_up);
        if usage.is_some() && events.is_none() && !needs_no_sink {
            problems.push(unused_usage());
        }
        // The delivery of another layer needs an event layer to be part of.
        events = events.or_else(|| (needs_no_sink || !others.is_empty()).then(EventLayer::without_sink));
        for observer in observers {
            events = events.map(|events| events.shared_observer(observer));
        }
        for is_excluded in excludes {
            events = events.map(|events| events.exclude_by(is_excluded));
        }
        for delivery in others {
            events = events.map(|events| events.also_deliver(delivery));
        }
        if let Some(usage) = usage {
            events = events.map(|events| events.with_usage(usage));
        }
        if let Some(sampler) = sampler.filter(|_| !trace_ids.has_sampler()) {
            trace_ids = trace_ids.shared_sampler(sampler);
        }
        if let Some(ids) = ids {
            trace_ids = trace_ids.shared_ids(Arc::clone(&ids));
            events = events.map(|events| events.shared_ids(ids));
        }
        let metadata = problems.take(metadata.build());
        problems.into_result()?;
        let steps = Steps { event: events, trace: Some(trace_ids), metadata, admission: None };
        Ok(TaggingLayer { head: HeadOnlyTaggingLayer::new(steps), request_body: RequestBodyLayer::new() })
    }
}

fn unused_usage() -> ConfigError {
    let advice = "add a sink or an observer (such as `Otel`), or call `UsageTap::roll_up`";
    ConfigError::new(format!("a `UsageTap` is configured, but nothing consumes its results: {advice}"))
}
