//! Numbers as people read them: with units, thousands separators, and no more digits than they need.
//!
//! Unknown is a dash, never zero.

use std::{fmt::Write as _, time::SystemTime};

use crate::analytics::{
    Amount,
    jiff::{Timestamp, tz::TimeZone},
};

/// The text of an unknown value.
pub(crate) const UNKNOWN: &str = "–";
/// The smallest growth that is shown as a factor.
const MIN_FACTOR: f64 = 10.0;
/// The smallest share that is shown as a number, in percent.
const MIN_SHARE: f64 = 0.1;
const NANOS_PER_CENT: u64 = 10_000_000;
const NANOS_PER_DOLLAR: u64 = 1_000_000_000;

/// Formats any value, or a dash. Times are in UTC: see [`local_amount`].
pub(crate) fn amount(value: Option<Amount>) -> String {
    match value {
        None => UNKNOWN.to_owned(),
        Some(Amount::Count(number)) => count(number),
        Some(Amount::NanoUsd(nanos)) => money(nanos),
        Some(Amount::Percent(percent)) => self::percent(percent),
        Some(Amount::Millis(millis)) => self::millis(millis),
        Some(Amount::Number(number)) => decimal(number, 2),
        Some(Amount::Time(time)) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    }
}

/// Formats any value, or a dash, with times in a time zone.
pub(crate) fn local_amount(value: Option<Amount>, zone: &TimeZone) -> String {
    match value {
        Some(Amount::Time(time)) => dated(time, zone, Timestamp::now(), "%H:%M:%S"),
        other => amount(other),
    }
}

/// Formats nano-dollars as dollars, to the cent. Amounts under a dollar that are not whole cents have more digits.
pub(crate) fn money(nanos: i64) -> String {
    let sign = if nanos < 0 { "−" } else { "" };
    let nanos = nanos.unsigned_abs();
    if nanos >= NANOS_PER_DOLLAR || nanos.is_multiple_of(NANOS_PER_CENT) {
        let cents = (nanos + NANOS_PER_CENT / 2) / NANOS_PER_CENT;
        return format!("{sign}${}.{:02}", count(cents / 100), cents % 100);
    }
    // Two digits that matter, and at least cents.
    let fraction = format!("{nanos:09}");
    let zeros = fraction.bytes().take_while(|digit| *digit == b'0').count();
    let digits = (zeros + 2).clamp(4, 9);
    let unit = 10_u64.pow(9 - u32::try_from(digits).unwrap_or(9));
    let rounded = (nanos + unit / 2) / unit;
    let text = format!(
        "{}.{:0digits$}",
        rounded / 10_u64.pow(u32::try_from(digits).unwrap_or(0)),
        rounded % 10_u64.pow(u32::try_from(digits).unwrap_or(0))
    );
    let short = text.trim_end_matches('0');
    let decimals = short.len() - short.find('.').unwrap_or(0) - 1;
    format!("{sign}${short}{}", "0".repeat(2_usize.saturating_sub(decimals)))
}

/// Formats a number with thousands separators.
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

/// Formats a number with at most four digits and a unit: `84.2 M`.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn short_count(number: u64) -> String {
    match number {
        ..100_000 => count(number),
        100_000..1_000_000 => format!("{} k", decimal(number as f64 / 1e3, 0)),
        1_000_000..1_000_000_000 => format!("{} M", decimal(number as f64 / 1e6, 1)),
        _ => format!("{} B", decimal(number as f64 / 1e9, 1)),
    }
}

/// Formats a rate from 0 to 100.
pub(crate) fn percent(percent: f64) -> String {
    let decimals = if percent != 0.0 && percent.abs() < 10.0 { 2 } else { 1 };
    format!("{} %", decimal(percent, decimals))
}

/// Formats a duration in milliseconds.
pub(crate) fn millis(millis: f64) -> String {
    match millis {
        ..1_000.0 => format!("{} ms", decimal(millis, 0)),
        ..60_000.0 => format!("{} s", decimal(millis / 1e3, 2)),
        ..3_600_000.0 => format!("{} min", decimal(millis / 6e4, 1)),
        _ => format!("{} h", decimal(millis / 3.6e6, 1)),
    }
}

/// Formats a duration of whole milliseconds.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn whole_millis(number: u64) -> String {
    millis(number as f64)
}

