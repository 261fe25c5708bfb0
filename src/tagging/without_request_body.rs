use std::sync::Arc;

use tower_layer::Layer;

use crate::sink::Delivery;

use super::{event_layer::EventLayer, metadata_layer::MetadataLayer, steps::Steps, tagging::Tagging};

/// A [`TaggingLayer`](super::TaggingLayer) that leaves the request body and its type alone.
///
/// Created by [`TaggingLayer::without_request_body`](super::TaggingLayer::without_request_body). A clone shares
/// configuration, sinks, and counts.
#[derive(Clone, Debug)]
pub struct WithoutRequestBody {
    steps: Arc<Steps>,
}

impl WithoutRequestBody {
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

impl<S> Layer<S> for WithoutRequestBody {
    type Service = Tagging<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tagging::new(inner, Arc::clone(&self.steps))
    }
}
