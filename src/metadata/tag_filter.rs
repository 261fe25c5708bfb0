use std::{borrow::Cow, fmt};

use super::{filtered_tag::FilteredTag, metadata::Metadata, scope::Scope};

/// Decides which tags of a caller are kept, and rewrites their keys and values.
///
/// A filter belongs to one caller, which an [`Admission`](crate::tagging::Admission) identifies. It is called for each tag
/// that a client or a handler sets, before the tag is limited and merged. Often that happens on a sink's thread, so a filter
/// must not depend on the current task.
pub trait TagFilter: fmt::Debug + Send + Sync {
    /// Filters one tag.
    ///
    /// The scope is [`Scope::Request`] for tags of a client, and [`Scope::Handler`] for those of the service. Tags of trusted
    /// scopes that a layer, a resolver, or [`Tags::extend_scope`](crate::Tags::extend_scope) sets pass the filter as well.
    fn filter<'t>(&self, scope: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t>;

    /// Decides again about a tag that [limits](super::Limits) cut off: with what is left of the key that
    /// [`filter`](Self::filter) returned, and of the value that it was called with. Only whether the tag is dropped
    /// matters.
    fn filter_cut<'t>(&self, scope: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t> {
        self.filter(scope, key, value)
    }

    /// Rewrites another text of the event that may contain data of the client.
    ///
    /// These are the client's trace id, the name and path of its span, the path of the request, details of diagnostics,
    /// and errors.
    fn screen<'t>(&self, text: &'t str) -> Cow<'t, str> {
        Cow::Borrowed(text)
    }

    /// Returns the positions of the tags whose keys a reader could take for those of trusted tags, in ascending order.
    ///
    /// Such tags of a client or handler are [shadowed](super::DiagnosticCode::Shadowed) like those with the same key.
    /// `is_trusted` returns `true` for the position of a trusted tag.
    fn look_alikes(&self, tags: &Metadata, is_trusted: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let _ = (tags, is_trusted);
        Vec::new()
    }
}
