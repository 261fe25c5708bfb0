use std::sync::Arc;

use crate::{
    body::RequestFields,
    event::{Facts, Outcome, Settle, Settled},
    metadata::Diagnostic,
    usage::{LlmCall, ObservedCall, Recorded, RequestFacts, UsageTap, settle_recorded},
};

use super::live_tags::{FinalTags, LiveTags, MergedTags};

/// Everything about a request that the lazy step turns into the contents of its event.
///
/// This is the single place where headers and bodies are read, tags limited and merged, and calls priced: on the request
/// path if a handler or layer asks for its tags, otherwise on the thread of the first reader of the event.
#[derive(Default)]
pub(crate) struct Unsettled {
    pub(crate) tags: LiveTags,
    /// The diagnostics of a call whose usage and cost remain unknown.
    pub(crate) notes_without_usage: Vec<Diagnostic<'static>>,
    /// The fields of the request body.
    pub(crate) fields: RequestFields,
    /// The provider that serves the call, if an admission chose one.
    pub(crate) provider: Option<Arc<str>>,
    /// The usage and costs that code recorded.
    pub(crate) recorded: Recorded,
    /// The observed LLM call.
    pub(crate) call: Option<Box<ObservedCall>>,
    /// An empty call with buffers, for the next request.
    pub(crate) spare_call: Option<Box<ObservedCall>>,
    /// The tap that prices the call. It stays for the next request, as the rules of the tags do.
    tap: Option<UsageTap>,
}

impl Unsettled {
    /// Sets the tap that prices the call.
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
        let mut tags = self.tags.settle();
        let request = RequestFacts {
            tap: self.tap.as_ref(),
            fields: &self.fields,
            time: facts.time,
            host: &facts.host,
            path: &facts.path,
            provider: self.provider.as_deref(),
            is_success: facts.status.is_some_and(|status| status.is_success()),
            duration: facts.duration,
            metadata: tags.metadata(),
        };
        let mut llm = match &mut self.call {
            Some(call) => call.settle(&self.recorded, &request),
            None => settle_recorded(&self.recorded, &request),
        };
        if let (Some(call), Some(caller)) = (&mut llm, self.tags.caller()) {
            call.change_error(|error| caller.screen(error).into_owned());
        }
        self.tags.report(&tags, llm.as_ref().and_then(LlmCall::cost));
        tags.diagnostics.extend(llm.iter_mut().flat_map(LlmCall::take_diagnostics));
        tags.diagnostics.extend(self.recorded.diagnostic());
        if llm.as_ref().is_some_and(LlmCall::lacks_usage) && may_have_used(facts) {
            tags.diagnostics.append(&mut self.notes_without_usage);
        }
        let FinalTags { tags: MergedTags { metadata, sources, .. }, diagnostics, .. } = tags;
        Settled { metadata, sources, diagnostics, llm: llm.map(Box::new) }
    }

    fn approximate_bytes(&self) -> usize {
        let call = self.call.as_ref().or(self.spare_call.as_ref()).map_or(0, |call| call.approximate_bytes());
        let recorded = self.recorded.approximate_bytes() + self.fields.approximate_bytes();
        size_of::<Self>() + self.tags.approximate_bytes() + call + recorded
    }

    fn recycle(&mut self) {
        self.tags.recycle();
        if let Some(mut call) = self.call.take() {
            call.recycle();
            self.spare_call = Some(call);
        }
        self.provider = None;
        self.notes_without_usage.clear();
        self.recorded = Recorded::default();
        self.fields = RequestFields::default();
    }
}

/// Returns `true` if a provider may have served the call: it answered, or the client left before.
fn may_have_used(facts: &Facts) -> bool {
    match facts.status {
        Some(status) => !status.is_client_error() && !status.is_server_error(),
        None => facts.outcome == Outcome::Cancelled,
    }
}
