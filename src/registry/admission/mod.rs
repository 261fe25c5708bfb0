//! The registry on the path of a request.

mod answers;
mod governed_caller;
mod refusal;
mod registry_admission;
mod registry_layer;
mod trusted_sources;
mod trusted_tags;

pub use self::registry_layer::RegistryLayer;
