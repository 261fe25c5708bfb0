use std::borrow::Cow;

use crate::text::truncated;

use super::{
    Metadata,
    diagnostic::{Diagnostic, DiagnosticCode, Diagnostics},
    map::{TagTable, is_printable_tag},
    scope::{Scope, Scopes},
};

/// How long and how many the tags of one request may be.
///
/// ```
/// use tower_tagging::metadata::{Limits, Overflow};
///
/// let limits = Limits::default().value_chars(256).tags(50).overflow(Overflow::Drop);
/// ```
///
/// They hold for the tags of each [scope](super::Scope) by itself, those of the request first of all. There what code sets
/// through [`Tags`](crate::Tags) has as much room again, in bytes and in number: no client can keep it out by filling the scope.
///
/// Keys and values are first freed of NUL and other control characters, then measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    value_chars: usize,
    key_chars: usize,
    total_bytes: usize,
    tags: usize,
    overflow: Overflow,
}

/// What happens to a tag that is over a [limit](Limits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Keys and values are cut at a character boundary; tags past the limits on bytes and number are dropped.
    #[default]
    Truncate,
    /// The tag is dropped.
    Drop,
    /// The client gets status 400 with an empty body and the reason in the header `x-tagging-rejection`, such as
    /// `value_too_long; team`; the [outcome](crate::event::Outcome) is `rejected`. Tags that code sets are dropped instead.
    Reject,
}

impl Default for Limits {
    /// 128 characters for a value and for a key, 32 KiB for all tags of a scope, any number of tags.
    fn default() -> Self {
        Self {
            value_chars: 128,
            key_chars: 128,
            total_bytes: 32 * 1024,
            tags: usize::MAX,
            overflow: Overflow::Truncate,
        }
    }
}

impl Limits {
    /// Longest value, in characters (not bytes).
    #[must_use]
    pub fn value_chars(mut self, chars: usize) -> Self {
        self.value_chars = chars;
        self
    }

    /// Longest key, in characters (not bytes).
    #[must_use]
    pub fn key_chars(mut self, chars: usize) -> Self {
        self.key_chars = chars;
        self
    }

    /// All keys and values of a scope together, in bytes.
    #[must_use]
    pub fn total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Most tags in a scope.
    #[must_use]
    pub fn tags(mut self, tags: usize) -> Self {
        self.tags = tags;
        self
    }

    /// What happens to a tag that is over a limit.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Whether a map is within these limits as it stands, for maps that come from configuration.
    ///
    /// # Errors
    /// The first thing in it that the limits would change.
    pub fn check(&self, metadata: &Metadata) -> Result<(), Diagnostic<'static>> {
        let mut found = Diagnostics::default();
        self.enforce(metadata, &mut found);
        found.iter().next().map_or(Ok(()), |first| Err(first.into_owned()))
    }

    /// Whether a request is rejected for what is over them.
    pub(crate) fn rejects(&self) -> bool {
        self.overflow == Overflow::Reject
    }

    /// For tags that code sets in a scope that holds a client's, who filled these limits at most.
    pub(crate) fn beside_client(self) -> Self {
        Self { total_bytes: self.total_bytes.saturating_mul(2), tags: self.tags.saturating_mul(2), ..self }
    }

    /// Adds tags to a scope, which stays within these limits by itself.
    pub(crate) fn add_within(
        &self,
        scopes: &mut Scopes,
        scope: Scope,
        metadata: Metadata,
        diagnostics: &mut Diagnostics,
    ) {
        let place = scopes.get_mut(scope);
        if place.is_empty() {
            *place = self.enforce(&metadata, diagnostics).unwrap_or(metadata);
        } else {
            let mut writer = TagWriter::new(place, self, diagnostics);
            for (key, value) in &metadata {
                writer.set(key, value);
            }
        }
    }

    /// The map cut to these limits; `None` when it is within them as it stands, the usual case.
    pub(crate) fn enforce(&self, metadata: &Metadata, diagnostics: &mut Diagnostics) -> Option<Metadata> {
        let within = metadata.len() <= self.tags
            && metadata.text_bytes() <= self.total_bytes
            && (metadata.is_printable_within(self.key_chars, self.value_chars)
                || metadata.iter().all(|(key, value)| {
                    !key.is_empty() && is_plain(key, self.key_chars) && is_plain(value, self.value_chars)
                }));
        if within {
            return None;
        }
        let mut cut = Metadata::new();
        let mut writer = TagWriter::new(&mut cut, self, diagnostics);
        for (key, value) in metadata {
            writer.set(key, value);
        }
        Some(cut)
    }
}

/// Writes tags into a map under [`Limits`], noting what it had to change.
pub(crate) struct TagWriter<'a> {
    tags: &'a mut TagTable,
    limits: &'a Limits,
    diagnostics: &'a mut Diagnostics,
    rejection: Option<Diagnostic<'static>>,
}

impl<'a> TagWriter<'a> {
    pub(crate) fn new(metadata: &'a mut Metadata, limits: &'a Limits, diagnostics: &'a mut Diagnostics) -> Self {
        Self { tags: metadata.open(), limits, diagnostics, rejection: None }
    }

