//! Tests of bytes and short scans that the recognizers share.

/// Returns the byte at a position, or NUL outside the text.
pub(super) fn at(text: &[u8], position: usize) -> u8 {
    text.get(position).copied().unwrap_or(0)
}

/// Returns the byte before a position, or NUL at the start.
pub(super) fn before(text: &[u8], position: usize) -> u8 {
    position.checked_sub(1).map_or(0, |position| at(text, position))
}

/// Returns the part of a text between two positions.
pub(super) fn part(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

/// Returns `true` for ASCII letters and digits.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// Returns `true` for the characters of URL-safe Base64 (RFC 4648, section 5).
pub(super) fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Returns the end of the run of matching bytes that starts at a position.
pub(super) fn run_end(text: &[u8], start: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len())
}

/// Returns `true` if a text has a run of letters and digits that looks random.
///
/// A run looks random if it is long, or if it often changes between capital letters, other letters, and digits. Words with
/// capital letters do so less often.
pub(super) fn is_random(text: &[u8]) -> bool {
    let has_digit = text.iter().any(u8::is_ascii_digit);
    text.split(|byte| !byte.is_ascii_alphanumeric()).any(|run| {
        let changes = class_changes(run);
        let has = |is_part: fn(&u8) -> bool| run.iter().any(is_part);
        let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
        let min_length = if has_digit { 8 } else { 12 };
        run.len() >= 16 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
            || run.len() >= min_length && is_mixed && changes * 5 >= (run.len() - 1) * 2
    })
}

/// Returns the number of changes between capital letters, other letters, and digits that are next to each other.
pub(super) fn class_changes(text: &[u8]) -> usize {
    let pairs = text.iter().zip(text.iter().skip(1)).filter(|(one, other)| is_word(**one) && is_word(**other));
    pairs.filter(|(one, other)| class(**one) != class(**other)).count()
}

/// Returns 0 for digits, 1 for capital letters, and 2 for other bytes.
fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'A'..=b'Z' => 1,
        _ => 2,
    }
}

/// Returns `true` for the usual form of a UUID (RFC 9562).
pub(super) fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && [8, 13, 18, 23].iter().all(|position| at(text, *position) == b'-')
        && text.iter().filter(|byte| byte.is_ascii_hexdigit()).count() == 32
}

#[cfg(test)]
mod tests {
    use super::is_random;

    #[test]
    fn tells_random_text_from_words() {
        for text in ["tPvvPELcltzrF-uch_xWd5", "0123456789abcdef", "x7Kq9-Zp2LmT4vB", "UvvCvnwkWWQRlFiXeTzeSctW"] {
            assert!(is_random(text.as_bytes()), "{text}");
        }
        for text in
            ["learn-pipeline-production-2024", "MyProject2024-Deployment", "MyAwesomeProject", "build-20241130", ""]
        {
            assert!(!is_random(text.as_bytes()), "{text}");
        }
    }
}
