use serde_json::{Map, Value};

use super::bytes::{at, is_base64url, run_end};

/// The maximum length of the header of a token, in characters.
const MAX_HEADER: usize = 2048;

/// Returns the end of the JSON Web Token (RFC 7519) that starts at a position.
///
/// A token starts with a Base64url object that has the member `alg` (RFC 7515, section 4). The rest may be cut off.
pub(super) fn end(bytes: &[u8], start: usize) -> Option<usize> {
    // `eyJ` and `ewo` encode `{"` and `{`, line feed.
    let rest = bytes.get(start..)?;
    if !rest.starts_with(b"eyJ") && !rest.starts_with(b"ewo") {
        return None;
    }
    let header_end = run_end(bytes.get(..bytes.len().min(start + MAX_HEADER))?, start, is_base64url);
    if at(bytes, header_end) != b'.' || !is_base64url(at(bytes, header_end + 1)) {
        return None;
    }
    let header = decode(bytes.get(start..header_end)?);
    let header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
    header.contains_key("alg").then(|| {
        let end = run_end(bytes, header_end, |byte| is_base64url(byte) || byte == b'.');
        // A full stop that ends a sentence is not part of the token.
        end - usize::from(bytes.get(end - 1) == Some(&b'.'))
    })
}

/// Decodes Base64, also URL-safe (RFC 4648). Ignores other characters, and bits that do not fill a byte.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        buffer = (buffer << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff).unwrap_or_default());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{decode, end};

    const TOKEN: &str =
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

    #[test]
    fn finds_the_end_of_a_token() {
        assert_eq!(end(TOKEN.as_bytes(), 0), Some(TOKEN.len()));
        assert_eq!(end(format!("a {TOKEN}. b").as_bytes(), 2), Some(TOKEN.len() + 2));
        assert_eq!(end(&TOKEN.as_bytes()[..60], 0), Some(60));
        // No dot, not JSON, and no algorithm.
        for other in ["eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJIUzI1.abc", "eyJwYWdlIjoyfQ.abc"] {
            assert_eq!(end(other.as_bytes(), 0), None, "{other}");
        }
    }

    #[test]
    fn decodes_base64() {
        assert_eq!(decode(b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), b"Aladdin:open sesame");
    }
}
