use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use http::HeaderMap;

use crate::{
    metadata::{
        Diagnostic, DiagnosticCode, Diagnostics, Limits, Metadata, Precedence, Scope, Scopes, TagFilter, TagWriter,
        USER_KEY,
    },
    sources::Captured,
    usage::Money,
};

use super::{
    caller::Caller,
    settled_tags::SettledTags,
    tag_rules::TagRules,
    trusted_filter::{filter_trusted, filter_trusted_scopes},
};

/// The tags of a request that has not ended: captured headers, the scopes that are read from them, and their merge.
///
/// Reading and merging are put off until the service, a layer, or a sink asks for the result. If they do not, the request
/// pays only for copying its headers, and the sink's thread does the rest.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is an independent fact about the request")]
pub(crate) struct LiveTags {
    /// The rules of the outermost layer. They stay for the next request, which usually has the same ones, because a
    /// reference count that two threads write is slow.
    rules: Option<TagRules>,
    /// `rules` apply to this request.
    has_begun: bool,
    captured: Captured,
    trusted: Option<Scopes>,
    /// The rules of the caller, if a layer has identified it.
    caller: Option<Arc<dyn Caller>>,
    /// The limits of the caller, which replace those of the layer.
    caller_limits: Option<Limits>,
    is_read: bool,
    scopes: Scopes,
    notes: Diagnostics,
    /// The merge of `scopes`, until one of them changes.
    merged: Option<MergedTags>,
    /// The shadowed tags are still to be counted.
    counts_shadowed: bool,
    /// The caller's rules have seen the result.
    is_reported: bool,
    /// The reason to reject the request because of the field `user` of its body.
    user_rejection: Option<Diagnostic<'static>>,
    /// The field `user` of the body was found.
    has_body_user: bool,
    /// The field `user` of the body comes too late.
    ignores_body_user: bool,
}

/// The effective metadata.
#[derive(Debug, Default)]
pub(crate) struct MergedTags {
    pub(crate) metadata: Metadata,
    /// The scope that set each tag of `metadata`, in the same order.
    pub(crate) sources: Vec<Scope>,
    /// The tags that were left out because their keys look like those of trusted tags.
    look_alikes: Vec<(String, String)>,
}

/// The final tags of a request.
pub(crate) struct FinalTags {
    pub(crate) tags: MergedTags,
    pub(crate) diagnostics: Vec<Diagnostic<'static>>,
    shadowed: usize,
}

/// Captured headers above this size, in bytes, are read immediately, so that they do not wait for a sink; larger buffers are
/// not recycled.
const MAX_CAPTURED_BYTES: usize = 8 * 1024;

