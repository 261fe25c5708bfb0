use crate::event::{Facts, Settle, Settled};
#[cfg(feature = "llm")]
use crate::{
    body::request_fields::RequestFields,
    metadata::{Diagnostic, DiagnosticCode},
    usage::{LlmRecord, Recorded, RequestFacts, UsageTap},
};

use super::live_tags::{LiveTags, MergedTags};

/// Everything about a request that the lazy step turns into the contents of its event.
///
/// This is the single place where headers and bodies are read, tags limited and merged, and calls priced: on the request
/// path if a handler or layer asks for its tags, otherwise on the thread of the first reader of the event.
#[derive(Default)]
pub(crate) struct Unsettled {
    pub(crate) tags: LiveTags,
    /// The fields of the request body.
    #[cfg(feature = "llm")]
    pub(crate) fields: RequestFields,
    /// The usage and costs that code recorded.
    #[cfg(feature = "llm")]
    pub(crate) recorded: Recorded,
    /// The observed LLM call.
    #[cfg(feature = "llm")]
    pub(crate) call: Option<Box<LlmRecord>>,
    /// An empty record with buffers, for the next call.
    #[cfg(feature = "llm")]
    pub(crate) spare_call: Option<Box<LlmRecord>>,
    /// The tap that prices the call. It stays for the next request, as the rules of the tags do.
    #[cfg(feature = "llm")]
    tap: Option<UsageTap>,
}

impl Unsettled {
    /// Sets the tap that prices the call.
    #[cfg(feature = "llm")]
    pub(crate) fn price_by(&mut self, tap: Option<&UsageTap>) {
        let is_same = match (&self.tap, tap) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !is_same {
            self.tap = tap.cloned();
        }
    }
}

impl Settle for Unsettled {
    fn settle(&mut self, facts: &Facts) -> Settled {
        let (MergedTags { metadata, sources }, diagnostics) = self.tags.settle();
        #[cfg(not(feature = "llm"))]
        {
            let _ = facts;
            Settled { metadata, sources, diagnostics }
        }
        #[cfg(feature = "llm")]
        {
            let mut diagnostics = diagnostics;
            let call = self.call.as_deref().and_then(|call| {
                call.settle(&RequestFacts {
                    tap: self.tap.as_ref(),
                    recorded: &self.recorded,
                    fields: &self.fields,
                    time: facts.time,
                    host: &facts.host,
                    path: &facts.path,
                    is_success: facts.status.is_some_and(|status| status.is_success()),
                    duration: facts.duration,
                    metadata: &metadata,
                })
            });
            let inconsistencies = call.map_or(&[][..], |call| call.inconsistencies());
            diagnostics.extend(
                inconsistencies
                    .iter()
                    .map(|detail| Diagnostic::new(DiagnosticCode::UsageInconsistent).with_detail(detail).into_owned()),
            );
            let llm = call.cloned().map(Box::new);
            Settled { metadata, sources, diagnostics, llm }
        }
    }

    fn approximate_bytes(&self) -> usize {
        #[cfg(feature = "llm")]
        let call = {
            let call = self.call.as_ref().or(self.spare_call.as_ref()).map_or(0, |call| call.approximate_bytes());
            call + self.recorded.approximate_bytes() + self.fields.approximate_bytes()
        };
        #[cfg(not(feature = "llm"))]
        let call = 0;
        size_of::<Self>() + self.tags.approximate_bytes() + call
    }

    fn recycle(&mut self) {
        self.tags.recycle();
        #[cfg(feature = "llm")]
        {
            if let Some(mut call) = self.call.take() {
                call.reset();
                self.spare_call = Some(call);
            }
            self.recorded = Recorded::default();
            self.fields = RequestFields::default();
        }
    }
}
