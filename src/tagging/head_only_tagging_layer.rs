use std::sync::Arc;

use crate::{sink::Delivery, trace::TraceIdLayer};

use super::{event_layer::EventLayer, metadata_layer::MetadataLayer, steps::Steps};

/// A [`TaggingLayer`](super::TaggingLayer) that leaves the request body and its type alone.
///
/// It observes the request head and the whole response. Created by
/// [`TaggingLayer::without_request_body`](super::TaggingLayer::without_request_body). A clone shares configuration, sinks,
/// and counts.
#[derive(Clone, Debug)]
pub struct HeadOnlyTaggingLayer {
    // Servers clone the service for each request.
    pub(super) steps: Arc<Steps>,
}

impl HeadOnlyTaggingLayer {
    pub(super) fn new(steps: Steps) -> Self {
        Self { steps: Arc::new(steps) }
    }

    /// Returns the handle to the delivery of events: counts, flush, and shutdown.
    pub fn delivery(&self) -> Delivery {
        self.steps.event.as_ref().map_or_else(Delivery::none, EventLayer::delivery)
    }

    /// Returns the part of this layer that reads and merges tags, for its counts.
    pub fn metadata_layer(&self) -> Option<&MetadataLayer> {
        self.steps.metadata.as_ref()
    }
}

impl From<MetadataLayer> for HeadOnlyTaggingLayer {
    fn from(layer: MetadataLayer) -> Self {
        Self::new(Steps { metadata: Some(layer), ..Steps::default() })
    }
}

impl From<TraceIdLayer> for HeadOnlyTaggingLayer {
    fn from(layer: TraceIdLayer) -> Self {
        Self::new(Steps { trace: Some(layer), ..Steps::default() })
    }
}

impl From<EventLayer> for HeadOnlyTaggingLayer {
    fn from(layer: EventLayer) -> Self {
        Self::new(Steps { event: Some(layer), ..Steps::default() })
    }
}