/// Formats nano-dollars like [`money`].
pub(crate) fn nanos(nanos: u64) -> String {
    money(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Formats nano-dollars with all of their digits, and at least cents.
pub(crate) fn exact_money(nanos: u64) -> String {
    let fraction = format!("{:09}", nanos % NANOS_PER_DOLLAR);
    let digits = fraction.trim_end_matches('0').len().max(2);
    format!("${}.{}", count(nanos / NANOS_PER_DOLLAR), fraction.get(..digits).unwrap_or(&fraction))
}

/// Formats a number with its sign.
pub(crate) fn signed(number: i64) -> String {
    let sign = match number {
        ..0 => "−",
        0 => "",
        1.. => "+",
    };
    format!("{sign}{}", count(number.unsigned_abs()))
}

/// Formats a time in a time zone, to the second.
pub(crate) fn time(time: SystemTime, zone: &TimeZone) -> String {
    dated(Timestamp::try_from(time).unwrap_or_default(), zone, Timestamp::now(), "%H:%M:%S")
}

/// Formats a time in a time zone: the date, with the year unless it is the current one, and then the clock. Without a format
/// of the clock, it is the date only.
pub(crate) fn dated(time: Timestamp, zone: &TimeZone, now: Timestamp, clock: &str) -> String {
    let date = zone.to_datetime(time);
    let day = if date.year() == zone.to_datetime(now).year() { "%b %-d" } else { "%b %-d, %Y" };
    let format = if clock.is_empty() { day.to_owned() } else { format!("{day}, {clock}") };
    date.strftime(&format).to_string()
}

/// Describes how many LLM calls have a price. Returns `true` if some have none, or only a part of it.
pub(crate) fn pricing(unpriced_share: Option<f64>, partially_priced: u64) -> (String, bool) {
    let share = |share: f64| if share < MIN_SHARE { format!("< {}", percent(MIN_SHARE)) } else { percent(share) };
    let text = match (unpriced_share, partially_priced) {
        (None, _) => return ("No LLM calls".to_owned(), false),
        (Some(0.0), 0) => return ("All LLM calls priced".to_owned(), false),
        (Some(0.0), 1) => "1 LLM call partially priced".to_owned(),
        (Some(0.0), partial) => format!("{} LLM calls partially priced", count(partial)),
        (Some(unpriced), 0) => format!("Unpriced {} of LLM calls", share(unpriced)),
        (Some(unpriced), partial) => {
            format!("Unpriced {} of LLM calls, {} partially priced", share(unpriced), count(partial))
        }
    };
    (text, true)
}

/// Formats how long ago a time was.
pub(crate) fn ago(time: SystemTime, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(Timestamp::try_from(time).unwrap_or_default().as_second());
    match seconds {
        ..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Formats the absolute value of a change: in percent, or as a factor if it is large.
pub(crate) fn change(now: f64, before: f64) -> String {
    let factor = now / before;
    if factor >= MIN_FACTOR { format!("×{}", decimal(factor, 0)) } else { percent((factor - 1.0).abs() * 100.0) }
}

/// Formats a time for the attribute `datetime`.
pub(crate) fn machine_time(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or_default().to_string()
}

/// Cuts a text after a number of characters.
pub(crate) fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Formats a number without trailing zeros.
pub(crate) fn decimal(number: f64, decimals: usize) -> String {
    let mut text = String::new();
    _ = write!(text, "{:.decimals$}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let fraction = fraction.trim_end_matches('0');
    let is_zero = whole == "0" && fraction.is_empty();
    let sign = if number < 0.0 && !is_zero { "−" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::{
        Amount, TimeZone, Timestamp, count, dated, decimal, local_amount, millis, money, percent, pricing, short_count,
    };

    #[test]
    fn shows_the_year_unless_it_is_the_current_one() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let now = time("2026-06-01T12:00:00Z");
        assert_eq!(dated(time("2026-06-01T22:30:00Z"), &berlin, now, "%H:%M"), "Jun 2, 00:30");
        assert_eq!(dated(time("2028-06-01T00:00:00Z"), &berlin, now, "%H:%M"), "Jun 1, 2028, 02:00");
        // It is still 2026 in UTC, but not in Berlin.
        assert_eq!(dated(time("2026-12-31T23:30:00Z"), &berlin, now, ""), "Jan 1, 2027");
        let old = Some(Amount::Time(time("2001-06-01T22:30:00Z")));
        assert_eq!(local_amount(old, &berlin), "Jun 2, 2001, 00:30:00");
        assert_eq!(local_amount(Some(Amount::Count(7_000)), &berlin), "7,000");
    }

    #[test]
    fn describes_prices_without_claiming_too_much() {
        for (share, partial, text) in [
            (None, 0, "No LLM calls"),
            (Some(0.0), 0, "All LLM calls priced"),
            (Some(0.0), 1, "1 LLM call partially priced"),
            (Some(0.0), 2_000, "2,000 LLM calls partially priced"),
            (Some(0.001), 0, "Unpriced < 0.1 % of LLM calls"),
            (Some(12.5), 3, "Unpriced 12.5 % of LLM calls, 3 partially priced"),
        ] {
            assert_eq!(pricing(share, partial).0, text);
            assert_eq!(pricing(share, partial).1, share.is_some() && !text.starts_with("All"), "{text}");
        }
    }

    #[test]
    fn formats_money_to_the_cent_or_to_two_digits_that_matter() {
        let texts = [
            (0, "$0.00"),
            (1, "$0.000000001"),
            (1_949_000, "$0.0019"),
            (10_000_000, "$0.01"),
            (12_300_000, "$0.0123"),
            (999_999_999, "$1.00"),
            (5_754_126_000_000, "$5,754.13"),
            (-38_100_000_000, "−$38.10"),
        ];
        for (nanos, text) in texts {
            assert_eq!(money(nanos), text, "{nanos}");
        }
    }

    #[test]
    fn formats_numbers_with_units() {
        assert_eq!(count(61_204), "61,204");
        assert_eq!(short_count(84_210_000), "84.2 M");
        assert_eq!(short_count(7_200), "7,200");
        assert_eq!(percent(0.619), "0.62 %");
        assert_eq!(percent(41.0), "41 %");
        assert_eq!(millis(410.4), "410 ms");
        assert_eq!(millis(6_800.0), "6.8 s");
        assert_eq!(decimal(-0.001, 2), "0");
    }
}
