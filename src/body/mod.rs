//! Picks fields out of request and response bodies while they stream past.
//!
//! Bodies are never buffered as a whole. The scanners accept chunks of any size and keep only the current value:
//!
//! - [`json_scan`] finds values in JSON documents.
//! - `form_scanner` finds the fields of multipart forms, which LLM clients use for audio uploads.
//! - `content_decoder` decodes content codings.
//! - [`request_fields`] lists the fields of a request body that matter, and `request_field_reader` reads them.
//!
//! # Limits
//!
//! A field counts only if its body is complete. Values of more than 16 KiB are reported as too long. Bodies with a content
//! coding are read if the feature `llm` is enabled. The output of decoders is bounded.

#[cfg(feature = "llm")]
mod content_decoder;
mod form_scanner;
pub(crate) mod json_scan;
mod request_field_reader;
pub(crate) mod request_fields;
#[cfg(not(feature = "llm"))]
mod without_decoders;

#[cfg(feature = "llm")]
pub(crate) use self::content_decoder::ContentDecoder;
#[cfg(not(feature = "llm"))]
use self::without_decoders::ContentDecoder;
pub(crate) use self::{
    request_field_reader::RequestFieldReader,
    request_fields::{RequestFields, UserNote},
};
