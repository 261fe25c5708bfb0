use super::{metadata::Metadata, scope::Scope};

/// One [`Metadata`] for each [`Scope`], before they are merged.
///
/// An authentication layer outside the tagging layer passes the tags of the caller in a request extension:
///
/// ```
/// use tower_tagging::{tags, metadata::{Scope, Scopes}};
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(
///     Scopes::new()
///         .with(Scope::Workspace, tags! { "tenant" => "acme" })
///         .with(Scope::ApiKey, tags! { "team" => "growth" }),
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    maps: [Metadata; Scope::ALL.len()],
}

impl Scopes {
    /// Creates scopes without tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds tags to a scope, replacing existing values for the same keys.
    #[must_use]
    pub fn with(mut self, scope: Scope, metadata: Metadata) -> Self {
        self.add(scope, metadata);
        self
    }

    /// Adds tags to a scope, replacing existing values for the same keys.
    pub fn add(&mut self, scope: Scope, metadata: Metadata) {
        let map = self.get_mut(scope);
        if map.is_empty() {
            *map = metadata;
        } else {
            map.extend(&metadata);
        }
    }

    /// Adds the tags of all scopes of `other`, as [`add`](Self::add) does.
    pub fn add_all(&mut self, other: &Self) {
        for scope in Scope::ALL {
            let metadata = other.get(*scope);
            if !metadata.is_empty() {
                self.add(*scope, metadata.clone());
            }
        }
    }

    /// Replaces the tags of one scope.
    #[cfg(feature = "registry")]
    pub(crate) fn replace(&mut self, scope: Scope, metadata: Metadata) {
        *self.get_mut(scope) = metadata;
    }

    /// Returns the tags of one scope.
    #[allow(clippy::indexing_slicing, reason = "the array has one element per scope")]
    pub fn get(&self, scope: Scope) -> &Metadata {
        &self.maps[scope as usize]
    }

    #[allow(clippy::indexing_slicing, reason = "the array has one element per scope")]
    pub(crate) fn get_mut(&mut self, scope: Scope) -> &mut Metadata {
        &mut self.maps[scope as usize]
    }

    /// Returns `true` if a scope has tags that may shadow those of the client or the handler.
    pub(crate) fn may_shadow(&self) -> bool {
        [Scope::ApiKey, Scope::Workspace, Scope::Forced].iter().any(|scope| !self.get(*scope).is_empty())
    }

    /// Returns the approximate size in memory, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.maps.iter().map(Metadata::approximate_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, Scopes};
    use crate::tags;

    #[test]
    fn only_trusted_scopes_may_shadow() {
        for scope in Scope::ALL {
            let scopes = Scopes::new().with(*scope, tags! { "k" => "v" });
            assert_eq!(scopes.may_shadow(), scope.is_trusted() && *scope != Scope::Fallback, "{scope}");
        }
        assert!(!Scopes::new().may_shadow());
    }
}
