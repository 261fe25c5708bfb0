use std::{borrow::Cow, collections::HashMap};

use crate::text::truncated;

use super::{
    diagnostic::Diagnostic,
    diagnostic_code::DiagnosticCode,
    diagnostics::Diagnostics,
    filtered_tag::FilteredTag,
    limits::Limits,
    metadata::Metadata,
    overflow::Overflow,
    scope::Scope,
    tag_filter::TagFilter,
    tag_table::{TagTable, is_printable_tag},
};

/// Writes tags into a map within [`Limits`], and records what it changes.
pub(crate) struct TagWriter<'a> {
    tags: &'a mut TagTable,
    limits: &'a Limits,
    diagnostics: &'a mut Diagnostics,
    /// The filter of the caller, and the scope of the tags.
    filter: Option<(&'a dyn TagFilter, Scope)>,
    rejection: Option<Diagnostic<'static>>,
    /// The keys that were set by an alias, each with its alias.
    aliased: HashMap<String, String>,
}

/// The treatment of an existing tag with the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Replace,
    Keep,
    /// Keeps the tag, and records a note if the value differs.
    KeepAndCompare,
}

/// A part of a tag, with its limit and the diagnostics for exceeding it.
struct Part {
    max_chars: usize,
    truncated: DiagnosticCode,
    too_long: DiagnosticCode,
}

impl<'a> TagWriter<'a> {
    pub(crate) fn new(metadata: &'a mut Metadata, limits: &'a Limits, diagnostics: &'a mut Diagnostics) -> Self {
        Self { tags: metadata.open(), limits, diagnostics, filter: None, rejection: None, aliased: HashMap::new() }
    }

    /// Applies the filter of a caller to tags of this scope.
    pub(crate) fn filtered_by(mut self, filter: Option<&'a dyn TagFilter>, scope: Scope) -> Self {
        self.filter = filter.map(|filter| (filter, scope));
        self
    }

