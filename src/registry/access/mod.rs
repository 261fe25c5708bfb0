//! The headers that identify callers, and the treatment of unknown callers.

mod access;
mod error_style;
mod trusted_header;
mod unknown_keys;

pub(crate) use self::{access::Access, trusted_header::TrustedHeader};
pub use self::{error_style::ErrorStyle, unknown_keys::UnknownKeys};
