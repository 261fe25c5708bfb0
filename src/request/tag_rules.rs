use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::HeaderMap;

use crate::{
    metadata::{Diagnostic, Diagnostics, Limits, Precedence, Scope, Scopes, TagFilter, TagWriter},
    sources::{Captured, TagSources},
};

use super::trusted_filter::filter_trusted_scopes;

/// The rules by which the tags of a request are read, limited, and merged. A clone shares its counter.
#[derive(Clone, Debug)]
pub(crate) struct TagRules {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sources: TagSources,
    limits: Limits,
    precedence: Precedence,
    /// The tags of every request.
    scopes: Scopes,
    shadowed: AtomicU64,
}

impl TagRules {
    pub(crate) fn new(sources: TagSources, limits: Limits, precedence: Precedence, scopes: Scopes) -> Self {
        Self { shared: Arc::new(Shared { sources, limits, precedence, scopes, shadowed: AtomicU64::new(0) }) }
    }

    pub(crate) fn sources(&self) -> &TagSources {
        &self.shared.sources
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn precedence(&self) -> Precedence {
        self.shared.precedence
    }

    /// Returns the number of shadowed client tags so far.
    pub(crate) fn shadowed_total(&self) -> u64 {
        self.shared.shadowed.load(Ordering::Relaxed)
    }

    pub(super) fn count_shadowed(&self, tags: usize) {
        if tags > 0 {
            self.shared.shadowed.fetch_add(tags as u64, Ordering::Relaxed);
        }
    }

    /// Returns `true` if the rules are clones of each other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns `true` if a request may be rejected because of its tags, so that they are read before the service runs.
    pub(super) fn may_reject(&self) -> bool {
        self.shared.sources.is_strict() || self.shared.limits.rejects()
    }

    /// Returns `true` if tags of every request may shadow a client's tag.
    pub(super) fn may_shadow(&self) -> bool {
        self.shared.scopes.may_shadow()
    }

    /// Copies the headers that become tags.
    pub(super) fn capture(&self, headers: &HeaderMap, captured: &mut Captured) {
        self.shared.sources.capture(headers, captured);
    }

    /// Fills the scopes of a request from the captured headers, the tags of every request, and the trusted tags of this
    /// request. Returns the reason if the request is rejected.
    pub(super) fn read(
        &self,
        captured: &Captured,
        trusted: Option<&Scopes>,
        caller: (Option<&dyn TagFilter>, &Limits),
        scopes: &mut Scopes,
        diagnostics: &mut Diagnostics,
    ) -> Option<Diagnostic<'static>> {
        let sources = &self.shared.sources;
        let (filter, limits) = caller;
        let tags = TagWriter::new(scopes.get_mut(Scope::Request), limits, diagnostics);
        let mut tags = tags.filtered_by(filter, Scope::Request);
        sources.read(captured, &mut tags);
        let rejection = tags.into_rejection();
        scopes.add_all(&filter_trusted_scopes(&self.shared.scopes, filter));
        for scope in Scope::ALL {
            if let Some(metadata) = trusted.map(|trusted| trusted.get(*scope)).filter(|metadata| !metadata.is_empty()) {
                limits.add_within(scopes, *scope, metadata.clone(), diagnostics);
            }
        }
        rejection
    }
}