    /// Sets a tag, replacing its previous value.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.put(key, value, Existing::Replace);
    }

    /// Sets a tag if it does not exist.
    pub(crate) fn fill(&mut self, key: &str, value: &str) {
        self.put(key, value, Existing::Keep);
    }

    /// Sets a tag if it does not exist. Records a note if it has another value.
    pub(crate) fn fill_or_note(&mut self, key: &str, value: &str) {
        self.put(key, value, Existing::KeepAndCompare);
    }

    fn put(&mut self, key: &str, value: &str, existing: Existing) {
        if self.filter.is_none() {
            return self.put_filtered(key, value, existing);
        }
        // A filter must not be evaded by characters that are removed afterwards.
        let name = self.without_control(key, key);
        let text = self.without_control(&name, value);
        let Some((filter, scope)) = self.filter else { return };
        let mut tag = filter.filter(scope, &name, &text);
        // Nor by a part that is cut off afterwards.
        let (key_left, text_left) =
            (self.cut(&tag.key, self.limits.key_chars), self.cut(&text, self.limits.value_chars));
        if !tag.is_dropped && (key_left.len() < tag.key.len() || text_left.len() < text.len()) {
            let mut left = filter.filter_cut(scope, key_left, text_left);
            if left.is_dropped {
                return self.take_notes(&mut left);
            }
        }
        self.take_notes(&mut tag);
        if tag.is_dropped {
            return;
        }
        let existing = if existing == Existing::Replace { self.treatment(&name, &tag) } else { existing };
        self.put_filtered(&tag.key, &tag.value, existing);
        if tag.is_alias && existing == Existing::Replace && self.tags.find(&tag.key).is_ok() {
            self.aliased.insert(tag.key.into_owned(), name.into_owned());
        }
    }

    /// Returns the treatment of an existing tag by one that would replace it.
    ///
    /// A tag with a value beats an empty one. Otherwise, the key's own name beats its aliases, and the first alias beats later
    /// ones. A repeated name replaces its earlier value.
    fn treatment(&mut self, name: &str, tag: &FilteredTag<'_>) -> Existing {
        if !tag.is_alias && self.aliased.is_empty() {
            return Existing::Replace;
        }
        let kept = self.tags.find(&tag.key).ok().and_then(|at| self.tags.value_at(at)).filter(|kept| !kept.is_empty());
        let Some(kept) = kept else { return Existing::Replace };
        let by = self.aliased.get(&*tag.key);
        if by.is_some_and(|by| by == name) || (by.is_none() && !tag.is_alias) {
            return Existing::Replace;
        }
        if tag.value.is_empty() {
            return Existing::Keep;
        }
        if tag.is_alias {
            return Existing::KeepAndCompare;
        }
        // The key's own name replaces the value of an alias.
        if kept != self.cut(&tag.value, self.limits.value_chars) {
            let note = Diagnostic::new(DiagnosticCode::Conflict).with_key(&*tag.key).with_detail(kept).into_owned();
            self.note(note);
        }
        self.aliased.remove(&*tag.key);
        Existing::Replace
    }

    /// Records the notes of a filter.
    fn take_notes(&mut self, tag: &mut FilteredTag<'_>) {
        for (at, note) in std::mem::take(&mut tag.notes).into_iter().enumerate() {
            if tag.is_rejected && at == 0 {
                self.reject(note);
            } else {
                self.note(note);
            }
        }
    }

    /// Returns the part of a text that is within a limit, if longer texts are truncated.
    fn cut<'t>(&self, text: &'t str, max_chars: usize) -> &'t str {
        if self.limits.overflow == Overflow::Truncate { truncated(text, max_chars) } else { text }
    }

    fn put_filtered(&mut self, key: &str, value: &str, existing: Existing) {
        let is_printable = self.is_printable(key, value);
        let admitted;
        let key = if is_printable {
            key
        } else {
            let Some(key) = self.admit_key(key) else { return };
            admitted = key;
            &*admitted
        };
        let place = self.tags.find(key);
        if let Ok(at) = place
            && existing != Existing::Replace
        {
            if existing == Existing::KeepAndCompare
                && self.tags.value_at(at).is_some_and(|kept| kept != self.cut(value, self.limits.value_chars))
            {
                self.note(Diagnostic::new(DiagnosticCode::Conflict).with_key(key).with_detail(value));
            }
        } else if is_printable {
            self.write_admitted(place, key, value, true);
        } else {
            self.write(place, key, value);
        }
    }

    /// Returns `true` if no tag is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.len() == 0
    }

    /// Records a diagnostic.
    pub(crate) fn note(&mut self, diagnostic: Diagnostic<'_>) {
        self.diagnostics.push(diagnostic);
    }

    /// Records a diagnostic, the first of which is the reason to reject the request.
    pub(crate) fn reject(&mut self, diagnostic: Diagnostic<'_>) {
        if self.rejection.is_none() {
            self.rejection = Some(diagnostic.clone().into_owned());
        }
        self.diagnostics.push(diagnostic);
    }

    /// Returns the reason to reject the request, if there is one.
    pub(crate) fn into_rejection(self) -> Option<Diagnostic<'static>> {
        self.rejection
    }

    /// Returns `true` if the tag can be written as it is, like almost all tags.
    fn is_printable(&self, key: &str, value: &str) -> bool {
        key.len() <= self.limits.key_chars && value.len() <= self.limits.value_chars && is_printable_tag(key, value)
    }

    fn admit_key<'k>(&mut self, key: &'k str) -> Option<Cow<'k, str>> {
        let part = Part {
            max_chars: self.limits.key_chars,
            truncated: DiagnosticCode::KeyTruncated,
            too_long: DiagnosticCode::KeyTooLong,
        };
        let key = self.admit_text(key, key, &part)?;
        if key.is_empty() {
            self.note(Diagnostic::new(DiagnosticCode::EmptyKey));
            return None;
        }
        Some(key)
    }

    /// Writes a tag to the place that `find` returned for its key.
    fn write(&mut self, place: Result<usize, usize>, key: &str, value: &str) {
        let part = Part {
            max_chars: self.limits.value_chars,
            truncated: DiagnosticCode::ValueTruncated,
            too_long: DiagnosticCode::ValueTooLong,
        };
        if let Some(value) = self.admit_text(key, value, &part) {
            self.write_admitted(place, key, &value, false);
        }
    }

    /// Writes a tag whose key and value are within their own limits.
    fn write_admitted(&mut self, place: Result<usize, usize>, key: &str, value: &str, is_printable: bool) {
        let old_bytes = place.ok().and_then(|at| self.tags.value_at(at)).map_or(0, |old| key.len() + old.len());
        let bytes = self.tags.text_bytes() - old_bytes + key.len() + value.len();
        if bytes > self.limits.total_bytes {
            return self.exceed(Diagnostic::new(DiagnosticCode::TooLarge).with_key(key));
        }
        match place {
            Ok(at) => self.tags.replace_at(at, key, value, is_printable),
            Err(_) if self.tags.len() >= self.limits.tags => {
                self.exceed(Diagnostic::new(DiagnosticCode::TooManyTags).with_key(key));
            }
            Err(at) => self.tags.insert_at(at, key, value, is_printable),
        }
    }

    /// Returns the text without control characters and within its limit, or `None` if the tag is dropped.
    fn admit_text<'t>(&mut self, key: &str, text: &'t str, part: &Part) -> Option<Cow<'t, str>> {
        if is_plain(text, part.max_chars) {
            return Some(Cow::Borrowed(text));
        }
        let text = self.without_control(key, text);
        let kept = truncated(&text, part.max_chars).len();
        if kept == text.len() {
            return Some(text);
        }
        if self.limits.overflow != Overflow::Truncate {
            self.exceed(Diagnostic::new(part.too_long).with_key(key));
            return None;
        }
        let detail = format!("{} characters", text.chars().count());
        self.note(Diagnostic::new(part.truncated).with_key(key).with_detail(&detail));
        Some(match text {
            Cow::Borrowed(text) => Cow::Borrowed(truncated(text, part.max_chars)),
            Cow::Owned(mut text) => {
                text.truncate(kept);
                Cow::Owned(text)
            }
        })
    }

    /// Removes control characters from a key or value of the tag.
    fn without_control<'t>(&mut self, key: &str, text: &'t str) -> Cow<'t, str> {
        if !text.contains(char::is_control) {
            return Cow::Borrowed(text);
        }
        self.note(Diagnostic::new(DiagnosticCode::ControlRemoved).with_key(key));
        Cow::Owned(text.replace(char::is_control, ""))
    }

    fn exceed(&mut self, diagnostic: Diagnostic<'_>) {
        if self.limits.rejects() {
            self.reject(diagnostic);
        } else {
            self.note(diagnostic);
        }
    }
}

