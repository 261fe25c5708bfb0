/// Maximum length of a SPIFFE id and of a trust domain, in bytes.
const MAX_ID_BYTES: usize = 2048;
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// A valid [SPIFFE id](https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md).
#[derive(Clone, Copy, Debug)]
pub(super) struct SpiffeId<'a> {
    pub(super) trust_domain: &'a str,
    /// The path without its first `/`. Empty if the id is that of the trust domain.
    path: &'a str,
}

impl<'a> SpiffeId<'a> {
    /// Returns `None` for text that is not a SPIFFE id in its normal form. Ids with a user, port, query, or fragment, and
    /// with percent-encoded, empty, or relative path segments are not.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_ID_BYTES {
            return None;
        }
        let rest = text.strip_prefix("spiffe://")?;
        let (trust_domain, path) = match rest.split_once('/') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (rest, ""),
        };
        let is_valid = is_trust_domain(trust_domain) && (path.is_empty() || path.split('/').all(is_segment));
        is_valid.then_some(Self { trust_domain, path })
    }

    /// Returns the value of the first pair with this name, if the path is read as pairs of a name and a value.
    pub(super) fn value_of(&self, name: &str) -> Option<&'a str> {
        let mut segments = self.path.split('/');
        while let (Some(found), Some(value)) = (segments.next(), segments.next()) {
            if found == name {
                return Some(value);
            }
        }
        None
    }
}

/// Returns `true` for lowercase letters, digits, dots, dashes, and underscores (section 2.1 of the specification).
pub(super) fn is_trust_domain(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !text.is_empty() && text.len() <= MAX_TRUST_DOMAIN_BYTES && text.bytes().all(is_allowed)
}

/// Returns `true` for a path segment (section 2.2 of the specification).
pub(super) fn is_segment(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !["", ".", ".."].contains(&text) && text.bytes().all(is_allowed)
}
