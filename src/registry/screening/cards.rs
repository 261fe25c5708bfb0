use super::{
    bytes::{at, before, is_word, run_end},
    found::Found,
    screening_kind::ScreeningKind,
};

/// Issuer ranges by their first digits, with the lengths of their numbers.
///
/// ISO/IEC 7812; the ranges are those that the networks publish.
const RANGES: &[(&str, &str, &[usize])] = &[
    // Visa.
    ("4", "4", &[13, 16, 19]),
    // Mastercard.
    ("51", "55", &[16]),
    ("2221", "2720", &[16]),
    // American Express.
    ("34", "34", &[15]),
    ("37", "37", &[15]),
    // Diners Club.
    ("300", "305", &[14]),
    ("3095", "3095", &[14]),
    ("36", "36", &[14]),
    ("38", "39", &[14]),
    // Discover.
    ("6011", "6011", &[16, 19]),
    ("644", "649", &[16, 19]),
    ("65", "65", &[16, 19]),
    // JCB.
    ("3528", "3589", &[16]),
    // UnionPay.
    ("62", "62", &[16, 17, 18, 19]),
    // Maestro.
    ("5018", "5018", &[13, 16, 18, 19]),
    ("5020", "5020", &[13, 16, 18, 19]),
    ("5038", "5038", &[13, 16, 18, 19]),
    ("5893", "5893", &[13, 16, 18, 19]),
    ("6304", "6304", &[13, 16, 18, 19]),
    ("6759", "6763", &[13, 16, 18, 19]),
    // Mir.
    ("2200", "2204", &[16]),
    // RuPay.
    ("81", "82", &[16]),
    ("508", "508", &[16]),
];

/// The lengths of the groups in which numbers are written.
const GROUPS: &[&[usize]] = &[
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[4, 4, 4, 2],
    &[4, 4, 4, 3],
    &[4, 4, 5],
    &[4, 3, 3, 3],
    &[6, 13],
    &[8, 8],
];

/// The number of digits and groups that are read. Longer numbers are not cards.
const MAX_DIGITS: usize = 19;
const MAX_GROUPS: usize = 6;

/// Finds the numbers of payment cards, with or without separators.
pub(super) fn find(text: &str, found: &mut impl FnMut(Found)) {
    let bytes = text.as_bytes();
    let mut position = 0;
    while position + 13 <= bytes.len() {
        if !at(bytes, position).is_ascii_digit() {
            position += 1;
            continue;
        }
        position = match Groups::read(bytes, position).card_end(bytes, position) {
            Some(end) => {
                found(Found { start: position, end, kind: ScreeningKind::Cards });
                end
            }
            None => run_end(bytes, position, |byte| byte.is_ascii_digit()),
        };
    }
}

/// Groups of digits, separated by single spaces, hyphens, or dots.
#[derive(Default)]
struct Groups {
    digits: [u8; MAX_DIGITS],
    count: usize,
    lengths: [usize; MAX_GROUPS],
    ends: [usize; MAX_GROUPS],
    group_count: usize,
}

impl Groups {
    fn read(bytes: &[u8], start: usize) -> Self {
        let mut groups = Self::default();
        let mut position = start;
        let mut separator = None;
        loop {
            let end = run_end(bytes, position, |byte| byte.is_ascii_digit());
            if !groups.push(bytes.get(position..end).unwrap_or_default(), end) {
                return groups;
            }
            let byte = at(bytes, end);
            let continues = matches!(byte, b' ' | b'-' | b'.')
                && *separator.get_or_insert(byte) == byte
                && at(bytes, end + 1).is_ascii_digit();
            if !continues {
                return groups;
            }
            position = end + 1;
        }
    }

    /// Adds a group. Returns `false` if there are too many digits or groups.
    fn push(&mut self, group: &[u8], end: usize) -> bool {
        let Some(digits) = self.digits.get_mut(self.count..self.count + group.len()) else { return false };
        let (Some(length), Some(group_end)) =
            (self.lengths.get_mut(self.group_count), self.ends.get_mut(self.group_count))
        else {
            return false;
        };
        digits.iter_mut().zip(group).for_each(|(digit, byte)| *digit = byte - b'0');
        (*length, *group_end) = (group.len(), end);
        self.count += group.len();
        self.group_count += 1;
        true
    }

    /// Returns the end of the longest card that starts with the first group. An expiry date may follow it.
    fn card_end(&self, bytes: &[u8], start: usize) -> Option<usize> {
        (1..=self.group_count).rev().find_map(|count| {
            let lengths = self.lengths.get(..count)?;
            let digits = self.digits.get(..lengths.iter().sum())?;
            let end = *self.ends.get(count - 1)?;
            let is_card = digits.len() >= 13
                && (count == 1 || GROUPS.contains(&lengths))
                && is_separate(bytes, start, end)
                && is_issued(digits)
                && has_check_digit(digits);
            is_card.then_some(end)
        })
    }
}

/// Returns `true` if the digits are not part of a longer id, such as `ORD-4111111111111111` or `0.4111111111111111`.
fn is_separate(bytes: &[u8], start: usize, end: usize) -> bool {
    let (first, second) = (before(bytes, start), before(bytes, start.saturating_sub(1)));
    let is_joined = matches!(first, b'-' | b'.' | b'/');
    let starts = !(is_word(first) || matches!(first, b'_' | b'#' | b'+') || is_joined && is_word(second) && start >= 2);
    let (next, after) = (at(bytes, end), at(bytes, end + 1));
    let ends = !is_word(next) && next != b'_' && next != b'@' && !(matches!(next, b'-' | b'.') && is_word(after));
    starts && ends
}

/// Returns `true` if the digits start with those of an issuer, and have the length of its numbers.
fn is_issued(digits: &[u8]) -> bool {
    RANGES.iter().any(|(first, last, lengths)| {
        let start = digits.get(..first.len()).unwrap_or_default();
        let is_within = start.iter().map(|digit| digit + b'0').ge(first.bytes())
            && start.iter().map(|digit| digit + b'0').le(last.bytes());
        is_within && lengths.contains(&digits.len())
    })
}

/// Verifies the check digit (ISO/IEC 7812-1, annex B; the Luhn algorithm).
fn has_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, digit)| match u32::from(*digit) * if position % 2 == 0 { 1 } else { 2 } {
            product @ 10.. => product - 9,
            product => product,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::{super::bytes::part, Found, find};

    fn cards(text: &str) -> Vec<&str> {
        let mut cards = Vec::new();
        find(text, &mut |Found { start, end, .. }| cards.push(part(text, start, end)));
        cards
    }

    #[test]
    fn finds_cards_of_all_networks() {
        for card in [
            "4111111111111111",
            "4222222222222",
            "5555 5555 5555 4444",
            "2223-0031-2200-3222",
            "4111.1111.1111.1111",
            "378282246310005",
            "3782 822463 10005",
            "30569309025904",
            "3056 930902 5904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "6759649826438453",
            "2200000000000004",
        ] {
            assert_eq!(cards(card), [card]);
            assert_eq!(cards(&format!("card={card}, thanks")), [card]);
        }
    }

    #[test]
    fn other_numbers_are_not_cards() {
        for text in [
            "4111111111111112",
            "1111111111111117",
            "ORD-4111111111111111",
            "id_4111111111111111",
            "a4111111111111111",
            "4111111111111111x",
            "41111111-1111-1111",
            "4111 1111-1111 1111",
            "0.4111111111111111",
            "4111111111111111.5",
            "41111111111111111111111",
            "1700000000000000",
            "+4222222222222",
        ] {
            assert!(cards(text).is_empty(), "{text}");
        }
    }
}