    /// Sets a tag, over one of the same key.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        if self.is_printable(key, value) {
            let place = self.tags.find(key);
            self.write_admitted(place, key, value, true);
        } else if let Some(key) = self.admit_key(key) {
            let place = self.tags.find(&key);
            self.write(place, &key, value);
        }
    }

    /// Sets a tag unless the key has a value already.
    pub(crate) fn fill(&mut self, key: &str, value: &str) {
        if self.is_printable(key, value) {
            if let Err(at) = self.tags.find(key) {
                self.write_admitted(Err(at), key, value, true);
            }
        } else if let Some(key) = self.admit_key(key)
            && let Err(at) = self.tags.find(&key)
        {
            self.write(Err(at), &key, value);
        }
    }

    /// Whether the tag can be written as it is, as nearly all can.
    fn is_printable(&self, key: &str, value: &str) -> bool {
        key.len() <= self.limits.key_chars && value.len() <= self.limits.value_chars && is_printable_tag(key, value)
    }

    /// Whether no tag is set yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.len() == 0
    }

    /// Whether the key is missing or its value is empty.
    pub(crate) fn is_blank(&self, key: &str) -> bool {
        self.tags.find(key).map_or(true, |at| self.tags.value_at(at).is_none_or(str::is_empty))
    }

    pub(crate) fn note(&mut self, diagnostic: Diagnostic<'_>) {
        self.diagnostics.push(diagnostic);
    }

    /// Notes the diagnostic, and that the request is to be answered with 400 for it.
    pub(crate) fn reject(&mut self, diagnostic: Diagnostic<'_>) {
        if self.rejection.is_none() {
            self.rejection = Some(diagnostic.clone().into_owned());
        }
        self.diagnostics.push(diagnostic);
    }

    /// Why the request is to be rejected, if it is.
    pub(crate) fn into_rejection(self) -> Option<Diagnostic<'static>> {
        self.rejection
    }

    fn admit_key<'k>(&mut self, key: &'k str) -> Option<Cow<'k, str>> {
        let limit = self.limits.key_chars;
        let key = self.admit_text(key, key, limit, DiagnosticCode::KeyTruncated, DiagnosticCode::KeyTooLong)?;
        if key.is_empty() {
            self.note(Diagnostic::new(DiagnosticCode::EmptyKey));
            return None;
        }
        Some(key)
    }

    /// Writes where the key is, or where it belongs.
    fn write(&mut self, place: Result<usize, usize>, key: &str, value: &str) {
        let limit = self.limits.value_chars;
        let Some(value) =
            self.admit_text(key, value, limit, DiagnosticCode::ValueTruncated, DiagnosticCode::ValueTooLong)
        else {
            return;
        };
        self.write_admitted(place, key, &value, false);
    }

    /// [`write`](Self::write) of a value that is within its own limits.
    fn write_admitted(&mut self, place: Result<usize, usize>, key: &str, value: &str, is_printable: bool) {
        let old_bytes = place.ok().and_then(|at| self.tags.value_at(at)).map_or(0, |old| key.len() + old.len());
        let bytes = self.tags.text_bytes() - old_bytes + key.len() + value.len();
        if bytes > self.limits.total_bytes {
            return self.over(Diagnostic::new(DiagnosticCode::TooLarge).with_key(key));
        }
        match place {
            Ok(at) => self.tags.replace_at(at, key, value, is_printable),
            Err(_) if self.tags.len() >= self.limits.tags => {
                self.over(Diagnostic::new(DiagnosticCode::TooManyTags).with_key(key));
            }
            Err(at) => self.tags.insert_at(at, key, value, is_printable),
        }
    }

    /// The text without control characters and, unless it is to be dropped, within the limit.
    fn admit_text<'t>(
        &mut self,
        key: &str,
        text: &'t str,
        limit: usize,
        cut: DiagnosticCode,
        too_long: DiagnosticCode,
    ) -> Option<Cow<'t, str>> {
        if is_plain(text, limit) {
            return Some(Cow::Borrowed(text));
        }
        let mut text = Cow::Borrowed(text);
        if text.contains(char::is_control) {
            text = Cow::Owned(text.replace(char::is_control, ""));
            self.note(Diagnostic::new(DiagnosticCode::ControlRemoved).with_key(key));
        }
        let kept = truncated(&text, limit).len();
        if kept == text.len() {
            return Some(text);
        }
        if self.limits.overflow != Overflow::Truncate {
            self.over(Diagnostic::new(too_long).with_key(key));
            return None;
        }
        let detail = format!("{} characters", text.chars().count());
        self.note(Diagnostic::new(cut).with_key(key).with_detail(&detail));
        Some(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(..kept).unwrap_or_default()),
            Cow::Owned(mut text) => {
                text.truncate(kept);
                Cow::Owned(text)
            }
        })
    }

    fn over(&mut self, diagnostic: Diagnostic<'_>) {
        if self.limits.overflow == Overflow::Reject {
            self.reject(diagnostic);
        } else {
            self.note(diagnostic);
        }
    }
}

/// Whether nothing about the text is to be changed: no control characters, within the limit.
fn is_plain(text: &str, max_chars: usize) -> bool {
    (text.len() <= max_chars || text.chars().count() <= max_chars) && !text.contains(char::is_control)
}
