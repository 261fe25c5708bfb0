//! Attributes and metrics of LLM calls, as the GenAI semantic conventions name them.
//!
//! Without the feature `llm`, events have no LLM calls, and this module does nothing.

#[cfg(feature = "llm")]
mod attributes;
#[cfg(not(feature = "llm"))]
mod disabled;
#[cfg(feature = "llm")]
mod instruments;
#[cfg(feature = "llm")]
mod names;

#[cfg(not(feature = "llm"))]
pub(super) use self::disabled::{GenAiInstruments, add_attributes};
#[cfg(feature = "llm")]
pub(super) use self::{attributes::add_attributes, instruments::GenAiInstruments};