impl LiveTags {
    /// Captures the tags of a request. If an outer layer already began, its precedence and limits stay in force. Returns the
    /// reason if the request is rejected. With `awaits_caller`, [`identify`](Self::identify) reads the tags.
    pub(crate) fn begin(
        &mut self,
        rules: &TagRules,
        headers: &HeaderMap,
        trusted: Option<Scopes>,
        awaits_caller: bool,
    ) -> Option<Diagnostic<'static>> {
        let is_first = !mem::replace(&mut self.has_begun, true);
        if is_first && self.rules.as_ref().is_none_or(|old| !old.is_same(rules)) {
            self.rules = Some(rules.clone());
        }
        if is_first && !self.is_read {
            rules.capture(headers, &mut self.captured);
            // A value that is not written stays in the cache of the thread that recycled the event.
            if trusted.is_some() {
                self.trusted = trusted;
            }
            let is_long = self.captured.capacity_bytes() > MAX_CAPTURED_BYTES;
            return if !awaits_caller && (is_long || rules.may_reject()) { self.read() } else { None };
        }
        self.change();
        rules.capture(headers, &mut self.captured);
        let filter = filter_of(self.caller.as_ref());
        let limits = self.caller_limits.unwrap_or(*rules.limits());
        let caller = (filter, &limits);
        let rejection = rules.read(&self.captured, trusted.as_ref(), caller, &mut self.scopes, &mut self.notes);
        self.captured.reset(MAX_CAPTURED_BYTES);
        rejection
    }

    fn rules(&self) -> Option<&TagRules> {
        self.rules.as_ref().filter(|_| self.has_begun)
    }

    /// Returns the notes on the request for additions that are not about its tags.
    pub(crate) fn early_notes(&mut self) -> &mut Diagnostics {
        // The notes of an outer layer on the tags come first.
        if self.has_begun {
            self.read();
        }
        &mut self.notes
    }

    /// Reads the captured headers, once. Returns the reason if the request is rejected.
    pub(crate) fn read(&mut self) -> Option<Diagnostic<'static>> {
        if mem::replace(&mut self.is_read, true) {
            return None;
        }
        self.merged = None;
        // `rules()` would borrow the scopes as well.
        let rules = self.rules.as_ref().filter(|_| self.has_begun)?;
        let limits = self.caller_limits.unwrap_or(*rules.limits());
        let caller = (filter_of(self.caller.as_ref()), &limits);
        let trusted = self.trusted.as_ref();
        let rejection = rules.read(&self.captured, trusted, caller, &mut self.scopes, &mut self.notes);
        self.captured.reset(MAX_CAPTURED_BYTES);
        rejection
    }

    /// Applies the rules, limits, and trusted tags of the caller, and reads the tags. Returns the reason if the request is
    /// rejected.
    pub(crate) fn identify(
        &mut self,
        caller: Option<Arc<dyn Caller>>,
        limits: Option<Limits>,
        mut scopes: Scopes,
    ) -> Option<Diagnostic<'static>> {
        // As everywhere, the rules of the outermost layer apply.
        if self.caller.is_none() {
            (self.caller, self.caller_limits) = (caller, limits);
        }
        if self.has_begun && !self.is_read {
            // Those of a resolver or an outer layer are about this request, so they are stronger.
            if let Some(trusted) = &self.trusted {
                let trusted = filter_trusted_scopes(trusted, filter_of(self.caller.as_ref()));
                scopes.add_all(&trusted);
            }
            self.trusted = Some(scopes);
            return self.read();
        }
        // Tags that were read too early pass the filter now.
        self.change();
        if let Some(filter) = filter_of(self.caller.as_ref()) {
            for scope in Scope::ALL.iter().filter(|scope| scope.is_trusted()) {
                let tags = self.scopes.get_mut(*scope);
                *tags = filter_trusted(*scope, tags, filter);
            }
        }
        let rejection = [Scope::Request, Scope::Handler].map(|scope| {
            let read = mem::take(self.scopes.get_mut(scope));
            self.write(scope, read.iter())
        });
        for scope in Scope::ALL {
            self.limits().add_within(&mut self.scopes, *scope, scopes.get(*scope).clone(), &mut self.notes);
        }
        rejection.into_iter().flatten().next()
    }

    /// Sets the rules of a call that the request of another caller makes.
    pub(crate) fn inherit(&mut self, rules: Arc<dyn Caller>) {
        self.caller.get_or_insert(rules);
    }

    /// Returns the rules of the caller.
    pub(crate) fn caller(&self) -> Option<&Arc<dyn Caller>> {
        self.caller.as_ref()
    }

    /// Returns `true` if the field `user` of the request body becomes a tag.
    pub(crate) fn reads_body_user(&self) -> bool {
        self.rules().is_some_and(|rules| rules.sources().reads_body_user())
    }

    /// Returns `true` if the field `user` of the request body would set the effective tag `_user`.
    pub(crate) fn may_learn_user(&mut self) -> bool {
        if !self.reads_body_user() || self.ignores_body_user || self.has_body_user {
            return false;
        }
        let precedence = self.rules().map_or_else(Precedence::default, TagRules::precedence);
        let merged = self.merged();
        let Some(at) = merged.metadata.iter().position(|(key, _)| key == USER_KEY) else { return true };
        let is_blank = merged.metadata.get(USER_KEY).is_none_or(str::is_empty);
        match merged.sources.get(at) {
            Some(Scope::Request | Scope::Handler) => is_blank,
            // Whether the client's value would be stronger.
            Some(source) => {
                let order = precedence.strongest_first();
                let rank = |scope: &Scope| order.iter().position(|other| other == scope);
                rank(&Scope::Request) < rank(source)
            }
            None => true,
        }
    }

    /// Takes the reason to reject the request because of the field `user` of its body.
    pub(crate) fn take_user_rejection(&mut self) -> Option<Diagnostic<'static>> {
        self.user_rejection.take()
    }

    /// Ignores the field `user` of the body from now on.
    pub(crate) fn ignore_body_user(&mut self) {
        self.ignores_body_user = true;
    }

    /// Sets tags of the client or the service. Returns the reason if the request is rejected.
    fn write<'t>(
        &mut self,
        scope: Scope,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Option<Diagnostic<'static>> {
        let limits = self.limits();
        let writer = TagWriter::new(self.scopes.get_mut(scope), &limits, &mut self.notes);
        let mut writer = writer.filtered_by(filter_of(self.caller.as_ref()), scope);
        for (key, value) in tags {
            writer.set(key, value);
        }
        writer.into_rejection()
    }

    /// Prepares a change of a scope: the merge becomes stale, and must not share its buffer with the scope.
    fn change(&mut self) {
        self.read();
        self.merged = None;
    }

    /// Sets tags on behalf of the service.
    pub(crate) fn set<'t>(&mut self, tags: impl IntoIterator<Item = (&'t str, &'t str)>) {
        self.change();
        self.write(Scope::Handler, tags);
    }

    /// Sets `_user` from the request body, once, unless the client or the service has set it to a non-empty value.
    pub(crate) fn fill_user(&mut self, user: Option<&str>, note: Option<DiagnosticCode>) {
        if self.ignores_body_user || mem::replace(&mut self.has_body_user, true) {
            return;
        }
        self.change();
        let is_blank = |scope| self.scopes.get(scope).get(USER_KEY).is_none_or(str::is_empty);
        if !is_blank(Scope::Request) || !is_blank(Scope::Handler) {
            return;
        }
        let limits = self.limits();
        let writer = TagWriter::new(self.scopes.get_mut(Scope::Request), &limits, &mut self.notes);
        let mut writer = writer.filtered_by(filter_of(self.caller.as_ref()), Scope::Request);
        if let Some(code) = note {
            writer.note(Diagnostic::new(code).with_key("user"));
        }
        if let Some(user) = user {
            writer.set(USER_KEY, user);
        }
        self.user_rejection = writer.into_rejection();
    }

    /// Removes a tag that the client or the service set, and returns its value.
    pub(crate) fn remove(&mut self, key: &str) -> Option<String> {
        self.change();
        let by_client = self.scopes.get_mut(Scope::Request).remove(key);
        self.scopes.get_mut(Scope::Handler).remove(key).or(by_client)
    }

    /// Adds tags to a scope on behalf of code.
    pub(crate) fn extend_scope(&mut self, scope: Scope, metadata: Metadata) {
        self.change();
        // Tags that code sets never compete with the client for room.
        if !scope.is_trusted() {
            self.write(Scope::Handler, &metadata);
            return;
        }
        let metadata = match filter_of(self.caller.as_ref()) {
            Some(filter) => filter_trusted(scope, &metadata, filter),
            None => metadata,
        };
        self.limits().add_within(&mut self.scopes, scope, metadata, &mut self.notes);
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, diagnostic: Diagnostic<'_>) {
        self.read();
        self.notes.push(diagnostic);
    }

    fn limits(&self) -> Limits {
        let of_layer = || self.rules().map_or_else(Limits::default, |rules| *rules.limits());
        self.caller_limits.unwrap_or_else(of_layer)
    }

    /// Returns the effective metadata.
    pub(crate) fn merged(&mut self) -> &MergedTags {
        self.read();
        let precedence = self.rules().map_or_else(Precedence::default, TagRules::precedence);
        self.merged.get_or_insert_with(|| {
            let (metadata, sources) = self.scopes.merge(precedence);
            let mut merged = MergedTags { metadata, sources, look_alikes: Vec::new() };
            if let Some(filter) = filter_of(self.caller.as_ref()) {
                merged.leave_out_look_alikes(filter);
            }
            merged
        })
    }

    /// Returns all notes, including one for each shadowed tag.
    pub(crate) fn diagnostics(&mut self) -> Vec<Diagnostic<'static>> {
        self.merged();
        let Self { scopes, notes, merged, caller, .. } = self;
        let screened = |note: Diagnostic<'_>| match filter_of(caller.as_ref()) {
            Some(filter) => note.screened_by(|text| filter.screen(text).into_owned()),
            None => note.into_owned(),
        };
        let mut list: Vec<_> = notes.iter().map(screened).collect();
        if let Some(merged) = merged {
            list.extend(shadowed(scopes, merged).map(|(key, value)| {
                Diagnostic::new(DiagnosticCode::Shadowed).with_key(key).with_detail(value).into_owned()
            }));
        }
        if notes.left_out() > 0 {
            let count = notes.left_out().to_string();
            list.push(Diagnostic::new(DiagnosticCode::MoreDiagnostics).with_detail(&count).into_owned());
        }
        list
    }

    /// Counts the shadowed tags immediately, for a request that may have no event. Returns `false` if no scope could shadow
    /// a tag.
    pub(crate) fn count_shadowed(&mut self) -> bool {
        if !self.may_shadow() {
            return false;
        }
        self.merged();
        if let (Some(rules), Some(merged)) = (self.rules(), &self.merged) {
            rules.count_shadowed(shadowed(&self.scopes, merged).count());
        }
        true
    }

    fn may_shadow(&self) -> bool {
        self.rules().is_some_and(TagRules::may_shadow)
            || self.trusted.as_ref().is_some_and(Scopes::may_shadow)
            || self.scopes.may_shadow()
    }

    /// Ends all changes. The shadowed tags are counted when the tags are settled, or dropped unread.
    pub(crate) fn finish(&mut self, counts_shadowed: bool) {
        self.counts_shadowed = counts_shadowed;
    }

    /// Reads and merges the tags, counts the shadowed ones, and returns the result with all notes.
    pub(crate) fn settle(&mut self) -> FinalTags {
        self.count_pending();
        let diagnostics = self.diagnostics();
        let tags = self.merged.take().unwrap_or_default();
        let shadowed = shadowed(&self.scopes, &tags).count();
        FinalTags { tags, diagnostics, shadowed }
    }

    /// Reports the final tags and the cost to the caller's rules, once.
    pub(crate) fn report(&mut self, tags: &FinalTags, cost: Option<Money>) {
        if let Some(caller) = &self.caller
            && !mem::replace(&mut self.is_reported, true)
        {
            let tags = SettledTags { metadata: &tags.tags.metadata, shadowed: tags.shadowed, cost };
            // Neither the event nor its sink depends on the rules of the caller.
            _ = catch_unwind(AssertUnwindSafe(|| caller.settled(&tags)));
        }
    }

    /// Counts what was not counted, for a request whose event is dropped unread.
    fn drop_unread(&mut self) {
        if self.caller.is_none() {
            return self.count_pending();
        }
        // The rules of the caller must not panic while another panic unwinds.
        _ = catch_unwind(AssertUnwindSafe(|| {
            self.count_pending();
            if !self.is_reported {
                let tags = self.settle();
                self.report(&tags, None);
            }
        }));
    }

    /// Counts the shadowed tags unless they have been counted.
    fn count_pending(&mut self) {
        if mem::take(&mut self.counts_shadowed) {
            self.count_shadowed();
        }
    }

    /// Returns the approximate memory use of tags that wait to be settled, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        let trusted = self.trusted.as_ref().map_or(0, Scopes::approximate_bytes);
        // The scopes are empty until they are read. They are not touched before, because they may lie in the cache of
        // another thread.
        let scopes = if self.is_read { self.scopes.approximate_bytes() } else { 0 };
        let merged = self.merged.as_ref().map_or(0, |merged| merged.metadata.approximate_bytes());
        self.captured.capacity_bytes() + trusted + scopes + merged + self.notes.approximate_bytes()
    }

    /// Resets everything except the buffer and the rules, for the next request.
    pub(crate) fn recycle(&mut self) {
        self.drop_unread();
        self.captured.reset(MAX_CAPTURED_BYTES);
        let mut next = Self::default();
        mem::swap(&mut next.rules, &mut self.rules);
        mem::swap(&mut next.captured, &mut self.captured);
        *self = next;
    }
}

