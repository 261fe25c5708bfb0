use std::collections::BTreeSet;

use crate::metadata::Scope;

use super::{
    access::{Access, ErrorStyle, TrustedHeader, UnknownKeys},
    callers::{RegisteredKey, Workspace},
    file_set::FileSet,
    login::{SpiffeTags, TagMapping},
    names::Names,
    screening::Screening,
    virtual_keys::VirtualKey,
};
#[cfg(feature = "schema")]
use super::{
    contract::{Contract, ContractMode},
    tag_policy::TagPolicy,
};
#[cfg(feature = "jwt")]
use super::{jwt::JwtVerifier, jwt_definition::JwtDefinition};

/// Builds a [`Registry`](super::Registry) from code.
///
/// Setters never fail. [`build`](Self::build) returns every problem at once.
///
/// ```
/// use tower_tagging::{registry::{RegisteredKey, Registry, SecretDigest, Workspace}, tags};
///
/// let registry = Registry::builder()
///     .workspace(Workspace::new("acme").metadata(tags! { "company" => "acme" }))
///     .api_key(RegisteredKey::new("web").workspace("acme").secret(SecretDigest::of("sk-gateway-1")))
///     .build()?;
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RegistryBuilder {
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) api_keys: Vec<RegisteredKey>,
    pub(crate) virtual_keys: Vec<VirtualKey>,
    pub(crate) access: Access,
    pub(crate) names: Option<Names>,
    pub(crate) screening: Option<Screening>,
    pub(crate) login: TagMapping,
    pub(crate) spiffe: Option<SpiffeTags>,
    #[cfg(feature = "schema")]
    pub(crate) contract: Option<Contract>,
    #[cfg(feature = "schema")]
    pub(crate) policy: Option<(TagPolicy, ContractMode)>,
    #[cfg(feature = "jwt")]
    pub(crate) jwt: Option<JwtDefinition>,
    /// The sections of a file that other modules read.
    pub(crate) ignored_sections: BTreeSet<String>,
    /// The files of a configuration file.
    pub(crate) files: FileSet,
}

impl RegistryBuilder {
    /// Adds a workspace.
    pub fn workspace(mut self, workspace: Workspace) -> Self {
        self.workspaces.push(workspace);
        self
    }

    /// Adds an API key.
    pub fn api_key(mut self, key: RegisteredKey) -> Self {
        self.api_keys.push(key);
        self
    }

    /// Adds a virtual key.
    pub fn virtual_key(mut self, key: VirtualKey) -> Self {
        self.virtual_keys.push(key);
        self
    }

    /// Sets the contract for all requests.
    #[cfg(feature = "schema")]
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contract = Some(contract);
        self
    }

    /// Sets the tags that an organization agreed on: a contract for all requests, in addition to the others, and the names
    /// and the screening of the policy, unless the builder sets its own.
    #[cfg(feature = "schema")]
    pub fn policy(mut self, policy: TagPolicy, mode: ContractMode) -> Self {
        self.policy = Some((policy, mode));
        self
    }

    /// Sets the rules for the keys of tags.
    pub fn names(mut self, names: Names) -> Self {
        self.names = Some(names);
        self
    }

    /// Sets the secrets and personal data that are removed from tags.
    pub fn screening(mut self, screening: Screening) -> Self {
        self.screening = Some(screening);
        self
    }

    /// Sets the treatment of requests without a known key. The default is [`UnknownKeys::Anonymous`].
    pub fn unknown_keys(mut self, treatment: UnknownKeys) -> Self {
        self.access.unknown_keys = treatment;
        self
    }

    /// Sets the headers in which keys are looked for, in this order.
    ///
    /// The default is `x-portkey-api-key`, `x-majordomo-key`, `authorization`, `x-api-key`, `api-key`, and
    /// `x-goog-api-key`. A value may start with a scheme such as `Bearer`. No value of these headers becomes a tag. A header that
    /// has another meaning, such as `traceparent`, is an error of [`build`](Self::build).
    pub fn key_headers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.access.key_headers = names.into_iter().map(Into::into).collect();
        self
    }

    /// Stores a header that your own proxy sets as a tag of a trusted scope.
    ///
    /// The proxy must remove every header of this name that a client sends.
    pub fn trusted_header(mut self, header: impl Into<String>, key: impl Into<String>, scope: Scope) -> Self {
        self.access.trusted_headers.push(TrustedHeader { header: header.into(), key: key.into(), scope });
        self
    }

    /// Sets the form of the answers to rejected requests. The default is [`ErrorStyle::Problem`].
    pub fn errors(mut self, style: ErrorStyle) -> Self {
        self.access.errors = style;
        self
    }

    /// Sets the claims that become tags, from the request extension [`LoginClaims`](super::LoginClaims).
    pub fn login_claims(mut self, tags: TagMapping) -> Self {
        self.login = tags;
        self
    }

    /// Sets the tags from the request extension [`PeerIdentity`](super::PeerIdentity).
    pub fn spiffe(mut self, tags: SpiffeTags) -> Self {
        self.spiffe = Some(tags);
        self
    }

    /// Sets the verifier of tokens in `authorization: Bearer …`, whose claims become trusted tags.
    ///
    /// A token of one of its issuers that is not valid is refused with status 401. Other tokens are ignored: they may be for
    /// an upstream.
    #[cfg(feature = "jwt")]
    pub fn jwt(mut self, verifier: JwtVerifier) -> Self {
        self.jwt = Some(JwtDefinition::Verifier(verifier));
        self
    }
}
