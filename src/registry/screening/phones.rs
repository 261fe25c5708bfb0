use super::{
    bytes::{at, before, is_word, part, run_end},
    found::Found,
    screening_kind::ScreeningKind,
};

/// The number of digits of E.164, with the international prefix `00`.
const MAX_DIGITS: usize = 17;
const MAX_GROUPS: usize = 8;

/// The words before a number that make it a phone number without a country code or separators.
const WORDS: &[&str] = &["tel", "phone", "mobile", "fax", "whatsapp", "telephone", "cell", "telefon", "msisdn"];

/// Finds phone numbers: E.164 with `+`, and common national formats with separators.
pub(super) fn find(text: &str, found: &mut impl FnMut(Found)) {
    let bytes = text.as_bytes();
    let mut position = 0;
    while position + 7 <= bytes.len() {
        let byte = at(bytes, position);
        let is_start = byte.is_ascii_digit() && !before(bytes, position).is_ascii_digit()
            || matches!(byte, b'+' | b'(') && matches!(at(bytes, position + 1), b'(' | b'0'..=b'9');
        let end = if is_start && starts(bytes, position) { end(text, position) } else { None };
        if let Some(end) = end {
            found(Found { start: position, end, kind: ScreeningKind::Phones });
        }
        position = end.unwrap_or(position + 1);
    }
}

/// Returns `true` if a number that starts here is not part of a longer id or an amount.
fn starts(bytes: &[u8], start: usize) -> bool {
    let (first, second) = (before(bytes, start), before(bytes, start.saturating_sub(1)));
    let is_joined = matches!(first, b'-' | b'.') && start >= 2 && is_word(second);
    !is_word(first) && !is_joined && !matches!(first, b'_' | b'#' | b'+' | b'$')
}

/// Returns `true` if a number that ends here is not part of a longer id.
fn ends(bytes: &[u8], end: usize) -> bool {
    let (next, after) = (at(bytes, end), at(bytes, end + 1));
    let is_joined = matches!(next, b'-' | b'.' | b'/' | b':') && is_word(after);
    let has_extension = matches!(next, b'x' | b'X') && after.is_ascii_digit();
    (!is_word(next) || has_extension) && !is_joined && !matches!(next, b'_' | b'@' | b'%')
}

fn end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let number = Number::read(bytes, start);
    let follows_word = || follows_word(text, start);
    (1..=number.group_count).rev().find_map(|count| {
        let end = *number.ends.get(count - 1)?;
        let groups = number.lengths.get(..count)?;
        let digits = number.digits.get(..groups.iter().sum())?;
        let separators = number.separators.get(..count - 1)?;
        let is_phone = ends(bytes, end)
            && match (number.has_plus, number.area) {
                (true, _) => is_international(digits, separators),
                (false, Some(0)) => is_with_area(groups, digits),
                (false, Some(1)) => groups.first() == Some(&1) && digits.first() == Some(&b'1') && digits.len() == 11,
                (false, _) => is_national(groups, digits, separators),
            };
        // A number in parentheses may close after its last digit.
        let is_phone = is_phone || digits.len() >= 7 && digits.len() <= 15 && ends(bytes, end) && follows_word();
        is_phone.then_some(end)
    })
}

/// The digits of a possible phone number in groups.
#[derive(Default)]
struct Number {
    has_plus: bool,
    digits: [u8; MAX_DIGITS],
    count: usize,
    lengths: [usize; MAX_GROUPS],
    ends: [usize; MAX_GROUPS],
    group_count: usize,
    /// The byte before each group except the first. A space stands for several.
    separators: [u8; MAX_GROUPS],
    /// The index of the group in parentheses.
    area: Option<usize>,
}

