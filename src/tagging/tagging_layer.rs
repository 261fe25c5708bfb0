use tower_layer::Layer;

use crate::sink::Delivery;
#[cfg(feature = "propagate")]
use crate::{trace::TraceIdLayer, usage::UsageTap};

#[cfg(feature = "propagate")]
use super::{event_layer::EventLayer, steps::Steps};
use super::{
    head_only_tagging_layer::HeadOnlyTaggingLayer, metadata_layer::MetadataLayer, request_body_layer::RequestBodyLayer,
    request_body_service::RequestBodyService, tagging::Tagging,
};

/// A layer that adds tags, trace ids, and one event per request; see the [module](super).
///
/// A clone shares configuration, sinks, and counts.
#[derive(Clone, Debug)]
pub struct TaggingLayer {
    pub(super) head: HeadOnlyTaggingLayer,
    pub(super) request_body: RequestBodyLayer,
}

impl TaggingLayer {
    /// Creates a layer for a client that reports to the request that makes its calls: it inherits tags and trace, and rolls up
    /// usage.
    #[cfg(feature = "propagate")]
    pub(crate) fn around_client() -> Self {
        let steps = Steps {
            event: client_usage().map(|usage| EventLayer::without_sink().with_usage(usage)),
            trace: Some(TraceIdLayer::new().without_response_header()),
            metadata: Some(MetadataLayer::inheriting()),
            admission: None,
        };
        Self { head: HeadOnlyTaggingLayer::new(steps), request_body: RequestBodyLayer::new() }
    }

    /// Returns a layer that does the same but leaves the request body and its type alone.
    ///
    /// It counts no request bytes, and reads neither `user` nor the model of an LLM request from the body.
    pub fn without_request_body(self) -> HeadOnlyTaggingLayer {
        self.head
    }

    /// Returns the handle to the delivery of events: counts, flush, and shutdown.
    pub fn delivery(&self) -> Delivery {
        self.head.delivery()
    }

    /// Returns the part of this layer that reads and merges tags, for its counts.
    pub fn metadata_layer(&self) -> Option<&MetadataLayer> {
        self.head.metadata_layer()
    }
}

impl From<TaggingLayer> for HeadOnlyTaggingLayer {
    /// Returns the layer without the part that observes request bodies.
    fn from(layer: TaggingLayer) -> Self {
        layer.without_request_body()
    }
}

impl From<&TaggingLayer> for HeadOnlyTaggingLayer {
    /// Returns a clone without the part that observes request bodies.
    fn from(layer: &TaggingLayer) -> Self {
        layer.head.clone()
    }
}

/// Returns the tap for a layer around a client, or `None` without the feature `llm`.
#[cfg(feature = "propagate")]
#[allow(clippy::unnecessary_wraps, reason = "`None` without the feature `llm`")]
pub(super) fn client_usage() -> Option<UsageTap> {
    #[cfg(feature = "llm")]
    return Some(UsageTap::new().trust_request().roll_up());
    #[cfg(not(feature = "llm"))]
    None
}

impl<S> Layer<S> for TaggingLayer {
    type Service = Tagging<RequestBodyService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.head.layer(self.request_body.layer(inner))
    }
}
