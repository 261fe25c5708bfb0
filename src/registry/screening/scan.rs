use std::collections::BTreeMap;

use super::{
    bytes::is_uuid, cards, emails, entropy, found::Found, ibans, phones, replaced::overlaps_replaced,
    screening_kind::ScreeningKind, secrets,
};

/// The shortest text in which anything is recognized, in bytes: `a@b.co`.
const MIN_LENGTH: usize = 6;
/// The shortest secret of lowercase letters without a name before it, in bytes: `sk-` and a long run.
const MIN_WORD: usize = 20;

/// Returns the recognized parts of a text in order, without overlaps. Kinds are looked for in the order of
/// [`ScreeningKind::ALL`], and the first kind that recognizes a part wins.
///
/// Does not allocate if nothing is recognized.
pub(super) fn scan(text: &str, is_on: impl Fn(ScreeningKind) -> bool) -> Vec<Found> {
    // By their ends. They do not overlap, so a new one can only overlap the first that ends after its start.
    let mut all: BTreeMap<usize, Found> = BTreeMap::new();
    // A UUID is the most common id, and its groups of digits would take longer.
    if text.len() < MIN_LENGTH || is_uuid(text.as_bytes()) {
        return Vec::new();
    }
    let content = Content::of(text);
    // Short lowercase words, such as `production`, are the next most common values.
    if content.digits == 0 && text.len() < MIN_WORD && !content.has(AT | COLON | CAPITAL | SPACE) {
        return Vec::new();
    }
    let mut push = |found: Found| {
        let next = all.range(found.start + 1..).next();
        let is_free = next.is_none_or(|(_, other)| !other.overlaps(found.start, found.end));
        if is_free && found.start < found.end && !overlaps_replaced(text, found.start, found.end) {
            all.insert(found.end, found);
        }
    };
    if is_on(ScreeningKind::Secrets) {
        secrets::find(text, content.has(COLON) && content.has(AT), &mut push);
    }
    if is_on(ScreeningKind::Emails) && content.has(AT) {
        emails::find(text, &mut push);
    }
    if is_on(ScreeningKind::Ibans) && content.digits >= 4 && content.has(LETTER) {
        ibans::find(text, &mut push);
    }
    if is_on(ScreeningKind::Cards) && content.digits >= 13 {
        cards::find(text, &mut push);
    }
    if is_on(ScreeningKind::Phones) && content.digits >= 7 && content.has(SEPARATOR | COLON) {
        phones::find(text, &mut push);
    }
    if is_on(ScreeningKind::HighEntropy) && content.digits > 0 && content.has(LETTER) {
        entropy::find(text, &mut push);
    }
    all.into_values().collect()
}

const LETTER: u8 = 1;
/// `@` and `%`, with which a percent-encoded `@` starts.
const AT: u8 = 2;
/// The separators in numbers, and the `+` before them.
const SEPARATOR: u8 = 4;
/// `:` and `=`.
const COLON: u8 = 8;
const CAPITAL: u8 = 16;
const SPACE: u8 = 32;
const DIGIT: u8 = 64;

/// The classes of each byte.
static CLASSES: [u8; 256] = classes();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' => LETTER,
            b'A'..=b'Z' => LETTER | CAPITAL,
            b'0'..=b'9' => DIGIT,
            b'@' | b'%' => AT,
            b' ' => SEPARATOR | SPACE,
            b'-' | b'.' | b'/' | b'(' | b'+' => SEPARATOR,
            b':' | b'=' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

/// The classes of the bytes of a text.
#[derive(Clone, Copy, Debug, Default)]
struct Content {
    classes: u8,
    digits: usize,
}

impl Content {
    fn of(text: &str) -> Self {
        let mut content = Self::default();
        for byte in text.bytes() {
            let class = CLASSES.get(usize::from(byte)).copied().unwrap_or_default();
            content.digits += usize::from(class == DIGIT);
            content.classes |= class;
        }
        content
    }

    fn has(self, class: u8) -> bool {
        self.classes & class != 0
    }
}
