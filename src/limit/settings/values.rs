//! Values that several sections have.

use std::time::Duration;

use crate::{
    ConfigError,
    registry::{Place, Reader, Table, without_secrets},
};

use super::super::rules::{Amount, LimitDecision, LimitRule};

/// Reports the problems of an error. Each message starts with the name of the key.
pub(super) fn fail(reader: &mut Reader<'_>, place: &Place<'_>, key: &str, error: &ConfigError) {
    for (_, message) in error.problems() {
        let is_named = message.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let message = if is_named { message.to_owned() } else { format!("{key}: {message}") };
        place.fail(&mut reader.problems, without_secrets(&message));
    }
}

/// Reads a text that a function parses.
pub(super) fn parsed<T>(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, ConfigError>,
) -> Option<T> {
    let place = table.get(key)?;
    let text = place.text(&mut reader.problems)?;
    match parse(text) {
        Ok(value) => Some(value),
        Err(error) => {
            fail(reader, &place, key, &error);
            None
        }
    }
}

/// Reads an amount, such as `"500 USD"`.
pub(super) fn amount(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<Amount> {
    parsed(reader, table, key, str::parse)
}

/// Reads a time, such as `"1m"`.
pub(super) fn duration(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<Duration> {
    parsed(reader, table, key, |text| {
        let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero());
        time.ok_or_else(|| {
            ConfigError::new(format!("invalid time {text:?}: expected a number and a unit, such as \"30s\" or \"1m\""))
        })
    })
}

/// Reads a boolean. The default is `false`.
pub(super) fn flag(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> bool {
    table.get(key).and_then(|place| place.boolean(&mut reader.problems)).unwrap_or_default()
}

/// Reads `{ "metadata.environment" = ["production"] }`, and checks properties and patterns.
pub(super) fn conditions(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Vec<(String, Vec<String>)> {
    let Some(place) = table.get(key) else { return Vec::new() };
    let mut found = Vec::new();
    for condition in place.any_table(&mut reader.problems).iter() {
        let before = reader.problems.len();
        reader.check_property(&condition, condition.name());
        let patterns = reader.texts(Some(condition.clone()));
        if reader.problems.len() > before {
            continue;
        }
        let rule = LimitRule::concurrency(key, 1).on_store_error(LimitDecision::Deny);
        match rule.when(condition.name(), &patterns).build() {
            Ok(_) => found.push((condition.name().to_owned(), patterns)),
            Err(error) => {
                // The others follow from the first one.
                let first = error.problems().next().map(|(_, message)| ConfigError::new(message));
                fail(reader, &condition, key, &first.unwrap_or(error));
            }
        }
    }
    found
}
