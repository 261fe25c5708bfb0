use std::{
    mem,
    sync::{Mutex, OnceLock, PoisonError},
};

use http::HeaderMap;

use crate::{
    metadata::{Diagnostic, Diagnostics, Limits, Metadata, Precedence, Scope, Scopes, TagWriter},
    sources::Captured,
};

use super::MetadataLayer;

/// The tags of one request: headers as they came, the scopes that are read out of them and out of what is trusted, and the
/// merge of all scopes.
///
/// Each step is taken when somebody asks for its outcome, on that one's thread: where neither the service nor a layer asks, a
/// request pays for keeping the headers, and the thread of a sink for the rest.
#[derive(Debug, Default)]
pub(crate) struct RequestTags {
    /// What is still to be read, by these rules.
    captured: Captured,
    trusted: Option<Scopes>,
    is_read: bool,
    /// TagSources, limits, precedence and counts, once a layer began; the default ones where no [`MetadataLayer`] is. They stay for
    /// the next request, which mostly has the same: a count of references that two threads write is slow.
    rules: Option<MetadataLayer>,
    has_begun: bool,
    /// What is read, and what code set.
    scopes: Scopes,
    notes: Diagnostics,
    // Boxed, as a request that nobody asks does not touch them.
    merged: OnceLock<Box<Merged>>,
    /// The buffers of an earlier merge.
    spare: Mutex<Option<Box<Merged>>>,
    /// The bytes of those.
    spare_bytes: usize,
    /// Nothing is set any more, and what is shadowed is still to be counted.
    counts_shadowed: bool,
}

/// What the tags of a request come to.
#[derive(Debug, Default)]
struct Merged {
    /// What is in force, and for each of its tags the scope that set it.
    metadata: Metadata,
    sources: Vec<Scope>,
    /// What the client and the handler said, and the notes on it, where they were read for this merge alone.
    request: Metadata,
    notes: Diagnostics,
}

/// Most sources that a buffer kept for the next request has room for.
const KEEP_SOURCES: usize = 64;

/// Headers that are longer than this together are read at once, and buffers that are do not wait with the event.
const LONG_BYTES: usize = 8 * 1024;

impl Merged {
    /// The bytes of what is not the scope's own.
    fn approximate_bytes(&self, scope: &Metadata) -> usize {
        let is_shared = self.metadata.shares_with(scope) || self.metadata.shares_with(&self.request);
        let metadata = if is_shared { 0 } else { self.metadata.approximate_bytes() };
        metadata + self.request.approximate_bytes() + self.notes.approximate_bytes()
    }

    fn reset(&mut self, keep_bytes: usize) {
        // The effective metadata is first: it may be a second reference to the request's.
        self.metadata.reset(keep_bytes);
        self.request.reset(keep_bytes);
        self.sources.clear();
        self.sources.shrink_to(KEEP_SOURCES);
        self.notes.clear();
    }
}

impl RequestTags {
    /// Tags that were merged elsewhere.
    pub(crate) fn merged_before(metadata: Metadata, sources: Vec<Scope>, notes: Diagnostics) -> Self {
        let mut tags = Self::default();
        (tags.is_read, tags.notes) = (true, notes);
        tags.merged = OnceLock::from(Box::new(Merged { metadata, sources, ..Merged::default() }));
        tags
    }

