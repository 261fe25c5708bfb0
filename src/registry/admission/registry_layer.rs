use std::fmt;

use tower_layer::Layer;

use crate::{
    sink::Delivery,
    tagging::{AdmissionLayer, AdmissionService, MetadataLayer, Tagging, TaggingLayer},
};

use super::super::registry::Registry;

/// A [`TaggingLayer`] whose callers a [`Registry`] identifies and restricts.
///
/// The [module](crate::registry) describes what happens to a request, and in which order. Handlers find the
/// [`Principal`](crate::registry::Principal) in the request extensions, and gateways the
/// [`VirtualKey`](crate::registry::VirtualKey) that the request named.
///
/// Headers for keys do not become tags of this layer. A layer around it reads the headers earlier, so its
/// [`TagSources`](crate::TagSources) must not name them.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_tagging::{TagSources, TaggingLayer, registry::{Registry, RegistryLayer}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::from_toml(r#"
///     [access]
///     unknown_keys = "reject"
/// "#)?;
/// let tagging = TaggingLayer::builder().sources(TagSources::portkey()).build()?;
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(RegistryLayer::new(registry, tagging));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RegistryLayer {
    layer: AdmissionLayer,
}

impl RegistryLayer {
    /// Creates a layer.
    pub fn new(registry: Registry, tagging: TaggingLayer) -> Self {
        Self { layer: AdmissionLayer::new(tagging, registry) }
    }

    /// Returns the handle to the delivery of events: counts, flush, and shutdown.
    pub fn delivery(&self) -> Delivery {
        self.layer.delivery()
    }

    /// Returns the part of this layer that reads and merges tags, for its counts.
    pub fn metadata_layer(&self) -> Option<&MetadataLayer> {
        self.layer.metadata_layer()
    }
}

impl From<RegistryLayer> for AdmissionLayer {
    fn from(layer: RegistryLayer) -> Self {
        layer.layer
    }
}

impl fmt::Debug for RegistryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RegistryLayer {
    type Service = Tagging<AdmissionService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.layer.layer(inner)
    }
}
