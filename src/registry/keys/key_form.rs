//! The form of API keys: `<prefix>_<public id>_<secret>_<checksum>`.

/// The number of characters of the public id.
pub(super) const PUBLIC_ID_CHARS: usize = 12;
/// The number of characters of the secret. 43 characters of [`ALPHABET`] have 256 bits of entropy.
pub(super) const SECRET_CHARS: usize = 43;
/// The maximum number of characters of the prefix.
pub(super) const MAX_PREFIX_CHARS: usize = 32;
/// The characters of the public id and of the secret.
pub(super) const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const CHECKSUM_CHARS: usize = 8;

/// The parts of a text that has the form of an API key. The secret is between the public id and the checksum.
pub(super) struct KeyParts<'t> {
    pub(super) prefix: &'t str,
    pub(super) public_id: &'t str,
    checked: &'t str,
    checksum: &'t str,
}

impl KeyParts<'_> {
    fn is_valid(&self) -> bool {
        self.checksum == checksum(self.checked)
    }
}

/// Returns the checksum of a key, which is for everything before the last underscore: the CRC-32 of ISO 3309, as eight
/// lowercase hexadecimal digits.
pub(super) fn checksum(text: &str) -> Checksum {
    Checksum(hex_digits(crc32fast::hash(text.as_bytes())))
}

/// The eight digits of a checksum.
pub(super) struct Checksum([u8; CHECKSUM_CHARS]);

impl Checksum {
    pub(super) fn chars(&self) -> impl Iterator<Item = char> {
        self.0.iter().copied().map(char::from)
    }
}

impl PartialEq<Checksum> for &str {
    fn eq(&self, other: &Checksum) -> bool {
        self.as_bytes() == other.0
    }
}

fn hex_digits(number: u32) -> [u8; CHECKSUM_CHARS] {
    std::array::from_fn(|at| {
        let nibble = (number >> (28 - 4 * at)) & 0xf;
        char::from_digit(nibble, 16).map_or(b'0', |digit| digit as u8)
    })
}

/// Splits a text with the form of an API key, without checking the checksum. Other texts return `None`.
pub(super) fn split(text: &str) -> Option<KeyParts<'_>> {
    let (checked, checksum) = text.rsplit_once('_')?;
    let (rest, secret) = checked.rsplit_once('_')?;
    let (prefix, public_id) = rest.rsplit_once('_')?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let has_form = checksum.len() == CHECKSUM_CHARS
        && secret.len() == SECRET_CHARS
        && public_id.len() == PUBLIC_ID_CHARS
        && is_prefix(prefix)
        && checksum.bytes().all(is_hex)
        && [secret, public_id].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    has_form.then_some(KeyParts { prefix, public_id, checked, checksum })
}

/// Returns `true` for a prefix that a key may have.
pub(super) fn is_prefix(text: &str) -> bool {
    (1..=MAX_PREFIX_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Returns `true` for an API key of this crate with a valid checksum.
pub(crate) fn is_api_key(text: &str) -> bool {
    split(text).is_some_and(|parts| parts.is_valid())
}

/// Returns `true` for a text with the form of an API key of this crate, whatever its checksum.
pub(crate) fn has_form(text: &str) -> bool {
    split(text).is_some()
}
