use std::collections::{HashMap, HashSet};

/// Mapping of tags to attributes of spans and logs.
///
/// By default, every tag becomes an attribute: `_user` becomes `user.id`, `session_id` becomes `session.id`, `tenant_id`
/// becomes `tenant.id`, and any other tag becomes `metadata.<key>`. Leading underscores are removed from each part of a
/// name, because the [naming rules](https://opentelemetry.io/docs/specs/semconv/general/naming/) do not allow them.
///
/// ```
/// use tower_tagging::otel::TagAttributes;
///
/// let tags = TagAttributes::new().rename("team", "app.team").deny(["card_number"]);
/// assert_eq!(tags.name_of("team").as_deref(), Some("app.team"));
/// assert_eq!(tags.name_of("_user").as_deref(), Some("user.id"));
/// assert_eq!(tags.name_of("_internal").as_deref(), Some("metadata.internal"));
/// assert_eq!(tags.name_of("card_number"), None);
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct TagAttributes {
    prefix: String,
    renames: HashMap<String, String>,
    allowed: Option<HashSet<String>>,
    denied: HashSet<String>,
}

impl Default for TagAttributes {
    fn default() -> Self {
        Self::new()
    }
}

impl TagAttributes {
    /// Creates the default mapping, which includes all tags.
    pub fn new() -> Self {
        let renames = [("_user", "user.id"), ("session_id", "session.id"), ("tenant_id", "tenant.id")];
        Self {
            prefix: "metadata.".to_owned(),
            renames: renames.into_iter().map(|(key, name)| (key.to_owned(), name.to_owned())).collect(),
            allowed: None,
            denied: HashSet::new(),
        }
    }

    /// Sets the prefix of tags that are not renamed. The default is `metadata.`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the attribute name of a tag.
    pub fn rename(mut self, key: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.renames.insert(key.into(), attribute.into());
        self
    }

    /// Exports only these tags. Repeated calls add to the list.
    pub fn allow<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.allowed.get_or_insert_with(HashSet::new).extend(keys.into_iter().map(Into::into));
        self
    }

    /// Excludes these tags, even if they are [allowed](Self::allow).
    pub fn deny<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.denied.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Returns `true` if some tags are not exported.
    pub(super) fn is_restricted(&self) -> bool {
        self.allowed.is_some() || !self.denied.is_empty()
    }

    /// Returns the attribute name of a tag, or `None` if the tag is not exported.
    pub fn name_of(&self, key: &str) -> Option<String> {
        if self.denied.contains(key) || self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(key)) {
            return None;
        }
        let name = match self.renames.get(key) {
            Some(name) => name.clone(),
            None => format!("{}{key}", self.prefix),
        };
        if !name.starts_with('_') && !name.contains("._") {
            return Some(name).filter(|name| !name.is_empty());
        }
        let parts: Vec<_> =
            name.split('.').map(|part| part.trim_start_matches('_')).filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join("."))
    }
}
