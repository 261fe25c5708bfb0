use super::{
    bytes::{at, before, is_word},
    found::Found,
    screening_kind::ScreeningKind,
};

/// The countries of the IBAN registry (ISO 13616) with the lengths of their numbers.
#[rustfmt::skip]
const COUNTRIES: &[(&[u8; 2], usize)] = &[
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22), (b"BH", 22),
    (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24), (b"DE", 22), (b"DJ", 27),
    (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18), (b"FK", 18), (b"FO", 18), (b"FR", 27),
    (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27), (b"GT", 28), (b"HR", 21), (b"HU", 28), (b"IE", 22),
    (b"IL", 23), (b"IQ", 23), (b"IS", 26), (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28), (b"LC", 32),
    (b"LI", 21), (b"LT", 20), (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22), (b"MK", 19),
    (b"MN", 20), (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23), (b"PK", 24),
    (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24), (b"SC", 31),
    (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25), (b"SV", 28), (b"TL", 23),
    (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20), (b"YE", 30),
];

/// Finds international bank account numbers, with or without spaces between groups of four.
pub(super) fn find(text: &str, found: &mut impl FnMut(Found)) {
    let bytes = text.as_bytes();
    let mut position = 0;
    while position + 15 <= bytes.len() {
        let is_start = at(bytes, position).is_ascii_alphabetic()
            && at(bytes, position + 1).is_ascii_alphabetic()
            && at(bytes, position + 2).is_ascii_digit()
            && !is_word(before(bytes, position))
            && !matches!(before(bytes, position), b'-' | b'_');
        match is_start.then(|| end(bytes, position)).flatten() {
            Some(end) => {
                found(Found { start: position, end, kind: ScreeningKind::Ibans });
                position = end;
            }
            None => position += 1,
        }
    }
}

/// Returns the end of the number that starts at a position.
fn end(bytes: &[u8], start: usize) -> Option<usize> {
    let country = [at(bytes, start).to_ascii_uppercase(), at(bytes, start + 1).to_ascii_uppercase()];
    let (_, length) = COUNTRIES.iter().find(|(code, _)| **code == country)?;
    let is_lower = at(bytes, start).is_ascii_lowercase();
    let mut position = start;
    let mut remainder = Remainder::default();
    let mut first = [0; 4];
    for index in 0..*length {
        if matches!(at(bytes, position), b' ' | b'-') && index % 4 == 0 {
            position += 1;
        }
        let byte = at(bytes, position);
        // Letters are in one case.
        let is_valid =
            byte.is_ascii_digit() || if is_lower { byte.is_ascii_lowercase() } else { byte.is_ascii_uppercase() };
        if !is_valid || matches!(index, 2 | 3) && !byte.is_ascii_digit() {
            return None;
        }
        match first.get_mut(index) {
            Some(first) => *first = byte,
            None => remainder.push(byte),
        }
        position += 1;
    }
    first.into_iter().for_each(|byte| remainder.push(byte));
    let (next, after) = (at(bytes, position), at(bytes, position + 1));
    let is_whole = !is_word(next) && next != b'_' && !(next == b'-' && is_word(after));
    (is_whole && remainder.0 == 1).then_some(position)
}

/// The remainder of the number modulo 97 (ISO 7064), where letters count from 10.
#[derive(Default)]
struct Remainder(u32);

impl Remainder {
    fn push(&mut self, byte: u8) {
        self.0 = match byte {
            b'0'..=b'9' => self.0 * 10 + u32::from(byte - b'0'),
            _ => self.0 * 100 + 10 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')),
        } % 97;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::bytes::part, COUNTRIES, Found, find};

    fn ibans(text: &str) -> Vec<&str> {
        let mut ibans = Vec::new();
        find(text, &mut |Found { start, end, .. }| ibans.push(part(text, start, end)));
        ibans
    }

    #[test]
    fn finds_numbers_with_valid_check_digits() {
        for iban in [
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "de89370400440532013000",
            "GB82 WEST 1234 5698 7654 32",
            "GB82WEST12345698765432",
            "FR1420041010050500013M02606",
            "NO9386011117947",
            "NL91ABNA0417164300",
            "MT84MALT011000012345MTLCAST001S",
            "CH93-0076-2011-6238-5295-7",
        ] {
            assert_eq!(ibans(iban), [iban]);
            assert_eq!(ibans(&format!("pay {iban}, now")), [iban]);
        }
        for text in
            ["DE88370400440532013000", "XX89370400440532013000", "DE8937040044053201300", "ADE89370400440532013000"]
        {
            assert!(ibans(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn countries_are_listed_once() {
        assert!(COUNTRIES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
