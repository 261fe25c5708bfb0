//! Lengths of strings and containers within one chunk.

use memchr::memchr2;

/// Returns the position of the next quotation mark or backslash.
pub(super) fn find_string_mark(text: &[u8]) -> Option<usize> {
    // Most strings are shorter than the setup of a vectorized search pays off for.
    let (near, far) = text.split_at_checked(16).unwrap_or((text, &[]));
    let mark = near.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    mark.or_else(|| Some(near.len() + memchr2(b'"', b'\\', far)?))
}

/// Returns the length of the string literal at the start of the chunk, including its quotation marks.
///
/// # Errors
///
/// If the literal does not end within the chunk, returns whether its last byte is a backslash that escapes the next one.
pub(super) fn string_len(chunk: &[u8]) -> Result<usize, bool> {
    let mut at = 1;
    loop {
        let rest = chunk.get(at..).unwrap_or_default();
        let mark = find_string_mark(rest).ok_or(false)?;
        match rest.get(mark..mark + 2) {
            _ if rest.get(mark) == Some(&b'"') => return Ok(at + mark + 1),
            Some(_) => at += mark + 2,
            None => return Err(true),
        }
    }
}

/// Returns the length of the object or array at the start of the chunk, or `None` if it does not end within the chunk.
pub(super) fn container_len(chunk: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 0_usize;
    loop {
        at += match chunk.get(at)? {
            b'"' => string_len(chunk.get(at..)?).ok()?,
            b'{' | b'[' => {
                depth += 1;
                1
            }
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
                1
            }
            _ => 1,
        };
    }
}

/// Returns `true` if the byte ends a number, `true`, `false`, or `null`.
pub(super) fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')
}
