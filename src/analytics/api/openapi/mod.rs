//! The OpenAPI 3.1 document of all endpoints.

mod answer;
mod components;
mod document;
mod endpoint;
mod endpoints;
mod parameters;
mod records;

pub(super) use self::document::document;
