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

pub(crate) use self::document::Endpoints;
pub(super) use self::document::document;
#[cfg(feature = "mcp")]
pub(crate) use self::inlined::inlined_schema;
#[cfg(feature = "limit")]
pub(crate) use self::{
    components::{Components, envelope, value},
    endpoint::Endpoint,
};