impl Number {
    fn read(bytes: &[u8], start: usize) -> Self {
        let mut number = Self { has_plus: at(bytes, start) == b'+', ..Self::default() };
        let mut position = start + usize::from(number.has_plus);
        loop {
            let is_area = at(bytes, position) == b'(';
            position += usize::from(is_area);
            let mut end = run_end(bytes, position, |byte| byte.is_ascii_digit());
            let group = bytes.get(position..end).unwrap_or_default();
            if group.is_empty() || is_area && (at(bytes, end) != b')' || number.area.is_some()) {
                return number;
            }
            if is_area {
                number.area = Some(number.group_count);
                end += 1;
            }
            if !number.push(group, end) {
                return number;
            }
            let separator = at(bytes, end);
            let skipped = match separator {
                b' ' | b'-' | b'.' | b'/' => 1 + usize::from(separator == b' ' && at(bytes, end + 1) == b'-'),
                b'(' => 0,
                _ if is_area => 0,
                _ => return number,
            };
            if let Some(stored) = number.separators.get_mut(number.group_count - 1) {
                *stored = if skipped == 0 { b' ' } else { separator };
            }
            position = end + skipped;
            // ` - ` separates as `-` does.
            position += usize::from(skipped == 2 && at(bytes, position) == b' ');
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
        digits.copy_from_slice(group);
        (*length, *group_end) = (group.len(), end);
        self.count += group.len();
        self.group_count += 1;
        true
    }
}

/// E.164: at most 15 digits. The shortest numbers of a country have five after a code of three. A single dot is that of a
/// decimal: `+52.520008`.
fn is_international(digits: &[u8], separators: &[u8]) -> bool {
    (8..=15).contains(&digits.len()) && digits.first().is_some_and(|first| *first != b'0') && separators != b"."
}

/// An area code in parentheses: `(030) 1234567`, `(415) 555-2671`.
fn is_with_area(groups: &[usize], digits: &[u8]) -> bool {
    let area = groups.first().copied().unwrap_or_default();
    let is_year = area == 4 && matches!(digits.first_chunk(), Some(b"19" | b"20"));
    groups.len() > 1 && (2..=6).contains(&area) && (8..=12).contains(&digits.len()) && !is_year
}

fn is_national(groups: &[usize], digits: &[u8], separators: &[u8]) -> bool {
    let digit = |position: usize| at(digits, position);
    let Some((first, others)) = separators.split_first() else { return false };
    let are_equal = others.iter().all(|separator| others.first() == Some(separator));
    let have = |allowed: &[u8]| separators.iter().all(|separator| allowed.contains(separator));
    match (digit(0), digit(1)) {
        // The international prefix: `0049 30 123456`.
        (b'0', b'0') => matches!(digit(2), b'1'..=b'9') && (11..=MAX_DIGITS).contains(&digits.len()) && have(b" -"),
        // The trunk prefix of most countries: `030 123456`, `020 7946 0958`, `01.23.45.67.89`.
        (b'0', _) => {
            let area = groups.first().copied().unwrap_or_default();
            let is_date = matches!(groups, [2, 2, 2 | 4, ..]) && (groups.len() < 5 || !are_equal);
            (2..=6).contains(&area)
                && (9..=12).contains(&digits.len())
                && groups.iter().all(|length| *length >= 2)
                && are_equal
                && !others.contains(&b'/')
                && !is_date
                && (!separators.contains(&b'.') || groups == [2, 2, 2, 2, 2])
                && !(groups == [4, 4, 4] && *first == b'-')
        }
        // North America. Numbers in examples have area codes that are not assigned, such as 123.
        _ if groups == [3, 3, 4] => have(b" -."),
        (b'1', _) if groups == [1, 3, 3, 4] => have(b" -."),
        // Mobile numbers in China, India, Spain, and Brazil.
        (b'1', b'3'..=b'9') if groups == [3, 4, 4] => have(b" ") || have(b"-"),
        (b'6'..=b'9', _) if groups == [5, 5] => have(b" "),
        (b'6'..=b'9', _) if groups == [3, 2, 2, 2] => have(b" ") || have(b"-"),
        (b'1'..=b'9', b'1'..=b'9') if groups == [2, 5, 4] => digit(2) == b'9' && have(b" -"),
        _ => false,
    }
}

/// Returns `true` if a word such as `phone` and a colon or an equals sign precede the number.
fn follows_word(text: &str, start: usize) -> bool {
    let label = part(text, 0, start).trim_end_matches([' ', '"', '\'']);
    let Some(label) = label.strip_suffix([':', '=']) else { return false };
    let label = label.trim_end_matches([' ', '"', '\'']);
    let length = label.bytes().rev().take(12).take_while(u8::is_ascii_alphabetic).count();
    let word = part(label, label.len() - length, label.len());
    WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::{Found, find, part};

    fn phones(text: &str) -> Vec<&str> {
        let mut phones = Vec::new();
        find(text, &mut |Found { start, end, .. }| phones.push(part(text, start, end)));
        phones
    }

    #[test]
    fn finds_numbers_in_common_formats() {
        for phone in [
            "+491701234567",
            "+49 170 1234567",
            "+49 (0)30 1234567",
            "+1 (415) 555-2671",
            "+1-415-555-2671",
            "+44 20 7946 0958",
            "+290 22222",
            "(415) 555-2671",
            "(415)555-2671",
            "415-555-2671",
            "415.555.2671",
            "1-415-555-2671",
            "1 (415) 555-2671",
            "0049 30 1234567",
            "030 1234567",
            "030/1234567",
            "0170-1234567",
            "(030) 123 45 67",
            "020 7946 0958",
            "06 12 34 56 78",
            "01.23.45.67.89",
            "090-1234-5678",
            "138 1234 5678",
            "98765 43210",
            "612 34 56 78",
            "11 91234-5678",
            "123-456-7890",
            "001-415-555-2671",
            "08-123 456 78",
        ] {
            assert_eq!(phones(phone), [phone]);
            assert_eq!(phones(&format!("call {phone}, please")), [phone]);
        }
        assert_eq!(phones("phone: 4155552671"), ["4155552671"]);
        assert_eq!(phones(r#"{"tel":"4155552671"}"#), ["4155552671"]);
        assert_eq!(phones("415-555-2671x12"), ["415-555-2671"]);
        assert_eq!(phones("from 3 415-555-2671 2024-01-01"), ["415-555-2671"]);
    }

    #[test]
    fn other_numbers_are_not_phones() {
        for text in [
            "4155552671",
            "00491701234567",
            "01701234567",
            "2024-11-30 09:30",
            "2024-11-30T09:30:00+0200",
            "30.11.2024",
            "09-30-2024",
            "01-02-2024 12",
            "192.168.100.200",
            "10.0.0.1:8080",
            "112-1234567-1234567",
            "ORD-415-555-2671",
            "415-555-2671-1",
            "#415-555-2671",
            "1.2.3-4",
            "123-45-6789",
            "0.123456789",
            "12 345 678",
            "+52.520008,+13.404954",
            "00-4bf92f3577b34da6-01",
            "phone_id=4155552671",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert!(phones(text).is_empty(), "{text}: {:?}", phones(text));
        }
    }
}
