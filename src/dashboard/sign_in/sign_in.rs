use std::{fmt, sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Request, header, request::Parts};

use crate::{
    ConfigError,
    analytics::{
        Grant,
        api::{Access, Denied, KeyHolder, RegistryAccess},
    },
    registry::{ApiKey, Registry},
    tagging::Identity,
};

use super::{
    cookie::{self, CookieSigner},
    one_time_link::OneTimeLink,
    site::Site,
};

/// Sign-in with an API key.
///
/// A form takes a key and sets a cookie, which holds the name of the key and an expiry of 8 hours, never the key itself. The
/// permissions of the key are checked on each request, so a key that was disabled sees nothing. A sign-in also ends when the
/// secret that it was made with is removed from the key or expires. Signing out removes the cookie from the browser. A copy of
/// it stays valid until then, since no server keeps a list of sessions.
///
/// ```
/// use tower_tagging::{
///     analytics::{Analytics, api::RegistryAccess},
///     dashboard::{Dashboard, SignIn},
///     registry::Registry,
///     store::MemoryStore,
/// };
///
/// let admin_key = "a long random text";
/// let access = RegistryAccess::new(Registry::from_toml("")?).admin_key(admin_key);
/// let sign_in = SignIn::new(access, admin_key)?;
/// let pages = Dashboard::with_sign_in(Analytics::new(MemoryStore::new()), sign_in).into_router();
/// let app: axum::Router = axum::Router::new().nest("/tagging", pages);
/// # Ok::<(), tower_tagging::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SignIn {
    access: RegistryAccess,
    signer: CookieSigner,
    link: Option<Arc<OneTimeLink>>,
    site: Site,
}

impl SignIn {
    /// Creates the sign-in. The key of the cookies' signature is derived from the secret, such as `ADMIN_KEY`. Replicas with
    /// the same secret accept each other's cookies.
    ///
    /// # Errors
    /// Returns an error if the secret is empty.
    pub fn new(access: RegistryAccess, secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = secret.as_ref();
        let signer = Some(secret).filter(|secret| !secret.is_empty()).and_then(CookieSigner::new);
        let signer = signer.ok_or_else(|| ConfigError::new("the secret of the sign-in is empty"))?;
        Ok(Self { access, signer, link: None, site: Site::default() })
    }

    /// Sets the external base URL, such as `https://llm.example.com`. It decides which origin forms may come from, and whether
    /// the cookie is for TLS only.
    ///
    /// Without it, the host of the request decides, so a proxy in front must forward the header `host`. The cookie is then for
    /// TLS only, unless the host is a loopback address.
    ///
    /// # Errors
    /// Returns an error if it is not an `http` or `https` URL with a host.
    pub fn public_url(mut self, url: &str) -> Result<Self, ConfigError> {
        self.site = Site::at(url).ok_or_else(|| {
            ConfigError::new(format!("invalid public URL {url:?}: expected one such as https://llm.example.com"))
        })?;
        Ok(self)
    }

    pub(crate) fn site(&self) -> Site {
        self.site.clone()
    }

    /// Creates a link that signs in as the administrator once, within ten minutes. Returns its path, relative to the
    /// dashboard.
    ///
    /// It is meant for a demo on a loopback address.
    ///
    /// # Errors
    /// Returns an error if the system has no random numbers.
    pub fn one_time_link(&mut self) -> Result<String, ConfigError> {
        let token = ApiKey::generate("once")?;
        self.link = Some(Arc::new(OneTimeLink::new(token.expose())));
        Ok(format!("sign-in?token={}", token.expose()))
    }

    /// Returns the `Set-Cookie` value for the holder of a token of a [one-time link](Self::one_time_link).
    pub(crate) fn enter_with_token(&self, token: &str, head: &Parts) -> Option<HeaderValue> {
        let is_valid = self.site.is_loopback(head) && self.link.as_ref().is_some_and(|link| link.take(token));
        is_valid.then(|| self.set_cookie(&self.access.admin_holder()?, head)).flatten()
    }

    /// Returns the `Set-Cookie` value for the holder of a key. `None` if the key is not valid.
    pub(crate) fn enter_with_key(&self, key: &str, head: &Parts) -> Option<HeaderValue> {
        let value = HeaderValue::from_str(&format!("Bearer {}", key.trim())).ok()?;
        let name = HeaderName::from_static("x-portkey-api-key");
        let own = HeaderValue::from_str(key.trim()).ok()?;
        let request = Request::builder().header(header::AUTHORIZATION, value).header(name, own).body(()).ok()?;
        let holder = self.access.key_holder(&request.into_parts().0)?;
        // A key without permissions for the dashboard is not worth a cookie.
        self.access.grant_of_holder(&holder).ok()?;
        self.set_cookie(&holder, head)
    }

    fn set_cookie(&self, holder: &KeyHolder, head: &Parts) -> Option<HeaderValue> {
        let value = self.signer.write(holder, SystemTime::now());
        self.cookie_header(&value, cookie::LIFETIME.as_secs(), head)
    }

    /// Returns the `Set-Cookie` value that removes the cookie.
    pub(crate) fn leave(&self, head: &Parts) -> Option<HeaderValue> {
        self.cookie_header("", 0, head)
    }

    fn cookie_header(&self, value: &str, seconds: u64, head: &Parts) -> Option<HeaderValue> {
        let secure = if self.site.is_secure(head) { "; Secure" } else { "" };
        let text = format!("{}={value}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", cookie::NAME);
        HeaderValue::from_str(&text).ok()
    }

    /// Returns `true` if a request has a valid cookie.
    pub(crate) fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        self.holder(headers).is_some()
    }

    fn holder(&self, headers: &HeaderMap) -> Option<KeyHolder> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let now = SystemTime::now();
        let sessions = pairs.filter(|(name, _)| *name == cookie::NAME).map(|(_, value)| self.signer.read(value, now));
        sessions.flatten().find_map(|session| {
            self.access.find_holder(session.name.clone(), |secret| self.signer.is_proven(&session, secret))
        })
    }
}

impl Access for SignIn {
    fn grant(&self, head: &Parts) -> Result<Grant, Denied> {
        match self.holder(&head.headers) {
            Some(holder) => self.access.grant_of_holder(&holder),
            None => self.access.grant(head),
        }
    }

    fn identify(&self, head: &Parts) -> Identity {
        self.access.identify(head)
    }

    fn caller_name(&self, head: &Parts) -> Option<String> {
        match self.holder(&head.headers) {
            Some(holder) => Some(holder.caller_name()),
            None => self.access.caller_name(head),
        }
    }

    fn registry(&self) -> Option<&Registry> {
        self.access.registry()
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("access", &self.access).finish_non_exhaustive()
    }
}
