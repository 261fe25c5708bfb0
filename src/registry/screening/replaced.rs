use super::{
    bytes::{at, before, part, run_end},
    keyed_hash::HASH_DIGITS,
    screening_kind::ScreeningKind,
};

/// The label of whole tags that are hashed or masked.
pub(super) const TAG_HASH: &str = "hash";
pub(super) const TAG_MASK: &str = "[masked]";

/// Returns `true` if a part of the text overlaps one that screening has already replaced: `[email]` or
/// `email:0123456789abcdef`.
pub(super) fn overlaps_replaced(text: &str, start: usize, end: usize) -> bool {
    // A replaced part is at most this long, so one that overlaps starts at most this far before.
    const MAX_LENGTH: usize = "entropy:".len() + HASH_DIGITS;
    let bytes = text.as_bytes();
    let first = start.saturating_sub(MAX_LENGTH);
    bytes.get(first..end.min(bytes.len())).unwrap_or_default().iter().enumerate().any(|(offset, byte)| {
        let position = first + offset;
        let replaced = match byte {
            b'[' => mask_end(text, position),
            b':' => hash_end(text, position),
            _ => None,
        };
        replaced.is_some_and(|(replaced, replaced_end)| replaced < end && start < replaced_end)
    }) || is_before_hash(text, start, end)
}

/// Returns `true` if a whole text is a hash of a tag.
pub(super) fn is_tag_hash(text: &str) -> bool {
    text.strip_prefix(TAG_HASH)
        .and_then(|text| text.strip_prefix(':'))
        .is_some_and(|digits| digits.len() == HASH_DIGITS && digits.bytes().all(is_hash_digit))
}

fn is_hash_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Returns `true` if the label of a hash starts within the part and its colon is after it.
fn is_before_hash(text: &str, start: usize, end: usize) -> bool {
    let colon = run_end(text.as_bytes(), end, |byte| byte.is_ascii_lowercase());
    colon - end <= "entropy".len() && hash_end(text, colon).is_some_and(|(label, _)| label < end && start <= colon)
}

/// Returns the mask that starts with the bracket at a position.
fn mask_end(text: &str, bracket: usize) -> Option<(usize, usize)> {
    let rest = text.get(bracket + 1..)?;
    let length = labels().find_map(|label| rest.strip_prefix(label)?.starts_with(']').then_some(label.len()))?;
    Some((bracket, bracket + length + 2))
}

/// Returns the hash whose colon is at a position.
fn hash_end(text: &str, colon: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    if at(bytes, colon) != b':' {
        return None;
    }
    let end = colon + 1 + HASH_DIGITS;
    let digits = bytes.get(colon + 1..end)?;
    if !digits.iter().all(|byte| is_hash_digit(*byte)) || at(bytes, end).is_ascii_hexdigit() {
        return None;
    }
    let label = labels().chain([TAG_HASH]).find(|label| part(text, 0, colon).ends_with(label))?;
    let start = colon - label.len();
    (!before(bytes, start).is_ascii_alphanumeric()).then_some((start, end))
}

fn labels() -> impl Iterator<Item = &'static str> {
    ScreeningKind::ALL.iter().map(|kind| kind.label())
}

#[cfg(test)]
mod tests {
    use super::{is_tag_hash, overlaps_replaced};

    #[test]
    fn recognizes_masks_and_hashes() {
        let text = "a [email] b phone:0123456789abcdef c";
        let is_replaced: String =
            (0..text.len()).map(|at| if overlaps_replaced(text, at, at + 1) { '#' } else { '.' }).collect();
        assert_eq!(is_replaced, "..#######...######################..");
        for other in
            ["[mail]", "email:0123", "email:0123456789ABCDEF", "email:0123456789abcdef0", "temail:0123456789abcdef"]
        {
            assert!(!overlaps_replaced(other, 0, other.len()), "{other}");
        }
        assert!(is_tag_hash("hash:0123456789abcdef"));
        assert!(!is_tag_hash("hash:0123456789abcdef0") && !is_tag_hash("email:0123456789abcdef"));
    }
}