impl Drop for LiveTags {
    fn drop(&mut self) {
        self.drop_unread();
    }
}

impl MergedTags {
    /// Removes the tags of the client and the handler whose keys look like those of trusted tags.
    fn leave_out_look_alikes(&mut self, filter: &dyn TagFilter) {
        // A default is overridden by everything, so nothing needs to pretend to be one.
        let is_trusted =
            |at: usize| self.sources.get(at).is_some_and(|source| source.is_trusted() && *source != Scope::Fallback);
        let found = filter.look_alikes(&self.metadata, &is_trusted);
        let key_at = |at: &usize| Some((*at, self.metadata.iter().nth(*at)?.0.to_owned()));
        let found: Vec<_> = found.iter().filter(|at| !is_trusted(**at)).filter_map(key_at).collect();
        for (at, key) in found.into_iter().rev() {
            if let Some(value) = self.metadata.remove(&key) {
                self.sources.remove(at);
                self.look_alikes.push((key, value));
            }
        }
    }
}

impl FinalTags {
    /// Returns the effective metadata.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.tags.metadata
    }
}

fn filter_of(caller: Option<&Arc<dyn Caller>>) -> Option<&dyn TagFilter> {
    caller.map(|caller| &**caller as &dyn TagFilter)
}

/// Returns the tags of the client, or else of the handler, that a trusted scope overrides.
fn shadowed<'t>(scopes: &'t Scopes, merged: &'t MergedTags) -> impl Iterator<Item = (&'t str, &'t str)> {
    let trusted = merged.metadata.iter().zip(&merged.sources).filter(|(_, source)| source.is_trusted());
    let overridden = trusted.filter_map(|((key, _), _)| {
        let value = [Scope::Request, Scope::Handler].into_iter().find_map(|scope| scopes.get(scope).get(key))?;
        Some((key, value))
    });
    overridden.chain(merged.look_alikes.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}
