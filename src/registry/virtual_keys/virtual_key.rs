use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::SystemTime,
};

use super::{credential::Credential, secret_source::SecretSource, virtual_key_status::VirtualKeyStatus};

/// A named credential for a provider, which clients use without knowing it.
///
/// ```
/// use tower_tagging::registry::{Credential, VirtualKey};
///
/// let openai = VirtualKey::new("openai-prod")
///     .provider("openai")
///     .base_url("https://api.openai.example")
///     .credential(Credential::new("sk-provider-1"))
///     .workspaces(["acme"]);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct VirtualKey {
    pub(crate) slug: String,
    pub(crate) provider: String,
    pub(crate) base_url: String,
    pub(crate) source: Option<SecretSource>,
    pub(crate) workspaces: Vec<String>,
    pub(crate) expires_at: Option<SystemTime>,
    /// The status that was set. It is shared by all snapshots.
    pub(crate) state: Arc<AtomicU8>,
}

impl VirtualKey {
    /// Creates a virtual key without a provider, URL, and secret. The slug names it in requests and on events.
    pub fn new(slug: impl Into<String>) -> Self {
        Self {
            slug: slug.into(),
            provider: String::new(),
            base_url: String::new(),
            source: None,
            workspaces: Vec::new(),
            expires_at: None,
            state: Arc::default(),
        }
    }

    /// Sets the name of the provider, such as `openai`.
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = name.into();
        self
    }

    /// Sets the URL of the provider: `http` or `https`, without credentials, query, and fragment.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Sets the secret.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.source = Some(SecretSource::Given(credential));
        self
    }

    /// Reads the secret from an environment variable when a registry is built or reloaded.
    pub fn secret_env(mut self, variable: impl Into<String>) -> Self {
        self.source = Some(SecretSource::Env(variable.into()));
        self
    }

    /// Reads the secret from a file when a registry is built or reloaded. A line break at its end is ignored.
    pub fn secret_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = Some(SecretSource::File(path.into()));
        self
    }

    /// Sets the workspaces whose API keys may use it, by their slugs. By default, none may.
    pub fn workspaces<T: Into<String>>(mut self, slugs: impl IntoIterator<Item = T>) -> Self {
        self.workspaces = slugs.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the time from which on it is expired.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Returns the slug.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Returns the name of the provider.
    pub fn provider_name(&self) -> &str {
        &self.provider
    }

    /// Returns the URL of the provider.
    pub fn url(&self) -> &str {
        &self.base_url
    }

    /// Returns the secret. `None` if no registry has read it yet.
    pub fn secret(&self) -> Option<&Credential> {
        match &self.source {
            Some(SecretSource::Given(credential)) => Some(credential),
            _ => None,
        }
    }

    /// Returns `true` if the API keys of a workspace may use it.
    pub fn is_for_workspace(&self, slug: &str) -> bool {
        self.workspaces.iter().any(|workspace| workspace == slug)
    }

    /// Returns the status at a time.
    pub fn status_at(&self, now: SystemTime) -> VirtualKeyStatus {
        if self.expires_at.is_some_and(|end| end <= now) {
            return VirtualKeyStatus::Expired;
        }
        match self.state.load(Ordering::Relaxed) {
            EXHAUSTED => VirtualKeyStatus::Exhausted,
            EXPIRED => VirtualKeyStatus::Expired,
            _ => VirtualKeyStatus::Active,
        }
    }

    pub(crate) fn set_status(&self, status: VirtualKeyStatus) {
        let state = match status {
            VirtualKeyStatus::Active => ACTIVE,
            VirtualKeyStatus::Exhausted => EXHAUSTED,
            VirtualKeyStatus::Expired => EXPIRED,
        };
        self.state.store(state, Ordering::Relaxed);
    }
}

const ACTIVE: u8 = 0;
const EXHAUSTED: u8 = 1;
const EXPIRED: u8 = 2;
