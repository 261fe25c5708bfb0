//! The handle to a request, and the state behind it.

#[cfg(feature = "propagate")]
pub(crate) mod current;
#[cfg(feature = "axum")]
mod extract;
mod metadata_layer;
pub(crate) mod request_tags;
#[cfg(feature = "propagate")]
mod step;
mod tags;

#[cfg(feature = "axum")]
pub use self::extract::MissingTags;
#[cfg(feature = "propagate")]
pub use self::step::Step;
pub(crate) use self::tags::{OpenRequest, State};
pub use self::{
    metadata_layer::{MetadataLayer, MetadataLayerBuilder},
    tags::Tags,
};
