//! The canonical text by which the ledger names what it counts.

use std::fmt::Write;

use crate::row::Dimension;

use super::rules::{LimitKind, LimitRule};

/// The start of the text of all series of a rule: the one below, up to the names of the properties.
///
/// A series is a JSON array of the name of the rule, the unit, the window, the properties of the group, and their values,
/// where `null` is a missing value: `["teams","USD","month UTC",["metadata.team","route"],"growth",null]`. No two groups have
/// the same text, and a rule that groups by other properties starts new series.
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
    text.push('[');
    for (index, property) in rule.group_by.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_value(&mut text, Some(&property.to_string()));
    }
    text.push(']');
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

/// Returns the group of a series of a rule with its [`prefix`]: the properties with their values.
///
/// `None` if the text is not a series of this rule.
pub(crate) fn group(rule: &LimitRule, prefix: &str, series: &str) -> Option<Vec<(Dimension, Option<String>)>> {
    let values = series.strip_prefix(prefix)?;
    let values = match values.strip_prefix(',') {
        Some(values) => serde_json::from_str::<Vec<Option<String>>>(&format!("[{values}")).ok()?,
        None => Vec::new(),
    };
    (values.len() == rule.group_by.len()).then(|| rule.group_by.iter().cloned().zip(values).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::LimitDecision;

    #[test]
    fn series_name_what_they_count() {
        let rule = |group_by: &[&str]| {
            let rule = LimitRule::concurrency("a \"b\"", 1).on_store_error(LimitDecision::Deny);
            group_by.iter().fold(rule, |rule, property| rule.group_by(property)).build().unwrap()
        };
        let by_team = rule(&["metadata.te\"am", "model"]);
        let prefix_by_team = prefix(&by_team);
        let mut series = prefix_by_team.clone();
        write_group(&mut series, [Some("gro\"wth"), None].into_iter());
        assert_eq!(
            series,
            r#"["a \"b\"","requests","concurrent",["metadata.te\"am","request_model"],"gro\"wth",null]"#
        );
        let values = [Some("gro\"wth".to_owned()), None];
        let expected: Vec<_> = by_team.group_by().iter().cloned().zip(values).collect();
        assert_eq!(group(&by_team, &prefix_by_team, &series), Some(expected));

        for other in [rule(&[]), rule(&["model"]), rule(&["model", "metadata.te\"am"])] {
            assert_eq!(group(&other, &prefix(&other), &series), None, "{other:?}");
        }
        let ungrouped = rule(&[]);
        let mut series = prefix(&ungrouped);
        write_group(&mut series, std::iter::empty::<Option<&str>>());
        assert_eq!(series, r#"["a \"b\"","requests","concurrent",[]]"#);
        assert_eq!(group(&ungrouped, &prefix(&ungrouped), &series), Some(Vec::new()));
    }
}
