use std::borrow::Cow;

use super::diagnostic::Diagnostic;

/// The decision of a [`TagFilter`](super::TagFilter) about one tag.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FilteredTag<'t> {
    /// The key to store.
    pub key: Cow<'t, str>,
    /// The value to store.
    pub value: Cow<'t, str>,
    /// The client used another name for the key. A tag with the key's own name replaces this one.
    pub is_alias: bool,
    /// The tag is not stored.
    pub is_dropped: bool,
    /// The request is rejected because of the tag. The reason is the first of `notes`.
    pub is_rejected: bool,
    /// The diagnostics about the tag.
    pub notes: Vec<Diagnostic<'static>>,
}

impl<'t> FilteredTag<'t> {
    /// Keeps a tag.
    pub fn new(key: impl Into<Cow<'t, str>>, value: impl Into<Cow<'t, str>>) -> Self {
        let (key, value) = (key.into(), value.into());
        Self { key, value, is_alias: false, is_dropped: false, is_rejected: false, notes: Vec::new() }
    }

    /// Drops the tag and records the reason.
    #[must_use]
    pub fn dropped(mut self, reason: Diagnostic<'static>) -> Self {
        self.is_dropped = true;
        self.notes.push(reason);
        self
    }

    /// Rejects the request and records the reason.
    #[must_use]
    pub fn rejected(mut self, reason: Diagnostic<'static>) -> Self {
        self.is_dropped = true;
        self.is_rejected = true;
        self.notes.insert(0, reason);
        self
    }

    /// Records a diagnostic about the tag.
    #[must_use]
    pub fn with_note(mut self, note: Diagnostic<'static>) -> Self {
        self.notes.push(note);
        self
    }
}
