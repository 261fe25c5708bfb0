//! The application of limits to whole maps.

use super::{
    diagnostic::Diagnostic,
    diagnostics::Diagnostics,
    limits::Limits,
    metadata::Metadata,
    scope::Scope,
    scopes::Scopes,
    tag_writer::{TagWriter, is_plain},
};

impl Limits {
    /// Checks that a map, such as one from a configuration file, is within these limits.
    ///
    /// # Errors
    ///
    /// Returns the first change that the limits would make to the map.
    pub fn check(&self, metadata: &Metadata) -> Result<(), Diagnostic<'static>> {
        let mut found = Diagnostics::default();
        self.enforce(metadata, &mut found);
        found.iter().next().map_or(Ok(()), |first| Err(first.into_owned()))
    }

    /// Adds tags to a scope and keeps it within these limits.
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
            self.write_all(&metadata, place, diagnostics);
        }
    }

    /// Returns a copy that is within these limits, or `None` if the map already is, as is usual.
    fn enforce(&self, metadata: &Metadata, diagnostics: &mut Diagnostics) -> Option<Metadata> {
        if self.admits(metadata) {
            return None;
        }
        let mut limited = Metadata::new();
        self.write_all(metadata, &mut limited, diagnostics);
        Some(limited)
    }

    fn write_all(&self, metadata: &Metadata, to: &mut Metadata, diagnostics: &mut Diagnostics) {
        let mut writer = TagWriter::new(to, self, diagnostics);
        for (key, value) in metadata {
            writer.set(key, value);
        }
    }

    fn admits(&self, metadata: &Metadata) -> bool {
        let is_plain_tag = |(key, value): (&str, &str)| {
            !key.is_empty() && is_plain(key, self.key_chars) && is_plain(value, self.value_chars)
        };
        metadata.len() <= self.tags
            && metadata.text_bytes() <= self.total_bytes
            && (metadata.is_printable_within(self.key_chars, self.value_chars) || metadata.iter().all(is_plain_tag))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        metadata::{DiagnosticCode, Diagnostics, Limits, Scope, Scopes},
        tags,
    };

    #[test]
    fn check_reports_the_first_change() {
        let limits = Limits::default().value_chars(3).key_chars(2).total_bytes(8).tags(2);
        for (tags, expected) in [
            (tags! { "a" => "äöü" }, None),
            (tags! { "a" => "äöüß" }, Some(DiagnosticCode::ValueTruncated)),
            (tags! { "abc" => "1" }, Some(DiagnosticCode::KeyTruncated)),
            (tags! { "a" => "1\n" }, Some(DiagnosticCode::ControlRemoved)),
            (tags! { "" => "1" }, Some(DiagnosticCode::EmptyKey)),
            (tags! { "a" => "1", "b" => "2", "c" => "3" }, Some(DiagnosticCode::TooManyTags)),
            (tags! { "ä" => "öü", "b" => "123" }, Some(DiagnosticCode::TooLarge)),
        ] {
            assert_eq!(limits.check(&tags).err().map(|problem| problem.code()), expected, "{tags:?}");
        }
    }

    #[test]
    fn tags_within_the_limits_are_not_copied() {
        let (mut scopes, mut notes) = (Scopes::new(), Diagnostics::default());
        let tags = tags! { "city" => "東京" };
        Limits::default().add_within(&mut scopes, Scope::ApiKey, tags.clone(), &mut notes);
        assert!(scopes.get(Scope::ApiKey).shares_with(&tags) && notes.iter().next().is_none());
        Limits::default().tags(1).add_within(&mut scopes, Scope::ApiKey, tags! { "b" => "2" }, &mut notes);
        assert_eq!(scopes.get(Scope::ApiKey), &tags);
        assert_eq!(notes.iter().map(|note| note.code()).collect::<Vec<_>>(), [DiagnosticCode::TooManyTags]);
    }
}
