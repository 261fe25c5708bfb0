use crate::metadata::Scope;

use super::super::{names::is_same_or_look_alike, snapshot::Snapshot};

/// The trusted sources of a request, apart from its key.
///
/// A client may not set the tags of such a source, also if the source does not set them in this request: a token without a
/// tenant must not make room for a tenant that the client chose. Tags of the scope [`Fallback`](Scope::Fallback) are defaults,
/// which a client may override.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TrustedSources {
    /// The request has claims of the login.
    pub(super) has_login: bool,
    /// The TLS client is identified.
    pub(super) has_peer: bool,
    /// The request has a valid token.
    pub(super) has_token: bool,
}

impl TrustedSources {
    /// Returns `true` if only a trusted source may set a tag with this key. Headers of the operator's proxy are always such a
    /// source.
    pub(super) fn reserve(self, snapshot: &Snapshot, key: &str) -> bool {
        let is_reserved = |trusted: &str| is_same_or_look_alike(key, trusted);
        let headers = snapshot.access.trusted_headers.iter().filter(|header| header.scope != Scope::Fallback);
        if headers.map(|header| &*header.key).any(is_reserved) {
            return true;
        }
        if self.has_login && snapshot.login.overriding_keys().any(is_reserved) {
            return true;
        }
        #[cfg(feature = "jwt")]
        if self.has_token
            && snapshot.tokens.as_ref().is_some_and(|tokens| tokens.verifier.tags().overriding_keys().any(is_reserved))
        {
            return true;
        }
        self.has_peer && snapshot.spiffe.as_ref().is_some_and(|tags| tags.overriding_keys().any(is_reserved))
    }
}
