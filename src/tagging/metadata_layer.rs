use std::{fmt, sync::Arc};

use http::{HeaderMap, request::Parts};

use crate::{
    metadata::Scopes,
    request::{Caller, InheritedRules, Step, TagRules, Tags},
    sources::StripHeaders,
    trace::TraceContext,
};

/// A closure that returns the trusted tags of a request.
pub(super) type Resolver = Arc<dyn Fn(&Parts) -> Scopes + Send + Sync>;

/// The request that makes the call which a layer around a client observes.
pub(super) struct CallingRequest {
    tags: Tags,
    /// The trace at the step or span that makes the call.
    trace: TraceContext,
}

impl CallingRequest {
    /// Returns the trace of the caller, if a call with these headers continues it.
    pub(super) fn trace_for(&self, headers: &HeaderMap) -> Option<&TraceContext> {
        self.tags.trace().continues_into(headers).then_some(&self.trace)
    }

    /// Returns the rules by which the texts of the call's event are screened.
    pub(super) fn rules(&self) -> Option<Arc<dyn Caller>> {
        self.tags.caller_rules().map(|rules| Arc::new(InheritedRules::new(rules)) as Arc<dyn Caller>)
    }

    /// Returns the effective tags of the caller, by scope.
    pub(super) fn scopes(&self) -> Scopes {
        self.tags.effective_scopes()
    }
}

/// A layer that reads, merges, and limits the tags of each request; see [`metadata`](mod@crate::metadata).
///
/// A clone shares the configuration and the counts.
#[derive(Clone)]
pub struct MetadataLayer {
    pub(super) rules: TagRules,
    pub(super) strip: StripHeaders,
    pub(super) resolver: Option<Resolver>,
    pub(super) inherits: bool,
}

impl fmt::Debug for MetadataLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataLayer")
            .field("rules", &self.rules)
            .field("resolver", &self.resolver.is_some())
            .finish_non_exhaustive()
    }
}

impl MetadataLayer {
    /// Returns the number of [shadowed](crate::metadata::DiagnosticCode::Shadowed) tags.
    ///
    /// It covers all requests of this layer and its clones.
    ///
    /// They are counted when a sink reads or drops the event. Without an [`EventLayer`](crate::EventLayer) around this one,
    /// they are counted when the request arrives.
    pub fn shadowed_total(&self) -> u64 {
        self.rules.shadowed_total()
    }

    /// Removes the headers that the service must not see.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        self.rules.sources().strip(self.strip, headers);
    }

    pub(super) fn has_resolver(&self) -> bool {
        self.resolver.is_some()
    }

    /// Returns the request that makes this one, if the layer inherits its tags. `existing` are the tags that this request
    /// already has.
    pub(super) fn caller(&self, existing: Option<&Tags>) -> Option<CallingRequest> {
        let tags = self.inherits.then(Tags::current)??;
        // A layer around the same request has read its tags.
        if existing.is_some_and(|existing| existing.is_of_same_request(&tags)) {
            return None;
        }
        let trace = Step::current().map_or_else(|| tags.trace_of_calls(), |step| step.trace().clone());
        Some(CallingRequest { tags, trace })
    }

    /// Returns the trusted tags of a request: inherited tags, overridden by the resolver, overridden by the extension of an
    /// outer layer. Runs user code if there is a resolver.
    pub(super) fn trusted(&self, head: &Parts, inherited: Option<Scopes>) -> Option<Scopes> {
        let resolved = self.resolver.as_ref().map(|resolver| resolver(head));
        let scopes = merge(inherited, resolved);
        match head.extensions.get::<Scopes>() {
            Some(inserted) => merge(scopes, Some(inserted.clone())),
            None => scopes,
        }
    }
}

/// Adds the stronger scopes to the weaker ones.
fn merge(weaker: Option<Scopes>, stronger: Option<Scopes>) -> Option<Scopes> {
    match (weaker, stronger) {
        (Some(mut weaker), Some(stronger)) => {
            weaker.add_all(&stronger);
            Some(weaker)
        }
        (weaker, stronger) => stronger.or(weaker),
    }
}
