//! The registry on the path of a request.

mod answers;
mod governed_caller;
mod refusal;
mod registry_admission;
mod registry_layer;

pub(crate) use self::refusal::Refusal;
pub use self::registry_layer::RegistryLayer;
