//! Values as text. Tags come from clients, so they are never printed as they are.

use std::fmt::Write as _;

use tower_tagging::analytics::{
    Amount,
    jiff::{Timestamp, tz::TimeZone},
};

/// The text of unknown values.
pub(crate) const UNKNOWN: &str = "–";
const NANOS_PER_CENT: u64 = 10_000_000;
/// Replaces characters that are not printed.
const REPLACEMENT: char = '\u{fffd}';

/// Returns `true` for characters that could move the cursor, change the terminal, or hide or reorder text.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Returns text without control characters, and without those that hide or reorder text.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if is_hidden(letter) { REPLACEMENT } else { letter }).collect()
}

/// Returns lines of JSON that mean the same, and in which such characters are escaped.
pub(crate) fn printable_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        // Line breaks in values are escaped already.
        if letter == '\n' || !is_hidden(letter) {
            text.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a string never fails.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// Returns a piece of CSV without such characters, and without line breaks in values.
///
/// `is_quoted` is `true` if the piece begins within quotes, and then if it ends within them.
pub(crate) fn printable_csv(csv: &str, is_quoted: &mut bool) -> String {
    let mut text = String::with_capacity(csv.len());
    for letter in csv.chars() {
        *is_quoted ^= letter == '"';
        match letter {
            '\n' if !*is_quoted => text.push('\n'),
            '\r' if !*is_quoted => {}
            letter if is_hidden(letter) => text.push(REPLACEMENT),
            letter => text.push(letter),
        }
    }
    text
}

/// Returns printable text of at most a number of characters.
pub(crate) fn cut(text: &str, length: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= length {
        return text;
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

pub(crate) fn amount(value: Option<Amount>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(Amount::Count(number)) => count(number),
        Some(Amount::NanoUsd(nanos)) => money(nanos),
        Some(Amount::Percent(share)) => percent(share),
        Some(Amount::Millis(time)) => millis(time),
        Some(Amount::Number(number)) => format!("{number:.2}"),
        Some(Amount::Time(time)) => time.to_string(),
        Some(other) => other.to_string(),
    }
}

/// Returns a number with a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns nano-dollars as dollars, to the cent from one dollar on, and to four digits below.
pub(crate) fn money(nanos: i64) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let ten_thousandths = (nanos + 50_000) / 100_000;
    // What is rounded to one dollar is printed as one.
    if ten_thousandths >= 10_000 || nanos == 0 {
        let cents = (nanos + NANOS_PER_CENT / 2) / NANOS_PER_CENT;
        return format!("{sign}${}.{:02}", count(cents / 100), cents % 100);
    }
    if ten_thousandths == 0 { format!("{sign}<$0.0001") } else { format!("{sign}$0.{ten_thousandths:04}") }
}

pub(crate) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.1 { "<0.1 %".to_owned() } else { format!("{share:.1} %") }
}

pub(crate) fn millis(time: f64) -> String {
    if time >= 10_000.0 {
        format!("{:.1} s", time / 1_000.0)
    } else if time >= 1_000.0 {
        format!("{:.2} s", time / 1_000.0)
    } else {
        format!("{time:.0} ms")
    }
}

/// Returns a time on the clocks of a zone, to the second.
pub(crate) fn time(time: Timestamp, zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    format!("{} {name}", zone.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S"))
}

/// Returns a line of small bars for a series, with at most `width` of them.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a bar has eight heights"
)]
pub(crate) fn sparkline(values: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let size = values.len().div_ceil(width.max(1)).max(1);
    let sums: Vec<f64> = values.chunks(size).map(|part| part.iter().sum()).collect();
    let most = sums.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| match (value / most * 7.0).ceil() {
        // Nothing is a gap, and the least is the lowest bar.
        _ if *value <= 0.0 || most <= 0.0 => ' ',
        height => BARS[(height as usize).min(7)],
    };
    sums.iter().map(bar).collect()
}
