//! Attributes and metrics of LLM calls, as the GenAI semantic conventions name them.
//!
//! They do not depend on the feature `llm`: without it, a handler can still record usage.

mod attributes;
mod exported_calls;
mod instruments;
mod names;

pub(super) use self::{
    attributes::add_attributes, exported_calls::ExportedCalls, instruments::GenAiInstruments, names::span_name,
};
