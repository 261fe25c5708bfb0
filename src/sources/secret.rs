use std::fmt;

use http::HeaderName;

use crate::config_error::ConfigError;

/// Headers that hold credentials.
const CREDENTIALS: &[&str] = &[
    // HTTP.
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    // LLM providers.
    "api-key",
    "ocp-apim-subscription-key",
    "x-amz-security-token",
    "x-api-key",
    "x-goog-api-key",
    // Gateways.
    "cf-aig-authorization",
    "helicone-auth",
    "x-litellm-api-key",
    "x-litellm-key",
    "x-majordomo-key",
    "x-portkey-api-key",
    "x-portkey-aws-access-key-id",
    "x-portkey-aws-secret-access-key",
    "x-portkey-aws-session-token",
    "x-portkey-azure-ad-token",
    "x-portkey-azure-entra-client-secret",
    // May contain the keys of providers.
    "x-portkey-config",
    "x-portkey-vertex-service-account-json",
    "x-portkey-virtual-key",
    // Proxies that authenticate users.
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-auth-token",
    "x-forwarded-access-token",
    "x-goog-iap-jwt-assertion",
];

/// The ends of header names that hold credentials, whatever comes before, without separators.
const CREDENTIAL_ENDS: &[&str] = &["apikey", "subscriptionkey"];

/// The words in header names that hint at a secret, without separators.
const WORDS: &[(&str, &str)] = &[
    ("secret", "secret"),
    ("token", "token"),
    ("password", "password"),
    ("passwd", "passwd"),
    ("credential", "credential"),
    ("auth", "auth"),
    ("apikey", "api-key"),
    ("subscriptionkey", "subscription-key"),
];

/// The reason that a header does not become a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    Credential,
    /// The name contains this word.
    Word(&'static str),
}

impl Secret {
    /// Returns the reason that a header on the allow-list is refused, or `None` if it is not.
    pub(super) fn of(name: &HeaderName) -> Option<Self> {
        if is_credential(name) {
            return Some(Self::Credential);
        }
        let letters = letters(name);
        let word = WORDS.iter().find(|(word, _)| letters.contains(word));
        word.map(|(_, written)| Self::Word(written))
    }

    /// Returns the error for a header that was not opted in.
    pub(super) fn error(self, name: &HeaderName) -> ConfigError {
        let advice = "call `TagSources::allow_secret` to allow it";
        ConfigError::new(format!("header \"{name}\" {self} and cannot become a tag: {advice}"))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential => f.write_str("holds a secret"),
            Self::Word(word) => write!(f, "may hold a secret, because its name contains \"{word}\","),
        }
    }
}

/// Returns `true` if a header with this whole name holds credentials.
///
/// Words alone decide nothing here: in a header with a prefix, the rest of the name is a tag that the client chose.
pub(super) fn is_credential(name: &HeaderName) -> bool {
    // Without an allocation, because this runs for each header with a prefix.
    CREDENTIALS.contains(&name.as_str()) || CREDENTIAL_ENDS.iter().any(|end| ends_with(name.as_str(), end))
}

/// Returns `true` if a name ends with these letters. Separators in the name do not count.
fn ends_with(name: &str, end: &str) -> bool {
    let mut letters = name.bytes().rev().filter(|byte| !is_separator(*byte));
    end.bytes().rev().all(|letter| letters.next() == Some(letter))
}

fn letters(name: &HeaderName) -> String {
    name.as_str().chars().filter(|letter| !letter.is_ascii() || !is_separator(*letter as u8)).collect()
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::{CREDENTIALS, Secret, is_credential};
    use http::HeaderName;

    #[test]
    fn names_are_in_the_form_that_they_are_compared_in() {
        for name in CREDENTIALS {
            assert_eq!(HeaderName::from_static(name).as_str(), *name);
        }
    }

    #[test]
    fn recognizes_credentials_and_words() {
        let of = |name: &'static str| Secret::of(&HeaderName::from_static(name));
        for name in ["x-acme-api-key", "apikey", "x_api_key", "x-my.api.key", "x-subscription-key"] {
            assert_eq!(of(name), Some(Secret::Credential), "{name}");
        }
        for (name, word) in [
            ("x-author", "auth"),
            ("x-csrf-token", "token"),
            ("x-api-key-id", "api-key"),
            ("x-pass-word", "password"),
            ("x-credentials", "credential"),
            ("x-client-secret-id", "secret"),
            ("x-subscription-key-name", "subscription-key"),
        ] {
            assert_eq!(of(name), Some(Secret::Word(word)), "{name}");
            assert!(!is_credential(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["x-user-id", "x-tenant", "x-key", "x-keyword", "x-cookie", "x-pass", "user-agent", "x-api-version"]
        {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
