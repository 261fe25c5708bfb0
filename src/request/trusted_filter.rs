//! The tags that code sets, as the filter of a caller rewrites them.

use std::borrow::Cow;

use crate::metadata::{FilteredTag, Metadata, Scope, Scopes, TagFilter};

/// Returns the tags of all scopes that the filter keeps, with the keys and values that it writes.
pub(super) fn filter_trusted_scopes<'s>(scopes: &'s Scopes, filter: Option<&dyn TagFilter>) -> Cow<'s, Scopes> {
    let Some(filter) = filter else { return Cow::Borrowed(scopes) };
    let mut filtered = Cow::Borrowed(scopes);
    for scope in Scope::ALL {
        if let Cow::Owned(tags) = filter_all(*scope, scopes.get(*scope), filter) {
            *filtered.to_mut().get_mut(*scope) = tags;
        }
    }
    filtered
}

/// Returns the tags that the filter keeps, with the keys and values that it writes.
pub(super) fn filter_trusted(scope: Scope, tags: &Metadata, filter: &dyn TagFilter) -> Metadata {
    filter_all(scope, tags, filter).into_owned()
}

fn filter_all<'t>(scope: Scope, tags: &'t Metadata, filter: &dyn TagFilter) -> Cow<'t, Metadata> {
    // Usually, nothing changes, and nothing is copied.
    let is_same =
        |tag: &FilteredTag<'_>, key: &str, value: &str| !tag.is_dropped && tag.key == key && tag.value == value;
    if tags.iter().all(|(key, value)| is_same(&filter.filter(scope, key, value), key, value)) {
        return Cow::Borrowed(tags);
    }
    let kept = tags.iter().map(|(key, value)| filter.filter(scope, key, value)).filter(|tag| !tag.is_dropped);
    Cow::Owned(kept.map(|tag| (tag.key, tag.value)).collect())
}
