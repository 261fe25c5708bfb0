use std::time::SystemTime;

use crate::Metadata;

#[cfg(feature = "schema")]
use super::super::contract::Contract;
use super::{
    super::{claims::Claims, keys::KeySecret},
    permission::Permission,
    permissions::Permissions,
};

/// An API key in a registry.
///
/// ```
/// use tower_tagging::{registry::{RegisteredKey, SecretDigest}, tags};
///
/// let web = RegisteredKey::new("web")
///     .workspace("acme")
///     .secret(SecretDigest::of("sk-gateway-1"))
///     .metadata(tags! { "team" => "growth" });
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RegisteredKey {
    pub(crate) name: String,
    pub(crate) workspace: Option<String>,
    pub(crate) secrets: Vec<KeySecret>,
    pub(crate) metadata: Metadata,
    pub(crate) forced: Metadata,
    pub(crate) forced_override: bool,
    pub(crate) permissions: Permissions,
    pub(crate) claims: Option<Claims>,
    pub(crate) disabled: bool,
    pub(crate) expires_at: Option<SystemTime>,
    #[cfg(feature = "schema")]
    pub(crate) contract: Option<Contract>,
}

impl RegisteredKey {
    /// Creates a key without secrets. The name is shown on events.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            workspace: None,
            secrets: Vec::new(),
            metadata: Metadata::new(),
            forced: Metadata::new(),
            forced_override: false,
            permissions: Permissions::default(),
            claims: None,
            disabled: false,
            expires_at: None,
            #[cfg(feature = "schema")]
            contract: None,
        }
    }

    /// Sets the workspace by its slug.
    pub fn workspace(mut self, slug: impl Into<String>) -> Self {
        self.workspace = Some(slug.into());
        self
    }

    /// Adds a secret. A key has one or two.
    pub fn secret(mut self, secret: impl Into<KeySecret>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// Sets the tags of [`Scope::ApiKey`](crate::Scope::ApiKey).
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the tags that clients can never override, such as the `_user` of a user's key.
    pub fn forced(mut self, metadata: Metadata) -> Self {
        self.forced = metadata;
        self
    }

    /// Lets a client override the [forced](Self::forced) tags with values that are not empty. They are then defaults.
    pub fn forced_override(mut self, allowed: bool) -> Self {
        self.forced_override = allowed;
        self
    }

    /// Sets the rights in the admin API.
    pub fn permissions(mut self, permissions: impl IntoIterator<Item = Permission>) -> Self {
        self.permissions = permissions.into_iter().collect();
        self
    }

    /// Sets the tags that a client may set. By default, it may set all.
    pub fn claims(mut self, claims: Claims) -> Self {
        self.claims = Some(claims);
        self
    }

    /// Disables the key. Its requests are rejected.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = disabled;
        self
    }

    /// Sets the time from which on the key is expired, with all its secrets.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Sets the contract for its requests, in addition to those of its workspace and the global one.
    #[cfg(feature = "schema")]
    pub fn contract(mut self, contract: Contract) -> Self {
        self.contract = Some(contract);
        self
    }
}
