use std::any::Any;

use crate::{
    metadata::{Diagnostic, Metadata, Scope},
    usage::LlmCall,
};

use super::facts::Facts;

/// The result of the lazy step: everything on an event that had to be read, limited, merged, or priced.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settled {
    pub(crate) metadata: Metadata,
    /// The scope that set each tag of `metadata`, in the same order.
    pub(crate) sources: Vec<Scope>,
    pub(crate) diagnostics: Vec<Diagnostic<'static>>,
    pub(crate) llm: Option<Box<LlmCall>>,
}

/// The lazy step of one request: what was captured on the request path and is turned into [`Settled`] on first use.
pub(crate) trait Settle: Any + Send {
    /// Reads, limits, merges, and prices. Called at most once per request.
    fn settle(&mut self, facts: &Facts) -> Settled;

    /// Returns the approximate memory use, in bytes.
    fn approximate_bytes(&self) -> usize;

    /// Resets everything except the buffers, for the next request.
    fn recycle(&mut self);
}
