//! Times in configurations.

use std::time::{Duration, SystemTime};

/// Reads a time of RFC 3339 with any offset: `2027-06-30T00:00:00Z` or `2027-06-30T02:00:00+02:00`.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    if !text.is_ascii() {
        return None;
    }
    let text = text.to_ascii_uppercase();
    if text.ends_with('Z') {
        return humantime::parse_rfc3339(&text).ok();
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let number = |text: &str, limit: u64| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| is_number && *number < limit)
    };
    let offset = Duration::from_secs(60 * (60 * number(hours, 24)? + number(minutes, 60)?));
    match sign {
        "+" => local.checked_sub(offset),
        "-" => local.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_times_with_any_offset() {
        let utc = humantime::parse_rfc3339("2027-06-30T00:00:00Z").ok();
        for text in [
            "2027-06-30T00:00:00Z",
            "2027-06-30t00:00:00.000z",
            "2027-06-30T02:00:00+02:00",
            "2027-06-29T18:30:00-05:30",
        ] {
            assert_eq!(parse(text), utc, "{text}");
        }
        for text in [
            "",
            "2027-06-30",
            "2027-06-30T00:00:00",
            "00:00:00",
            "2027-06-30T00:00:00+25:00",
            "ä",
            "2027-06-30T00:00:00+2:000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
