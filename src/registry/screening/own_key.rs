//! The form of API keys of this crate: `<prefix>_<public id>_<secret>_<checksum>`.

/// The characters of the public id.
const PUBLIC_ID_LENGTH: usize = 12;
/// The characters of a secret of 256 bits in Base62 and in hexadecimal.
const SECRET_LENGTHS: [usize; 2] = [43, 64];
/// The digits of the checksum.
const CHECKSUM_LENGTH: usize = 8;
/// The characters of the shortest key: a prefix of one character.
const MIN_LENGTH: usize = 1 + 1 + PUBLIC_ID_LENGTH + 1 + 43 + 1 + CHECKSUM_LENGTH;

/// Returns `true` if a word is an API key of this crate with a valid checksum.
///
/// The checksum is the CRC-32 of everything before the last underscore, in lowercase hexadecimal.
pub(super) fn is_own_key(word: &str) -> bool {
    if word.len() < MIN_LENGTH {
        return false;
    }
    let mut parts = word.rsplitn(4, '_');
    let (Some(checksum), Some(secret), Some(public_id), Some(prefix)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_base62 = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_form = checksum.len() == CHECKSUM_LENGTH
        && SECRET_LENGTHS.contains(&secret.len())
        && is_base62(secret)
        && public_id.len() == PUBLIC_ID_LENGTH
        && is_base62(public_id)
        && !prefix.is_empty()
        && prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let Some(content) = word.get(..word.len() - CHECKSUM_LENGTH - 1).filter(|_| is_form) else { return false };
    checksum.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && u32::from_str_radix(checksum, 16) == Ok(crc32fast::hash(content.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::is_own_key;

    #[test]
    fn verifies_the_checksum() {
        for secret in ["k".repeat(43), "0f".repeat(32)] {
            let content = format!("tt-live_0123456789Ab_{secret}");
            let checksum = crc32fast::hash(content.as_bytes());
            assert!(is_own_key(&format!("{content}_{checksum:08x}")));
            assert!(!is_own_key(&format!("{content}_{:08x}", checksum ^ 1)));
            assert!(!is_own_key(&format!("x{content}_{checksum:08x}")));
        }
        assert!(!is_own_key("sk_short"));
    }
}