/// Returns `true` if the text has no control characters and is within the limit.
pub(super) fn is_plain(text: &str, max_chars: usize) -> bool {
    (text.len() <= max_chars || text.chars().count() <= max_chars) && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::{Diagnostics, Limits, Metadata, Overflow, TagWriter};
    use crate::tags;

    /// Writes tags and returns the result, the codes of the diagnostics, and the key of the rejection.
    fn write(limits: Limits, tags: &[(&str, &str)]) -> (Metadata, Vec<&'static str>, Option<String>) {
        let (mut metadata, mut notes) = (Metadata::new(), Diagnostics::default());
        let mut writer = TagWriter::new(&mut metadata, &limits, &mut notes);
        tags.iter().for_each(|(key, value)| writer.set(key, value));
        let rejection = writer.into_rejection().map(|reason| reason.to_string());
        (metadata, notes.iter().map(|note| note.code().as_str()).collect(), rejection)
    }

    #[test]
    fn removes_control_characters_before_it_truncates() {
        let limits = Limits::default().value_chars(2).key_chars(2);
        let (tags, codes, _) = write(limits, &[("k\0ey", "\u{1}äöü"), ("\0", "dropped")]);
        assert_eq!(tags, tags! { "ke" => "äö" });
        let expected =
            ["control_removed", "key_truncated", "control_removed", "value_truncated", "control_removed", "empty_key"];
        assert_eq!(codes, expected);
    }

    #[test]
    fn rejects_for_the_first_tag_that_exceeds_a_limit() {
        let limits = Limits::default().value_chars(2).tags(1).overflow(Overflow::Reject);
        let (tags, codes, rejection) = write(limits, &[("a", "123"), ("b", "1"), ("c", "1")]);
        assert_eq!(tags, tags! { "b" => "1" });
        assert_eq!(codes, ["value_too_long", "too_many_tags"]);
        assert_eq!(rejection.as_deref(), Some(r#"value_too_long "a""#));
    }

    #[test]
    fn replacing_a_value_frees_its_bytes() {
        let limits = Limits::default().total_bytes(4);
        let (tags, codes, _) = write(limits, &[("a", "123"), ("a", "456"), ("a", "4567"), ("b", "")]);
        assert_eq!(tags, tags! { "a" => "456" });
        assert_eq!(codes, ["too_large", "too_large"]);
    }
}
