use crate::{
    ConfigError,
    metadata::{Scope, Scopes},
};

use super::{
    peer_identity::PeerIdentity,
    spiffe_id::{SpiffeId, is_segment, is_trust_domain},
    tag_target::TagTarget,
};

/// Trusted tags from the [SPIFFE id](https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md) of a peer.
///
/// ```
/// use tower_tagging::{Scope, metadata::Scopes, registry::{PeerIdentity, SpiffeTags}};
///
/// let tags = SpiffeTags::new("example.org")?
///     .segment("ns", "environment", Scope::Workspace)?
///     .segment("sa", "service", Scope::ApiKey)?;
///
/// let mut scopes = Scopes::new();
/// assert!(tags.read(&PeerIdentity("spiffe://example.org/ns/prod/sa/web".to_owned()), &mut scopes));
/// assert_eq!(&scopes.get(Scope::Workspace)["environment"], "prod");
/// assert_eq!(&scopes.get(Scope::ApiKey)["service"], "web");
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
///
/// Ids of other trust domains, and text that is not a SPIFFE id, set no tags.
#[derive(Clone, Debug)]
pub struct SpiffeTags {
    trust_domain: Box<str>,
    whole: Vec<TagTarget>,
    segments: Vec<(Box<str>, TagTarget)>,
}

impl SpiffeTags {
    /// Creates rules for the ids of a trust domain, such as `example.org`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name of the trust domain is invalid.
    pub fn new(trust_domain: &str) -> Result<Self, ConfigError> {
        if !is_trust_domain(trust_domain) {
            return Err(ConfigError::new(format!(
                "invalid trust domain {trust_domain:?}: expected lowercase letters, digits, \".\", \"-\", and \"_\", \
                 without \"spiffe://\""
            )));
        }
        Ok(Self { trust_domain: trust_domain.into(), whole: Vec::new(), segments: Vec::new() })
    }

    /// Stores the path segment after `name` as a tag: `sa` in `spiffe://example.org/ns/prod/sa/web` is `web`.
    ///
    /// The path is read as pairs of a name and a value, so a value is never mistaken for a name. Of several pairs with the
    /// same name, the first one counts.
    ///
    /// # Errors
    ///
    /// Returns an error if `name` cannot be a path segment, the key is empty, or the scope is not
    /// [trusted](Scope::is_trusted).
    pub fn segment(mut self, name: &str, key: &str, scope: Scope) -> Result<Self, ConfigError> {
        if !is_segment(name) {
            return Err(ConfigError::new(format!(
                "invalid path segment {name:?} of a SPIFFE id: expected letters, digits, \".\", \"-\", and \"_\""
            )));
        }
        let target = TagTarget::new(key, scope, &format!("the path segment {name:?} of a SPIFFE id"))?;
        self.segments.push((name.into(), target));
        Ok(self)
    }

    /// Stores the whole id as a tag.
    ///
    /// # Errors
    ///
    /// Returns an error if the key is empty or the scope is not [trusted](Scope::is_trusted).
    pub fn id(mut self, key: &str, scope: Scope) -> Result<Self, ConfigError> {
        self.whole.push(TagTarget::new(key, scope, "a SPIFFE id")?);
        Ok(self)
    }

