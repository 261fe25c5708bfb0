//! Framings: the ways in which a response body carries JSON documents.
//!
//! Every framing accepts a body that is cut at any byte.

mod documents;
mod event_stream;
#[allow(clippy::module_inception, reason = "a type per file")]
mod framing;
mod json;
mod sse;
mod undecided;

pub(super) use self::{framing::Framing, undecided::begins_as_sse};
