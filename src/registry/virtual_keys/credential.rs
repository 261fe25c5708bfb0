use std::{fmt, sync::Arc};

/// A secret for a provider. It is never shown, except by [`expose`](Self::expose).
///
/// ```
/// use tower_tagging::registry::Credential;
///
/// let credential = Credential::new("sk-provider-1");
/// assert_eq!(format!("{credential:?}"), "Credential(…)");
/// assert_eq!(credential.expose(), "sk-provider-1");
/// ```
#[derive(Clone)]
pub struct Credential(Arc<str>);

impl Credential {
    /// Creates a credential.
    pub fn new(secret: impl Into<Arc<str>>) -> Self {
        Self(secret.into())
    }

    /// Returns the secret, to send it to the provider.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}
