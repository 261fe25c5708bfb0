//! The tags that code sets, as the filter of a caller rewrites them.

use std::borrow::Cow;

use crate::metadata::{Metadata, Scope, Scopes, TagFilter};

/// Returns the tags of all scopes that the filter keeps, with the keys and values that it writes.
pub(super) fn filter_trusted_scopes<'s>(scopes: &'s Scopes, filter: Option<&dyn TagFilter>) -> Cow<'s, Scopes> {
    let Some(filter) = filter else { return Cow::Borrowed(scopes) };
    let mut filtered = Scopes::new();
    for scope in Scope::ALL {
        let tags = scopes.get(*scope);
        if !tags.is_empty() {
            filtered.add(*scope, filter_trusted(*scope, tags, filter));
        }
    }
    Cow::Owned(filtered)
}

/// Returns the tags that the filter keeps, with the keys and values that it writes.
pub(super) fn filter_trusted(scope: Scope, tags: &Metadata, filter: &dyn TagFilter) -> Metadata {
    let kept = tags.iter().map(|(key, value)| filter.filter(scope, key, value)).filter(|tag| !tag.is_dropped);
    kept.map(|tag| (tag.key, tag.value)).collect()
}
