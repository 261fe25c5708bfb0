use super::{
    bytes::{at, part, run_end},
    found::Found,
    screening_kind::ScreeningKind,
};

/// The minimum length of a random text, in characters. A UUID without hyphens is as long.
const MIN_LENGTH: usize = 20;
/// The minimum entropy, in bits per character. English words have about 3.5, and random Base64 of 20 characters 4.1.
const MIN_BITS: f64 = 3.7;

/// Finds words of letters in both cases and digits with a high entropy.
pub(super) fn find(text: &str, found: &mut impl FnMut(Found)) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-');
    let bytes = text.as_bytes();
    let mut position = 0;
    while position + MIN_LENGTH <= bytes.len() {
        if !is_part(at(bytes, position)) {
            position += 1;
            continue;
        }
        let end = run_end(bytes, position, is_part);
        if is_random(part(text, position, end).as_bytes()) {
            found(Found { start: position, end, kind: ScreeningKind::HighEntropy });
        }
        position = end;
    }
}

fn is_random(word: &[u8]) -> bool {
    let has = |is_part: fn(&u8) -> bool| word.iter().any(is_part);
    word.len() >= MIN_LENGTH
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && entropy(word) >= MIN_BITS
}

/// Returns Shannon's entropy in bits per byte.
fn entropy(word: &[u8]) -> f64 {
    let mut counts = [0_u32; 128];
    for byte in word {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = f64::from(u32::try_from(word.len()).unwrap_or(u32::MAX));
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total);
    -shares.map(|share| share * share.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::{Found, find};

    #[test]
    fn finds_random_words() {
        let is_found = |text: &str| {
            let mut count = 0;
            find(text, &mut |Found { .. }| count += 1);
            count == 1
        };
        for text in ["V1StGXR8_Z5jdHi6B-myT", "key=wJalrXUtnFEMI/K7MDENG/bPxRfiCY"] {
            assert!(is_found(text), "{text}");
        }
        for text in ["550e8400-e29b-41d4-a716-446655440000", "production-web-frontend-42", "AAAAAAAAAAAAAAAAAAAAa1"] {
            assert!(!is_found(text), "{text}");
        }
    }
}
