//! The OpenAPI 3.1 document of all endpoints.

mod answer;
mod components;
mod document;
mod endpoint;
mod endpoints;
#[cfg(feature = "mcp")]
mod inlined;
mod parameters;
mod records;

pub(super) use self::document::document;
#[cfg(feature = "mcp")]
pub(crate) use self::inlined::inlined_schema;
