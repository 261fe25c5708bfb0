//! The credential of a virtual key in a request.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::virtual_key::VirtualKey;

/// The headers for the credentials of providers.
const HEADERS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

impl VirtualKey {
    /// Replaces the credentials in the headers of a request by the secret of this virtual key.
    ///
    /// The header depends on the provider:
    ///
    /// | provider | header |
    /// |---|---|
    /// | `anthropic` | `x-api-key` |
    /// | `azure`, `azure-openai`, `azure-ai` | `api-key` |
    /// | `google`, `gemini` | `x-goog-api-key` |
    /// | others | `authorization: Bearer …` |
    ///
    /// The value is marked [sensitive](HeaderValue::is_sensitive).
    pub fn authorize(&self, headers: &mut HeaderMap) {
        for name in HEADERS {
            headers.remove(name);
        }
        let Some(secret) = self.secret() else { return };
        let [authorization, anthropic, azure, google] = HEADERS;
        let (name, text) = match self.provider_name() {
            "anthropic" => (anthropic, secret.expose().to_owned()),
            "azure" | "azure-openai" | "azure-ai" => (azure, secret.expose().to_owned()),
            "google" | "gemini" => (google, secret.expose().to_owned()),
            _ => (authorization, format!("Bearer {}", secret.expose())),
        };
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
}
