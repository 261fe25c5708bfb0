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

/// Returns `true` if a text looks random: it has a digit, and letters in both cases or many letters and digits in a row.
pub(super) fn is_random(text: &[u8]) -> bool {
    let has = |is_part: fn(&u8) -> bool| text.iter().any(is_part);
    if !has(u8::is_ascii_digit) {
        return false;
    }
    let has_both_cases = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let longest = text
        .split(|byte| !byte.is_ascii_alphanumeric())
        .filter(|run| run.iter().any(u8::is_ascii_digit) && run.iter().any(u8::is_ascii_alphabetic))
        .map(<[u8]>::len)
        .max();
    longest.is_some_and(|longest| longest >= if has_both_cases { 8 } else { 16 })
}