    /// Takes in what a request brings, by the layer's rules. Where an outer layer was here before, the precedence stays that
    /// one's, and the limits of what code sets. Gives the reason when the request is to be rejected.
    pub(crate) fn begin(
        &mut self,
        layer: &MetadataLayer,
        headers: &HeaderMap,
        trusted: Option<Scopes>,
    ) -> Option<Diagnostic<'static>> {
        let is_first = !mem::replace(&mut self.has_begun, true);
        if is_first && self.rules.as_ref().is_none_or(|rules| !rules.is_same(layer)) {
            self.rules = Some(layer.clone());
        }
        if is_first && !self.is_read {
            layer.capture(headers, &mut self.captured);
            // What is not written stays in the cache of the thread that gave the event back.
            if trusted.is_some() {
                self.trusted = trusted;
            }
            // What is long is cut to the limits before it waits for a sink.
            let is_long = self.captured.capacity_bytes() > LONG_BYTES;
            return if is_long || layer.may_reject() { self.read() } else { None };
        }
        self.open();
        layer.capture(headers, &mut self.captured);
        let rejection = layer.read(&self.captured, trusted.as_ref(), &mut self.scopes, &mut self.notes);
        self.captured.reset(LONG_BYTES);
        rejection
    }

    fn rules(&self) -> Option<&MetadataLayer> {
        self.rules.as_ref().filter(|_| self.has_begun)
    }

    /// The notes on what the request says beside its tags.
    pub(crate) fn early_notes(&mut self) -> &mut Diagnostics {
        // Those on its tags come first where a layer around this one begins with them.
        if self.has_begun {
            self.read();
        }
        &mut self.notes
    }

    /// Reads what was kept. Gives the reason when the request is to be rejected.
    pub(crate) fn read(&mut self) -> Option<Diagnostic<'static>> {
        if mem::replace(&mut self.is_read, true) {
            return None;
        }
        self.forget_merged();
        // Not by `rules()`, which would borrow the scopes too.
        let layer = self.rules.as_ref().filter(|_| self.has_begun)?;
        let request = self.scopes.get_mut(Scope::Request);
        if request.is_empty()
            && let Some(spare) = self.spare.get_mut().unwrap_or_else(PoisonError::into_inner)
        {
            *request = mem::take(&mut spare.request);
            self.spare_bytes = spare.approximate_bytes(request);
        }
        let rejection = layer.read(&self.captured, self.trusted.as_ref(), &mut self.scopes, &mut self.notes);
        self.captured.reset(LONG_BYTES);
        rejection
    }

    /// Before a scope is written: the effective metadata gets out of date, and must not share its buffer with the scope.
    fn open(&mut self) {
        self.read();
        self.forget_merged();
    }

    fn forget_merged(&mut self) {
        if let Some(mut merged) = self.merged.take() {
            merged.reset(usize::MAX);
            *self.spare.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(merged);
        }
    }

    /// Writes tags of the request that code sets.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut TagWriter<'_>)) {
        self.write_within(self.limits().doubled(), write);
    }

    /// Writes tags of the request that the client says.
    pub(crate) fn write_said(&mut self, write: impl FnOnce(&mut TagWriter<'_>)) {
        self.write_within(self.limits(), write);
    }

    fn write_within(&mut self, limits: Limits, write: impl FnOnce(&mut TagWriter<'_>)) {
        self.open();
        write(&mut TagWriter::new(self.scopes.get_mut(Scope::Request), &limits, &mut self.notes));
    }

    /// Takes a tag of the request out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<String> {
        self.open();
        self.scopes.get_mut(Scope::Request).remove(key)
    }

    /// Adds tags that code sets to a scope.
    pub(crate) fn add(&mut self, scope: Scope, metadata: Metadata) {
        self.open();
        let limits = if scope == Scope::Request { self.limits().doubled() } else { self.limits() };
        limits.add_within(&mut self.scopes, scope, metadata, &mut self.notes);
    }

    fn limits(&self) -> Limits {
        self.rules().map_or_else(Limits::default, |rules| *rules.limits())
    }

    fn merged(&self) -> &Merged {
        self.merged.get_or_init(|| {
            let mut merged = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            let precedence = self.rules().map_or_else(Precedence::default, MetadataLayer::precedence);
            let Merged { metadata, sources, request, notes } = &mut *merged;
            let request = if let Some(layer) = self.unread() {
                let mut scopes = Scopes::new();
                *scopes.get_mut(Scope::Request) = mem::take(request);
                notes.clone_from(&self.notes);
                layer.read(&self.captured, self.trusted.as_ref(), &mut scopes, notes);
                scopes.merge_into(precedence, metadata, sources);
                *request = mem::take(scopes.get_mut(Scope::Request));
                request
            } else {
                self.scopes.merge_into(precedence, metadata, sources);
                self.scopes.get(Scope::Request)
            };
            if self.counts_shadowed
                && self.has_trusted()
                && let Some(rules) = self.rules()
            {
                rules.count_shadowed(shadowed_len(request, sources));
            }
            merged
        })
    }

    /// The rules, where there is something left to be read by them.
    fn unread(&self) -> Option<&MetadataLayer> {
        self.rules().filter(|_| !self.is_read)
    }

    /// The effective metadata.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.merged().metadata
    }

    /// Every tag's key and the scope that set it, in the order of [`metadata`](Self::metadata).
    pub(crate) fn sources(&self) -> impl ExactSizeIterator<Item = (&str, Scope)> {
        let merged = self.merged();
        merged.metadata.iter().zip(&merged.sources).map(|((key, _), scope)| (key, *scope))
    }

    pub(crate) fn notes(&self) -> &Diagnostics {
        // What was not read yet is noted with the merge.
        let merged = self.merged();
        if self.unread().is_some() { &merged.notes } else { &self.notes }
    }

    /// The client's tags that lie under one of the same key from a trusted scope.
    pub(crate) fn shadowed(&self) -> impl Iterator<Item = (&str, &str)> {
        let Merged { metadata, sources, .. } = self.merged();
        // Both sides are sorted by key, and every request tag is in the effective metadata.
        let mut effective = metadata.iter().zip(sources);
        self.request().iter().filter(move |(key, _)| {
            effective.find(|((tag, _), _)| tag == key).is_some_and(|(_, scope)| *scope != Scope::Request)
        })
    }

    /// Whether there are any.
    pub(crate) fn has_shadowed(&self) -> bool {
        shadowed_len(self.request(), &self.merged().sources) > 0
    }

    /// The client's tags.
    fn request(&self) -> &Metadata {
        if self.unread().is_some() { &self.merged().request } else { self.scopes.get(Scope::Request) }
    }

    /// Counts now what is shadowed, for a request that may have no event to count it by. False when there is nothing that
    /// could shadow.
    pub(crate) fn count_shadowed(&mut self) -> bool {
        if !self.has_trusted() {
            return false;
        }
        self.read();
        if let Some(rules) = self.rules() {
            rules.count_shadowed(shadowed_len(self.request(), &self.merged().sources));
        }
        true
    }

    fn has_trusted(&self) -> bool {
        let by_rules = self.rules().is_some_and(MetadataLayer::has_trusted);
        by_rules || self.trusted.as_ref().is_some_and(Scopes::has_trusted) || self.scopes.has_trusted()
    }

    /// Nothing is set any more. What is shadowed is counted with the merge.
    pub(crate) fn finish(&mut self, counts_shadowed: bool) {
        if counts_shadowed && self.merged.get().is_some() {
            self.count_shadowed();
        } else {
            self.counts_shadowed = counts_shadowed;
        }
    }

    /// About the bytes that they take in memory, before they are read.
    pub(crate) fn approximate_bytes(&self) -> usize {
        let trusted = self.trusted.as_ref().map_or(0, Scopes::approximate_bytes);
        // The scopes are empty until they are read. They are not looked at before: they may lie in another thread's cache.
        let scopes = if self.is_read { self.scopes.approximate_bytes() } else { 0 };
        let merged = self
            .merged
            .get()
            .map_or(self.spare_bytes, |merged| merged.approximate_bytes(self.scopes.get(Scope::Request)));
        self.captured.capacity_bytes() + trusted + scopes + merged + self.notes.approximate_bytes()
    }

    /// Empties it for the next request, and keeps buffers that are no larger than this.
    pub(crate) fn reset(&mut self, keep_bytes: usize) {
        self.merge_to_count();
        // All fields by name, so that none is forgotten.
        let Self {
            captured,
            trusted,
            is_read,
            rules: _,
            has_begun,
            scopes,
            notes,
            merged,
            spare,
            spare_bytes,
            counts_shadowed,
        } = self;
        let spare = spare.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(merged) = merged.take() {
            *spare = Some(merged);
        }
        let request = mem::take(scopes.get_mut(Scope::Request));
        if let Some(spare) = spare {
            if *is_read {
                // The merge may be a second reference to it.
                spare.metadata.reset(keep_bytes);
                spare.request = request;
            }
            spare.reset(keep_bytes);
            *spare_bytes = spare.approximate_bytes(&Metadata::new());
        }
        captured.reset(keep_bytes);
        (*trusted, *scopes) = (None, Scopes::new());
        (*is_read, *has_begun, *counts_shadowed) = (false, false, false);
        notes.clear();
    }

    /// Merges what nobody asked for, where something has to be counted by it.
    fn merge_to_count(&mut self) {
        if self.counts_shadowed && self.has_trusted() && self.merged.get().is_none() {
            self.merged();
        }
    }
}

impl Drop for RequestTags {
    fn drop(&mut self) {
        self.merge_to_count();
    }
}

/// How many of the request's tags are not in force, by the sources of the merge that they are in: their keys are, each from
/// another scope.
fn shadowed_len(request: &Metadata, sources: &[Scope]) -> usize {
    let in_force = sources.iter().filter(|scope| **scope == Scope::Request).count();
    request.len().saturating_sub(in_force)
}
