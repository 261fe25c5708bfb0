//! Picks fields out of streaming JSON and multipart bodies.

pub(crate) mod form;
pub(crate) mod json_scan;
pub(crate) mod request_fields;
