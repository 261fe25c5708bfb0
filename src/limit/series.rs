//! The canonical text by which the ledger names what it counts.

use std::fmt::Write;

use crate::row::Dimension;

use super::rules::{LimitKind, LimitRule};

/// The number of values before those of the group: the name of the rule, the unit, and the window.
const HEAD: usize = 3;

/// The text of the series of a rule without the group: `["team-monthly","USD","month Europe/Berlin",`.
///
/// A series is a JSON array of the name of the rule, the unit, the window, and the values of the group, where `null` is a
/// missing value: `["team-monthly","USD","month Europe/Berlin","growth",null]`. No two groups have the same text.
pub(crate) fn prefix(rule: &LimitRule) -> String {
    let window = match &rule.kind {
        LimitKind::Budget { window, .. } => window.to_string(),
        LimitKind::Rate { .. } => "rate".to_owned(),
        LimitKind::Concurrency { .. } => "concurrent".to_owned(),
    };
    let mut text = "[".to_owned();
    for part in [rule.name(), rule.unit().as_str(), &window] {
        write_value(&mut text, Some(part));
        text.push(',');
    }
    // Without a group, the array ends here.
    text.pop();
    text
}

/// Appends the values of a group, and the end of the array.
pub(crate) fn write_group<T: AsRef<str>>(text: &mut String, values: impl Iterator<Item = Option<T>>) {
    for value in values {
        text.push(',');
        write_value(text, value.as_ref().map(T::as_ref));
    }
    text.push(']');
}

fn write_value(text: &mut String, value: Option<&str>) {
    let Some(value) = value else { return text.push_str("null") };
    text.push('"');
    if !value.bytes().any(|byte| matches!(byte, b'"' | b'\\' | ..b' ')) {
        text.push_str(value);
        return text.push('"');
    }
    for letter in value.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\0'..='\u{1f}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(letter));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Returns the group of a series of a rule: the properties with their values.
///
/// `None` if the text is not a series, or has another number of values. That is left from a time when the rule had other groups.
pub(crate) fn group(rule: &LimitRule, series: &str) -> Option<Vec<(Dimension, Option<String>)>> {
    let parts: Vec<Option<String>> = serde_json::from_str(series).ok()?;
    let values = parts.into_iter().skip(HEAD);
    (values.len() == rule.group_by.len()).then(|| rule.group_by.iter().cloned().zip(values).collect())
}
