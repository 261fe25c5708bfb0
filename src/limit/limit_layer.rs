use std::fmt;

use tower_layer::Layer;

use crate::{
    sink::Delivery,
    tagging::{AdmissionLayer, AdmissionService, MetadataLayer, Tagging},
};

use super::limiter::{LimitSink, Limiter};

/// A [`TaggingLayer`](crate::TaggingLayer) or [`RegistryLayer`](crate::registry::RegistryLayer) that also limits requests.
///
/// See the [module](crate::limit) for what happens to a request. The layer must be the outermost layer with events, because
/// what a request used is settled with its event.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::get};
/// use tower_tagging::{
///     TagSources, TaggingLayer,
///     limit::{Amount, LimitDecision, LimitLayer, LimitRule, Limiter},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let per_user = LimitRule::rate("per-user", Amount::requests(60), Duration::from_secs(60))
///     .group_by("metadata._user")
///     .on_store_error(LimitDecision::Allow)
///     .build()?;
/// let limiter = Limiter::builder().rule(per_user).build()?;
/// let tagging = TaggingLayer::builder().sources(TagSources::portkey()).build()?;
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(LimitLayer::new(limiter, tagging));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LimitLayer {
    layer: AdmissionLayer,
}

impl LimitLayer {
    /// Creates a layer around another one, whose parts it takes over.
    pub fn new(limiter: Limiter, layer: impl Into<AdmissionLayer>) -> Self {
        let layer = layer.into().sink(LimitSink::new(limiter.clone())).gate(limiter);
        Self { layer }
    }

    /// Returns the handle to the delivery of events: counts, flush, and shutdown. It includes the sink `limits`, which settles
    /// what requests used.
    pub fn delivery(&self) -> Delivery {
        self.layer.delivery()
    }

    /// Returns the part of this layer that reads and merges tags, for its counts.
    pub fn metadata_layer(&self) -> Option<&MetadataLayer> {
        self.layer.metadata_layer()
    }
}

impl fmt::Debug for LimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Tagging<AdmissionService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.layer.layer(inner)
    }
}