    /// Returns the keys of the tags.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.targets().map(|target| &*target.key)
    }

    /// Returns the keys of the tags that override those of a client.
    pub(crate) fn overriding_keys(&self) -> impl Iterator<Item = &str> {
        self.targets().filter(|target| target.overrides_client()).map(|target| &*target.key)
    }

    fn targets(&self) -> impl Iterator<Item = &TagTarget> {
        self.whole.iter().chain(self.segments.iter().map(|(_, target)| target))
    }

    /// Adds the tags of a peer. Returns `false` if its identity is not a SPIFFE id of the trust domain.
    pub fn read(&self, peer: &PeerIdentity, scopes: &mut Scopes) -> bool {
        let id = SpiffeId::parse(&peer.0).filter(|id| id.trust_domain == &*self.trust_domain);
        let Some(id) = id else { return false };
        for target in &self.whole {
            target.set(&peer.0, scopes);
        }
        for (name, target) in &self.segments {
            if let Some(value) = id.value_of(name) {
                target.set(value, scopes);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::SpiffeTags;
    use crate::{
        metadata::{Scope, Scopes},
        registry::PeerIdentity,
    };

    fn rules() -> SpiffeTags {
        let rules = SpiffeTags::new("example.org").unwrap();
        let rules = rules.segment("ns", "namespace", Scope::Workspace).unwrap();
        rules.segment("sa", "service", Scope::Workspace).unwrap().id("peer", Scope::Forced).unwrap()
    }

    fn read(id: &str) -> (bool, Scopes) {
        let mut scopes = Scopes::new();
        let is_known = rules().read(&PeerIdentity(id.to_owned()), &mut scopes);
        (is_known, scopes)
    }

    #[test]
    fn reads_the_path_as_pairs() {
        for (id, namespace, service) in [
            ("spiffe://example.org", None, None),
            ("spiffe://example.org/ns/prod/sa/web", Some("prod"), Some("web")),
            ("spiffe://example.org/sa/web", None, Some("web")),
            // The namespace is called `sa`.
            ("spiffe://example.org/ns/sa/sa/web", Some("sa"), Some("web")),
            ("spiffe://example.org/ns/sa/admin", Some("sa"), None),
            ("spiffe://example.org/sa/web/sa/admin", None, Some("web")),
            ("spiffe://example.org/sa", None, None),
            ("spiffe://example.org/SA/web", None, None),
        ] {
            let (is_known, scopes) = read(id);
            assert!(is_known, "{id}");
            assert_eq!(scopes.get(Scope::Workspace).get("namespace"), namespace, "{id}");
            assert_eq!(scopes.get(Scope::Workspace).get("service"), service, "{id}");
            assert_eq!(&scopes.get(Scope::Forced)["peer"], id);
        }
    }

    #[test]
    fn ignores_other_trust_domains_and_invalid_ids() {
        let long = format!("spiffe://example.org/sa/{}", "a".repeat(2048));
        for id in [
            "",
            "web",
            "https://example.org/sa/web",
            "SPIFFE://example.org/sa/web",
            "spiffe:/example.org/sa/web",
            "spiffe:///sa/web",
            "spiffe://example.com/sa/web",
            "spiffe://example.org.evil/sa/web",
            "spiffe://evil.example.org/sa/web",
            "spiffe://Example.org/sa/web",
            "spiffe://example.org:443/sa/web",
            "spiffe://user@example.org/sa/web",
            "spiffe://example.org/",
            "spiffe://example.org/sa/web/",
            "spiffe://example.org//sa/web",
            "spiffe://example.org/sa/./web",
            "spiffe://example.org/sa/../web",
            "spiffe://example.org/sa/w%65b",
            "spiffe://example.org/sa/wéb",
            "spiffe://example.org/sa/web?admin=1",
            "spiffe://example.org/sa/web#admin",
            "spiffe://example.org?x",
            " spiffe://example.org/sa/web",
            "spiffe://example.org/sa/web\n",
            &long,
        ] {
            assert_eq!(read(id), (false, Scopes::new()), "{id}");
        }
    }

    #[test]
    fn refuses_invalid_rules() {
        for domain in ["", "spiffe://example.org", "Example.org", "a b", "a/b", &"a".repeat(256)] {
            assert!(SpiffeTags::new(domain).unwrap_err().to_string().contains("invalid trust domain"), "{domain}");
        }
        assert!(rules().segment("a/b", "key", Scope::Forced).is_err());
        assert!(rules().segment("", "key", Scope::Forced).is_err());
        assert!(rules().segment("a", "", Scope::Forced).is_err());
        assert!(rules().segment("a", "key", Scope::Request).is_err());
        assert!(rules().id("key", Scope::Handler).is_err());
    }
}
