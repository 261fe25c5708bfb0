use std::{fmt, time::SystemTime};

use http::{HeaderMap, HeaderName, header, request::Parts};

use crate::{
    analytics::{Filter, Grant},
    registry::{Permission, Principal, PrincipalStatus, Registry, SecretDigest},
    row::Field,
    tagging::{Admission, Identity},
};

use super::{Access, Denied};

const API_KEY: HeaderName = HeaderName::from_static("x-portkey-api-key");

/// Access by the API keys of a registry, and by an organization-wide key.
///
/// The key is in `x-portkey-api-key`, or else in `authorization: Bearer …`. Its permissions decide what it may do.
///
/// | key | sees |
/// |---|---|
/// | the [`admin_key`](Self::admin_key) | everything |
/// | with the permission `admin`, without a workspace | everything |
/// | with any permission, of a workspace | the requests of its workspace |
/// | without a permission, or without a workspace and `admin` | nothing: 403 |
/// | unknown, disabled, expired, or none | nothing: 401 |
///
/// ```
/// use tower_tagging::{analytics::{Analytics, api}, registry::Registry, store::MemoryStore};
///
/// let registry = Registry::from_toml("")?;
/// let access = api::RegistryAccess::new(registry).admin_key("a long random text");
/// let app = api::router(Analytics::new(MemoryStore::new()), access);
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RegistryAccess {
    registry: Registry,
    admin: Option<SecretDigest>,
}

impl RegistryAccess {
    /// Creates access by the keys of a registry.
    pub fn new(registry: Registry) -> Self {
        Self { registry, admin: None }
    }

    /// Sets a key that may see and do everything. Only its SHA-256 is kept.
    ///
    /// Use at least 128 random bits. An empty key is ignored. A key that the registry knows as well, such as after a reload, has
    /// only its rights in the registry.
    #[must_use]
    pub fn admin_key(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.admin = Some(secret).filter(|secret| !secret.as_ref().is_empty()).map(SecretDigest::of);
        self
    }

    /// Returns `true` if the request has the organization-wide key. Digests are compared in constant time.
    ///
    /// A bearer token counts only without `x-portkey-api-key`, so that a token that a proxy left over does not turn the key of
    /// a tenant into access to everything.
    fn is_admin(&self, headers: &HeaderMap) -> bool {
        let Some(admin) = &self.admin else { return false };
        let is_known = |key: &[u8]| str::from_utf8(key).is_ok_and(|key| self.registry.knows_key(key));
        let is_equal = |key: &[u8]| SecretDigest::of(key) == *admin && !is_known(key);
        let mut keys = headers.get_all(API_KEY).iter().map(|value| value.as_bytes().trim_ascii()).peekable();
        if keys.peek().is_some() {
            return keys.all(is_equal);
        }
        let mut tokens =
            headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes())).peekable();
        tokens.peek().is_some() && tokens.all(is_equal)
    }
}

/// Returns the token of `Bearer TOKEN`.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let value = value.trim_ascii();
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

#[cfg(feature = "dashboard")]
impl RegistryAccess {
    /// Returns who sent a key. `None` if the key is not valid.
    pub(crate) fn key_holder(&self, head: &Parts) -> Option<KeyHolder> {
        if self.is_admin(&head.headers) {
            return self.admin_holder();
        }
        let secret = self.registry.key_digest(head)?;
        let principal = self.registry.principal_of(&secret, SystemTime::now());
        let is_known = principal.status() == PrincipalStatus::Known;
        let name = principal.api_key().filter(|_| is_known)?.to_owned();
        Some(KeyHolder { name: Some(name), secret })
    }

    /// Returns the holder of the organization-wide key. `None` without such a key.
    pub(crate) fn admin_holder(&self) -> Option<KeyHolder> {
        self.admin.map(|secret| KeyHolder { name: None, secret })
    }

    /// Returns the holder of a key of this name, or of the organization-wide key, if it still has the secret.
    pub(crate) fn find_holder(
        &self,
        name: Option<String>,
        is_secret: impl Fn(&SecretDigest) -> bool,
    ) -> Option<KeyHolder> {
        let Some(name) = name else { return self.admin_holder().filter(|holder| is_secret(&holder.secret)) };
        let secret = self.registry.find_secret(&name, is_secret)?;
        Some(KeyHolder { name: Some(name), secret })
    }

