//! The keys in the headers of a request.

use http::{HeaderMap, HeaderName, HeaderValue};

#[cfg(feature = "jwt")]
use super::token_rules::TokenRules;
use super::{
    super::keys::has_form,
    checked_access::KeyHeader,
    key_index::{KeyIndex, SecretEntry},
    snapshot::Snapshot,
};

/// The known key of a request.
pub(crate) struct Found<'s> {
    pub(crate) secret: &'s SecretEntry,
    /// The position of the header in `key_headers`.
    pub(crate) header: usize,
    /// The position of the value among the values of the header.
    pub(crate) value: usize,
}

impl Snapshot {
    /// Returns the first known key, in the order of `key_headers` and then in the order of appearance.
    pub(crate) fn find_key(&self, headers: &HeaderMap) -> Option<Found<'_>> {
        self.access.key_headers.iter().enumerate().find_map(|(header, KeyHeader { name, .. })| {
            let mut values = headers.get_all(name).iter().enumerate();
            values.find_map(|(value, text)| Some(Found { secret: find(&self.secrets, text)?, header, value }))
        })
    }

    /// Returns `true` if a request has a key that is meant for a gateway.
    pub(crate) fn has_gateway_key(&self, headers: &HeaderMap) -> bool {
        self.access.key_headers.iter().any(|KeyHeader { name, is_for_gateways }| {
            let mut keys = headers.get_all(name).iter().flat_map(candidates);
            keys.any(|key| *is_for_gateways || has_form(key))
        })
    }

    /// Returns the signed token in `authorization` that is from an issuer of the registry. It is not verified.
    #[cfg(feature = "jwt")]
    pub(crate) fn find_token<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let verifier = &self.tokens.as_ref()?.verifier;
        let mut values = headers.get_all(http::header::AUTHORIZATION).iter().flat_map(candidates);
        values.find(|text| verifier.is_addressed_by(text))
    }

    /// Returns `true` if a header value is a token from an issuer of the registry.
    #[cfg(feature = "jwt")]
    fn has_token(&self, value: &HeaderValue) -> bool {
        let is_token = |tokens: &TokenRules| candidates(value).any(|text| tokens.verifier.is_addressed_by(text));
        self.tokens.as_ref().is_some_and(is_token)
    }

    #[cfg(not(feature = "jwt"))]
    #[allow(clippy::unused_self, reason = "tokens are optional")]
    fn has_token(&self, _: &HeaderValue) -> bool {
        false
    }

    /// Removes every value that is a known key, or a token from an issuer of the registry, from headers for credentials.
    pub(crate) fn strip_keys(&self, headers: &mut HeaderMap) {
        let is_key = |value: &HeaderValue| find(&self.secrets, value).is_some() || self.has_token(value);
        let is_for_credentials = |name: &HeaderName| {
            is_for_credentials(name.as_str()) || self.access.key_headers.iter().any(|header| header.name == name)
        };
        let has_key = |name: &HeaderName| is_for_credentials(name) && headers.get_all(name).iter().any(is_key);
        let names: Vec<HeaderName> = headers.keys().filter(|name| has_key(name)).cloned().collect();
        for name in names {
            let others: Vec<_> = headers.get_all(&name).iter().filter(|value| !is_key(value)).cloned().collect();
            headers.remove(&name);
            for value in others {
                headers.append(&name, value);
            }
        }
    }
}

/// Maximum number of parts of a header value that may be keys. Each is hashed.
const MAX_PARTS: usize = 16;

/// Returns the first known key in a header value.
fn find<'s>(secrets: &'s KeyIndex, value: &HeaderValue) -> Option<&'s SecretEntry> {
    candidates(value).find_map(|key| secrets.find(key))
}

/// Returns the parts of a header value that may be a key: the whole value, and the values that a client joined by commas. Each
/// may have a scheme in any case, followed by spaces or tabs, such as `Bearer`.
///
/// A key is visible ASCII without spaces, because a request cannot send any other one.
fn candidates(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let whole = value.as_bytes();
    let joined = whole.contains(&b',').then(|| whole.split(|byte| *byte == b',').take(MAX_PARTS));
    std::iter::once(whole).chain(joined.into_iter().flatten()).flat_map(|part| {
        let part = part.trim_ascii();
        let space = part.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let token = space.and_then(|end| part.get(end..)).map(<[u8]>::trim_ascii);
        [Some(part), token].into_iter().flatten().filter_map(as_key)
    })
}

fn as_key(bytes: &[u8]) -> Option<&str> {
    let is_visible = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(bytes).ok().filter(|_| is_visible)
}

/// Returns `true` for the name of a header that may hold a key, also in the dialects of other gateways. The length of a body
/// is not a key, even if it looks like one.
fn is_for_credentials(name: &str) -> bool {
    ["auth", "key", "token", "secret", "credential", "password"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::candidates;

    #[test]
    fn a_value_may_have_a_scheme_and_be_joined_by_commas() {
        for (value, expected) in [
            ("k1", vec!["k1"]),
            ("  k1\t", vec!["k1"]),
            ("Bearer k1", vec!["k1"]),
            ("bEARER \t k1 ", vec!["k1"]),
            ("Bearer k1, Bearer k2", vec!["k1", "k2"]),
            ("k1,k2", vec!["k1,k2", "k1", "k2"]),
            ("Bearer k1,k2", vec!["k1,k2", "k1", "k2"]),
            ("Bearer a b", vec![]),
            ("", vec![]),
            (",,", vec![",,"]),
        ] {
            let value = HeaderValue::from_str(value).unwrap();
            assert_eq!(candidates(&value).collect::<Vec<_>>(), expected, "{value:?}");
        }
        assert_eq!(candidates(&HeaderValue::from_bytes(b"k\xff").unwrap()).count(), 0);
    }
}