    /// Returns the grant of someone who sent a key before.
    ///
    /// # Errors
    /// As [`Access::grant`], for the state that the secret is in now.
    pub(crate) fn grant_of_holder(&self, holder: &KeyHolder) -> Result<Grant, Denied> {
        match &holder.name {
            None if self.admin == Some(holder.secret) => Ok(Grant::everything()),
            None => Err(Denied::Unauthenticated),
            Some(_) => grant_of(&self.registry.principal_of(&holder.secret, SystemTime::now())),
        }
    }
}

/// The name of the holder of the organization-wide key.
const ADMINISTRATOR: &str = "administrator";

/// Returns the name of the holder of a key. It differs from that of the administrator, whatever the name of the key is.
fn name_of_key(name: &str) -> String {
    format!("key {name}")
}

#[cfg(feature = "dashboard")]
impl KeyHolder {
    /// Returns the name of the holder, as [`Access::caller_name`] does.
    pub(crate) fn caller_name(&self) -> String {
        self.name.as_deref().map_or_else(|| ADMINISTRATOR.to_owned(), name_of_key)
    }
}

/// Who holds a key.
#[cfg(feature = "dashboard")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyHolder {
    /// The name of the key. `None` for the organization-wide key.
    pub(crate) name: Option<String>,
    /// The digest of the secret that was sent.
    pub(crate) secret: SecretDigest,
}

/// Returns what the holder of a key of the registry may see.
fn grant_of(principal: &Principal) -> Result<Grant, Denied> {
    if principal.status() != PrincipalStatus::Known {
        return Err(Denied::Unauthenticated);
    }
    let permissions = principal.permissions();
    match principal.workspace() {
        Some(slug) if !permissions.is_empty() => {
            Ok(Grant::only([Filter::is(Field::Workspace, slug)]).with_permissions(permissions))
        }
        None if permissions.allow(Permission::Admin) => Ok(Grant::everything()),
        _ => Err(Denied::Forbidden),
    }
}

impl Access for RegistryAccess {
    fn grant(&self, head: &Parts) -> Result<Grant, Denied> {
        if self.is_admin(&head.headers) {
            return Ok(Grant::everything());
        }
        grant_of(&self.registry.principal(head))
    }

    fn identify(&self, head: &Parts) -> Identity {
        let mut head = head.clone();
        let mut identity = self.registry.identify(&mut head, SystemTime::now());
        // The grant decides whether the caller is accepted. The organization-wide key is not in the registry.
        identity.rejection = None;
        identity
    }

    /// Returns `administrator` for the organization-wide key, and otherwise `key` and the name of the key, such as `key web`.
    fn caller_name(&self, head: &Parts) -> Option<String> {
        if self.is_admin(&head.headers) {
            return Some(ADMINISTRATOR.to_owned());
        }
        let principal = self.registry.principal(head);
        let is_known = principal.status() == PrincipalStatus::Known;
        principal.api_key().filter(|_| is_known).map(name_of_key)
    }

    /// Keeps the digest of the key. The organization-wide key is valid as long as its links are.
    fn recheck(&self, head: &Parts) -> Option<Box<dyn Fn() -> Result<Grant, Denied> + Send + Sync>> {
        if self.is_admin(&head.headers) {
            return None;
        }
        let (registry, digest) = (self.registry.clone(), self.registry.key_digest(head));
        Some(Box::new(move || {
            let digest = digest.as_ref().ok_or(Denied::Unauthenticated)?;
            grant_of(&registry.principal_of(digest, SystemTime::now()))
        }))
    }

    fn registry(&self) -> Option<&Registry> {
        Some(&self.registry)
    }
}

impl fmt::Debug for RegistryAccess {
    /// Does not write the digest of the organization-wide key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAccess")
            .field("registry", &self.registry)
            .field("has_admin_key", &self.admin.is_some())
            .finish()
    }
}
